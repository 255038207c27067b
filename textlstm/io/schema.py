"""The columns that files of rows have together, and their types, before any row is used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from textlstm.errors import DataError
from textlstm.io.formats import EmptyFileError, file_format, first_line, open_parquet
from textlstm.io.readers import read_columns, read_rows
from textlstm.io.writers import MIXED, decodable

_SCANNED_TOGETHER = 1000  # rows
_UNBOUNDED = (pa.large_string(), pa.binary(), pa.large_binary())  # hold all that merges to them


def columns_of(
    paths: Sequence[Path], target_format: str, delimiter: str | None = None
) -> tuple[pa.Schema, int | None]:
    """Find the columns of files and their types, as a target of some format needs them.

    Args:
        paths: files that `read_rows` reads, all of one format. An empty one among several has
            no rows.
        target_format: 'csv', 'tsv', 'jsonl' or 'parquet'.
        delimiter: as for `read_rows`.

    Returns:
        (names and types, of csv and tsv all strings; how many rows there are, if that is known).
        Of json lines, where each row may have its own columns, all rows are read for it. For
        parquet, a column of json lines or of parquet files whose values no type holds without
        loss is `textlstm.io.writers.MIXED`.

    Raises:
        DataError: a file can't be read, or files have different columns or types.
    """
    if file_format(paths[0]) == "jsonl":
        return _scan(paths, typed=target_format == "parquet")
    parts: list[tuple[Path, pa.Schema]] = []
    total: int | None = 0
    for path in paths:
        try:
            schema, rows = _head(path, delimiter)
            parts.append((path, schema))
            total = None if total is None or rows is None else total + rows
        except EmptyFileError:
            if len(paths) == 1:
                raise
    if not parts:
        raise DataError(f"{paths[0]} and the {len(paths) - 1} other files are empty")
    schema = _common(parts)
    if target_format == "parquet":
        schema = _without_loss(schema, parts)
    return schema, total


def _head(path: Path, delimiter: str | None) -> tuple[pa.Schema, int | None]:
    """Read the columns of a csv or parquet file from its head or foot."""
    names = read_columns(path, delimiter=delimiter)
    if file_format(path) != "parquet":
        return pa.schema([(name, pa.string()) for name in names]), None
    with open_parquet(path) as file:
        # rows that can't be read become nulls
        fields = [field.with_nullable(True) for field in file.schema_arrow]
        return pa.schema(fields), file.metadata.num_rows


def _common(parts: Sequence[tuple[Path, pa.Schema]]) -> pa.Schema:
    """Return the columns of the first file with types that hold the values of all."""
    first, schema = parts[0]
    for path, other in parts[1:]:
        for has, lacks, name in (
            *((first, path, name) for name in schema.names if name not in other.names),
            *((path, first, name) for name in other.names if name not in schema.names),
        ):
            raise DataError(
                f"{has} has a column {name!r} and {lacks} has none: pass files with the same "
                "columns, or label them one by one"
            )
        try:
            schema = pa.unify_schemas([schema, other], promote_options="permissive")
        except pa.ArrowException as error:
            raise DataError(
                f"{first} and {path} have columns of different types ({first_line(error)}): "
                "classify them one by one"
            ) from error
    return schema


def _without_loss(schema: pa.Schema, parts: Sequence[tuple[Path, pa.Schema]]) -> pa.Schema:
    """Mark the columns of parquet files with values that the type in `schema` does not hold."""
    for path, own in parts:
        names = {
            field.name
            for field in schema
            if field.type not in (*_UNBOUNDED, MIXED)
            and not _is_wider(field.type, own.field(field.name).type)
        }
        for _, chunk in _chunks([path], typed=True, columns=tuple(names)) if names else ():
            for name, values in chunk.items():
                if name in names and not _fits(values, schema.field(name).type):
                    names.remove(name)
                    schema = schema.set(schema.get_field_index(name), pa.field(name, MIXED))
    return schema


def _is_wider(wide: pa.DataType, own: pa.DataType) -> bool:
    """Whether a type holds all values of another, or is it."""
    if own in (wide, pa.null()):
        return True
    if pa.types.is_floating(wide):
        small: bool = pa.types.is_integer(own) and wide == pa.float64() and own.bit_width <= 32
        return small or bool(pa.types.is_floating(own))
    signed, unsigned = pa.types.is_signed_integer, pa.types.is_unsigned_integer
    same: bool = any(kind(wide) and kind(own) for kind in (signed, unsigned))
    return same and int(wide.bit_width) >= int(own.bit_width)


def _scan(paths: Sequence[Path], *, typed: bool) -> tuple[pa.Schema, int]:
    """Read json lines for the columns of all rows, in the order in which they appear."""
    types: dict[str, pa.DataType | None] = {}
    widened, count = set(), 0
    for rows, chunk in _chunks(paths, typed=typed):
        count += rows
        for name, values in chunk.items():
            before = types.setdefault(name, pa.null())
            types[name] = _common_type(before, values)
            if types[name] != before != pa.null():
                widened.add(name)
    if widened := {name for name in widened if types[name] is not None}:
        for _, chunk in _chunks(paths, typed=True):  # whether it holds all earlier values
            for name in widened & chunk.keys():
                if not _fits(chunk[name], types[name]):
                    types[name] = None
                    widened.discard(name)
    # what has no value but null is text
    kinds = {name: pa.string() if kind == pa.null() else kind for name, kind in types.items()}
    return pa.schema(
        [(name, MIXED if kind is None else kind) for name, kind in kinds.items()]
    ), count


def _chunks(
    paths: Sequence[Path], *, typed: bool, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, dict[str, list[Any]]]]:
    """Yield some rows after others: their number, and the values of each column."""
    count = 0
    chunk: dict[str, list[Any]] = {}
    for path in paths:
        with contextlib.ExitStack() as stack:
            if len(paths) > 1:
                stack.enter_context(contextlib.suppress(EmptyFileError))
            for row in read_rows(path, columns=columns):
                count += 1
                for name, value in row.values.items():
                    chunk.setdefault(name, []).append(decodable(value) if typed else "")
                if count == _SCANNED_TOGETHER:
                    yield count, chunk
                    count, chunk = 0, {}
    yield count, chunk


def _common_type(before: pa.DataType | None, values: Sequence[Any]) -> pa.DataType | None:
    """Return a type for values of a type and others; None if there is none that loses nothing."""
    if before is None:
        return None
    try:
        found = pa.array(values).type
        if _hides_booleans(found, values):
            return None
        schemas = [pa.schema([("", kind)]) for kind in (before, found)]
        kind = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowException, OverflowError):
        return None
    return kind if kind == found or _fits(values, kind) else None


def _fits(values: Sequence[Any], kind: pa.DataType) -> bool:
    try:
        pa.array(values, kind)
    except (pa.ArrowException, OverflowError):
        return False
    return True


def _hides_booleans(kind: pa.DataType, values: Sequence[Any]) -> bool:
    """Whether `true` would become 1.0 in a type, at any depth."""
    if pa.types.is_floating(kind):
        return any(type(value) is bool for value in values)
    rows = [value for value in values if value]
    if pa.types.is_list(kind):
        return _hides_booleans(kind.value_type, [item for row in rows for item in row])
    fields = kind if pa.types.is_struct(kind) else ()
    return any(
        _hides_booleans(field.type, [row.get(field.name) for row in rows]) for field in fields
    )
