"""Where data can come from: files, folders, saved datasets, the Hub, `sample`, Python objects."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, Union

import datasets
import pyarrow as pa

from textlstm.config import DataConfig
from textlstm.data.columns import Table
from textlstm.data.labels import LabelCells, is_list
from textlstm.errors import DataError
from textlstm.io.formats import COMPRESSIONS, SUFFIXES, check_file, looks_local
from textlstm.io.hub_datasets import load_hub
from textlstm.io.locate import SAMPLE, SPLIT_NAMES, canonical_split, load_saved
from textlstm.io.readers import bad_text

Source: TypeAlias = Union[
    str,
    "os.PathLike[str]",
    datasets.DatasetDict,
    datasets.Dataset,
    Mapping[str, tuple[Sequence[str], Sequence[Any]]],
]
_SPLIT_FILE = re.compile(rf"({'|'.join(SPLIT_NAMES)})([-_.][0-9].*)?")


@dataclass
class Found:
    """The splits of a source.

    Args:
        name: what was asked for, in words.
        tables: split to table; names of `SPLIT_NAMES` in their canonical form, others as found.
        single: whether the source is one table that nobody named a split (then it is 'train').
        notes: what was passed over.
        dataset_id: its name on the Hub, if it is from there.
    """

    name: str
    tables: dict[str, Table]
    single: bool = False
    notes: list[str] = field(default_factory=list)
    dataset_id: str = ""


def find_tables(source: Source, config: DataConfig) -> Found:
    """Find the splits of a source, without reading their rows.

    Args:
        source: see `textlstm.data.corpus.load_corpus`.
        config: the configuration and revision of a Hub dataset.

    Returns:
        The splits that are there.

    Raises:
        DataError: there is no such source, it can't be read, or it has no splits.
    """
    if isinstance(source, datasets.Dataset):
        return Found("a Dataset", {"train": Table.of_dataset("the Dataset", source)}, single=True)
    if isinstance(source, datasets.DatasetDict):
        return _from_dict("a DatasetDict", source)
    if isinstance(source, Mapping):
        made = _make_datasets(source, config.label_separator)
        return _from_dict("texts and labels", made)
    if not isinstance(source, str | os.PathLike):
        raise DataError(
            f"data of type {type(source).__name__}: must be a path, a Hub name, a Dataset, a "
            "DatasetDict or a dict of split to (texts, labels)"
        )
    name = os.fspath(source)
    if not name.strip():
        raise DataError("the data's name is empty: give a path, a Hub name or `sample`")
    if name == "sample":
        return _from_sample()
    if "://" in name:
        raise DataError(f"{name} is a URL: download it and give the file")
    if not isinstance(source, str) or looks_local(name):
        if config.dataset_config or config.dataset_revision:
            raise DataError(f"{name} is local: only a Hub dataset has a configuration or revision")
        return _from_path(Path(name).expanduser())
    found = _from_dict(f"the Hub dataset {name}", load_hub(name, config))
    found.dataset_id = name
    return found


def _from_path(path: Path) -> Found:
    if path.is_dir() and path.suffix.lower() not in SUFFIXES:
        if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
            return _from_saved(path)
        return _from_folder(path, str(path))
    path, _ = check_file(path, None)
    if not path.is_file():
        raise DataError(f"{path} is a pipe or device: write its rows to a file first")
    return Found(str(path), {"train": Table.of_files([path])}, single=True)


def _from_saved(folder: Path) -> Found:
    saved = load_saved(folder)
    if isinstance(saved, datasets.DatasetDict):
        return _from_dict(str(folder), saved)
    return Found(str(folder), {"train": Table.of_dataset(str(folder), saved)}, single=True)


def _from_sample() -> Found:
    """Find the bundled reviews; where the package lies is nobody's business in a model card."""
    found = _from_folder(SAMPLE, "sample")
    for split, table in found.tables.items():
        found.tables[split] = replace(table, name=f"{split} of sample")
    return found


