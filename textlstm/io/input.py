"""What is classified: a file, many files, a saved dataset or one of the Hub, as one stream.

The stream is cut into groups, each a few files or a span of a dataset, and can be taken up
again at any row of any group. Where groups end depends on the input alone.
"""

from __future__ import annotations

import datetime
import glob
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, DataError
from textlstm.io.formats import EmptyFileError, Meter, check_file, file_format, looks_local
from textlstm.io.locate import SAMPLE
from textlstm.io.readers import Row, read_rows
from textlstm.io.schema import columns_of

if TYPE_CHECKING:
    from datasets import Dataset

CHUNK_CHARACTERS = 2**22  # a chunk ends when it holds as many
_GROUP_BYTES = 2**24  # small files are read as one group


@dataclass(frozen=True)
class Place:
    """Where to read on.

    Args:
        group: number of the group, from 0.
        row: rows of the group that are done.
    """

    group: int = 0
    row: int = 0


@dataclass(frozen=True)
class Chunk:
    """Rows that are classified and written together.

    Args:
        rows: the rows.
        end: the place behind them.
        share: how much of the input lies before that place, from 0 to 1.
    """

    rows: list[Row]
    end: Place
    share: float


class RowInput(Protocol):
    """Rows of one source, with the same columns everywhere."""

    @property
    def name(self) -> str:
        """How messages call it."""

    @property
    def columns(self) -> pa.Schema:
        """Names and types of the columns."""

    @property
    def total(self) -> int | None:
        """How many rows there are, if that is known without reading them all."""

    @property
    def groups(self) -> int:
        """How many groups there are."""

    def rows(self, group: int, skip: int, meter: Meter) -> Iterator[Row]:
        """Read a group from its row `skip` (from 0) on."""

    def share(self, group: int, meter: Meter) -> float:
        """Estimate how much of all is read when a group is read as far as its meter says."""

    def fingerprint(self) -> dict[str, str]:
        """Give what must be equal if the rows are to be; the keys name it in messages."""


def chunks(source: RowInput, start: Place, *, rows: int, characters: int) -> Iterator[Chunk]:
    """Read an input in chunks. Where chunks end depends on the arguments alone.

    Args:
        source: the input.
        start: where to begin.
        rows: most rows of a chunk.
        characters: a chunk ends when it holds as many.

    Yields:
        The chunks, none of them empty.
    """
    for group in range(start.group, source.groups):
        skip = start.row if group == start.group else 0
        yield from group_chunks(source, group, skip, rows=rows, characters=characters)


def group_chunks(
    source: RowInput, group: int, skip: int, *, rows: int, characters: int
) -> Iterator[Chunk]:
    """Read one group in chunks (see `chunks`)."""
    meter = Meter()
    held: list[Row] = []
    size, done = 0, skip

    def chunk() -> Chunk:
        return Chunk(held, Place(group, done), source.share(group, meter))

    for row in source.rows(group, skip, meter):
        held.append(row)
        done += 1
        size += sum(len(value) for value in row.values.values() if isinstance(value, str))
        if len(held) >= rows or size >= characters:
            yield chunk()
            held, size = [], 0
    if held:
        yield chunk()


def find_input(
    source: str | os.PathLike[str] | Dataset, config: PredictionConfig, target_format: str
) -> RowInput:
    """Find the rows that a name stands for.

    Args:
        source: a file; a folder or a pattern such as `data/*.csv.gz`, whose files are taken in
            the order of their names and must have one format and the same columns; a folder of
            `save_to_disk`; the name of a Hub dataset; `sample`; or a `datasets.Dataset`.
        config: the split, configuration and revision of a dataset.
        target_format: format of the output: 'csv', 'tsv', 'jsonl' or 'parquet'.

    Returns:
        The input.

    Raises:
        ConfigError: a split is asked for where there are none.
        DataError: there is no such source, its files differ, or it is not clear which split.
    """
    if not isinstance(source, str | os.PathLike):
        from textlstm.io.dataset_input import of_dataset  # the library `datasets` is slow to import

        return of_dataset(source)
    name = os.fspath(source)
    path = Path(name).expanduser()
    saved = [path / "dataset_dict.json", path / "state.json"]
    if name == "sample":
        return FileRows.of_files([_sample_file(config)], name, target_format)
    if any(file.is_file() for file in saved):
        from textlstm.io.dataset_input import from_disk

        return from_disk(name, config)
    if "://" in name:
        raise DataError(f"{name} is a URL: download it and give the file")
    if path.is_dir():
        files = _data_files(path)
    elif not path.exists() and any(mark in name for mark in "*?["):
        found = glob.glob(str(path), recursive=True)  # noqa: PTH207 (no hidden files)
        files = [Path(file) for file in sorted(found)]
        files = [file for file in files if file.is_file()]
        if not files:
            raise DataError(f"no file matches {name}: check the pattern")
    elif looks_local(name):
        files = [path]
    else:
        from textlstm.io.dataset_input import from_hub

        return from_hub(name, config)
    _refuse_split(name, config)
    return FileRows.of_files(files, name, target_format)


