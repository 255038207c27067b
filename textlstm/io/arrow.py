"""Arrow columns and parquet → Python values row by row, with a reason where a cell has none."""

from __future__ import annotations

import copyreg
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa

from textlstm.io.formats import first_line

# by itself, pyarrow would pickle the scalar without its nanoseconds, for Ray
copyreg.pickle(pa.Time64Scalar, lambda scalar: (pa.scalar, (scalar.value, scalar.type)))

_BATCH_BYTES = 4 * 2**20
_BATCH_ROWS = 1000


def parquet_values(
    file: Any, columns: Sequence[str] | None, skip: int
) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    """Yield the rows of a parquet file, a batch of them in memory at a time.

    Args:
        file: a `pyarrow.parquet.ParquetFile`.
        columns: the only columns wanted, such as `text`, or `body.text` within `body`; None for
            all of them.
        skip: how many rows to pass over at the beginning.

    Yields:
        The number of each row, from 1, and what `batch_values` yields for it.
    """
    names = file.schema_arrow.names
    if columns is not None:
        wanted = {*columns, *(column.partition(".")[0] for column in columns)}
        names = [name for name in names if name in wanted]
    first, number = _group_of(file.metadata, skip)
    batches = file.iter_batches(
        _parquet_batch_rows(file.metadata),
        row_groups=range(first, file.metadata.num_row_groups),
        columns=names,
    )
    for batch in batches:
        for values, error in batch_values(batch):
            number += 1
            if number > skip:
                yield number, values, error


def batch_values(batch: Any) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield the rows of a table or record batch.

    Args:
        batch: `pyarrow.Table` or `pyarrow.RecordBatch`; a column of strings may hold bytes that
            are not valid UTF-8, which become lone surrogates.

    Yields:
        For each row its values by column and None, or {} and the reason why it can't be read.
    """
    names: Sequence[str] = batch.schema.names
    columns = [cells_of(column) for column in batch.columns]
    for row in zip(*columns, strict=True) if columns else [()] * batch.num_rows:
        bad = [
            f"column {name!r} cannot be read: {first_line(value)}"
            for name, value in zip(names, row, strict=True)
            if isinstance(value, Exception)
        ]
        yield ({}, bad[0]) if bad else (dict(zip(names, row, strict=True)), None)


def cells_of(column: Any) -> list[Any]:
    """Return the values of an Arrow array, with an exception where a cell has none.

    Single-precision numbers are those with the fewest digits that read back equal: 3.3 rather
    than 3.299999952316284. A time of day with nanoseconds, which Python lacks, stays a scalar.
    """
    if column.type == pa.time64("ns"):
        return [x if (x.value or 0) % 1000 else x.as_py() for x in column]
    if pa.types.is_float32(column.type):
        return [None if x is None else float(str(np.float32(x))) for x in column.to_pylist()]
    try:
        return cast("list[Any]", column.to_pylist())
    except (ValueError, OverflowError):
        pass
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        binary = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
        return [
            None if value is None else value.decode("utf-8", "surrogateescape")
            for value in column.cast(binary).to_pylist()
        ]
    return [_cell(value) for value in column]


def _cell(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError) as error:
        return error  # such as a date after the year 9999


def _group_of(metadata: Any, row: int) -> tuple[int, int]:
    """Find the row group that holds a row (counted from 0), and its first row."""
    first = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < first + rows:
            return group, first
        first += rows
    return metadata.num_row_groups, first


def _parquet_batch_rows(metadata: Any) -> int:
    """Choose how many rows to hold at a time, so that long texts don't add up."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    longest = max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=0)
    return min(_BATCH_ROWS, max(1, _BATCH_BYTES // max(1, longest)))
