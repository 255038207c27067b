"""Find data by name: files, folders, patterns, saved datasets, the Hub, `sample`."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, Union

from textlstm.config import TableConfig
from textlstm.errors import ConfigError, DataError
from textlstm.io.formats import (
    COMPRESSIONS,
    SUFFIXES,
    check_file,
    clear_errors,
    expanded,
    first_line,
    is_label_folder,
    looks_local,
)

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

SPLIT_NAMES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
STDIN, STDIN_NAME = "-", "stdin"
SAMPLE = Path(__file__).parents[1] / "sample"
_SPLIT_FILE = re.compile(rf"({'|'.join(SPLIT_NAMES)})([-_.][0-9].*)?")

FileName: TypeAlias = Union[str, "os.PathLike[str]"]
Name: TypeAlias = Union[FileName, Sequence[FileName], "Dataset", "DatasetDict"]
Rows: TypeAlias = Union[tuple[Path, ...], "Dataset"]
"""Where the rows of a split are: files, one after the other, or a dataset."""
T = TypeVar("T")


@dataclass
class Located(Generic[T]):
    """The splits of a source.

    Args:
        name: what was asked for, in words.
        splits: split to its rows, `Rows` or what a caller makes of them; names of `SPLIT_NAMES`
            in their canonical form, others as found.
        single: whether the source is one table without a split's name (then it is 'train').
        notes: what is not used.
        dataset_id: its name on the Hub, if it is from there.
        listed: all files, where they were named one by one or by a pattern.
    """

    name: str
    splits: dict[str, T]
    single: bool = False
    notes: list[str] = field(default_factory=list)
    dataset_id: str = ""
    listed: tuple[Path, ...] = ()

    def split(self, name: str) -> T:
        """Return the rows of a split; raise a `DataError` if there is no such split."""
        name = canonical_split(name)
        if name not in self.splits:
            raise DataError(
                f"split {name!r} is not in {self.name}; its splits are {', '.join(self.splits)}: "
                "name one of them"
            )
        return self.splits[name]

    def only(self, split: str | None) -> tuple[str, T]:
        """Return the split asked for, or the only one, after its name for messages.

        Raises:
            ConfigError: a split is asked for where there is none.
            DataError: there is no such split, or it is not clear which one is meant.
        """
        if self.single:
            if split is not None:
                raise ConfigError(f"split = {split!r}: {self.name} has no splits: leave it out")
            return self.name, self.splits["train"]
        if split is None:
            if len(self.splits) > 1 or self.notes:
                raise DataError(
                    f"{self.name} has the splits {', '.join(self.splits)}: pass --split, or a "
                    "pattern of file names"
                )
            (split,) = self.splits
        return f"{canonical_split(split)} of {self.name}", self.split(split)


def canonical_split(name: str) -> str:
    """Return 'validation' for 'valid', 'val' and 'dev'; an unknown name stays as it is."""
    return SPLIT_NAMES.get(name.lower(), name)


@clear_errors("the data")
def locate(source: Name, options: TableConfig, *, name: str = "") -> Located[Rows]:
    """Find the splits of a source, without reading their rows.

    Args:
        source: a file; several files; a quoted pattern such as `data/*.csv.gz`; a folder of
            files by split (`train.csv`, `test-00001.parquet`, `dev/a.jsonl`), or of parts of one
            table; a folder of `save_to_disk`; the name of a Hub dataset; `sample`; `-` for stdin; a
            `Dataset` or a `DatasetDict`.
        options: the configuration and revision of a Hub dataset.
        name: how messages call several files, a `Dataset` or a `DatasetDict`.

    Returns:
        The splits that are there.

    Raises:
        ConfigError: a configuration or revision is asked for of local data.
        DataError: there is no such source, it can't be read, or it has no splits.
    """
    if isinstance(source, list | tuple) and source:
        return _from_files(
            [file for item in source for file in _files_of(item)], name or "the files"
        )
    if not isinstance(source, str | os.PathLike):
        return _from_object(source, name)
    name = os.fspath(source)
    if not name.strip():
        raise DataError("the data's name is empty: pass a path, a Hub name or `sample`")
    if name == "sample":
        return _from_folder(SAMPLE, name)
    if name == STDIN:
        from textlstm.io.stdin import spool_stdin  # only here are rows read

        return Located(STDIN_NAME, {"train": (spool_stdin(),)}, single=True)
    if "://" in name:
        raise DataError(f"{name} is a URL: download it and pass the file")
    path = expanded(name)
    pattern = _is_pattern(name)
    if isinstance(source, str) and not pattern and not looks_local(name):
        from textlstm.io.hub_datasets import load_hub  # takes a second

        found = _from_dict(f"the Hub dataset {name}", load_hub(name, options))
        found.dataset_id = name
        return found
    if options.dataset_config or options.dataset_revision:
        raise ConfigError(f"{name} is local: only a Hub dataset has a configuration or revision")
    if pattern:
        return _from_files(_files_of(name), name)
    if not path.is_dir() or path.suffix.lower() in SUFFIXES:
        kept = path.parent.name == "textlstm" and path.name.startswith("stdin-")
        return Located(STDIN_NAME if kept else name, {"train": (_checked(path),)}, single=True)
    if any((path / state).is_file() for state in ("dataset_dict.json", "state.json")):
        return _from_saved(path)
    return _from_folder(path, name)


def _is_pattern(name: str) -> bool:
    return any(mark in name for mark in "*?[") and not expanded(name).exists()


def _checked(path: Path) -> Path:
    path, _ = check_file(path)
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{path} is a pipe or device: write its rows to a file first")
    return path


def _files_of(item: Any) -> list[Path]:
    """Return the files that one of several names stands for."""
    if not isinstance(item, str | os.PathLike):
        raise DataError(f"data of type {type(item).__name__} in a list: must be names of files")
    name = os.fspath(item)
    path = expanded(name)
    if path.is_dir():
        return _data_files(path)
    if not _is_pattern(name):
        return [_checked(path)]
    found = glob.glob(str(path), recursive=True)  # noqa: PTH207 (no hidden files)
    files = [Path(file) for file in sorted(found) if Path(file).is_file()]
    if not files:
        raise DataError(f"no file matches {name}: check the pattern")
    return [_checked(file) for file in files]


def _from_files(files: Sequence[Path], name: str) -> Located[Rows]:
    """Group files by split if all are named so, else take them as the parts of one table."""
    origins, others = _by_split(files)
    if others or len(origins) < 2:
        return Located(name, {"train": tuple(files)}, single=True)
    splits = {split: _files_of_split(split, found) for split, found in origins.items()}
    return Located(name, splits, listed=tuple(files))


def _from_folder(folder: Path, name: str) -> Located[Rows]:
    if not folder.is_dir():
        raise DataError(f"{name}: the folder {folder} is missing: install textlstm again")
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    origins, others = _by_split(
        [path for path in entries if path.is_dir() or _stem(path) != path.name]
    )
    unused = [path for path in others if is_data(path)]
    if "train" not in origins and not unused:
        named = list(itertools.chain.from_iterable(origins.values()))
        if named and all(map(_is_label, named)) and any(map(_is_label, others)):
            origins = {}  # of labels, such as valid/ beside invalid/
    splits = {split: _files_of_split(split, found) for split, found in origins.items()}
    if not splits and not unused and is_label_folder(folder):
        return Located(name, {"train": (folder,)}, single=True)
    if splits:
        notes = [f"not a split of {name}: {', '.join(path.name for path in unused)}"]
        return Located(name, splits, notes=notes if unused else [])
    if unused:
        return Located(name, {"train": tuple(unused)}, single=True)
    found = [entry.name + ("/" if entry.is_dir() else "") for entry in entries]
    listing = ", ".join(found[:8]) + (f" and {len(found) - 8} more" if found[8:] else "")
    raise DataError(
        f"{name} holds no csv, tsv, json lines or parquet file (found: {listing or 'nothing'}): "
        "name files train.csv, validation.csv, test.csv (or .tsv, .jsonl, .parquet), put files "
        f"into folders train/, validation/, test/, or pass a pattern such as '{folder}/**/*.csv'"
    )


def _is_label(path: Path) -> bool:
    """Whether a path is a folder with .txt files and nothing else that is not hidden."""
    entries = path.iterdir() if path.is_dir() else ()
    suffixes = {entry.suffix for entry in entries if not entry.name.startswith(".")}
    return suffixes == {".txt"}


def _by_split(entries: Iterable[Path]) -> tuple[dict[str, list[Path]], list[Path]]:
    """Return the entries that are named for each split, and all others."""
    origins: dict[str, list[Path]] = {split: [] for split in SPLIT_NAMES.values()}
    others = []
    for entry in entries:
        match = _SPLIT_FILE.fullmatch(_stem(entry).lower())
        if match:
            origins[SPLIT_NAMES[match.group(1)]].append(entry)
        else:
            others.append(entry)
    return {split: found for split, found in origins.items() if found}, others


def _files_of_split(split: str, origins: list[Path]) -> tuple[Path, ...]:
    """Return the files of a split: one, numbered parts, or those of a folder."""
    numbered = all(path.is_file() and _stem(path).lower() not in SPLIT_NAMES for path in origins)
    if len(origins) > 1 and not numbered:
        names = ", ".join(map(str, origins))
        raise DataError(f"several sources for {split} ({names}): pass one, or rename the others")
    return tuple(_data_files(origins[0]) if origins[0].is_dir() else origins)


def _data_files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if is_data(path))
    if not files and is_label_folder(folder):
        return [folder]
    if not files:
        raise DataError(f"{folder} holds no csv, tsv, json lines or parquet file: put one into it")
    return files


def is_data(path: Path) -> bool:
    """Whether a path is a file that by its name holds rows; others, like a README, don't count."""
    plain = path.name.lower().removesuffix(".gz").removesuffix(".zst").endswith(".txt")
    named = _stem(path) != path.name and not plain
    return path.is_file() and not path.name.startswith(".") and named


