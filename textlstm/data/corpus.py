"""Texts and labels for training and evaluation, from any source that `sources` finds.

Shapes: N rows of a split, C labels. Texts stay on disk; only labels and row numbers are held.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from textlstm.config import DataConfig
from textlstm.data.columns import Table, cells_like, check_columns, choose_columns
from textlstm.data.labels import names_like, near_names, order_names, same_names
from textlstm.data.scan import Scan, scan_table, scan_texts
from textlstm.data.sources import Source, find_tables
from textlstm.data.split import Split
from textlstm.data.stratify import stratified_part
from textlstm.data.unlabeled import digest as unlabeled_digest
from textlstm.data.unlabeled import load_unlabeled, read_taught
from textlstm.errors import ConfigError, DataError
from textlstm.io.locate import SPLIT_NAMES, Located

__all__ = [
    "SPLIT_NAMES",
    "Corpus",
    "Source",
    "Split",
    "Whole",
    "load_corpus",
    "load_split",
    "load_texts",
    "load_whole",
]

_DEFAULTS = DataConfig()


@dataclass
class Corpus:
    """The splits to train on, checked; all have the same kind of labels.

    Args:
        labels: label names [C]; the index of a name is its id.
        train: the rows to learn from.
        validation: the rows that pick the best epoch.
        test: the rows for the final figures, if there are any.
        unlabeled: rows whose label is not known, to learn from too.
        notes: what was guessed, left out and cut, for the user to read.
        source: what was asked for.
        fingerprint: a hash of all texts and labels that changes when one of them does.
        dataset_id: the name on the Hub of a dataset that is from there.
    """

    labels: tuple[str, ...]
    train: Split
    validation: Split
    test: Split | None = None
    unlabeled: tuple[Split, ...] = ()
    notes: list[str] = field(default_factory=list)
    source: str = ""
    fingerprint: str = ""
    dataset_id: str = ""

    @property
    def splits(self) -> dict[str, Split]:
        """Name to split, of those with labels."""
        found = {"train": self.train, "validation": self.validation}
        return found if self.test is None else {**found, "test": self.test}


@dataclass(frozen=True)
class Whole:
    """The rows of train, not cut.

    Args:
        labels: label names [C]; the index of a name is its id.
        rows: all usable rows.
        unlabeled: rows whose label is not known, to learn from too.
        notes: what was guessed, left out and not used, for the user to read.
        source: what was asked for.
        fingerprint: a hash of all texts and labels.
    """

    labels: tuple[str, ...]
    rows: Split
    unlabeled: tuple[Split, ...]
    notes: list[str]
    source: str
    fingerprint: str


def load_corpus(source: Source, config: DataConfig = _DEFAULTS, *, seed: int = 1) -> Corpus:
    """Load the splits for a training.

    Rows without a text or a label are left out, with a note. Where there is no validation
    split, a stratified sample of train is held out: `config.validation_fraction` of each
    label's rows.

    Args:
        source: `sample`; a csv, tsv, json lines or parquet file; a folder of such files by
            split, or one written by `save_to_disk`; the name of a Hub dataset; a `Dataset`,
            `DatasetDict`, pandas `DataFrame`, pyarrow `Table`, list of dicts or pair (texts,
            labels); or a dict of split to one of these.
        config: which columns to take.
        seed: decides which rows are held out for validation.

    Returns:
        The splits, with the labels in their order: that of a `ClassLabel`, false before true,
        whole numbers by value, strings by code point.

    Raises:
        DataError: the data can't be found, read or learned from; says what and where.
    """
    found = find_tables(source, config)
    _add_splits(found, config)
    splits, facts = _load(found, config)
    notes = facts["notes"]
    if config.test_fraction:
        notes.append(_hold_out(splits, "test", config.test_fraction, seed + 1))
    if "validation" not in splits:
        notes.append(_hold_out(splits, "validation", config.validation_fraction, seed))
        if not len(splits["validation"]):
            raise DataError(
                f"{found.name} has one row per label: too few to cut a validation split off; "
                "add rows or a validation split"
            )
    return Corpus(
        train=splits["train"],
        validation=splits["validation"],
        test=splits.get("test"),
        dataset_id=found.dataset_id,
        **facts,
    )


def _load(found: Located[Table], config: DataConfig) -> tuple[dict[str, Split], dict[str, Any]]:
    """Read the splits of a training, and the other facts that `Corpus` and `Whole` have."""
    scans, notes = _scan_splits(found, config)
    _spell_alike(scans["train"], [scan for name, scan in scans.items() if name != "train"])
    labels = _labels_of_train(scans["train"], notes)
    for scan in scans.values():
        _check_known(scan, labels, "in train")
    splits = {name: _split_of(scan, labels) for name, scan in scans.items()}
    train = splits["train"]
    taught, of_train = read_taught(train, scans["train"], labels, config)
    others, of_others = load_unlabeled(train, labels, config)
    unlabeled = (*taught, *others)
    return splits, {
        "labels": labels,
        "unlabeled": unlabeled,
        "notes": [*notes, *of_train, *of_others],
        "source": found.dataset_id or found.name,
        "fingerprint": _fingerprint(scans, labels, train, unlabeled),
    }


def _hold_out(splits: dict[str, Split], name: str, fraction: float, seed: int) -> str:
    """Move a stratified part of train to another split; return a note."""
    whole = splits["train"]
    cut = stratified_part(whole.labels, fraction, seed)
    splits["train"] = whole.select(np.setdiff1d(np.arange(len(whole)), cut))
    splits[name] = whole.select(cut)
    rows = f"{len(cut):,} of {len(whole):,} rows"
    return f"{name}: {rows} held out from train (stratified, seed {seed})"


def _add_splits(found: Located[Table], config: DataConfig) -> None:
    """Add the splits that `config` names files for, instead of those of the source."""
    if config.test_fraction and (config.test or "test" in found.splits):
        raise ConfigError(
            f"test_fraction = {config.test_fraction:g}: {config.test or found.name} has the test "
            "rows: pass only one of them"
        )
    bare = replace(config, validation=None, test=None, dataset_config=None, dataset_revision=None)
    for split, name in (("validation", config.validation), ("test", config.test)):
        if name is not None:
            given = find_tables(name, bare)
            found.splits[split] = given.splits["train"] if given.single else given.split(split)


def load_whole(source: Source, config: DataConfig = _DEFAULTS) -> Whole:
    """Load train alone and cut nothing off it.

    Args:
        source: as for `load_corpus`.
        config: which columns to take.

    Returns:
        Its rows; a note names the splits that are not used.

    Raises:
        DataError: as `load_corpus`.
    """
    found = find_tables(source, config)
    others = [name for name in found.splits if name != "train"]
    found.splits = {"train": found.split("train")}
    splits, facts = _load(found, config)
    if others:
        other = " and ".join(others)
        facts["notes"].append(f"only train of {found.name} is used, not its {other}")
    return Whole(rows=splits["train"], **facts)


def load_split(
    source: Source,
    split: str | None,
    config: DataConfig,
    labels: Sequence[str],
    *,
    multi_label: bool = False,
    default: str = "test",
) -> tuple[Split, list[str]]:
    """Load one split to evaluate a model on.

    Args:
        source: as for `load_corpus`; a single file or `Dataset` is taken whole.
        split: its name; if None, test, else validation, else the first there is.
        config: which columns to take.
        labels: the model's label names [C].
        multi_label: whether the model gives a text any number of labels.
        default: the split of the command, which may be named where there is none.

    Returns:
        (the split, notes on what was guessed and left out).

    Raises:
        ConfigError: a split is named where the source has none.
        DataError: as `load_corpus`, or there is no such split, or a label is not the model's, or
            the labels are of the other kind.
    """
    found = find_tables(source, config)
    if found.single:
        if split not in (None, "train", default):
            raise ConfigError(f"split = {split!r}: {found.name} has no splits: leave it out")
        table = found.splits["train"]
    elif split is not None:
        table = found.split(split)
    else:
        names = [name for name in ("test", "validation", *found.splits) if name in found.splits]
        table = found.splits[names[0]]
    text, label, notes = choose_columns(table, config)
    cells = cells_like(table, label, config, multi_label, "the model gives")
    scan = scan_table(table, text, label, cells)
    if not len(scan.rows):
        raise DataError(f"{table.name} has no row with a text and a label")
    scan.names = names_like(scan.names, labels)
    _check_known(scan, labels, "one of the model's")
    return _split_of(scan, labels), found.notes + notes + scan.notes()


def load_texts(
    source: Source, config: DataConfig = _DEFAULTS
) -> tuple[Callable[[], Iterator[list[str]]], list[str], str]:
    """Find the texts of train, or of a single file, whether they have labels or not.

    Args:
        source: as for `load_corpus`.
        config: which columns to take.

    Returns:
        (a function that reads all texts in lists each time it is called, notes on what was
        guessed and left out, the name of the source).

    Raises:
        DataError: the data can't be found or read, or holds no text.
    """
    sources = [source]
    if isinstance(source, list | tuple) and all(isinstance(n, str | os.PathLike) for n in source):
        sources = list(source)  # each by itself, since their labels, which are not used, may differ
    found = [_texts_of(each, config) for each in sources]
    splits, notes, names = zip(*found, strict=True)
    return (
        lambda: itertools.chain.from_iterable(split.texts() for split in splits),
        list(itertools.chain.from_iterable(notes)),
        ", ".join(names),
    )


def _texts_of(source: Source, config: DataConfig) -> tuple[Split, list[str], str]:
    found = find_tables(source, config)
    scan, notes = scan_texts(found.split("train"), config.text_column, config.label_column)
    split = Split(scan.dataset, scan.columns, scan.codes, scan.rows)
    return split, found.notes + notes, found.dataset_id or found.name


def _scan_splits(found: Located[Table], config: DataConfig) -> tuple[dict[str, Scan], list[str]]:
    """Scan train and, where they hold usable rows, validation and test; collect the notes."""
    train = found.split("train")
    text, label, notes = choose_columns(train, config)
    notes = found.notes + notes
    multi_label = train.cells(label, config.label_separator).multi_label
    scans = {}
    for split in dict.fromkeys(SPLIT_NAMES.values()):
        table = found.splits.get(split)
        if table is None:
            continue
        if split == "test" and label not in table.kinds:
            notes.append(f"test left out: {table.name} has no column {label!r}")
            continue
        check_columns(table, text, label)
        cells = cells_like(table, label, config, multi_label, "train has")
        scan = scan_table(table, text, label, cells)
        notes.extend(scan.notes(labels=split != "train" or not config.teacher_columns))
        if split == "train" or len(scan.rows):
            scans[split] = scan
        else:
            notes.append(f"{split} left out: {table.name} has no row with a text and a label")
    return scans, notes


def _fingerprint(
    scans: dict[str, Scan], labels: Sequence[str], train: Split, unlabeled: Sequence[Split]
) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, scan in scans.items():
        facts = [name, scan.digest, scan.names, list(labels)]
        digest.update(json.dumps(facts).encode())
        digest.update(scan.codes.tobytes())
        if scan.owners is not None:
            digest.update(scan.owners.tobytes())
    if train.taught is not None:
        digest.update(train.taught.tobytes())
    if unlabeled:
        digest.update(unlabeled_digest(unlabeled))
    return digest.hexdigest()


def _spell_alike(train: Scan, others: Sequence[Scan]) -> None:
    """Spell equal labels alike in all splits, whatever format they are from."""
    free = [] if train.class_names else [scan for scan in (train, *others) if not scan.class_names]
    names = same_names({name for scan in free for name in scan.names})
    for scan in free:
        scan.names = [names[name] for name in scan.names]
    for scan in others:
        scan.names = names_like(scan.names, train.class_names or train.names)


def _labels_of_train(scan: Scan, notes: list[str]) -> tuple[str, ...]:
    """Return the label names in their order; a class name without a row in train is left out."""
    name = scan.table.name
    if not len(scan.rows):
        raise DataError(f"{name} has no row with a text and a label ({len(scan.dataset)} rows)")
    used = set(scan.names)
    if not used:
        raise DataError(f"{name} has no row with a label in its list: nothing can be learned")
    if scan.class_names:
        labels = tuple(label for label in scan.class_names if label in used)
        unused = [label for label in scan.class_names if label not in used]
        if unused:
            notes.append(f"labels without a row in {name} left out: {', '.join(unused)}")
    else:
        labels = tuple(order_names(used))
        notes.extend(near_names(labels, name))
    if len(labels) < 2 and scan.owners is None:
        raise DataError(f"{name} has only the label {labels[0]!r}: training needs at least two")
    return labels


def _split_of(scan: Scan, labels: Sequence[str]) -> Split:
    """Make a split of the usable rows, their labels as `Split` wants them."""
    ids = {name: index for index, name in enumerate(labels)}
    lookup = np.array([ids[name] for name in scan.names], dtype=np.int64)
    if scan.owners is None:
        return Split(scan.dataset, scan.columns, lookup[scan.codes], scan.rows, names=labels)
    matrix = np.zeros((len(scan.rows), len(labels)), bool)  # [N, C]
    matrix[scan.owners, lookup[scan.codes]] = True
    return Split(scan.dataset, scan.columns, matrix, scan.rows, names=labels)


def _check_known(scan: Scan, labels: Sequence[str], where: str) -> None:
    known = set(labels)
    unknown = [name for name in scan.names if name not in known]
    if not unknown:
        return
    count = int(np.sum(scan.codes == scan.names.index(unknown[0])))
    more = f" and {len(unknown) - 1} other labels" if len(unknown) > 1 else ""
    listing = ", ".join(list(labels)[:20]) + (" ..." if len(labels) > 20 else "")
    raise DataError(
        f"label {unknown[0]!r}{more} of {scan.table.name} ({count:,} rows) is not {where}, which "
        f"has {listing}: correct the label or remove these rows"
    )
