"""The folder of a training run: when it may be written to, and how a run is resumed.

During a run, `run.json` records what was asked for. It is written before anything else and
removed once the model is saved, so a folder that has it can be resumed, whenever the process
died. Until its `fingerprint` is set the data has not been read, and the checkpoint and work
folder (of an older run that is being replaced) are not the run's own. All that a run needs
before it ends is in those two: a model that is being replaced stays until the new one is saved.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textlstm.classifier.json_files import FILES, REPORT, RUN, read_config
from textlstm.config import TrainingConfig, TrainSettings, absolute_names, with_preset
from textlstm.data.corpus import Source
from textlstm.errors import ConfigError, DataError, ModelFolderError, OutputError, system_errors
from textlstm.io.atomic import write_text
from textlstm.io.locate import STDIN
from textlstm.io.stdin import spool_stdin
from textlstm.options import differences, resumable_names
from textlstm.training.resolve import read_options

if sys.platform != "win32":  # a folder is not locked against a second process there
    import fcntl

WORK = ".cache"  # tokenizer and encoded texts; made again from the data where they are missing

_DATA = ("validation", "test", "unlabeled")  # their content is in the fingerprint of the data
_MODEL = tuple(dataclasses.asdict(FILES).values())
_LEFTOVER = re.compile(
    "|".join(
        # a file that is written inside the writing of the folder has two such names in one
        rf"\.{{1,2}}{re.escape(Path(name).stem)}(-\w{{8}}){{1,2}}{re.escape(Path(name).suffix)}"
        for name in (*_MODEL, *REPORT, RUN)
    )
)


@dataclass(frozen=True)
class RunRequest:
    """What a run is asked for.

    Args:
        source: the data; None if it was passed as Python objects in an earlier process.
        settings: all settings.
        fingerprint: of the data; None before it was read.
        command: that began the run, such as 'train'; None if an older version began it.
        preset: that was passed, '' for none; None if an older version began the run.
    """

    source: Source | None
    settings: TrainSettings
    fingerprint: str | None = None
    command: str | None = None
    preset: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what `run.json` holds; the source in a form that any process can read again."""
        source: str | list[str] | None = None
        if isinstance(self.source, str | os.PathLike):
            source = _absolute(self.source)
        elif isinstance(self.source, list | tuple) and all(
            isinstance(name, str | os.PathLike) for name in self.source
        ):
            source = [_absolute(name) for name in self.source]
        return {
            "source": source,
            "settings": self.settings.to_dict(),
            "fingerprint": self.fingerprint,
            **({} if self.settings.given is None else {"given": sorted(self.settings.given)}),
            **({} if self.command is None else {"command": self.command}),
            **({} if self.preset is None else {"preset": self.preset}),
        }


