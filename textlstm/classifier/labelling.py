"""What classification adds to rows: which column is read, what is added, and why a row has none.

Shapes: N texts, C classes (labels).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError
from textlstm.io.guess import TableColumns
from textlstm.io.readers import Row, row_text
from textlstm.io.writers import OutputRow
from textlstm.nn.probabilities import predicted_labels

_log = logging.getLogger(__name__)

ERROR_COLUMN = "error"
TEXT_COLUMN = "text"  # of a plain line, and the first guess elsewhere
SEPARATOR = ";"  # between several labels in a cell of text, if nothing else is said


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
class Labeller:
    """Takes texts out of rows, and puts labels into them.

    Args:
        labels: the model's labels.
        text_columns: the columns that hold the text.
        config: what is added, under which names.
        sparse: whether only rows with an error have the column `error`.
        thresholds: the least probability of each label, where a row may get several.
        separator: what several labels are joined by; None gives them as a list.
    """

    labels: tuple[str, ...]
    text_columns: tuple[str, ...]
    config: PredictionConfig
    sparse: bool = False
    thresholds: tuple[float, ...] | None = None
    separator: str | None = None

    def added_columns(self) -> dict[str, pa.DataType]:
        """Return the columns that are added; see the function of this name."""
        return added_columns(
            self.labels,
            self.config,
            multi_label=self.thresholds is not None,
            separator=self.separator,
        )

    def texts(self, rows: Sequence[Row]) -> list[str]:
        """Return the usable texts of rows, in order; a row without one is left out."""
        return [text for text, _ in map(self._text, rows) if text is not None]

    def label(self, rows: Sequence[Row], probabilities: np.ndarray) -> list[OutputRow]:
        """Put labels into rows.

        Args:
            rows: rows with and without a usable text.
            probabilities: of their texts, float32 [N, C].

        Returns:
            All rows in their order.
        """
        predictions = iter(self._added(probabilities))
        label_column, score_column = _names(self.config)
        labelled = []
        for row in rows:
            _, reason = self._text(row)
            if reason is not None:
                added: dict[str, Any] = {label_column: None, score_column: None}
                added[ERROR_COLUMN] = _reason(row, reason)
            else:
                added = next(predictions)
                if added[score_column] < self.config.min_score:
                    reason = f"score below {self.config.min_score:g}"
                    added |= {label_column: None, ERROR_COLUMN: reason}
            labelled.append(OutputRow(row.values, added, row.raw, reason))
        return labelled

    def _text(self, row: Row) -> tuple[str | None, str | None]:
        """Return the text of a row and None, or None and why it has no text."""
        return (None, row.error) if row.error else row_text(row.values, self.text_columns)

    def _added(self, probabilities: np.ndarray) -> list[dict[str, Any]]:
        """Return the added columns of N rows of probabilities, float32 [N, C]."""
        names: list[str] = []
        columns: list[Sequence[object]] = []
        several = self.thresholds is not None
        label_column, score_column = _names(self.config)
        if several:
            names += [label_column, score_column]
            judged = predicted_labels(probabilities, self.labels, self.thresholds)
            columns.append([self._joined(labels) for labels, _ in judged])
            columns.append(shortest(np.array([score for _, score in judged], np.float32)))
        order = np.argsort(-probabilities, axis=1, kind="stable")  # of equals, the first
        for place in places(self.config.top_k, multi_label=several):
            best = order[:, place - 1]
            names += [ranked(label_column, place, multi_label=several)]
            columns.append([self.labels[label] for label in best])
            names += [ranked(score_column, place, multi_label=several)]
            columns.append(shortest(np.take_along_axis(probabilities, best[:, None], 1)[:, 0]))
        if self.config.probabilities:
            names += [f"probability_{label}" for label in self.labels]
            columns += [shortest(column) for column in probabilities.T]
        if not self.sparse:
            names.append(ERROR_COLUMN)
            columns.append([None] * len(probabilities))
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def _joined(self, labels: tuple[str, ...]) -> object:
        return list(labels) if self.separator is None else self.separator.join(labels)


def shortest(numbers: np.ndarray) -> list[float]:
    """Return float32 numbers as the floats with the fewest digits that read back equal."""
    return [float(str(number)) for number in numbers]


def added_columns(
    labels: Sequence[str],
    config: PredictionConfig,
    *,
    multi_label: bool = False,
    separator: str | None = None,
) -> dict[str, pa.DataType]:
    """Return the columns that classification adds.

    Args:
        labels: the model's labels.
        config: with `top_k` = K above 1 there are also `label_2`, `score_2` up to K; with
            `probabilities` there is `probability_LABEL` for each label.
        multi_label: whether a row may get several labels; then `top_k` = K above 1 adds the most
            probable labels, whether they reach their thresholds or not, from `label_1` on.
        separator: what several labels are joined by; None gives them as a list.

    Returns:
        Name -> type, the column `error` last.

    Raises:
        ConfigError: the model has less than `top_k` labels, two columns have one name, or a
            label has the separator in it.
    """
    if config.top_k > len(labels):
        raise ConfigError(f"top_k = {config.top_k}: the model has {len(labels)} labels")
    columns = []
    label_column, score_column = _names(config)
    if multi_label:
        torn = [label for label in labels if separator is not None and separator in label]
        if torn:
            raise ConfigError(
                f"label {torn[0]!r} has {separator!r} in it, which is to stand between labels: "
                "pass another --label-separator, or write json lines or parquet"
            )
        several = pa.list_(pa.string()) if separator is None else pa.string()
        columns = [(label_column, several), (score_column, pa.float64())]
    for place in places(config.top_k, multi_label=multi_label):
        for name, kind in ((label_column, pa.string()), (score_column, pa.float64())):
            columns.append((ranked(name, place, multi_label=multi_label), kind))
    if config.probabilities:
        columns.extend((f"probability_{label}", pa.float64()) for label in labels)
    columns.append((ERROR_COLUMN, pa.string()))
    twice = [name for name, count in Counter(name for name, _ in columns).items() if count > 1]
    if twice:
        raise ConfigError(
            f"two added columns would be named {twice[0]!r}: "
            "choose other names with --output-column and --score-column"
        )
    return dict(columns)


def name_columns(config: PredictionConfig, columns: Sequence[str]) -> PredictionConfig:
    """Return `config` with the names of the added columns.

    Args:
        config: what is added; names that were asked for stay.
        columns: those of the input: where one is `label` or `score`, as in a labelled test file,
            the added one is `predicted_label` or `predicted_score`.
    """
    label, score = (f"predicted_{name}" if name in columns else name for name in ("label", "score"))
    return replace(
        config,
        output_column=config.output_column or label,
        score_column=config.score_column or score,
    )


def _names(config: PredictionConfig) -> tuple[str, str]:
    named = name_columns(config, ())
    return str(named.output_column), str(named.score_column)


def places(top_k: int, *, multi_label: bool) -> range:
    """Return the places, from 1, whose labels have columns of their own."""
    return range(1, 0 if multi_label and top_k == 1 else top_k + 1)


def ranked(name: str, place: int, *, multi_label: bool = False) -> str:
    """Return the column of the label in some place, from 1; several labels have the plain name."""
    return name if place == 1 and not multi_label else f"{name}_{place}"


def require_new_names(columns: Sequence[str], added: Iterable[str], *, source: str) -> None:
    """Raise a `ConfigError` if a column of the input would get lost."""
    taken = [name for name in added if name in columns]
    if taken:
        other = "choose other names with --output-column and --score-column"
        remedy = "rename it" if taken == [ERROR_COLUMN] else other
        raise ConfigError(
            f"{source} already has a column {taken[0]!r}, which is to be added: {remedy}"
        )


def choose_texts(
    columns: TableColumns, asked: Sequence[str], trained: Sequence[str]
) -> tuple[str, ...]:
    """Choose the columns to read; the log says which one is read instead of those of the training.

    Args:
        columns: those of the input.
        asked: those asked for; if none are,
        trained: those of the training are taken if they are there, else the one good guess.

    Returns:
        The columns.

    Raises:
        DataError: a column is missing or holds no texts, or there is no good guess.
    """
    if not asked and trained and all(name in columns.kinds for name in trained):
        return tuple(trained)
    chosen, notes = columns.choose_texts(asked)
    for note in notes if trained else ():
        _log.info(note)
    return chosen


def _reason(row: Row, reason: str) -> str:
    """Return the reason, with the number of a row that could not be read."""
    if not row.error:
        return reason
    return f"{row.file + ' ' if row.file else ''}row {row.number}: {reason}"
