"""Labelled rows that become a file or a folder, chunk by chunk, so that a crash loses little.

The bytes of a chunk depend on its rows alone and are written one behind the other, so the
output is the same, byte for byte, however often the run was broken off. Csv, tsv and json lines
take their place as they are (each chunk of a compressed file is a gzip member or zstd frame of
its own). Parquet is kept as Arrow streams at first, because a parquet file can't be gone on
with; a single one is made of them at the end, the parts of a folder as the run goes on.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from textlstm.errors import OutputError
from textlstm.io.atomic import sync
from textlstm.io.formats import COMPRESSIONS, file_format, first_line
from textlstm.io.work_folder import DATA, WorkFolder
from textlstm.io.writers import Encoder, make_encoder

PART_ROWS = 2**18  # of a part in a folder, at least
_GROUP_ROWS = 2**16  # of a parquet row group, at least, if it is not limited by its bytes
_GROUP_BYTES = 2**25
_PARTS, _WHOLE = "parts", "whole"
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
        """Tell from a name what to write.

        Args:
            path: a file, its format told by its suffix; or a folder: one that is there, a name
                that ends in `/`, or one without a suffix.

        Raises:
            DataError: the suffix is of no known format.
        """
        name = os.fspath(path)
        target = Path(name)
        if target.is_dir() or name.endswith(("/", os.sep)) or not target.suffix:
            return cls(target, "parquet", True, "")
        suffix = target.suffix.lower()
        return cls(target, file_format(target), False, suffix if suffix in COMPRESSIONS else "")

    def require_free(self, *, overwrite: bool) -> None:
        """Raise an `OutputError` if something is there that may not be replaced."""
        if self.is_folder and self.path.is_dir():
            others = sorted(
                entry.name for entry in self.path.iterdir() if not _PART.fullmatch(entry.name)
            )
            if others:
                raise OutputError(
                    f"{self.path} holds other files ({', '.join(others[:3])}): choose another "
                    "folder"
                )
            if next(self.path.iterdir(), None) is None:
                return
        if self.path.exists() and not overwrite:
            raise OutputError(
                f"{self.path} exists: pass --overwrite to replace it, or choose another name"
            )


class RowOutput:
    """An output in its work folder.

    Args:
        target: what it will be.
        work: its work folder, taken.
        columns: names and types of the columns.
    """

    def __init__(self, target: Target, work: WorkFolder, columns: pa.Schema) -> None:
        self._target = target
        self._work = work
        self._columns = columns
        self.encoder: Encoder = make_encoder(target.kind, columns, target.compression)
        self._size = self._rows = self._parts = 0

    def begin(self, job: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Begin anew.

        Args:
            job: what the run is asked for.
            state: the caller's part of the state, fit for JSON.
        """
        head = self.encoder.begin()
        self._size, self._rows, self._parts = len(head), 0, 0
        self._work.begin(job, self._state(state), head)

    def resume(self) -> None:
        """Go on with the run that is there."""
        state = self._work.state()
        self._size, self._rows, self._parts = (state[key] for key in ("bytes", "held", "parts"))
        if not state["whole"]:
            self._work.reopen(self._size)

    def given(self) -> dict[str, Any]:
        """Give the caller's part of the state."""
        given: dict[str, Any] = self._work.state()["given"]
        return given

    def is_whole(self) -> bool:
        """Tell whether the run that is there needs only to be put in its place."""
        return bool(self._work.state()["whole"])

    def commit(self, data: bytes, rows: int, state: Mapping[str, Any]) -> None:
        """Keep a chunk; it survives whatever happens afterwards.

        Args:
            data: what the encoder made of it.
            rows: how many rows it has.
            state: the caller's part of the state after it.

        Raises:
            OutputError: the disk is full or can't be written to.
        """
        self._work.append(data)
        self._size += len(data)
        self._rows += rows
        self._work.write_state(self._state(state))
        if self._target.is_folder and self._rows >= PART_ROWS:
            self._close_part(state)

    def finish(self, state: Mapping[str, Any], *, overwrite: bool) -> None:
        """Put the output in its place and remove the work folder.

        Args:
            state: the caller's part of the state.
            overwrite: whether what is there by now may be replaced.

        Raises:
            OutputError: the output can't be written.
        """
        if not self.is_whole():
            if self._target.is_folder and (self._rows or not self._parts):
                self._close_part(state)
            elif self._target.kind == "parquet":
                self._write_parquet(self._work.path / _WHOLE)
            self._work.write_state(self._state(state, whole=True))
        made = self._work.path / (
            _PARTS if self._target.is_folder else _WHOLE if self._is_parquet else DATA
        )
        try:
            if made.exists():
                self._target.require_free(overwrite=overwrite)
                self._put_in_place(made)
            elif not self._target.path.exists():
                raise OutputError(
                    f"{self._target.path} was written and is gone: remove {self._work.path} and "
                    "begin anew"
                )
        except OutputError:
            raise
        except OSError as error:
            raise self._work.failed(error) from error
        self._work.remove()

    @property
    def _is_parquet(self) -> bool:
        return self._target.kind == "parquet"

    def _put_in_place(self, made: Path) -> None:
        path = self._target.path
        self._work.close_data()  # Windows can't move an open file
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

    def _close_part(self, state: Mapping[str, Any]) -> None:
        """Make a part of all data there is."""
        folder = self._work.path / _PARTS
        folder.mkdir(exist_ok=True)
        self._write_parquet(folder / f"part-{self._parts:05}.parquet")
        self._parts, self._size, self._rows = self._parts + 1, 0, 0
        self._work.write_state(self._state(state))
        self._work.cut(0)

    def _write_parquet(self, path: Path) -> None:
        try:
            with path.open("wb") as file:
                stream: Any = _compressed(file, self._target.compression)
                with pq.ParquetWriter(stream, self._columns) as writer:
                    for table in self._row_groups():
                        writer.write_table(table)
                if stream is not file:
                    stream.close()
            sync(path)
            sync(path.parent)
        except pa.ArrowException as error:
            raise OutputError(f"cannot write {self._target.path}: {first_line(error)}") from error
        except OSError as error:
            path.unlink(missing_ok=True)
            raise self._work.failed(error) from error

    def _row_groups(self) -> Iterator[pa.Table]:
        """Read the data back in tables of the size of a row group."""
        held: list[pa.Table] = []
        rows = size = 0
        with pa.OSFile(str(self._work.path / DATA)) as data:
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
