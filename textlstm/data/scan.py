"""One pass over a split before training: which rows are usable, their labels, a hash of it all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from textlstm.data.columns import Table
from textlstm.data.labels import ONE_LABEL, LabelCells, LabelCodes
from textlstm.errors import DataError
from textlstm.io.progress import Display

_SCAN_ROWS = 1000


@dataclass
class Scan:
    """What one pass over a split found.

    Args:
        table: the split.
        dataset: its rows, memory-mapped.
        columns: its text columns.
        rows: int64 [N], the rows with a text and a label.
        codes: int64 [N], indices into `names`; where a row may have several, those of all rows
            one behind the other, [M].
        owners: int64 [M], which of the N rows each code belongs to; None where each has one.
        names: the names of the labels of these rows.
        class_names: all names of a `ClassLabel` in their order, if the label column is one.
        digest: hash of the texts kept.
        unlabeled: int64, the rows with a text and without a label.
    """

    table: Table
    dataset: datasets.Dataset
    columns: tuple[str, ...]
    rows: np.ndarray
    codes: np.ndarray
    owners: np.ndarray | None
    names: list[str]
    class_names: tuple[str, ...] | None
    digest: str
    unlabeled: np.ndarray

    def notes(self, *, labels: bool = True) -> list[str]:
        """Return how many rows are left out and why, in words.

        Args:
            labels: whether rows without a label are.
        """
        counts = {
            "text": len(self.dataset) - len(self.rows) - len(self.unlabeled),  # null or blank
            "label": len(self.unlabeled) if labels else 0,
        }
        reasons = [f"{count:,} without a {what}" for what, count in counts.items() if count]
        name, notes = self.table.name, []
        if reasons:
            notes.append(f"{name}: rows left out: {', '.join(reasons)} (of {len(self.dataset):,})")
        if self.owners is not None and (bare := len(self.rows) - len(np.unique(self.owners))):
            notes.append(f"{name}: rows with no label in their list: {bare:,} (kept)")
        return notes


def scan_table(
    table: Table,
    text_columns: tuple[str, ...],
    label_column: str | None,
    cells: LabelCells = ONE_LABEL,
) -> Scan:
    """Read a split once: find the usable rows, collect labels, check and hash the texts.

    Args:
        table: the split.
        text_columns: the columns with the texts.
        label_column: the column with the label; if None, rows need none.
        cells: how it is read.

    Returns:
        What was found.

    Raises:
        DataError: a row can't be read or a label can't be one; says where.
    """
    dataset = table.open(text_columns, label_column, cells)
    class_names = table.class_names.get(label_column) if label_column else None
    labels = LabelCodes(class_names)
    digest = _TextDigest()
    rows, codes, owners, unlabeled = ([np.zeros(0, np.int64)] for _ in range(4))
    position = kept = 0
    for batch in _batches(dataset):
        texts = _checked(batch, text_columns, table.name, position)
        batch_codes, of_rows = np.zeros(len(batch), np.int64), np.arange(len(batch))
        labelled = np.ones(len(batch), bool)
        if label_column is not None:
            try:
                batch_codes, of_rows, labelled = labels.encode(batch.column(label_column), cells)
            except DataError as error:
                place = f"rows {position + 1:,} to {position + len(batch):,} of {table.name}"
                raise DataError(f"column {label_column!r} in {place}: {error}") from None
        trimmed = pc.binary_length(pc.utf8_trim_whitespace(texts)).fill_null(0)
        has_text = trimmed.to_numpy(zero_copy_only=False) > 0
        usable = has_text & labelled
        unlabeled.append(np.flatnonzero(has_text & ~usable) + position)
        digest.update(texts if usable.all() else texts.filter(pa.array(usable)))
        rows.append(np.flatnonzero(usable) + position)
        codes.append(batch_codes[usable[of_rows]])
        places = np.cumsum(usable) - 1 + kept  # of the usable rows, among those kept
        owners.append(places[of_rows[usable[of_rows]]])
        position += len(batch)
        kept += int(usable.sum())
    all_codes = np.concatenate(codes)
    # A name seen only in rows without a text is no label of this split.
    used, all_codes = np.unique(all_codes, return_inverse=True)
    names = list(labels.codes)
    return Scan(
        table,
        dataset,
        text_columns,
        np.concatenate(rows),
        all_codes.astype(np.int64).reshape(-1),
        np.concatenate(owners) if cells.multi_label else None,
        [names[code] for code in used] if label_column is not None else [],
        class_names,
        digest.hexdigest(),
        np.concatenate(unlabeled),
    )


def scan_texts(
    table: Table, asked: Sequence[str], label: str | None = None
) -> tuple[Scan, list[str]]:
    """Read a split of which only the texts are wanted, so that no row needs a label.

    Args:
        table: the split.
        asked: the text columns, if they are known.
        label: the column with the label, if it is known.

    Returns:
        (what was found, notes on what was guessed and left out).

    Raises:
        DataError: as `scan_table`; or the text columns can't be guessed, or no row has a text.
    """
    columns, notes = table.choose_texts(asked, label)
    scan = scan_table(table, columns, None)
    if not len(scan.rows):
        raise DataError(f"{table.name} has no row with a text ({len(scan.dataset):,} rows)")
    return scan, notes + scan.notes()


def _batches(dataset: datasets.Dataset) -> Iterator[Any]:
    rows = dataset.with_format("arrow")
    with Display("rows", len(dataset), title="scanning", brief=True) as display:
        for start in range(0, len(dataset), _SCAN_ROWS):
            yield from display.over(rows[start : start + _SCAN_ROWS].to_batches())


class _TextDigest:
    """A hash of a sequence of texts, however they are cut into batches."""

    def __init__(self) -> None:
        self._lengths = hashlib.blake2b(digest_size=16)
        self._bytes = hashlib.blake2b(digest_size=16)

    def update(self, texts: Any) -> None:
        """Add an Arrow array of large strings without nulls."""
        _, offset_buffer, data = texts.buffers()
        if len(texts) == 0:
            return
        offsets = np.frombuffer(offset_buffer, dtype=np.int64)
        offsets = offsets[texts.offset : texts.offset + len(texts) + 1]
        self._lengths.update(np.diff(offsets).tobytes())
        if data is not None:
            self._bytes.update(memoryview(data)[int(offsets[0]) : int(offsets[-1])])

    def hexdigest(self) -> str:
        return self._lengths.hexdigest() + self._bytes.hexdigest()


def _checked(batch: Any, columns: Sequence[str], name: str, position: int) -> Any:
    """Return the texts of a batch; raise for the first one that is not UTF-8."""
    texts = joined_texts(batch, columns)
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        for index, text in enumerate(texts):
            try:
                text.as_py()
            except UnicodeDecodeError:
                row = position + index + 1
                raise DataError(f"row {row} of {name}: the text is not UTF-8") from None
        raise
    return texts


def joined_texts(batch: Any, columns: Sequence[str]) -> Any:
    """Join the text columns of an Arrow batch or table by spaces.

    Args:
        batch: N rows.
        columns: its text columns, of strings or nulls.

    Returns:
        A large-string array [N]; null only where all of the columns are.
    """
    parts = [batch.column(column).cast(pa.large_string()) for column in columns]
    if len(parts) == 1:
        return parts[0]
    joined = pc.binary_join_element_wise(
        *parts, pa.scalar(" ", pa.large_string()), null_handling="replace", null_replacement=""
    )
    all_null = np.all([part.is_null().to_numpy(zero_copy_only=False) for part in parts], axis=0)
    return pc.if_else(pa.array(all_null), pa.scalar(None, pa.large_string()), joined)
