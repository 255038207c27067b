"""An output that grows in a folder beside it, so that a crash loses only the last chunk.

The work folder of `out.csv` is `.out.csv.partial`. It holds `job.json`, which says what the run
was asked for; `data`, which only ever grows; and `state.json`, which says how many bytes of
`data` count. Data is on the disk before the state that counts it, and the state is replaced in
one step, so the state is true after a kill, a full disk or a power cut.
"""

from __future__ import annotations

import contextlib
import io
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
DATA = "data"
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
        self._data: io.FileIO | None = None

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

    def begin(self, job: Mapping[str, Any], state: Mapping[str, Any], data: bytes) -> None:
        """Start a run; what an earlier one left is removed.

        Args:
            job: what the run is asked for, fit for JSON.
            state: the first state, fit for JSON.
            data: the first bytes of the data.
        """
        with self.writing():
            # the state goes first: without it, nothing of the earlier run counts
            _delete([self.path / _STATE])
            sync(self.path)
            _delete([*self._files(), self.path / _JOB])
            write_text(self.path / _JOB, _json({"format_version": FORMAT_VERSION, **job}, indent=1))
            self._data = (self.path / DATA).open("wb", buffering=0)
            sync(self.path)
        self.append(data)
        self.write_state(state)

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

    def reopen(self, size: int) -> None:
        """Open the data to append to its first `size` bytes; any others are cut off."""
        with self.writing():
            # 'r+b' does not create a missing file, 'ab' can't be cut
            self._data = (self.path / DATA).open("r+b", buffering=0)
            have = self._data.seek(0, os.SEEK_END)
            if have >= size:
                self.cut(size)
                return
        raise OutputError(
            f"{self.path / DATA} has {have:,} bytes instead of {size:,}: it is damaged; pass "
            "--overwrite to start over"
        )

    def append(self, data: bytes) -> None:
        """Append bytes to the data; they count once a state that says so is written."""
        assert self._data is not None
        end = self._data.tell()
        with self.writing():
            try:
                rest = memoryview(data)
                while rest:  # a nearly full disk takes a part
                    rest = rest[self._data.write(rest) :]
                os.fsync(self._data.fileno())
            except OSError:
                with contextlib.suppress(OSError):  # frees the space that the part takes
                    self.cut(end)
                raise

    def cut(self, size: int) -> None:
        """Cut the data off after `size` bytes."""
        assert self._data is not None
        self._data.seek(size)
        self._data.truncate()

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Replace the state in one step."""
        with self.writing():
            write_text(self.path / _STATE, _json(state))

    def close_data(self) -> None:
        """Close the data, because Windows can't move or remove an open file."""
        if self._data is not None:
            self._data.close()
            self._data = None

    def remove(self) -> None:
        """Remove the folder and release the lock.

        The state goes last, so that after a kill there is a whole run or none; the lock is held
        until then, so that no other process starts a run in a folder that is being removed.
        """
        self.close_data()
        with contextlib.suppress(OSError):
            _delete([*self._files(), *(self.path / name for name in (_STATE, _JOB, _LOCK))])
            self.path.rmdir()
        self.release()

    def release(self) -> None:
        """Close the data and release the lock."""
        self.close_data()
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
