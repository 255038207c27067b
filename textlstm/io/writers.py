"""Rows as the bytes of csv, tsv, json lines and Arrow streams; the counterpart of `rows`.

Bytes depend on the rows alone, and those of several chunks can stand one behind the other.
Values keep their types where the format has types; in csv and tsv, null is an empty cell and
nested values are JSON, and U+FFFD stands for a NUL byte, which readers refuse.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import gzip
import io
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

import pyarrow as pa

from textlstm.errors import OutputError
from textlstm.io.formats import DELIMITERS, first_line

_log = logging.getLogger(__name__)

_DEEPEST_COLUMN = 20  # lists count 3 of the 100 levels that readers of parquet allow
_SURROGATE = re.compile("[\ud800-\udfff]")  # bytes that are not valid UTF-8
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|NaN|-?Infinity')  # the last two are no JSON
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(  # a pair of surrogates, another code, or any other escape
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\."
)
_BLANK, _COLON, _COMMA = (re.compile(rf"[ \t\r\n]*{mark}[ \t\r\n]*") for mark in ("", ":", ",?"))
_DECODER = json.JSONDecoder()
MIXED = pa.struct([])
"""The type of a column whose values have no common type, as in json lines."""
_NOT_IN_CSV = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")  # NUL; what stands for no byte


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
        """Return the lines of rows."""
        return _packed("".join(map(_json_line, rows)).encode(), self.compression)


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
        """Return the line of column names."""
        return self._lines([list(map(_cell, self.columns))])

    def encode(self, rows: Sequence[OutputRow]) -> bytes:
        """Return the lines of rows."""
        records = []
        for row in rows:
            values, literals = {**row.values, **row.added}, _literals(row)
            records.append([_cell(values.get(name), literals.get(name)) for name in self.columns])
        return self._lines(records)

    def _lines(self, records: Sequence[Sequence[str]]) -> bytes:
        text = self._text(records, csv.QUOTE_MINIMAL)
        if "\r" in text:  # csv does not quote it, and a reader would take it for a line's end
            kinds = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
            text = "".join(
                self._text([cells], kinds[any("\r" in cell for cell in cells)]) for cells in records
            )
        # bytes that are not valid UTF-8 are written as they were read
        return _packed(text.encode("utf-8", "surrogateescape"), self.compression)

    def _text(self, records: Sequence[Sequence[str]], quoting: Any) -> str:
        text = io.StringIO(newline="")
        delimiter = DELIMITERS[self.kind]
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=quoting)
        writer.writerows(records)
        return text.getvalue()


@dataclass(frozen=True)
class ArrowEncoder:
    """Arrow streams, one for each call.

    Args:
        schema: names and types of the columns.
        texts: columns of values that parquet can't hold together. They are strings: a text stays
            as it is, unless it reads as JSON itself, and anything else is JSON.
    """

    schema: pa.Schema
    texts: frozenset[str] = frozenset()

    def begin(self) -> bytes:
        """Nothing stands before the rows."""
        return b""

    def encode(self, rows: Sequence[OutputRow]) -> bytes:
        """Return the stream of rows.

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
                if field.name in self.texts:
                    literals = [_literals(row).get(field.name) for row in rows]
                    values = list(map(_unambiguous, values, literals))
                columns.append(pa.array(values, field.type))
            except (pa.ArrowException, OverflowError) as error:
                raise OutputError(
                    f"a value of column {field.name!r} does not fit type {field.type} "
                    f"({first_line(error)}): write json lines or csv"
                ) from error
        return pa.Table.from_arrays(columns, schema=self.schema)


Encoder: TypeAlias = JsonEncoder | CsvEncoder | ArrowEncoder
"""Turns rows into the bytes of an output; `begin` returns what comes before all rows."""


def _arrow_encoder(columns: pa.Schema) -> ArrowEncoder:
    """Return an encoder for the columns as parquet can hold them, and log those that are texts.

    Dictionaries inside of other types become plain values.
    """
    kinds = {field.name: _parquet_type(field.type) for field in columns}
    texts = [name for name, kind in kinds.items() if kind is None]
    if texts:
        _log.warning(
            "parquet can't hold the values of %s: written as text, with JSON for other values",
            ", ".join(map(repr, texts)),
        )
    fields = [field.with_type(kinds[field.name] or pa.string()) for field in columns]
    return ArrowEncoder(pa.schema(fields), frozenset(texts))


