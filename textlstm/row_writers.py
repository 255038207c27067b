"""Writers of files of rows: csv, tsv, json lines and parquet; the counterpart of `rows`.

A file appears under its name only when it is whole. Values keep their types where the format
has types; in csv and tsv, null is an empty cell and nested values are JSON.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import gzip
import io
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from textlstm.errors import DataError, OutputError
from textlstm.files import atomic_path
from textlstm.row_files import file_format, first_line, open_parquet
from textlstm.rows import read_columns, read_rows

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_SURROGATE = re.compile("[\ud800-\udfff]")  # bytes that were no UTF-8; no UTF-8 file can hold them
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # those that do not stand for a byte
_SCANNED_TOGETHER = 1000  # rows


class RowWriter(Protocol):
    """Takes rows in order."""

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows; a column that a row does not have is null."""

    def close(self) -> None:
        """Write what is left; the file is complete then."""


def columns_of(path: str | os.PathLike[str], target_format: str) -> pa.Schema:
    """Find the columns of an input and their types, as a target of some format needs them.

    Args:
        path: a file that `read_rows` reads.
        target_format: 'csv', 'tsv', 'jsonl' or 'parquet'.

    Returns:
        The columns. Of json lines, where each row may have its own, all rows are read for it.

    Raises:
        DataError: the file can't be read, or a column holds values that one type can't hold.
    """
    path = Path(path)
    kind = file_format(path)
    if kind == "parquet":
        read_columns(path)  # checks that the file is there and sound
        with open_parquet(path) as file:
            # rows that can't be read become nulls
            return pa.schema([field.with_nullable(True) for field in file.schema_arrow])
    if kind == "jsonl":
        return _scan(path, typed=target_format == "parquet")
    return pa.schema([(name, pa.string()) for name in read_columns(path)])


@contextlib.contextmanager
def open_writer(
    path: str | os.PathLike[str], columns: pa.Schema, *, overwrite: bool = False
) -> Iterator[RowWriter]:
    """Open a file for writing rows.

    Args:
        path: the file; its name tells the format, as for `read_rows`.
        columns: names and types; json lines does not need them.
        overwrite: whether a file that is there may be replaced.

    Yields:
        The writer. The file is put in place when the block ends without an error.

    Raises:
        OutputError: the file exists, can't be written or can't hold the values.
        DataError: the name ends in no known format.
    """
    path = Path(path)
    kind = file_format(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder: give the name of a file")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists: pass --overwrite to replace it, or choose another name")
    with atomic_path(path) as temporary, contextlib.ExitStack() as stack:
        stream = stack.enter_context(_open_binary(temporary))
        writer: RowWriter
        if kind == "parquet":
            writer = ParquetWriter(stream, columns)
        elif kind == "jsonl":
            writer = JsonLinesWriter(stream)
        else:
            writer = CsvWriter(stream, columns.names, _DELIMITERS[kind])
        try:
            yield writer
            writer.close()
        except BaseException as error:
            with contextlib.suppress(Exception):  # pyarrow complains of files left open
                writer.close()
            if isinstance(error, pa.ArrowException):
                raise OutputError(f"cannot write {path}: {first_line(error)}") from error
            raise


class JsonLinesWriter:
    """One JSON object a line.

    Args:
        stream: where the lines go; it is flushed after each `write`.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows, each with its own columns."""
        self._stream.write("".join(_json(row) + "\n" for row in rows).encode())
        self._stream.flush()

    def close(self) -> None:
        """Nothing is left to write."""


class CsvWriter:
    """Cells with a delimiter between them, quoted where needed, after a line of column names.

    Args:
        stream: where the lines go.
        columns: their names.
        delimiter: comma or tab.
    """

    def __init__(self, stream: BinaryIO, columns: Sequence[str], delimiter: str) -> None:
        # bytes that were no UTF-8 are written as they were read
        self._text = io.TextIOWrapper(
            stream, encoding="utf-8", errors="surrogateescape", newline="", write_through=True
        )
        self._columns = list(columns)
        form: dict[str, Any] = {"delimiter": delimiter, "lineterminator": "\n"}
        self._plain = csv.writer(self._text, **form)
        # csv does not quote a carriage return, which a reader would take for the end of a line
        self._quoted = csv.writer(self._text, quoting=csv.QUOTE_ALL, **form)
        self._write(self._columns)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows."""
        for row in rows:
            self._write([_cell(row.get(name)) for name in self._columns])

    def close(self) -> None:
        """Write what is buffered."""
        self._text.flush()
        self._text.detach()

    def _write(self, cells: list[str]) -> None:
        writer = self._quoted if any("\r" in cell for cell in cells) else self._plain
        writer.writerow(cells)


class ParquetWriter:
    """A parquet file, one row group for each `write`.

    Args:
        stream: where it goes.
        schema: names and types of the columns.
    """

    def __init__(self, stream: BinaryIO, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(stream, schema)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows."""
        if not rows:
            return
        columns = [
            pa.array([_decodable(row.get(field.name)) for row in rows], field.type)
            for field in self._schema
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


@contextlib.contextmanager
def _open_binary(path: Path) -> Iterator[Any]:
    """Open a file for writing, compressed if its name says so."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("wb"))
        if path.suffix.lower() == ".gz":
            # no name and no time in it: equal rows give equal files
            yield stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0))
        elif path.suffix.lower() == ".zst":
            yield stack.enter_context(pa.CompressedOutputStream(pa.PythonFile(file), "zstd"))
        else:
            yield file


def _scan(path: Path, *, typed: bool) -> pa.Schema:
    """Read json lines for the columns of all rows, in the order in which they appear."""
    schema = pa.schema([])
    chunk: dict[str, list[Any]] = {}
    for count, row in enumerate(read_rows(path), 1):
        for name, value in row.values.items():
            chunk.setdefault(name, []).append(_decodable(value) if typed else "")
        if count % _SCANNED_TOGETHER == 0:
            schema, chunk = _widened(path, schema, chunk), {}
    schema = _widened(path, schema, chunk)
    untyped = [field for field in schema if pa.types.is_null(field.type)]
    for field in untyped:  # nothing but nulls
        schema = schema.set(schema.names.index(field.name), field.with_type(pa.string()))
    return schema


def _widened(path: Path, schema: pa.Schema, chunk: Mapping[str, list[Any]]) -> pa.Schema:
    for name, values in chunk.items():
        try:
            found = pa.schema([(name, pa.array(values).type)])
            schema = pa.unify_schemas([schema, found], promote_options="permissive")
        except (pa.ArrowException, OverflowError) as error:
            raise DataError(
                f"{path}: column {name!r} holds values that no parquet column can hold together "
                f"({first_line(error)}): write json lines or csv"
            ) from error
    return schema


def _decodable(value: Any) -> Any:
    """Replace what no UTF-8 file can hold, at any depth."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_decodable(name): _decodable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_decodable(item) for item in value]
    return value


def _json(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:  # NaN and infinity are not JSON
        text = json.dumps(_finite(value), ensure_ascii=False, default=_plain)
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """Give the JSON form of a value that parquet has and JSON has not."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value if value.isascii() else _NO_BYTE.sub("\ufffd", value)
    text = _json(value)
    if text == "null":
        return ""
    return str(json.loads(text)) if text.startswith('"') else text
