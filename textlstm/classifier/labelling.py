"""What classification adds to rows: which column is read, what is added, and why a row has none.

Shapes: N texts, C classes (labels).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from textlstm.classifier.labelled import Trained
from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError
from textlstm.io.guess import TableColumns
from textlstm.io.readers import Row, row_text
from textlstm.io.writers import OutputRow
from textlstm.nn.probabilities import best_labels, predicted_labels

_log = logging.getLogger(__name__)

ERROR_COLUMN = "error"
TEXT_COLUMN = "text"  # of a plain line, and the first guess elsewhere
_OTHER_NAMES = "choose other names with --output-column and --score-column"
ENGINES = ("lstm", "ngrams")  # in the column of `engine_column`
SEPARATOR = ";"  # between several labels in a cell of text, if nothing else is said


@dataclass
class Summary:
    """How many rows were read, and why some got no label.

    Args:
        rows: all rows.
        failed: reason -> rows without a label.
    """

    rows: int = 0
    failed: Counter[str] = field(default_factory=Counter)


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

    @classmethod
    def of_table(
        cls,
        table: TableColumns,
        names: Sequence[str],
        model: Trained,
        config: PredictionConfig,
        **options: Any,
    ) -> Labeller:
        """Choose the columns that are read of a table and the names of those that are added.

        Args:
            table: the columns, those within others too.
            names: the columns that the added ones stand beside.
            model: its labels, thresholds and text columns.
            config: what is asked for.
            **options: `sparse` and `separator`.

        Raises:
            ConfigError: the added columns can't have these names (see `added_columns`).
            DataError: a column is missing or holds no texts, or there is no good guess.
        """
        texts = choose_texts(table, config.text_column, model.settings.data.text_column)
        config = name_columns(config, names)
        labeller = cls(model.labels, texts, config, thresholds=model.thresholds, **options)
        taken = [name for name in labeller.added_columns() if name in names]
        if taken:
            raise ConfigError(
                f"{table.name} already has a column {taken[0]!r}, which is to be added: "
                f"{labeller._remedy(taken[0])}"
            )
        return labeller

    def added_columns(self) -> dict[str, pa.DataType]:
        """Return the columns that are added: name -> type, the column `error` last.

        With `top_k` = K above 1 there are also `label_2`, `score_2` up to K; where a row may get
        several labels these are the most probable ones, whether they reach their thresholds or
        not, from `label_1` on. With `probabilities` there is `probability_LABEL` for each label.

        Raises:
            ConfigError: the model has less than `top_k` labels, two columns have one name, or a
                label has the separator in it.
        """
        top_k, mark = self.config.top_k, self.separator
        if top_k > len(self.labels):
            raise ConfigError(f"top_k = {top_k}: the model has {len(self.labels)} labels")
        torn = [label for label in self.labels if mark is not None and mark in label]
        if torn and self.thresholds is not None:
            raise ConfigError(
                f"label {torn[0]!r} has {mark!r} in it, which is to stand between labels: "
                "pass another --label-separator, or write json lines or parquet"
            )
        none = np.zeros((0, len(self.labels)), np.float32)
        columns = [(name, kind) for name, kind, _ in self._columns(none)]
        columns.append((ERROR_COLUMN, pa.string()))
        twice = [name for name, count in Counter(name for name, _ in columns).items() if count > 1]
        if twice:
            raise ConfigError(f"two added columns would be named {twice[0]!r}: {_OTHER_NAMES}")
        return dict(columns)

    def _remedy(self, column: str) -> str:
        """Return how to avoid an added column that the input has."""
        if column == ERROR_COLUMN:
            return "rename it"
        if column == self.config.engine_column:
            return "choose another name with --engine-column"
        if column in map(_probability, self.labels):
            return "rename it, or leave --probabilities out"
        return _OTHER_NAMES

    def texts(self, rows: Sequence[Row]) -> list[str]:
        """Return the usable texts of rows, in order; a row without one is left out."""
        return [text for text, _ in map(self._text, rows) if text is not None]

    def label(
        self, rows: Sequence[Row], probabilities: np.ndarray, skipped: np.ndarray | None = None
    ) -> list[OutputRow]:
        """Put labels into rows.

        Args:
            rows: rows with and without a usable text.
            probabilities: of their texts, float32 [N, C].
            skipped: which texts the n-grams alone predicted, bool [N]; None for none.

        Returns:
            All rows in their order.
        """
        columns = [(name, values) for name, _, values in self._columns(probabilities, skipped)]
        if not self.sparse:
            columns.append((ERROR_COLUMN, [None] * len(probabilities)))
        names = [name for name, _ in columns]
        predictions = zip(*(values for _, values in columns), strict=True)
        label_column, score_column = _names(self.config)
        labelled = []
        complete = len(probabilities) == len(rows)  # then every row has a text
        for row in rows:
            reason = None if complete else self._text(row)[1]
            if reason is not None:
                where = f"{row.file} row {row.number}: ".lstrip() if row.error else ""
                added: dict[str, Any] = {label_column: None, score_column: None}
                added[ERROR_COLUMN] = where + reason
            else:
                added = dict(zip(names, next(predictions), strict=True))
                if added[score_column] < self.config.min_score:
                    reason = f"score below {self.config.min_score:g}"
                    added |= {label_column: None, ERROR_COLUMN: reason}
            labelled.append(OutputRow(row.values, added, row.raw, reason))
        return labelled

    def _text(self, row: Row) -> tuple[str | None, str | None]:
        """Return the text of a row and None, or None and why it has no text."""
        return (None, row.error) if row.error else row_text(row.values, self.text_columns)

    def _columns(
        self, probabilities: np.ndarray, skipped: np.ndarray | None = None
    ) -> Iterator[tuple[str, pa.DataType, Sequence[object]]]:
        """Yield the added columns but `error`; arguments as for `label`."""
        label, score = _names(self.config)
        several, text, number = self.thresholds is not None, pa.string(), pa.float64()
        if several:
            found = predicted_labels(probabilities, self.labels, self.thresholds)
            mark = self.separator
            cells = [list(labels) if mark is None else mark.join(labels) for labels, _ in found]
            yield label, pa.list_(text) if mark is None else text, cells
            yield score, number, shortest(np.array([one for _, one in found], np.float32))
        count = 0 if several and self.config.top_k == 1 else self.config.top_k
        for place, best in enumerate(best_labels(probabilities, count).T):
            end = f"_{place + 1}" if several or place else ""
            yield label + end, text, [self.labels[index] for index in best]
            scores = np.take_along_axis(probabilities, best[:, None], 1)[:, 0]
            yield score + end, number, shortest(scores)
        if self.config.probabilities:
            for name, column in zip(self.labels, probabilities.T, strict=True):
                yield _probability(name), number, shortest(column)
        if self.config.engine_column:
            marks = [False] * len(probabilities) if skipped is None else skipped.tolist()
            yield self.config.engine_column, text, [ENGINES[by_ngrams] for by_ngrams in marks]


def shortest(numbers: np.ndarray) -> list[float]:
    """Return float32 numbers as the floats with the fewest digits that read back equal."""
    return [float(str(number)) for number in numbers]


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


def _probability(label: str) -> str:
    return f"probability_{label}"


def _names(config: PredictionConfig) -> tuple[str, str]:
    return config.output_column or "label", config.score_column or "score"


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
