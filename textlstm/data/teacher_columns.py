"""Probabilities of a teacher in columns of the data.

Shapes: N rows, C labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from textlstm.data.columns import Table
from textlstm.errors import ConfigError, DataError
from textlstm.io.arrow import cells_of
from textlstm.io.readers import cell_of, read_rows

_MARKS = "_-. :"  # between the beginning of a column's name and the label
_ROUNDING = 0.05  # how far from 1 the sum of rounded probabilities may be
_BATCH = 1000  # rows


def match_columns(given: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Find the column of each label.

    Args:
        given: LABEL=COLUMN, or a column whose name is a label or ends in a label after one of
            '_', '-', '.', ' ', ':', as the columns of `predict --probabilities` do; of two such
            labels, the longer one. Upper and lower case count only where labels differ in nothing
            else.
        labels: label names, C of them.

    Returns:
        The names of the columns in the order of `labels`.

    Raises:
        ConfigError: a label has no column or several, or a column no label.
    """
    found: dict[str, str] = {}
    for entry in given:
        named = [label for label in labels if entry.startswith(f"{label}=")]
        ending = [label for label in labels if _ends_in(entry, label)] or [
            label for label in labels if _ends_in(entry.casefold(), label.casefold())
        ]
        label = max(named or ending, key=len, default=None)
        if label is None:
            raise ConfigError(
                f"teacher_columns: {entry!r} ends in none of the labels {_listed(labels)}: pass "
                f"LABEL={entry}"
            )
        if label in found:
            raise ConfigError(
                f"teacher_columns: {found[label]!r} and {entry!r} are both for the label "
                f"{label!r}: pass one column a label, as LABEL=COLUMN"
            )
        found[label] = entry.removeprefix(f"{label}=") if named else entry
    if missing := [label for label in labels if label not in found]:
        raise ConfigError(
            f"teacher_columns: no column for {_listed(missing)}: pass one for each label, as "
            "LABEL=COLUMN where its name does not end in that of the label"
        )
    return [found[label] for label in labels]


def read_probabilities(table: Table, columns: Sequence[str], *, multi_label: bool) -> np.ndarray:
    """Read the probabilities of all rows.

    Args:
        table: the rows.
        columns: a column for each label, C of them.
        multi_label: whether a text may have several labels; of one label a text, probabilities
            sum to 1.

    Returns:
        float32 [N, C]; NaN in rows whose cells are all empty.

    Raises:
        DataError: a cell is no probability, only some of a row are empty, or they don't sum to 1.
    """
    for column in columns:
        table.require(column, "--teacher-columns")
    numbers = np.fromiter(_numbers(table, columns), float).reshape(-1, len(columns))
    empty, sums = np.isnan(numbers), numbers.sum(axis=1, keepdims=True)
    off = np.zeros(len(numbers), bool) if multi_label else np.abs(sums[:, 0] - 1) > _ROUNDING
    bad = off | (empty.any(axis=1) & ~empty.all(axis=1))
    if bad.any():
        row = int(bad.argmax())
        what = "some are empty" if empty[row].any() else f"they sum to {sums[row, 0]:.4g}, not 1"
        raise DataError(
            f"row {row + 1} of {table.name}: probabilities in {_listed(columns)}: {what}: a row "
            "has all or none, and those of one label a text sum to 1"
        )
    return (numbers if multi_label else numbers / sums).astype(np.float32)


def _numbers(table: Table, columns: Sequence[str]) -> Iterator[float]:
    """Yield the probabilities of all rows one after the other, NaN for one that is empty or NaN."""
    for number, cells in enumerate(_rows(table, columns), 1):
        for cell, column in zip(cells, columns, strict=True):
            if cell is None or cell == "" or cell != cell:
                yield math.nan
                continue
            try:
                value = float(cell)
            except (TypeError, ValueError):
                value = math.nan
            if not 0 <= value <= 1:
                raise DataError(
                    f"row {number} of {table.name}: column {column!r} is {cell!r:.40}, not a "
                    "probability from 0 to 1: correct it, or pass another column"
                )
            yield value


def _rows(table: Table, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
    """Yield the cells of each row, as they are in the data."""
    if table.dataset is not None:
        # as they are stored, whatever format or transform is set
        for batch in table.open(columns, None).with_format("arrow").iter(_BATCH):
            yield from zip(*(cells_of(batch[column]) for column in columns), strict=True)
    for file in table.files:
        for row in read_rows(file, columns=columns, delimiter=table.delimiter):
            yield [cell_of(row.values, column) for column in columns]


def _ends_in(column: str, label: str) -> bool:
    return column == label or (column.endswith(label) and column[: -len(label)][-1:] in _MARKS)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:10])) + (", …" if len(names) > 10 else "")
