"""An output that grows in a folder beside it, so that a crash costs only what was not yet kept.

The work folder of `out.csv` is `.out.csv.partial`. It holds `job.json`, what the run was asked
for; `data`, which only ever grows; and `state.json`, which tells how many bytes of `data` count.
Data is on the disk before the state that counts it, and the state changes in one step, so what
the state says is true after a kill, a full disk or a power cut.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
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
    """The work folder of one output, held by one process at a time.

    To be used in a `with` block, which lets go of the folder; it stays where it is unless
    `remove` is called.

    Args:
        target: the output.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.parent / f".{target.name}.partial"
        self._lock: BinaryIO | None = None
        self._data: io.FileIO | None = None

    def is_begun(self) -> bool:
        """Tell whether a run has begun here that can be gone on with."""
        return (self.path / _STATE).is_file() and (self.path / _JOB).is_file()

    def take(self) -> None:
        """Make the folder if it isn't there, and keep other processes out of it.

        Raises:
            OutputError: another process is at work in it, or it can't be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / _LOCK).open("ab")
            if fcntl is not None:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another process is writing {self.target}: wait for it, or stop it"
            ) from error
        except OSError as error:
            raise self.failed(error) from error

    def begin(self, job: Mapping[str, Any], state: Mapping[str, Any], data: bytes) -> None:
        """Begin anew: forget what is there and keep the first data.

        Args:
            job: what the run is asked for, fit for JSON.
            state: the first state, `bytes` included.
            data: the first bytes of the data.
        """
        try:
            for old in self.path.iterdir():
                if old.name == _LOCK:
                    continue
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            write_text(self.path / _JOB, _json({"format_version": FORMAT_VERSION, **job}, indent=1))
            self._data = (self.path / DATA).open("wb", buffering=0)
            sync(self.path)
        except OSError as error:
            raise self.failed(error) from error
        self.append(data)
        self.keep(state)

    def job(self) -> dict[str, Any]:
        """Read what the run that is here was asked for."""
        job = self._read(_JOB)
        if job.get("format_version") != FORMAT_VERSION:
            raise OutputError(
                f"{self.path} is of another version of textlstm: pass --overwrite to begin anew"
            )
        del job["format_version"]
        return job

    def state(self) -> dict[str, Any]:
        """Read the last state that was kept."""
        return self._read(_STATE)

    def reopen(self, size: int) -> None:
        """Go on with the data, which counts up to `size` bytes."""
        try:
            # 'r+b' would not make a file that is missing, 'ab' can't be cut
            self._data = (self.path / DATA).open("r+b", buffering=0)
            have = self._data.seek(0, os.SEEK_END)
            if have < size:
                raise OutputError(
                    f"{self.path / DATA} has {have:,} bytes and should have {size:,}: it is "
                    "damaged; pass --overwrite to begin anew"
                )
            self.cut(size)
        except OutputError:
            raise
        except OSError as error:
            raise self.failed(error) from error

    def append(self, data: bytes) -> None:
        """Write bytes at the end of the data; they count when a state that says so is kept."""
        assert self._data is not None
        end = self._data.tell()
        try:
            rest = memoryview(data)
            while rest:  # a nearly full disk takes a part
                rest = rest[self._data.write(rest) :]
            os.fsync(self._data.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):  # gives back the room that the rest would take
                self.cut(end)
            raise self.failed(error) from error

    def cut(self, size: int) -> None:
        """Forget what stands behind `size` bytes."""
        assert self._data is not None
        self._data.seek(size)
        self._data.truncate()

    def keep(self, state: Mapping[str, Any]) -> None:
        """Replace the state in one step."""
        try:
            write_text(self.path / _STATE, _json(state))
        except OSError as error:
            raise self.failed(error) from error

    def remove(self) -> None:
        """Remove the folder with all that is in it, the state last: a kill finds it or nothing."""
        self.release()
        last = (self.path / _STATE, self.path / _JOB)
        with contextlib.suppress(OSError):
            for entry in sorted(self.path.iterdir()):
                if entry not in last:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            for file in last:
                file.unlink(missing_ok=True)
            self.path.rmdir()

    def release(self) -> None:
        """Close what is open."""
        for file in (self._data, self._lock):
            if file is not None:
                file.close()
        self._data = self._lock = None

    def __enter__(self) -> WorkFolder:
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        begun = self.is_begun()
        self.release()
        if not begun and self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)

    def failed(self, error: OSError) -> OutputError:
        """Give the error to raise when writing fails."""
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        reason = cause.strerror or str(cause)
        kept = "; what is done is kept: mend that and pass --resume" if self.is_begun() else ""
        return OutputError(f"cannot write {self.target}: {reason}{kept}")

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{path} cannot be read ({error}): pass --overwrite to begin anew"
            ) from error
        if not isinstance(value, dict):
            raise OutputError(f"{path} is not ours: remove it, or choose another output")
        return value


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=True, indent=indent) + "\n"


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Say in what two jobs differ.

    Args:
        there: the job of the run that is there.
        here: the one that is asked for; both have a mapping for each part.

    Returns:
        One phrase for each difference, such as 'batch_size is 64 there and 32 here'.
    """
    found = []
    for part in [*there, *(part for part in here if part not in there)]:
        old, new = there.get(part, {}), here.get(part, {})
        for name in [*old, *(name for name in new if name not in old)]:
            if old.get(name) != new.get(name):
                found.append(
                    f"{name} is {_shown(old.get(name))} there and {_shown(new.get(name))} here"
                )
    return found


def _shown(value: Any) -> str:
    return "absent" if value is None else str(value)