def _stem(path: Path) -> str:
    """Return a file's name without the suffixes of data files ('train' for train.csv.gz)."""
    name = path.name
    if name.lower().endswith(COMPRESSIONS):
        name = name[: name.rindex(".")]
    for suffix in (*SUFFIXES, ".txt"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return path.name


def _from_object(source: Any, name: str) -> Located[Rows]:
    import datasets  # takes a second, and not every source needs it

    if isinstance(source, datasets.Dataset):
        return Located(name or "the Dataset", {"train": source}, single=True)
    if isinstance(source, datasets.DatasetDict):
        return _from_dict(name or "the DatasetDict", source)
    raise DataError(
        f"data of type {type(source).__name__}: must be a path, several of them, a Hub name, a "
        "Dataset or a DatasetDict"
    )


def _from_saved(folder: Path) -> Located[Rows]:
    """Open a folder written by `save_to_disk`, memory-mapped."""
    import datasets

    from textlstm.io.hub_datasets import quiet

    try:
        with quiet():
            saved = datasets.load_from_disk(str(folder), keep_in_memory=False)
    except Exception as error:  # whatever a damaged folder makes of the library
        message = first_line(error)
        raise DataError(f"the saved dataset {folder} cannot be read: {message}") from error
    return _from_object(saved, str(folder))


def _from_dict(name: str, splits: Mapping[str, Dataset]) -> Located[Rows]:
    found: dict[str, Rows] = {}
    for split, dataset in splits.items():
        canonical = canonical_split(str(split))
        if canonical in found:
            listing = ", ".join(map(str, splits))
            raise DataError(f"{name} has two splits for {canonical}: {listing}: rename one")
        found[canonical] = dataset
    if not found:
        raise DataError(f"{name} has no split: it needs at least 'train'")
    return Located(name, found)