def _from_folder(folder: Path, name: str) -> Found:
    if not folder.is_dir():
        raise DataError(f"{name}: the folder {folder} is missing: install textlstm again")
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    origins: dict[str, list[Path]] = {}
    unused = []
    for entry in entries:
        match = _SPLIT_FILE.fullmatch(_stem(entry).lower())
        if match and (entry.is_dir() or _is_data(entry)):
            origins.setdefault(SPLIT_NAMES[match.group(1)], []).append(entry)
        elif _is_data(entry):
            unused.append(entry.name)
    if not origins:
        found = [entry.name + ("/" if entry.is_dir() else "") for entry in entries]
        listing = ", ".join(found[:8]) + (f" and {len(found) - 8} more" if found[8:] else "")
        raise DataError(
            f"{name} has no file of a split (found: {listing or 'nothing'}): name files "
            "train.csv, validation.csv, test.csv (or .tsv, .jsonl, .parquet), or put files into "
            "folders train/, validation/, test/"
        )
    tables = {
        split: Table.of_files(_files_of_split(split, origins[split]))
        for split in dict.fromkeys(SPLIT_NAMES.values())
        if split in origins
    }
    notes = [f"not used in {name}: {', '.join(unused)}"] if unused else []
    return Found(name, tables, notes=notes)


def _files_of_split(split: str, origins: list[Path]) -> list[Path]:
    """Give the files of a split: one, numbered parts, or those of a folder."""
    names = [path.name for path in origins]
    numbered = all(path.is_file() and _stem(path).lower() not in SPLIT_NAMES for path in origins)
    if len(origins) > 1 and not numbered:
        raise DataError(f"{origins[0].parent} has several sources for {split}: {', '.join(names)}")
    if not origins[0].is_dir():
        return origins
    files = sorted(path for path in origins[0].iterdir() if _is_data(path))
    if not files:
        raise DataError(f"{origins[0]} holds no csv, tsv, jsonl or parquet file")
    return files


def _is_data(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".") and _stem(path) != path.name


def _stem(path: Path) -> str:
    """Give a file's name without the suffixes of data files ('train' for train.csv.gz)."""
    name = path.name
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return path.name


def _from_dict(name: str, splits: Mapping[str, datasets.Dataset]) -> Found:
    tables: dict[str, Table] = {}
    for split, dataset in splits.items():
        canonical = canonical_split(str(split))
        if canonical in tables:
            raise DataError(f"{name} has two splits for {canonical}: {', '.join(map(str, splits))}")
        tables[canonical] = Table.of_dataset(f"{split} of {name}", dataset)
    if not tables:
        raise DataError(f"{name} has no split: it needs at least 'train'")
    return Found(name, tables)


def _make_datasets(
    source: Mapping[str, tuple[Sequence[str], Sequence[Any]] | datasets.Dataset],
    separator: str | None,
) -> dict[str, datasets.Dataset]:
    """Make datasets of the texts and labels that a Python user hands over."""
    made: dict[str, datasets.Dataset] = {}
    for split, value in source.items():
        if isinstance(value, datasets.Dataset):
            made[split] = value
            continue
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise DataError(f"split {split!r} must be a pair (texts, labels)")
        shape = getattr(value[1], "shape", (0,))
        if len(shape) != 1:
            raise DataError(
                f"split {split!r}: labels have the shape {shape}: pass a label, or a list of "
                "labels, for each text"
            )
        texts, labels = (list(part) if not isinstance(part, str) else part for part in value)
        if isinstance(texts, str) or isinstance(labels, str):
            raise DataError(f"split {split!r}: texts and labels must be lists, not one string")
        if len(texts) != len(labels):
            raise DataError(f"split {split!r} has {len(texts)} texts and {len(labels)} labels")
        cells = LabelCells(any(map(is_list, labels)), separator)
        names = []
        for number, (text, label) in enumerate(zip(texts, labels, strict=True), 1):
            reason = bad_text(text)
            try:
                names.append(cells.read(label))
            except DataError as error:
                reason = str(error)
            if reason not in (None, "null"):
                raise DataError(f"row {number} of split {split!r} cannot be used: {reason}")
        clean = [None if bad_text(text) else str(text) for text in texts]
        columns = {
            "text": pa.array(clean, pa.large_string()),
            "label": pa.array(names, pa.list_(pa.string()) if cells.multi_label else pa.string()),
        }
        made[split] = datasets.Dataset(pa.table(columns))
    return made
