"""Model folders on the Hugging Face Hub: fetched into its cache, and uploaded.

Only the files of a model folder are fetched, all of them JSON, text or safetensors: nothing
that comes from the Hub is ever run.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import errors as hub_errors

from textlstm.classifier.json_files import FILES, LIBRARY, read_config
from textlstm.errors import ConfigError, ModelFolderError, OutputError, TextLSTMError
from textlstm.io.formats import first_line
from textlstm.io.hub import PROBE_SECONDS, without_bars
from textlstm.version import __version__

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")  # owner/name
_FILES = [name for name in vars(FILES).values() if name != FILES.checkpoint]
_LOG_IN = "pass token, or log in with `hf auth login`"


def find_model(
    name_or_folder: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | None = None,
) -> Path:
    """Return the folder of a model: a local one, or a cached copy from the Hub.

    Args:
        name_or_folder: a folder; or, where there is none of this name, 'owner/name' on the Hub.
        revision: branch, tag or commit on the Hub; its main branch if not given.
        token: of the Hub, for models that are not public; that of the login if not given.

    Returns:
        The folder. For a name on the Hub, missing files are downloaded into the cache; with the
        Hub out of reach, the cached copy is used.

    Raises:
        ConfigError: a revision is passed with a name that can't be on the Hub.
        ModelFolderError: the Hub has no such model or revision, it is not a textlstm model,
            or the Hub is out of reach and there is no cached copy.
    """
    name = os.fspath(name_or_folder)
    if Path(name).exists() or not _NAME.fullmatch(name) or isinstance(name_or_folder, os.PathLike):
        if revision is not None:
            raise ConfigError(f"revision = {revision!r}: {name} is a folder, not owner/name")
        return Path(name)
    fault = None
    try:
        with without_bars():
            fault = _ask(name, revision, token)
            if fault is not None:
                logger.info("the Hub is out of reach (%s): looking in its cache", first_line(fault))
            return _fetch(name, revision, token, offline=fault is not None)
    except (hub_errors.HfHubHTTPError, hub_errors.HFValidationError, OSError) as error:
        if isinstance(error, ModelFolderError):
            raise
        why = f" ({first_line(fault)})" if fault is not None else ""
        raise ModelFolderError(_reason(name, revision, error) + why) from error


def _fetch(name: str, revision: str | None, token: str | None, *, offline: bool) -> Path:
    options: dict[str, Any] = {
        "token": token,
        "local_files_only": offline,
        "library_name": LIBRARY,
        "library_version": __version__,
    }
    config = huggingface_hub.hf_hub_download(name, FILES.config, revision=revision, **options)
    folder = Path(config).parent
    try:
        read_config(folder, base=True)  # before a large file of another library is fetched
    except ModelFolderError as error:
        raise ModelFolderError(f"{name} on the Hub is not a usable model: {error}") from error
    # the folder is named for the commit: all files are of the same one
    huggingface_hub.snapshot_download(name, revision=folder.name, allow_patterns=_FILES, **options)
    if offline and not all((folder / file).exists() for file in _FILES if file != FILES.card):
        raise hub_errors.LocalEntryNotFoundError(f"the copy in {folder} is not whole")
    return folder


def _ask(name: str, revision: str | None, token: str | None) -> Exception | None:
    """Ask the Hub once for a model: a download repeats a failed request for 20 seconds and more.

    Returns:
        The reason for getting no answer; None after an answer.

    Raises:
        HfHubHTTPError: the Hub has no such model or revision.
    """
    api = huggingface_hub.HfApi(token=token)
    try:
        api.model_info(name, revision=revision, timeout=PROBE_SECONDS)
    except (
        hub_errors.RepositoryNotFoundError,
        hub_errors.RevisionNotFoundError,
        hub_errors.HFValidationError,
    ):
        raise
    except Exception as error:  # of the transport, or a server error
        return error
    return None


def _reason(name: str, revision: str | None, error: Exception) -> str:
    if isinstance(error, hub_errors.GatedRepoError):
        return f"{name} is gated: accept its terms on its page on the Hub, then {_LOG_IN}"
    if isinstance(error, hub_errors.RevisionNotFoundError):
        return f"{name} on the Hub has no revision {revision or 'main'!r}: pass an existing one"
    if isinstance(error, hub_errors.RepositoryNotFoundError | hub_errors.HFValidationError):
        return (
            f"there is no folder {name}, and no such model on the Hub that you can access: check "
            f"the name, or {_LOG_IN}"
        )
    if isinstance(error, hub_errors.LocalEntryNotFoundError):
        what = name if revision is None else f"{name} at {revision!r}"
        return (
            f"there is no folder {name}; the Hub is out of reach and its cache has no whole copy "
            f"of {what}: check the name and the network"
        )
    if isinstance(error, hub_errors.EntryNotFoundError):
        return f"{name} on the Hub has no {FILES.config}: it is not a textlstm model"
    return f"{name} can't be fetched from the Hub: {first_line(error)}"


def upload_model(
    write: Callable[[Path, str], None],
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    message: str | None = None,
) -> str:
    """Upload a model folder as one commit; a missing repository is created.

    Args:
        write: called with a folder and the full 'owner/name'; writes the files.
        repo_id: 'owner/name'; 'name' alone is one of the user's own.
        private: whether a new repository is private; None for the default of the account.
        token: of the Hub, with write access; that of the login if not given.
        message: commit message.

    Returns:
        The address of the model.

    Raises:
        OutputError: the Hub is out of reach or refuses it.
    """
    api = huggingface_hub.HfApi(token=token, library_name=LIBRARY, library_version=__version__)
    with tempfile.TemporaryDirectory(prefix="textlstm-") as folder, without_bars():
        try:
            made = api.create_repo(repo_id, private=private, exist_ok=True)
            write(Path(folder), made.repo_id)
            api.upload_folder(
                repo_id=made.repo_id,
                folder_path=folder,
                commit_message=message or f"Upload a classifier of {LIBRARY} {__version__}",
            )
        except TextLSTMError:
            raise
        except Exception as error:  # the client raises errors of many libraries
            remedy = "check the name and the network"
            status = getattr(getattr(error, "response", None), "status_code", None)
            if status in (401, 403) or isinstance(error, hub_errors.LocalTokenNotFoundError):
                remedy = f"with write access, {_LOG_IN}"
            raise OutputError(
                f"{repo_id} can't be uploaded to the Hub ({first_line(error)}): {remedy}"
            ) from error
    return str(made)
