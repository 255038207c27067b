"""Model folders on the Hugging Face Hub: fetched into its cache, and uploaded.

Only the files of a model folder are fetched, all of them JSON, text or safetensors: nothing
that comes from the Hub is ever run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors as hub_errors
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from textlstm.classifier.model_folder import FILES, LIBRARY, read_config
from textlstm.errors import ConfigError, ModelFolderError, OutputError, TextLSTMError
from textlstm.io.formats import first_line
from textlstm.version import __version__

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")  # owner/name
_PROBE_SECONDS = 10.0
_FILES = (
    FILES.weights,
    FILES.tokenizer,
    FILES.vocabulary,
    FILES.metrics,
    FILES.history,
    FILES.card,
)
_LOG_IN = "pass token, or log in with `hf auth login`"


def find_model(
    name_or_folder: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | None = None,
) -> Path:
    """Give the folder of a model: the one of this name, or the Hub's in its cache.

    Args:
        name_or_folder: a folder; or, where there is none of this name, 'owner/name' on the Hub.
        revision: branch, tag or commit on the Hub; its main branch if not given.
        token: of the Hub, for models that are not public; the one logged in with if not given.

    Returns:
        The folder. A name on the Hub has its files fetched there where they are not there yet;
        with the Hub out of reach, it is the copy that was fetched before.

    Raises:
        ConfigError: a revision is asked for and the name can't be one on the Hub.
        ModelFolderError: the Hub has no such model or revision, it is not one of textlstm, or
            the Hub is out of reach and there is no copy of it.
    """
    name = os.fspath(name_or_folder)
    if Path(name).exists() or not _NAME.fullmatch(name) or isinstance(name_or_folder, os.PathLike):
        if revision is not None:
            raise ConfigError(f"revision = {revision!r}: {name} is a folder, not owner/name")
        return Path(name)
    fault = None
    try:
        with _quiet():
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
    def fetch(file: str, revision: str | None) -> Path:
        path = huggingface_hub.hf_hub_download(
            name,
            file,
            revision=revision,
            token=token,
            local_files_only=offline,
            library_name=LIBRARY,
            library_version=__version__,
        )
        return Path(path)

    folder = fetch(FILES.config, revision).parent
    try:
        read_config(folder)
    except ModelFolderError as error:
        raise ModelFolderError(
            f"{name} on the Hub is no model that can be used here: {error}"
        ) from error
    for file in _FILES:
        try:
            fetch(file, folder.name)  # its commit: what belongs together stays together
        except hub_errors.LocalEntryNotFoundError:
            raise
        except hub_errors.EntryNotFoundError:  # loading will tell
            logger.warning("%s on the Hub has no %s", name, file)
    return folder


def _ask(name: str, revision: str | None, token: str | None) -> Exception | None:
    """Ask the Hub once for a model: a download alone repeats its request for 20 seconds and more.

    Returns:
        Why there is no answer; None if there is one.

    Raises:
        HfHubHTTPError: the Hub has no such model or revision.
    """
    api = huggingface_hub.HfApi(token=token)
    try:
        api.model_info(name, revision=revision, timeout=_PROBE_SECONDS)
    except (
        hub_errors.RepositoryNotFoundError,
        hub_errors.RevisionNotFoundError,
        hub_errors.HFValidationError,
    ):
        raise
    except Exception as error:  # of the transport, or an answer that the Hub is not well
        return error
    return None


def _reason(name: str, revision: str | None, error: Exception) -> str:
    if isinstance(error, hub_errors.GatedRepoError):
        return f"{name} asks for consent on its page on the Hub: give it there, then {_LOG_IN}"
    if isinstance(error, hub_errors.RevisionNotFoundError):
        return f"{name} on the Hub has no revision {revision or 'main'!r}: name one that it has"
    if isinstance(error, hub_errors.RepositoryNotFoundError | hub_errors.HFValidationError):
        return (
            f"there is no folder {name}, nor is there such a model on the Hub that is open to you: "
            f"check the name, or {_LOG_IN}"
        )
    if isinstance(error, hub_errors.LocalEntryNotFoundError):
        what = name if revision is None else f"{name} at {revision!r}"
        return (
            f"there is no folder {name}; the Hub is out of reach and its cache has no whole copy "
            f"of {what}: check the name and the network"
        )
    if isinstance(error, hub_errors.EntryNotFoundError):
        return f"{name} on the Hub has no {FILES.config}: it is no model of textlstm"
    return f"{name} can't be fetched from the Hub: {first_line(error)}"


def upload_model(
    write: Callable[[Path, str], None],
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    message: str | None = None,
) -> str:
    """Upload a model folder as one commit; the repository is made where it is missing.

    Args:
        write: writes the files into a folder, given that and the full 'owner/name'.
        repo_id: 'owner/name'; 'name' alone is one of the user's own.
        private: whether a repository that is made is private; as the account has it if None.
        token: of the Hub, with the right to write; the one logged in with if not given.
        message: of the commit.

    Returns:
        The address of the model.

    Raises:
        OutputError: the Hub is out of reach or refuses it.
    """
    api = huggingface_hub.HfApi(token=token, library_name=LIBRARY, library_version=__version__)
    with tempfile.TemporaryDirectory(prefix="textlstm-") as folder, _quiet():
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
        except Exception as error:  # the client lets through what transport and checks raise
            remedy = "check the name and the network"
            status = getattr(getattr(error, "response", None), "status_code", None)
            if status in (401, 403) or isinstance(error, hub_errors.LocalTokenNotFoundError):
                remedy = f"with the right to write there, {_LOG_IN}"
            raise OutputError(
                f"{repo_id} can't be uploaded to the Hub ({first_line(error)}): {remedy}"
            ) from error
    return str(made)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the progress bars of the Hub's client off the terminal."""
    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
