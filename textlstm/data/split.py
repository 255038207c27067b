"""The usable rows of one split, their texts on disk.

Shapes: N rows, C labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import datasets
import numpy as np
import pyarrow as pa

from textlstm.data.scan import joined_texts
from textlstm.io.progress import Display

_LIST_BYTES = 2**25


class Split:
    """The usable rows of one split; their texts are read from disk when asked for.

    Args:
        dataset: the rows, memory-mapped.
        columns: the text columns, joined by a space.
        labels: int64 [N], the label of each row as its index in the label names; where a row may
            have several which it has, bool [N, C].
        rows: int64 [N], which rows of `dataset` these are; all, in order, if None.
        taught: a teacher's probabilities, float32 [N, C], NaN in rows without any; None if the
            data has none.
        names: the label names, C of them; () if they are not known.
    """

    def __init__(
        self,
        dataset: datasets.Dataset,
        columns: Sequence[str],
        labels: np.ndarray,
        rows: np.ndarray | None = None,
        taught: np.ndarray | None = None,
        names: Sequence[str] = (),
    ) -> None:
        self.labels = labels
        self.taught = taught
        self.names = tuple(names)
        self.columns = tuple(columns)
        self._dataset = dataset.select_columns(list(columns)).with_format("arrow")
        self._rows = np.arange(len(labels)) if rows is None else rows
        row_bytes = self._dataset.data.nbytes // max(1, self._dataset.data.num_rows)
        self._most_rows = max(1, _LIST_BYTES // max(1, row_bytes))

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        kind = "any number of labels" if self.labels.ndim == 2 else "one label"
        return f"Split({len(self):,} rows of {' + '.join(self.columns)}, {kind} each)"

    def texts(self, batch_size: int = 1000) -> Iterator[list[str]]:
        """Read all texts in order; where that takes long, it is shown how far it is.

        Args:
            batch_size: the longest list; a list of very long texts is shorter.

        Yields:
            Lists of texts.
        """
        step = min(batch_size, self._most_rows)
        with Display("texts", len(self), brief=True) as display:
            for start in range(0, len(self), step):
                yield from display.over(self._lists(start, min(start + step, len(self))))

    def numbers(self) -> np.ndarray:
        """Return the place of each row in the data, from 1, int64 [N]."""
        return self._rows + 1

    def select(self, rows: np.ndarray) -> Split:
        """Return a split of some of the rows.

        Args:
            rows: int64 [n], indices into this split, in the order wanted.

        Returns:
            The smaller split.
        """
        taught = None if self.taught is None else self.taught[rows]
        kept = self.labels[rows], self._rows[rows], taught
        return Split(self._dataset, self.columns, *kept, names=self.names)

    def _lists(self, start: int, stop: int) -> Iterator[list[str]]:
        table = self._table(start, stop)
        if table.nbytes > _LIST_BYTES and stop - start > 1:
            middle = (start + stop) // 2
            yield from self._lists(start, middle)
            yield from self._lists(middle, stop)
        else:
            yield joined_texts(table, self.columns).to_pylist()

    def _table(self, start: int, stop: int) -> pa.Table:
        rows = self._rows[start:stop]
        first, last = int(rows[0]), int(rows[-1])
        if bool(np.all(np.diff(rows) > 0)) and last - first < 2 * len(rows):
            # A slice costs no copy, and taking from it is faster than gathering row by row.
            table = self._dataset[first : last + 1]
            return table if len(table) == len(rows) else table.take(rows - first)
        return self._dataset[rows.tolist()]