def _parquet_type(kind: pa.DataType, depth: int = 0) -> pa.DataType | None:
    """Return the type in parquet; None for structs without fields, and for too deep nesting."""
    types = pa.types
    if depth > _DEEPEST_COLUMN:
        return None
    if types.is_dictionary(kind):
        value = kind.value_type
        if depth or types.is_nested(value):
            return _parquet_type(value, depth)
        return pa.dictionary(pa.int32(), value, kind.ordered)  # more values than one file has
    if types.is_struct(kind):
        parts = [(field, _parquet_type(field.type, depth + 1)) for field in kind]
        fields = [field.with_type(found) for field, found in parts if found is not None]
        return pa.struct(fields) if parts and len(fields) == len(parts) else None
    if types.is_map(kind):
        item = _parquet_type(kind.item_type, depth + 1)
        return None if item is None else pa.map_(kind.key_type, item)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        item = _parquet_type(kind.value_type, depth + 1)
        if item is None or item == kind.value_type:
            return kind if item else None
        return pa.list_(kind.value_field.with_type(item))
    return kind


def make_encoder(kind: str, columns: pa.Schema, compression: str = "") -> Encoder:
    """Make the encoder of a format.

    Args:
        kind: 'csv', 'tsv', 'jsonl' or 'parquet' (Arrow streams; compression is not for them).
        columns: names and types of the columns; json lines does not need them.
        compression: '', '.gz' or '.zst'.
    """
    if kind == "parquet":
        return _arrow_encoder(columns)
    if kind == "jsonl":
        return JsonEncoder(compression)
    return CsvEncoder(kind, tuple(columns.names), compression)


def decodable(value: Any) -> Any:
    """Return a value with U+FFFD for what no UTF-8 file can hold, at any depth."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {decodable(name): decodable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [decodable(item) for item in value]
    return value


def _packed(data: bytes, compression: str) -> bytes:
    """Compress; the concatenated results of several calls are a valid file."""
    if compression == ".gz":
        return gzip.compress(data, 6, mtime=0)
    if compression == ".zst":
        packed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
        return packed
    return data


def _json_line(row: OutputRow) -> str:
    if row.raw is None:
        return _json({**row.values, **row.added}) + "\n"
    begin = _valid(row.raw)[:-1].rstrip() + (", " if row.values else "")
    return f"{begin}{_json(row.added)[1:]}\n"


def _valid(raw: str) -> str:
    """Return JSON that Python has read as JSON that every reader accepts; the rest is kept."""
    if "NaN" in raw or "Infinity" in raw:
        raw = _TOKEN.sub(lambda token: token[0] if token[0][0] == '"' else "null", raw)
    if _ESCAPED_SURROGATE.search(raw):
        raw = _ESCAPE.sub(_whole_pair, raw)
    return raw if raw.isascii() else _SURROGATE.sub("\ufffd", raw)


def _whole_pair(escape: re.Match[str]) -> str:
    is_half = len(escape[0]) == 6 and _SURROGATE.match(chr(int(escape[0][2:], 16)))
    return "\\ufffd" if is_half else escape[0]


def _literals(row: OutputRow) -> dict[str, str]:
    """Return the JSON text of a row's values, if Python would write one of them otherwise."""
    raw = row.raw
    if raw is None or not any(
        type(value) in (float, dict, list) or (value == 0 and "-0" in raw)
        for value in row.values.values()
    ):
        return {}
    found: dict[str, str] = {}
    raw = _valid(raw)
    at = _BLANK.match(raw, 1).end()  # type: ignore[union-attr]
    while raw[at] == '"':
        name, at = _DECODER.raw_decode(raw, at)
        begin = _COLON.match(raw, at).end()  # type: ignore[union-attr]
        _, at = _DECODER.raw_decode(raw, begin)
        found[name] = raw[begin:at]
        at = _COMMA.match(raw, at).end()  # type: ignore[union-attr]
    return found


def _json(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:  # NaN and infinity are not JSON
        text = _valid(json.dumps(value, ensure_ascii=False, default=_plain))
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _unambiguous(value: Any, literal: str | None) -> str | None:
    """Return a value as a text; as JSON, unless it is a text that can't be taken for JSON."""
    if value is None:
        return None
    if isinstance(value, str):
        with contextlib.suppress(ValueError, RecursionError):
            json.loads(value)
            return _json(value)
        return value
    return literal or _json(value)


def _plain(value: Any) -> Any:
    """Return the JSON form of a value of a parquet type that JSON lacks."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, pa.Scalar):
        return value.cast(pa.string()).as_py()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _cell(value: Any, literal: str | None = None) -> str:
    if isinstance(value, str):
        plain = value.isascii() and "\0" not in value
        return value if plain else _NOT_IN_CSV.sub("\ufffd", value)
    if value is None:
        return ""
    if literal is not None:
        return "" if literal == "null" else literal
    if type(value) is float:
        return repr(value) if isfinite(value) else ""
    text = _json(value)
    if text == "null":
        return ""
    return str(json.loads(text)) if text.startswith('"') else text