def _sample_file(config: PredictionConfig) -> Path:
    file = SAMPLE / f"{config.split}.parquet"
    if not file.is_file():
        listing = ", ".join(sorted(path.stem for path in SAMPLE.glob("*.parquet")))
        raise DataError(f"sample has the splits {listing}: pass --split")
    return file


@dataclass(frozen=True)
class FileRows:
    """Files of one format with the same columns; each file's rows follow those of the one before.

    Args:
        name: how messages call them.
        files: the files.
        sizes: their bytes.
        columns: names and types of the columns.
        total: how many rows they have, if that is known.
    """

    name: str
    files: tuple[Path, ...]
    sizes: tuple[int, ...]
    columns: pa.Schema
    total: int | None

    @classmethod
    def of_files(cls, files: Sequence[Path], name: str, target_format: str) -> FileRows:
        """Look at files.

        Args:
            files: at least one.
            name: how messages call them.
            target_format: of the output: types of json lines matter only to some.

        Raises:
            DataError: a file can't be read, or the files are not alike.
        """
        kinds = {check_file(file, None)[1]: file for file in files}
        if len(kinds) > 1:
            (one, first), (other, second) = itertools.islice(kinds.items(), 2)
            raise DataError(
                f"{name} has {one} files ({first.name}) and {other} files ({second.name}): "
                f"name those of one format, such as {first.parent / '*'}{first.suffix}"
            )
        for file in files:
            if not file.is_file():
                raise DataError(f"{file} is a pipe or device: write its rows to a file first")
        found = columns_of(files, target_format)
        sizes = tuple(file.stat().st_size for file in files)
        return cls(name, tuple(files), sizes, found.schema, found.rows)

    @cached_property
    def _groups(self) -> list[range]:
        """Files of each group: a large one alone, small ones together."""
        groups: list[range] = []
        held = _GROUP_BYTES
        for number, size in enumerate(self.sizes):
            if held + size > _GROUP_BYTES:
                groups.append(range(number, number + 1))
                held = size
            else:
                groups[-1] = range(groups[-1].start, number + 1)
                held += size
        return groups

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self._groups)

    def rows(self, group: int, skip: int, meter: Meter) -> Iterator[Row]:
        """Read a group from its row `skip` (from 0) on."""
        several = len(self.files) > 1
        for number in self._groups[group]:
            file = self.files[number]
            try:
                # only the one file of a group by itself can be entered anywhere
                alone = len(self._groups[group]) == 1
                for row in read_rows(file, skip=skip if alone else 0, meter=meter):
                    if skip and not alone:
                        skip -= 1
                    else:
                        yield replace(row, file=file.name) if several and row.error else row
            except EmptyFileError:
                if not several:
                    raise

    def share(self, group: int, meter: Meter) -> float:
        """Estimate how much of all is read when a group is read as far as its meter says."""
        before = sum(self.sizes[: self._groups[group].start])
        return min(1.0, (before + meter.read) / max(1, sum(self.sizes)))

    def fingerprint(self) -> dict[str, str]:
        """Give each file's size and time of change."""
        return {str(file.resolve()): _stamp(file) for file in self.files}


def _stamp(file: Path) -> str:
    status = file.stat()
    seconds, rest = divmod(status.st_mtime_ns, 10**9)
    changed = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return f"{status.st_size:,} bytes, {changed:%Y-%m-%d %H:%M:%S}.{rest:09} UTC"


def _data_files(folder: Path) -> list[Path]:
    """Give the files of rows in a folder; others, such as a README, are passed over."""
    files = [file for file in sorted(folder.iterdir()) if _is_data(file)]
    if not files:
        raise DataError(
            f"{folder} holds no csv, tsv, json lines or parquet file: for those of its folders "
            f"give a pattern such as '{folder / '**' / '*.csv'}'"
        )
    return files


def _is_data(file: Path) -> bool:
    if file.name.startswith(".") or not file.is_file():
        return False
    try:
        file_format(file)
    except DataError:
        return False
    return True


def _refuse_split(name: str, config: PredictionConfig) -> None:
    asked = [key for key in ("split", "dataset_config", "dataset_revision") if getattr(config, key)]
    if asked:
        raise ConfigError(
            f"{asked[0]} = {getattr(config, asked[0])!r}: {name} is a file or files, which have "
            "no such thing"
        )
