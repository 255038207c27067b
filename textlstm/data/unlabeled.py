"""Rows to learn from beside the labelled ones: without a label, or with a teacher's probabilities.

Shapes: N rows, C labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from textlstm.config import DataConfig
from textlstm.data.columns import Table
from textlstm.data.scan import Scan, scan_texts
from textlstm.data.sources import find_tables
from textlstm.data.split import Split
from textlstm.data.teacher_columns import match_columns, read_probabilities

_SPLITS = ("unsupervised", "unlabeled", "train")  # of data with several, the first that is there


def read_taught(
    train: Split, scan: Scan, labels: Sequence[str], config: DataConfig
) -> tuple[list[Split], list[str]]:
    """Read a teacher's probabilities into train, if the data has them.

    Args:
        train: the rows with a label; gets its probabilities.
        scan: of the same table.
        labels: label names, C of them.
        config: the columns of the teacher.

    Returns:
        (the rows without a label that have probabilities, if there are any; a note on them).

    Raises:
        ConfigError: the columns don't fit the labels.
        DataError: a cell is no probability.
    """
    if not config.teacher_columns:
        return [], []
    columns = match_columns(config.teacher_columns, labels)
    taught = read_probabilities(scan.table, columns, multi_label=scan.owners is not None)
    train.taught = taught[scan.rows]
    rows = scan.unlabeled
    found = _with_probabilities(Split(scan.dataset, scan.columns, rows, rows, taught[rows]), train)
    if not len(rows):
        return [], []
    kept = sum(map(len, found))
    return found, [
        f"{scan.table.name}: {kept:,} of {len(rows):,} rows without a label have a teacher's "
        "probabilities and are kept"
    ]


def load_unlabeled(
    train: Split, labels: Sequence[str], config: DataConfig
) -> tuple[list[Split], list[str]]:
    """Load the data without labels.

    Args:
        train: the rows with a label.
        labels: label names, C of them.
        config: where the data is, and the columns of the texts and of the teacher.

    Returns:
        (rows with a text, those of each name; notes on what was guessed and left out).

    Raises:
        ConfigError: as `read_taught`.
        DataError: the data can't be found or read, or holds no text.
    """
    splits: list[Split] = []
    notes: list[str] = []
    bare = replace(config, dataset_config=None, dataset_revision=None)
    for name in config.unlabeled:
        found = find_tables(name, bare)
        names = [split for split in _SPLITS if split in found.splits]
        table = found.split(names[0] if names else "train")
        split, more = _read(table, train, labels, config)
        splits += split
        notes += [*found.notes, *more, f"without labels: {sum(map(len, split)):,} texts of {name}"]
    return splits, notes


def _read(
    table: Table, train: Split, labels: Sequence[str], config: DataConfig
) -> tuple[list[Split], list[str]]:
    asked = train.columns if all(column in table.kinds for column in train.columns) else ()
    scan, notes = scan_texts(table, asked)
    taught = None
    if config.teacher_columns:
        several = train.labels.ndim == 2
        chosen = match_columns(config.teacher_columns, labels)
        taught = read_probabilities(table, chosen, multi_label=several)[scan.rows]
    split = Split(scan.dataset, scan.columns, scan.rows, scan.rows, taught)
    return _with_probabilities(split, train), notes


def _with_probabilities(split: Split, train: Split) -> list[Split]:
    """Leave out the rows without probabilities, where others have some; labels become 0."""
    if split.taught is not None:
        split = split.select(np.flatnonzero(np.isfinite(split.taught).all(axis=1)))
    split.labels = np.zeros((len(split), *train.labels.shape[1:]), train.labels.dtype)
    return [split] if len(split) else []


def digest(splits: Sequence[Split]) -> bytes:
    """Return a hash of the texts and probabilities of splits."""
    found = hashlib.blake2b(digest_size=16)
    for split in splits:
        for texts in split.texts():
            for text in texts:
                data = text.encode()
                found.update(len(data).to_bytes(8, "little") + data)
        if split.taught is not None:
            found.update(split.taught.tobytes())
    return found.digest()