class RunFolder:
    """A folder that a model is trained into.

    Args:
        path: the folder; it need not exist.
        command: that trains into it.

    Raises:
        OutputError: there is a file of that name, or the folder can't be read.
    """

    def __init__(self, path: str | os.PathLike[str], command: str = "train") -> None:
        self.path = Path(path)
        self.checkpoint = self.path / FILES.checkpoint  # the state of the training loop
        self.work = self.path / WORK  # what else a run needs until its end
        self._command = command
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path} is a file: --out must be a folder, new or empty")
        self._made = [p for p in (self.path, *self.path.parents) if not p.exists()]  # inmost first
        self._provisional = False  # run.json was written by us, and the data is not yet read

    def is_empty(self) -> bool:
        """Whether nothing is lost by training into the folder."""
        return all(_LEFTOVER.fullmatch(name) for name in self._names())

    def is_unfinished(self) -> bool:
        """Whether a run can be resumed; a folder may hold a model and be unfinished."""
        return (self.path / RUN).is_file()

    def is_finished(self) -> bool:
        """Whether a run has ended here."""
        return not self.is_unfinished() and (self.path / FILES.config).is_file()

    def has_begun(self) -> bool:
        """Whether the checkpoint and work folder belong to the run of `run.json`."""
        return self.is_unfinished() and self.read_request().fingerprint is not None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training into the folder; remove it if it stays empty.

        Raises:
            OutputError: another process holds it, or it can't be made.
        """
        with system_errors(OutputError, f"cannot write {self.path}"):
            self.path.mkdir(parents=True, exist_ok=True)
        try:
            with _lock(self.path):
                try:
                    yield
                except BaseException:
                    if self._provisional:
                        self._remove([RUN])
                    raise
        finally:
            for folder in self._made:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    def open(
        self, source: Source | None, options: Mapping[str, Any], *, resume: bool, overwrite: bool
    ) -> RunRequest:
        """Settle what is trained: a new run, or the one in the folder.

        A new run in an empty folder is recorded at once, so that it can be resumed if the
        process is killed while it reads the data; an error in that time removes the record.

        Args:
            source: the data; None for that of the run here.
            options: settings by name.
            resume: resume the run here, if there is one.
            overwrite: a run or model here may be replaced.

        Returns:
            What to train.

        Raises:
            ConfigError: an option is invalid or unlike those of the run, or the data is missing.
            OutputError: something is here and may not be replaced.
            ModelFolderError: there is no run to resume, or its record is damaged.
        """
        if resume and overwrite:
            raise ConfigError("resume and overwrite exclude each other: pass one of them")
        if resume and not (self.is_empty() and source is not None):
            begun = self.read_request()
            if self.is_finished():
                self.finish()  # what a kill at the very end has left
            if begun.command not in (None, self._command):
                raise ConfigError(
                    f"textlstm {begun.command} began the run in {self.path}: resume it with "
                    f"textlstm {begun.command} --resume --out {self.path}"
                )
            source = begun.source if source is None else source
            # the fingerprint of a teacher is kept in the work folder
            settings = resumed_settings(
                self.path, begun.settings, options, begun.preset, movable=(*_DATA, "teacher")
            )
            if source is None and self.is_unfinished():
                raise ConfigError(
                    f"the data of the run in {self.path} was passed as Python objects: pass them "
                    "again"
                )
            return dataclasses.replace(begun, source=source, settings=settings)
        if source is None:
            raise ConfigError("the data is missing: name what to train on, for example 'sample'")
        self.require_free(overwrite=overwrite)
        asked = {"command": self._command, "preset": options.get("preset", "")}
        request = RunRequest(source, read_options(options), **asked)
        if self.is_empty():
            self._provisional = True
            self.write_request(request)
        return request

    def claim(self, request: RunRequest, *, resume: bool = False) -> None:
        """Make the folder the run's own, now that its data is known to be good.

        Args:
            request: with the fingerprint of the data.
            resume: whether the run that is here is resumed; it is replaced if not.

        Raises:
            DataError: the data is not that with which the run began.
            OutputError: the folder can't be written to.
        """
        assert request.fingerprint is not None
        if not (resume and self.has_begun()):
            self.write_request(dataclasses.replace(request, fingerprint=None))
            self._remove([FILES.checkpoint, WORK, *self._leftovers()])
        elif self.read_request().fingerprint != request.fingerprint:
            raise DataError(
                f"the data has changed since the run in {self.path} began: restore it, or start "
                "over with --overwrite"
            )
        self.write_request(request)
        self._provisional = False

    def finish(self) -> None:
        """Remove what only an unfinished run needs; call it when the model is saved."""
        self._remove([RUN, FILES.checkpoint, WORK, *self._leftovers()])

    def read_request(self) -> RunRequest:
        """Read what the run here was asked for; for a finished one, from its `config.json`.

        Raises:
            ModelFolderError: there is no run, or its record is damaged or of another version.
        """
        if self.is_finished():
            config = read_config(self.path, base=True)
            data = config["data"]
            settings = TrainSettings.from_dict(config["settings"])
            return RunRequest(data["source"] or None, settings, data["fingerprint"])
        path = self.path / RUN
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            given = frozenset(record["given"]) if "given" in record else None
            settings = TrainSettings.from_dict(record["settings"])
            settings = dataclasses.replace(settings, given=given)
            known = {name: record.get(name) for name in ("command", "preset")}
            return RunRequest(record["source"], settings, record["fingerprint"], **known)
        except FileNotFoundError:
            raise ModelFolderError(
                f"{self.path} holds no run to resume: start one with "
                f"textlstm {self._command} DATA --out {self.path}"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFolderError(
                f"{path} can't be read ({error}): start over with --overwrite"
            ) from error

    def write_request(self, request: RunRequest) -> None:
        """Record what the run is asked for, unless the same is recorded already.

        Raises:
            OutputError: the folder can't be written to.
        """
        with contextlib.suppress(ModelFolderError):
            # an older version that began the run can then still resume it
            if self.is_unfinished() and self.read_request().to_dict() == request.to_dict():
                return
        write_text(self.path / RUN, json.dumps(request.to_dict(), indent=2) + "\n")

    def require_free(self, *, overwrite: bool) -> None:
        """Raise an `OutputError` if something is here that may not be replaced.

        Args:
            overwrite: whether a run or model that is here may be replaced.
        """
        if self.is_empty():
            return
        names, known = self._names(), (*_MODEL, *REPORT, RUN, WORK)
        foreign = [n for n in names if n not in known and not _LEFTOVER.fullmatch(n)]
        if not {RUN, FILES.config, FILES.checkpoint} & set(names):
            foreign = names  # no model of ours, so a README.md is not ours either
        if foreign:
            more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
            raise OutputError(
                f"{self.path} holds files that are not part of a textlstm model "
                f"({', '.join(foreign[:3])}{more}): choose a new or empty folder"
            )
        if not overwrite:
            state = "an unfinished run" if self.is_unfinished() else "a model"
            remedy = "--resume to continue it, " if self.is_unfinished() else ""
            raise OutputError(
                f"{self.path} already holds {state}: pass {remedy}--overwrite to replace it, "
                "or choose another folder"
            )

    def _names(self) -> list[str]:
        with system_errors(OutputError, f"cannot read {self.path}"):
            exists = self.path.exists()
            return sorted(entry.name for entry in self.path.iterdir()) if exists else []

    def _leftovers(self) -> Iterator[str]:
        """Yield the half-written files that a killed process left."""
        return (name for name in self._names() if _LEFTOVER.fullmatch(name))

    def _remove(self, names: list[str]) -> None:
        for path in (self.path / name for name in names):
            with system_errors(OutputError, f"cannot remove {path}"):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


def resumed_settings(
    folder: Path,
    begun: TrainSettings,
    options: Mapping[str, Any],
    preset: str | None = None,
    *,
    movable: Collection[str] = _DATA,
) -> TrainSettings:
    """Return the settings with which a run is resumed.

    Args:
        folder: of the run, for the message.
        begun: the settings with which it began.
        options: those given now, by flat name.
        preset: with which it began, '' for none; None if that is not known.
        movable: options that name files whose content the caller compares; they may be replaced
            on resume, but not left out.

    Returns:
        `begun`, with the values of `options` that may change on resume.

    Raises:
        ConfigError: another option differs from the run's; each is named.
    """
    before = begun.to_options()
    asked = TrainSettings.from_options(**{**before, **with_preset(options)})
    old = {"preset": preset or None, **TrainSettings.from_options(**before).to_dict()}
    new = {"preset": options.get("preset") or preset or None, **asked.to_dict()}
    free = resumable_names(TrainingConfig) | ({"preset"} if preset is None else set())
    now = asked.to_options()
    free |= {name for name in movable if before[name] and now[name]}
    found = differences(old, new, ignore=free)
    if found:
        raise ConfigError(
            f"the run in {folder} keeps its settings, but {'; '.join(found)}: leave these options "
            "out, or start over with --overwrite"
        )
    return dataclasses.replace(asked, given=begun.given)


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Lock a folder against other processes; needs no file in it."""
    if sys.platform == "win32":
        yield
        return
    with system_errors(OutputError, f"cannot read {folder}"):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another process is training into {folder}: wait for it, stop it, or choose "
                "another folder"
            ) from error
        except OSError:  # a file system without locks: the run continues without one
            pass
        yield
    finally:
        os.close(descriptor)


def _absolute(name: str | os.PathLike[str]) -> str:
    """Return a path or pattern that holds in any working folder; another name as it is."""
    return str(spool_stdin() if name == STDIN else absolute_names(name, ("sample",)))
