"""A folder beside an output for the work on it: one process at a time, resumable after a crash.

The work folder of `out.csv` is `.out.csv.partial`. It holds `job.json`, which says what the run
was asked for, `state.json`, which says how far it is, and whatever the run keeps beside them. The
state is replaced in one step. It is true after a kill, a full disk or a power cut, provided that
the run puts what it counts on the disk first.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from textlstm.errors import OutputError
from textlstm.io.atomic import sync, write_text

try:
    import fcntl
except ImportError:  # not on Windows: two runs with one output are not noticed there
    fcntl = None  # type: ignore[assignment]

FORMAT_VERSION = 1
_JOB, _STATE, _LOCK = "job.json", "state.json", "lock"


class WorkFolder:
    """The work folder of one output, locked by one process at a time.

    Use it in a `with` block, which locks and releases it. A folder with a run stays afterwards
    unless `remove` was called.

    Args:
        target: the output.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.parent / f".{target.name}.partial"
        self._is_taken = False
        self._lock: BinaryIO | None = None

    def is_begun(self) -> bool:
        """Whether the folder holds a run that can be resumed."""
        # not by Path, which raises for a folder that is not open to us
        return all(os.path.isfile(self.path / name) for name in (_STATE, _JOB))  # noqa: PTH113

    def __enter__(self) -> WorkFolder:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_taken and not self.is_begun():
            self.remove()
        self.release()

    def take(self) -> None:
        """Create the folder if it is missing, and lock it.

        Raises:
            OutputError: another process has locked it, or it can't be created.
        """
        with self.writing():
            self.path.mkdir(parents=True, exist_ok=True)
            while fcntl is not None and self._lock is None:
                with contextlib.suppress(FileNotFoundError):  # another process removed the folder
                    self._lock = self._locked()
                self.path.mkdir(exist_ok=True)
            self._is_taken = True

    def _locked(self) -> BinaryIO:
        path = self.path / _LOCK
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(path.open("ab"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                raise FileNotFoundError(path)
            stack.pop_all()
        return file

    def begin(self, job: Mapping[str, Any]) -> None:
        """Remove what an earlier run left; a new one begins when its first state is written.

        Args:
            job: what the run is asked for, fit for JSON.
        """
        with self.writing():
            # the state goes first: without it, nothing of the earlier run counts
            _delete([self.path / _STATE])
            sync(self.path)
            _delete([*self._files(), self.path / _JOB])
            write_text(self.path / _JOB, _json({"format_version": FORMAT_VERSION, **job}, indent=1))
            sync(self.path)

    def job(self) -> dict[str, Any]:
        """Return what the run in the folder was asked for."""
        job = self._read(_JOB)
        if job.get("format_version") != FORMAT_VERSION:
            raise OutputError(
                f"{self.path} is of another version of textlstm: pass --overwrite to start over"
            )
        del job["format_version"]
        return job

    def state(self) -> dict[str, Any]:
        """Return the last state that was written."""
        return self._read(_STATE)

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state, fit for JSON, in one step."""
        with self.writing():
            write_text(self.path / _STATE, _json(state))

    def remove(self) -> None:
        """Remove the folder and release the lock.

        The state goes last, so that after a kill there is a whole run or none; the lock is held
        until then, so that no other process starts a run in a folder that is being removed.
        """
        with contextlib.suppress(OSError):
            _delete([*self._files(), *(self.path / name for name in (_STATE, _JOB, _LOCK))])
            self.path.rmdir()
        self.release()

    def release(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        self._is_taken = False

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Raise an `OutputError` for an `OSError`; it says how to resume, if that is possible."""
        try:
            yield
        except BlockingIOError as error:  # of the lock
            raise OutputError(
                f"another process is writing {self.target}: wait for it, or stop it"
            ) from error
        except OSError as error:
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
            kept = "; finished rows are kept: fix that and pass --resume" if self.is_begun() else ""
            raise OutputError(
                f"cannot write {self.target}: {cause.strerror or cause}{kept}"
            ) from error

    def _files(self) -> list[Path]:
        """Return everything in the folder but the state, the job and the lock."""
        return [path for path in self.path.iterdir() if path.name not in (_STATE, _JOB, _LOCK)]

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{path} cannot be read ({error}): pass --overwrite to start over"
            ) from error
        if not value or not isinstance(value, dict):
            raise OutputError(f"{path} is damaged: pass --overwrite to start over")
        return value


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=True, indent=indent) + "\n"
