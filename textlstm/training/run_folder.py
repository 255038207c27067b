"""The folder of a training run: when it may be written to, and how a run is found again.

While a run goes on, `run.json` says what was asked for. It is there before anything else and
goes as soon as the model is whole, so a folder that has it can be resumed, whenever the process
died. As long as its `fingerprint` is null the data was not yet read, and the other files (of a
model that gets overwritten) do not belong to the run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textlstm.classifier.model_folder import FILES, read_config
from textlstm.config import TrainingConfig, TrainSettings, with_preset
from textlstm.errors import ConfigError, DataError, ModelFolderError, OutputError
from textlstm.io.atomic import write_text
from textlstm.options import differences, resumable_names

try:
    import fcntl
except ImportError:  # Windows: a folder is not kept from a second process there
    fcntl = None  # type: ignore[assignment]

RUN = "run.json"
CACHE = ".cache"  # the encoded texts; made again from data and tokenizer where it is missing

# In the order in which they are removed: config.json first, since a folder without it is no model.
_OURS = tuple(dataclasses.asdict(FILES).values())
_LEFTOVER = re.compile(
    "|".join(
        # a file that is written inside the writing of the folder has two such names in one
        rf"\.{{1,2}}{re.escape(Path(name).stem)}(-\w{{8}}){{1,2}}{re.escape(Path(name).suffix)}"
        for name in (*_OURS, RUN)
    )
)


@dataclass(frozen=True)
class RunRequest:
    """What a run was asked for, as it stands in `run.json`.

    Args:
        source: where to read the data again; None if it was passed as Python objects.
        settings: all settings.
        fingerprint: of the data, once it was read.
    """

    source: str | None
    settings: TrainSettings
    fingerprint: str | None = None


class RunFolder:
    """A folder that a model is trained into.

    Args:
        path: the folder; it need not exist.

    Raises:
        OutputError: there is a file of that name, or the folder can't be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path} is a file: --out must be a folder, new or empty")
        self._made = [p for p in (self.path, *self.path.parents) if not p.exists()]  # inmost first

    @property
    def checkpoint(self) -> Path:
        """The state of the training loop."""
        return self.path / FILES.checkpoint

    @property
    def cache(self) -> Path:
        """The folder of the encoded texts."""
        return self.path / CACHE

    def is_empty(self) -> bool:
        """Tell whether nothing is lost by training into the folder."""
        return all(_LEFTOVER.fullmatch(name) for name in self._names())

    def is_unfinished(self) -> bool:
        """Tell whether a run can be resumed; a folder may hold a model and be unfinished."""
        return (self.path / RUN).is_file()

    def is_finished(self) -> bool:
        """Tell whether a run has ended here."""
        return not self.is_unfinished() and (self.path / FILES.config).is_file()

    def has_begun(self) -> bool:
        """Tell whether the files here are of the run that `run.json` tells of."""
        return self.is_unfinished() and self.read_request().fingerprint is not None

    def require_free(self, *, overwrite: bool) -> None:
        """Check that a new run may begin here.

        Args:
            overwrite: whether a run or model that is here may be replaced.

        Raises:
            OutputError: something is here and may not go; the message says what, and how to
                go on.
        """
        if self.is_empty():
            return
        foreign = [name for name in self._names() if not self._is_ours(name)]
        if not (self.is_unfinished() or self.is_finished() or self._was_cut_off()):
            foreign = self._names()  # no model of ours, so a README.md is not ours either
        if foreign:
            raise OutputError(
                f"{self.path} holds files that are not of a textlstm model "
                f"({_some(foreign)}): choose a new or empty folder"
            )
        if not overwrite:
            state = "an unfinished run" if self.is_unfinished() else "a model"
            remedy = "--resume to go on with it, " if self.is_unfinished() else ""
            raise OutputError(
                f"{self.path} already holds {state}: pass {remedy}--overwrite to replace it, "
                "or choose another folder"
            )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training into the folder; if it stays empty it goes again.

        Raises:
            OutputError: another process holds it, or it can't be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error
        try:
            with _lock(self.path):
                yield
        finally:
            self._remove_made()

    def read_request(self) -> RunRequest:
        """Read what the run here was asked for; for a finished one, from its `config.json`.

        Raises:
            ModelFolderError: there is no run, or its record is damaged or of another version.
        """
        if self.is_finished():
            config = read_config(self.path)
            data = config["data"]
            settings = TrainSettings.from_dict(config["settings"])
            return RunRequest(data["source"] or None, settings, data["fingerprint"])
        path = self.path / RUN
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            return RunRequest(
                record["source"], TrainSettings.from_dict(record["settings"]), record["fingerprint"]
            )
        except FileNotFoundError:
            raise ModelFolderError(
                f"{self.path} holds no run to resume: begin one with "
                f"textlstm train DATA --out {self.path}"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFolderError(
                f"{path} can't be read ({error}): train anew with --overwrite"
            ) from error

    def write_request(self, request: RunRequest) -> None:
        """Record what the run is asked for.

        Raises:
            OutputError: the folder can't be written to.
        """
        record = {
            "source": request.source,
            "settings": request.settings.to_dict(),
            "fingerprint": request.fingerprint,
        }
        write_text(self.path / RUN, json.dumps(record, indent=2) + "\n")

    def take_over(self, request: RunRequest, *, anew: bool = False) -> None:
        """Make the folder the run's own, now that its data is known to be good.

        Args:
            request: with the fingerprint of the data.
            anew: whether the run that is here, if there is one, is replaced instead of resumed.

        Raises:
            DataError: the data is not that with which the run began.
            OutputError: the folder can't be written to.
        """
        assert request.fingerprint is not None
        if anew or not self.has_begun():
            self.write_request(dataclasses.replace(request, fingerprint=None))
            self._remove([*_OURS, CACHE, *self._leftovers()])
        else:
            begun = self.read_request()
            if begun.fingerprint != request.fingerprint:
                raise DataError(
                    f"the data has changed since the run in {self.path} began: bring it back as it "
                    "was, or train anew with --overwrite"
                )
            if begun == request:
                return  # an older version that began the run can then still go on with it
        self.write_request(request)

    def give_up(self) -> None:
        """Leave nothing behind of a run whose data could not be read."""
        self._remove([RUN])
        self._remove_made()

    def finish(self) -> None:
        """Remove what only a run under way needs; call it when the model is saved."""
        self._remove([RUN, FILES.checkpoint, CACHE, *self._leftovers()])

    def _remove_made(self) -> None:
        """Remove the folders that are here for this run and are empty."""
        for folder in self._made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _was_cut_off(self) -> bool:
        """Tell whether something of a run is here that has neither begun nor ended."""
        return self.checkpoint.is_file()

    def _names(self) -> list[str]:
        try:
            return sorted(entry.name for entry in self.path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise OutputError(f"cannot read {self.path}: {error.strerror}") from error

    def _is_ours(self, name: str) -> bool:
        return name in (*_OURS, RUN, CACHE) or bool(_LEFTOVER.fullmatch(name))

    def _leftovers(self) -> Iterator[str]:
        """Give the half-written files that a killed process left."""
        return (name for name in self._names() if _LEFTOVER.fullmatch(name))

    def _remove(self, names: list[str]) -> None:
        try:
            for name in names:
                path = self.path / name
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {error.filename}: {error.strerror}") from error


def resumed_settings(
    folder: Path, begun: TrainSettings, options: Mapping[str, Any]
) -> TrainSettings:
    """Return the settings with which a run is resumed.

    Args:
        folder: of the run, for the message.
        begun: the settings with which it began.
        options: those given now, by flat name.

    Returns:
        `begun`, with the values of `options` that may change on resume.

    Raises:
        ConfigError: another option differs from the run's; each is named.
    """
    asked = TrainSettings.from_options(**{**begun.to_options(), **with_preset(options)})
    free = resumable_names(TrainingConfig)
    found = differences(begun.to_dict(), asked.to_dict(), ignore=free)
    if found:
        raise ConfigError(
            f"the run in {folder} keeps its settings, but {'; '.join(found)}: leave these options "
            "out, or start over with --overwrite"
        )
    return asked


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold a folder, against the other processes that would; needs no file in it."""
    with contextlib.ExitStack() as stack:
        if fcntl is not None:
            stack.callback(os.close, _locked(folder))
        yield


def _locked(folder: Path) -> int:
    """Give a descriptor of a folder that holds it until it is closed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"cannot read {folder}: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise OutputError(
            f"another process is training into {folder}: wait for it, stop it, or choose "
            "another folder"
        ) from error
    except OSError:  # a file system without locks: the run goes on without one
        pass
    return descriptor


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
