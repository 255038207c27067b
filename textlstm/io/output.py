"""Write rows to a file or folder, chunk by chunk, so that a crash loses only the last chunk.

The bytes of a chunk depend on its rows alone and are appended to those of the chunk before, so
the output is the same, byte for byte, however often the run was interrupted. They are on the disk
before the state in the work folder counts them; what a crash left behind them is cut off.

Csv, tsv and json lines are moved to their path at the end (each chunk of a compressed file is a
gzip member or zstd frame). Parquet is kept as Arrow streams at first, because one can't append to a
parquet file; a single file is made of them at the end, the parts of a folder during the run.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from textlstm.errors import ConfigError, DataError, OutputError, system_errors
from textlstm.io.atomic import require_replaceable, sync
from textlstm.io.formats import COMPRESSIONS, file_format, first_line
from textlstm.io.work_folder import WorkFolder
from textlstm.io.writers import ArrowEncoder, Encoder, make_encoder
from textlstm.options import differences

FILE_ORDER = "order of the files"  # in a job
PART_ROWS = 2**18  # at least, of a part in a folder
_GROUP_ROWS = 2**16  # at least, of a parquet row group, if not limited by its bytes
_GROUP_BYTES = 2**25
_DATA, _PARTS, _WHOLE = "data", "parts", "whole"
_PART = re.compile(r"part-[0-9]{5,}\.parquet")


@dataclass(frozen=True)
class Target:
    """An output as it was asked for.

    Args:
        path: the file or folder.
        kind: 'csv', 'tsv', 'jsonl' or 'parquet'.
        is_folder: whether it is a folder of parquet parts.
        compression: '', '.gz' or '.zst'.
    """

    path: Path
    kind: str
    is_folder: bool
    compression: str

    @classmethod
    def of_path(cls, path: str | os.PathLike[str]) -> Target:
        """Choose the format by the name.

        Args:
            path: a file with the suffix of a format; or a folder: an existing one, a name that
                ends in `/`, or one without a suffix.

        Raises:
            DataError: the suffix is of no known format.
            OutputError: its folder can't be looked into, its name is too long, or it is a part
                of a loop of links.
        """
        name = os.fspath(path)
        target = Path(name)
        with system_errors(OutputError, f"cannot write {target}"):
            kept = target
            if target.is_symlink():  # a link stays what it is
                with contextlib.suppress(FileNotFoundError):
                    target.stat()  # a loop of links is an error
                kept = target.resolve()
            if target.is_dir() or name.endswith(("/", os.sep)) or not target.suffix:
                return cls(kept, "parquet", True, "")
            suffix = target.suffix.lower()
            kind = file_format(target)
        if kind == "txt":
            raise DataError(f"{target}: rows can't be written as txt: name it .csv or .jsonl")
        return cls(kept, kind, False, suffix if suffix in COMPRESSIONS else "")

    def require_free(self, *, overwrite: bool) -> None:
        """Raise an `OutputError` if the path holds something that must not be replaced."""
        if self.is_folder or self.path.is_dir():
            here = Path.cwd()
            if self.path.resolve() in (here, *here.parents):
                raise OutputError(f"{self.path} is or holds the current folder: choose another")
            require_replaceable(self.path, _PART.fullmatch)
            if self.path.is_dir() and not any(self.path.iterdir()):
                return
        if self.path.exists() and not overwrite:
            raise OutputError(
                f"{self.path} exists: pass --overwrite to replace it, or choose another name"
            )


class RowOutput:
    """An output that grows in its work folder.

    Use it in a `with` block, which locks the work folder. After an error the folder stays, so
    that the run can be resumed.

    Args:
        target: the output.
        columns: names and types of the columns.

    Raises:
        OutputError: another process writes this output, or the folder can't be created.
    """

    def __init__(self, target: Target, columns: pa.Schema) -> None:
        self._target = target
        self._work = WorkFolder(target.path)
        self.encoder: Encoder = make_encoder(target.kind, columns, target.compression)
        self.is_whole = False
        """Whether all rows are written, and only the move to the final path is missing."""
        self._data: io.FileIO | None = None
        self._size = self._rows = self._parts = 0

    def __enter__(self) -> RowOutput:
        self._work.take()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._work.__exit__()

    def open(
        self, job: Mapping[str, Any], state: dict[str, Any], *, overwrite: bool, resume: bool
    ) -> dict[str, Any]:
        """Start a run, or resume the one in the work folder.

        Args:
            job: what the run is asked for, fit for JSON; empty if it can't be resumed later.
            state: the caller's state of a new run, fit for JSON.
            overwrite: whether an output or unfinished run may be replaced.
            resume: whether to resume a run, if there is one.

        Returns:
            The caller's last state.

        Raises:
            ConfigError: the run to resume has another job.
            OutputError: the output or an unfinished run exists, or the disk can't be written to.
        """
        path, work = self._target.path, self._work
        if work.is_begun():
            if resume:
                return self._resume(job, overwrite=overwrite)
            last = {} if overwrite else work.job() and work.state()
            if last.get("held") or last.get("parts"):
                raise OutputError(
                    f"{path} has an unfinished run in {work.path}: pass --resume to continue it, "
                    "or --overwrite to start over"
                )
        elif resume and path.exists() and not overwrite:
            raise OutputError(
                f"{path} exists and there is no unfinished run of it: pass --overwrite to start "
                "over"
            )
        self._target.require_free(overwrite=overwrite)
        head = self.encoder.begin()
        self._size = len(head)
        work.begin(job)
        with work.writing():
            self._data = (work.path / _DATA).open("wb", buffering=0)
        self._append(head)
        sync(work.path)
        work.write_state(self._state(state))
        return state

    def _resume(self, job: Mapping[str, Any], *, overwrite: bool) -> dict[str, Any]:
        begun = self._work.job()
        if begun and FILE_ORDER in job:  # an earlier version did not note it
            begun.setdefault(FILE_ORDER, job[FILE_ORDER])
        found = differences(begun, job)
        if found:
            raise ConfigError(
                f"the unfinished run of {self._target.path} differs: {'; '.join(found[:3])}: "
                "repeat its command with --resume, or start over with --overwrite"
            )
        state = self._work.state()
        given: dict[str, Any] = state["given"]
        self._size, self._rows, self._parts = (state[key] for key in ("bytes", "held", "parts"))
        self.is_whole = state["whole"]
        if not self.is_whole:
            self._reopen()
            self._target.require_free(overwrite=overwrite)
            if self._is_part_full():  # the run ended before the part was written
                self._close_part(given)
        return given

    def _reopen(self) -> None:
        """Open the data of an earlier run; what its state does not count is cut off."""
        path = self._work.path / _DATA
        with self._work.writing():
            self._data = path.open("r+b", buffering=0)  # 'ab' can't be cut
            have = self._data.seek(0, os.SEEK_END)
            if have >= self._size:
                self._cut(self._size)
                return
        raise OutputError(
            f"{path} has {have:,} bytes instead of {self._size:,}: it is damaged; pass --overwrite "
            "to start over"
        )

    def _append(self, data: bytes) -> None:
        """Append bytes to the data; they count once a state that says so is written."""
        assert self._data is not None
        end = self._data.tell()
        with self._work.writing():
            try:
                rest = memoryview(data)
                while rest:  # a nearly full disk takes a part
                    rest = rest[self._data.write(rest) :]
                os.fsync(self._data.fileno())
            except OSError:
                with contextlib.suppress(OSError):  # frees the space that the part takes
                    self._cut(end)
                raise

    def _cut(self, size: int) -> None:
        """Cut the data off after `size` bytes."""
        assert self._data is not None
        self._data.seek(size)
        self._data.truncate()

    def _close(self) -> None:
        """Close the data, because Windows can't move or remove an open file."""
        if self._data is not None:
            self._data.close()
            self._data = None

    def commit(self, data: bytes, rows: int, state: Mapping[str, Any]) -> None:
        """Append a chunk; it survives a crash from then on.

        Args:
            data: the bytes that the encoder made.
            rows: how many rows they are.
            state: the caller's state after the chunk.

        Raises:
            OutputError: the disk is full or can't be written to.
        """
        self._append(data)
        self._size += len(data)
        self._rows += rows
        self._work.write_state(self._state(state))
        if self._is_part_full():
            self._close_part(state)

    def finish(self, state: Mapping[str, Any], *, overwrite: bool) -> None:
        """Move the output to its path and remove the work folder.

        Args:
            state: the caller's last state.
            overwrite: whether an output that exists by now may be replaced.

        Raises:
            OutputError: the output can't be written.
        """
        target, folder = self._target, self._work.path
        single = _WHOLE if target.kind == "parquet" else _DATA
        made = folder / (_PARTS if target.is_folder else single)
        if not self.is_whole:
            if target.is_folder and (self._rows or not self._parts):
                self._close_part(state)
            elif made.name == _WHOLE:
                self._write_parquet(made)
            self._work.write_state(self._state(state, whole=True))
        if made.exists():
            target.require_free(overwrite=overwrite)
            with self._work.writing():
                self._put_in_place(made)
        elif not target.path.exists():
            raise OutputError(
                f"{target.path} was written and then removed: remove {folder} and run the command "
                "again"
            )
        self.discard()

    def discard(self) -> None:
        """Remove the work folder and what is left in it."""
        self._close()
        self._work.remove()

    def _put_in_place(self, made: Path) -> None:
        path = self._target.path
        self._close()
        if self._target.is_folder and path.is_dir():
            old = self._work.path / "old"
            shutil.rmtree(old, ignore_errors=True)
            path.replace(old)  # one folder can't be renamed onto another that has files
        made.replace(path)
        sync(path.parent)

    def _state(self, given: Mapping[str, Any], *, whole: bool = False) -> dict[str, Any]:
        return {
            "given": given,
            "bytes": self._size,
            "held": self._rows,
            "parts": self._parts,
            "whole": whole,
        }

    def _is_part_full(self) -> bool:
        return self._target.is_folder and self._rows >= PART_ROWS

    def _close_part(self, state: Mapping[str, Any]) -> None:
        """Write the data as the next part, and empty it."""
        folder = self._work.path / _PARTS
        folder.mkdir(exist_ok=True)
        self._write_parquet(folder / f"part-{self._parts:05}.parquet")
        self._parts, self._size, self._rows = self._parts + 1, 0, 0
        self._work.write_state(self._state(state))
        self._cut(0)

    def _write_parquet(self, path: Path) -> None:
        try:
            with self._work.writing():
                import pyarrow.parquet as pq  # only where it is needed, to start fast

                assert isinstance(self.encoder, ArrowEncoder)
                with (
                    path.open("wb") as file,
                    _compressed(file, self._target.compression) as stream,
                    pq.ParquetWriter(stream, self.encoder.schema) as writer,
                ):
                    for table in self._row_groups():
                        writer.write_table(table)
                sync(path)
                sync(path.parent)
        except pa.ArrowException as error:
            raise OutputError(f"cannot write {self._target.path}: {first_line(error)}") from error
        except OutputError:
            path.unlink(missing_ok=True)
            raise

    def _row_groups(self) -> Iterator[pa.Table]:
        """Read the data back, in tables of the size of a row group."""
        held: list[pa.Table] = []
        rows = size = 0
        with pa.PythonFile((self._work.path / _DATA).open("rb")) as data:
            while data.tell() < self._size:
                with pa.ipc.open_stream(data) as stream:
                    table = stream.read_all()
                held.append(table)
                rows += table.num_rows
                size += table.nbytes
                if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
                    yield pa.concat_tables(held)
                    held, rows, size = [], 0, 0
        if held:
            yield pa.concat_tables(held)


def _compressed(file: BinaryIO, compression: str) -> Any:
    if compression == ".gz":
        return gzip.GzipFile("", "wb", fileobj=file, mtime=0)
    if compression == ".zst":
        return pa.CompressedOutputStream(pa.PythonFile(file), "zstd")
    return file
