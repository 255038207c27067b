"""What classification adds to rows: which column is read, what is added, and why a row has none.

Shapes: N texts, C classes (labels).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, DataError
from textlstm.row_writers import OutRow
from textlstm.rows import Row, row_text

ERROR_COLUMN = "error"
TEXT_COLUMN = "text"  # of a plain line, and the first guess elsewhere


@dataclass
class Summary:
    """How many rows were read, and why some got no label.

    Args:
        rows: all rows.
        failed: reason -> rows without a label.
        seconds: stage -> time spent in it; stages overlap.
    """

    rows: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundTexts:
    """Rows and the texts found in them.

    Args:
        rows: the rows.
        texts: the usable texts, one for each row that has one.
        reasons: for each row None, or why it has no text.
    """

    rows: Sequence[Row]
    texts: list[str]
    reasons: list[str | None]


@dataclass(frozen=True)
class Labeller:
    """Takes texts out of rows, and puts labels into them.

    Args:
        labels: the model's labels.
        text_columns: the columns that hold the text.
        config: what is added, under which names.
        sparse: whether only rows with an error have the column `error`.
    """

    labels: tuple[str, ...]
    text_columns: tuple[str, ...]
    config: PredictionConfig
    sparse: bool = False

    def read(self, rows: Sequence[Row]) -> FoundTexts:
        """Take the texts out of rows."""
        texts: list[str] = []
        reasons: list[str | None] = []
        for row in rows:
            text, reason = None, row.error
            if reason is None:
                text, reason = row_text(row.values, self.text_columns)
            if text is not None:
                texts.append(text)
            reasons.append(reason)
        return FoundTexts(rows, texts, reasons)

    def label(self, found: FoundTexts, probabilities: np.ndarray) -> list[OutRow]:
        """Put labels into rows.

        Args:
            found: what `read` gave.
            probabilities: of its texts, float32 [N, C].

        Returns:
            All rows in their order.
        """
        judged = iter(self._judgements(probabilities))
        failed = dict.fromkeys([self.config.label_column, self.config.score_column])
        rows = []
        for row, reason in zip(found.rows, found.reasons, strict=True):
            if reason is None:
                added = next(judged)
            else:
                added = {**failed, ERROR_COLUMN: _reason(row, reason)}
            rows.append(OutRow(row.values, added, row.raw))
        return rows

    def failures(self, found: FoundTexts) -> Counter[str]:
        """Count the reasons why rows get no label."""
        return Counter(reason for reason in found.reasons if reason is not None)

    def _judgements(self, probabilities: np.ndarray) -> list[dict[str, object]]:
        """Give the added columns of N rows of probabilities, float32 [N, C]."""
        names, columns = [], []
        order = np.argsort(-probabilities, axis=1, kind="stable")  # of equals, the first
        for place in range(1, self.config.top_k + 1):
            best = order[:, place - 1]
            names += [ranked(self.config.label_column, place)]
            columns.append([self.labels[label] for label in best])
            names += [ranked(self.config.score_column, place)]
            columns.append(shortest(np.take_along_axis(probabilities, best[:, None], 1)[:, 0]))
        if self.config.probabilities:
            names += [f"probability_{label}" for label in self.labels]
            columns += [shortest(column) for column in probabilities.T]
        if not self.sparse:
            names.append(ERROR_COLUMN)
            columns.append([None] * len(probabilities))
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def shortest(numbers: np.ndarray) -> list[float]:
    """Give float32 numbers as the floats with the fewest digits that read back equal."""
    return [float(str(number)) for number in numbers]


def added_columns(labels: Sequence[str], config: PredictionConfig) -> dict[str, pa.DataType]:
    """Name the columns that classification adds.

    Args:
        labels: the model's labels.
        config: with `top_k` = K above 1 there are also `label_2`, `score_2` up to K; with
            `probabilities` there is `probability_LABEL` for each label.

    Returns:
        Name -> type, the column `error` last.

    Raises:
        ConfigError: the model has less than `top_k` labels, or two columns have one name.
    """
    if config.top_k > len(labels):
        raise ConfigError(f"top_k = {config.top_k}: the model has {len(labels)} labels")
    columns = []
    for place in range(1, config.top_k + 1):
        columns.append((ranked(config.label_column, place), pa.string()))
        columns.append((ranked(config.score_column, place), pa.float64()))
    if config.probabilities:
        columns.extend((f"probability_{label}", pa.float64()) for label in labels)
    columns.append((ERROR_COLUMN, pa.string()))
    twice = [name for name, count in Counter(name for name, _ in columns).items() if count > 1]
    if twice:
        raise ConfigError(
            f"two added columns would be named {twice[0]!r}: "
            "choose other names with --label-column and --score-column"
        )
    return dict(columns)


def ranked(name: str, place: int) -> str:
    """Name the column of the label in some place, from 1."""
    return name if place == 1 else f"{name}_{place}"


def require_new_names(columns: Sequence[str], added: Iterable[str], *, source: str) -> None:
    """Raise a `ConfigError` if a column of the input would get lost."""
    taken = [name for name in added if name in columns]
    if taken:
        remedy = "rename it" if taken == [ERROR_COLUMN] else "pass --label-column, --score-column"
        raise ConfigError(
            f"{source} already has a column {taken[0]!r}, which is to be added: {remedy}"
        )


def choose_texts(
    source: str, columns: Sequence[str], asked: Sequence[str], trained: Sequence[str]
) -> tuple[str, ...]:
    """Choose the columns to read.

    Args:
        source: how messages call the input.
        columns: those it has.
        asked: those asked for; if none are,
        trained: those of the training are taken if they are there, else the one good guess.

    Returns:
        The columns.

    Raises:
        DataError: a column is missing, or there is no good guess.
    """
    if asked:
        missing = [name for name in asked if name not in columns]
        if missing:
            raise DataError(
                f"column {missing[0]!r} is not in {source}; its columns are {', '.join(columns)}"
            )
        return tuple(asked)
    if trained and all(name in columns for name in trained):
        return tuple(trained)
    if TEXT_COLUMN in columns:
        return (TEXT_COLUMN,)
    if len(columns) == 1:
        return tuple(columns)
    raise DataError(
        f"which column of {source} holds the text? Its columns are {', '.join(columns)}: "
        "pass --text-column"
    )


def _reason(row: Row, reason: str) -> str:
    """Give the reason; a row that could not be read has nothing but its number to tell it by."""
    if not row.error:
        return reason
    return f"{row.file + ' ' if row.file else ''}row {row.number}: {reason}"
