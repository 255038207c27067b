"""Rows as the bytes of csv, tsv, json lines and Arrow streams; the counterpart of `rows`.

Bytes depend on the rows alone, and those of several chunks can stand one behind the other.
Values keep their types where the format has types; in csv and tsv, null is an empty cell and
nested values are JSON.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import pyarrow as pa

from textlstm.errors import OutputError
from textlstm.io.formats import first_line

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_SURROGATE = re.compile("[\ud800-\udfff]")  # bytes that were no UTF-8; no UTF-8 file can hold them
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # those that do not stand for a byte
_NO_NUMBER = re.compile("NaN|Infinity")  # Python reads them, JSON has no such thing
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class OutputRow:
    """A row to be written.

    Args:
        values: the columns it was read with, by name.
        added: the columns added to it.
        raw: the JSON object that it was read from, if it was one.
        failure: why it got no label, if it did not.
    """

    values: Mapping[str, Any]
    added: Mapping[str, Any]
    raw: str | None = None
    failure: str | None = None

    def get(self, name: str) -> Any:
        """Return the value of a column; None if the row does not have it."""
        return self.added[name] if name in self.added else self.values.get(name)


class Encoder(Protocol):
    """Turns rows into the bytes of an output."""

    def begin(self) -> bytes:
        """Give what stands before all rows."""

    def encode(self, rows: Sequence[OutputRow]) -> bytes:
        """Give the bytes of some rows."""


@dataclass(frozen=True)
class JsonEncoder:
    """One JSON object a line. What was read from json lines is written as it was.

    Args:
        compression: '', '.gz' or '.zst'.
    """

    compression: str = ""

    def begin(self) -> bytes:
        """Nothing stands before the rows."""
        return _packed(b"", self.compression)

    def encode(self, rows: Sequence[OutputRow]) -> bytes:
        """Give the lines of rows."""
        lines = "".join(_json_line(row) for row in rows)
        return _packed(lines.encode(), self.compression)


@dataclass(frozen=True)
class CsvEncoder:
    """Cells with a delimiter between them, quoted where needed, after a line of column names.

    Args:
        kind: 'csv' or 'tsv'.
        columns: their names.
        compression: '', '.gz' or '.zst'.
    """

    kind: str
    columns: tuple[str, ...]
    compression: str = ""

    def begin(self) -> bytes:
        """Give the line of column names."""
        return self._lines([list(self.columns)])

    def encode(self, rows: Sequence[OutputRow]) -> bytes:
        """Give the lines of rows."""
        return self._lines([[_cell(row.get(name)) for name in self.columns] for row in rows])

    def _lines(self, records: Sequence[list[str]]) -> bytes:
        text = self._text(records)
        if "\r" in text:
            # csv does not quote a carriage return, which a reader would take for a line's end
            parts = []
            for cells in records:
                broken = any("\r" in cell for cell in cells)
                parts.append(self._text([cells], quote_all=broken))
            text = "".join(parts)
        # bytes that were no UTF-8 are written as they were read
        return _packed(text.encode("utf-8", "surrogateescape"), self.compression)

    def _text(self, records: Sequence[list[str]], *, quote_all: bool = False) -> str:
        text = io.StringIO(newline="")
        writer = csv.writer(
            text,
            delimiter=_DELIMITERS[self.kind],
            lineterminator="\n",
            quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL,
        )
        writer.writerows(records)
        return text.getvalue()


@dataclass(frozen=True)
class ArrowEncoder:
    """Arrow streams, one for each call.

    Args:
        schema: names and types of the columns.
    """

    schema: pa.Schema

    def begin(self) -> bytes:
        """Nothing stands before the rows."""
        return b""

    def encode(self, rows: Sequence[OutputRow]) -> bytes:
        """Give the stream of rows.

        Raises:
            OutputError: a value does not fit the type of its column.
        """
        sink = io.BytesIO()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(sink, self.schema, options=options) as writer:
            writer.write_table(self._table(rows))
        return sink.getvalue()

    def _table(self, rows: Sequence[OutputRow]) -> pa.Table:
        columns = []
        for field in self.schema:
            try:
                values = [decodable(row.get(field.name)) for row in rows]
                columns.append(pa.array(values, field.type))
            except (pa.ArrowException, OverflowError) as error:
                raise OutputError(
                    f"a value of column {field.name!r} is no {field.type} ({first_line(error)}): "
                    "write json lines or csv"
                ) from error
        return pa.Table.from_arrays(columns, schema=self.schema)


def make_encoder(kind: str, columns: pa.Schema, compression: str = "") -> Encoder:
    """Make the encoder of a format.

    Args:
        kind: 'csv', 'tsv', 'jsonl' or 'parquet' (Arrow streams; compression is not for them).
        columns: names and types of the columns; json lines does not need them.
        compression: '', '.gz' or '.zst'.
    """
    if kind == "parquet":
        return ArrowEncoder(columns)
    if kind == "jsonl":
        return JsonEncoder(compression)
    return CsvEncoder(kind, tuple(columns.names), compression)


def decodable(value: Any) -> Any:
    """Give a value with U+FFFD for what no UTF-8 file can hold, at any depth."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {decodable(name): decodable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [decodable(item) for item in value]
    return value


def _packed(data: bytes, compression: str) -> bytes:
    """Compress; the results of several calls, one behind the other, are a whole file too."""
    if compression == ".gz":
        return gzip.compress(data, 6, mtime=0)
    if compression == ".zst":
        packed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
        return packed
    return data


def _json_line(row: OutputRow) -> str:
    added = _json(row.added)
    raw = row.raw
    if raw is None or _SURROGATE.search(raw) or _has_no_number(raw):
        return _json({**row.values, **row.added}) + "\n"
    return f"{raw[:-1].rstrip()}{', ' if row.values else ''}{added[1:]}\n"


def _has_no_number(raw: str) -> bool:
    """Whether a JSON object holds NaN or Infinity as a value, rather than in a string."""
    return bool(_NO_NUMBER.search(raw)) and bool(_NO_NUMBER.search(_STRING.sub("", raw)))


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
    if value is None:
        return ""
    if type(value) is float:
        return repr(value) if isfinite(value) else ""
    text = _json(value)
    if text == "null":
        return ""
    return str(json.loads(text)) if text.startswith('"') else text
