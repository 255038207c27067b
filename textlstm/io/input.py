"""What is classified: a file, many files, a saved dataset or one of the Hub, as one stream.

The stream is cut into groups, each a few files or a span of a dataset, and can be taken up
again at any row of any group. Where groups end depends on the input alone. The lines of stdin
are one stream that can't be taken up again.
"""

from __future__ import annotations

import codecs
import contextlib
import datetime
import hashlib
import io
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

import pyarrow as pa

from textlstm.config import PredictionConfig
from textlstm.errors import DataError
from textlstm.io.arrow import batch_values
from textlstm.io.formats import EmptyFileError, Meter, check_file, parts_of, status_of, texts_of
from textlstm.io.guess import (
    TableColumns,
    class_names_of_features,
    kinds_of_schema,
    look_at_file,
)
from textlstm.io.locate import Name, locate
from textlstm.io.readers import Row, read_rows
from textlstm.io.schema import columns_of

if TYPE_CHECKING:
    from datasets import Dataset

CHUNK_CHARACTERS = 2**22  # a chunk ends when it holds as many
_GROUP_BYTES = 2**24  # small files are read as one group
_DATASET_GROUP_ROWS = 2**16
_BATCH_ROWS = 1000
_LINE_BYTES = 2**18  # read at once from a stream of lines


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
        for value in row.values.values():
            size += len(value) if isinstance(value, str) else _characters(value)
        if len(held) >= rows or size >= characters:
            yield chunk()
            held, size = [], 0
    if held:
        yield chunk()


def _characters(value: Any) -> int:
    """Count the characters and bytes in a value, at any depth."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return 0
    return sum(map(_characters, value))


def find_input(source: Name, config: PredictionConfig, target_format: str) -> RowInput:
    """Find the rows that a name stands for.

    Args:
        source: see `textlstm.io.locate.locate`. Files of one input must have one format and the
            same columns.
        config: the split, configuration and revision of a dataset.
        target_format: format of the output: 'csv', 'tsv', 'jsonl' or 'parquet'.

    Returns:
        The input.

    Raises:
        ConfigError: a split, configuration or revision is asked for where there is none.
        DataError: there is no such source, its files differ, or it is not clear which split.
    """
    found = locate(source, config)
    if found.listed and config.split is None:
        return FileRows.of_files(found.listed, found.name, target_format, config)
    name, rows = found.only(config.split)
    if isinstance(rows, tuple):
        return FileRows.of_files(rows, name, target_format, config)
    return DatasetRows(name, rows)


@dataclass(frozen=True)
class FileRows:
    """Files of one format with the same columns; each file's rows follow those of the one before.

    Args:
        name: how messages call them.
        files: the files.
        sizes: their bytes.
        columns: names and types of the columns.
        total: how many rows they have, if that is known.
        table: the kinds of the columns, as far as the first rows tell.
        delimiter: separates the cells of csv and tsv; detected if None.
    """

    name: str
    files: tuple[Path, ...]
    sizes: tuple[int, ...]
    columns: pa.Schema
    total: int | None
    table: TableColumns
    delimiter: str | None = None

    @classmethod
    def of_files(
        cls, files: Sequence[Path], name: str, target_format: str, config: PredictionConfig
    ) -> FileRows:
        """Look at files.

        Args:
            files: at least one.
            name: how messages call them.
            target_format: of the output: types of json lines matter only to some.
            config: the text columns and the delimiter.

        Raises:
            DataError: a file can't be read, or the files are not alike.
        """
        delimiter = config.delimiter
        formats = {check_file(file)[1]: file for file in files}
        if len(formats) > 1:
            (one, first), (other, second) = itertools.islice(formats.items(), 2)
            raise DataError(
                f"{name} has {one} files ({first.name}) and {other} files ({second.name}): "
                f"name those of one format, such as {first.parent / '*'}{first.suffix}"
            )
        sizes = tuple(sum(map(_size, parts_of(file))) for file in files)
        schema, rows = columns_of(files, target_format, delimiter)
        kinds = kinds_of_schema(schema)
        suspect = ""
        for file in files if "parquet" not in formats else ():
            with contextlib.suppress(EmptyFileError):
                found, suspect = look_at_file(
                    file, strict=False, delimiter=delimiter, wanted=config.text_column
                )
                kinds |= found
                break
        table = TableColumns(name, kinds, suspect=suspect)
        return cls(name, tuple(files), sizes, schema, rows, table, delimiter)

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
                for row in read_rows(
                    file, skip=skip if alone else 0, meter=meter, delimiter=self.delimiter
                ):
                    if skip and not alone:
                        skip -= 1
                        continue
                    if row.lossy:  # strict readers would refuse it in the output
                        row = Row(row.number, {}, row.lossy)
                    yield replace(row, file=file.name) if several and row.error else row
            except EmptyFileError:
                if not several:
                    raise

    def share(self, group: int, meter: Meter) -> float:
        """Estimate how much of all is read when a group is read as far as its meter says."""
        before = sum(self.sizes[: self._groups[group].start])
        return min(1.0, (before + meter.read) / max(1, sum(self.sizes)))

    def order(self) -> list[str]:
        """Return the files in the order they are read in, by the part of the path that differs."""
        paths = [str(file.resolve()) for file in self.files]
        shared = os.path.commonprefix(paths).rfind(os.sep) + 1  # noqa: RUF071 - whole folders
        return [path[shared:] for path in paths]

    def fingerprint(self) -> dict[str, str]:
        """Return each file's size and time of change; of a label folder, those of its texts."""
        return {str(file.resolve()): _stamp(file) for file in self.files}


def _size(file: Path) -> int:
    status = status_of(file)
    return status.st_size if status else 0


def _stamp(file: Path) -> str:
    if file.is_dir():
        stamps = "\n".join(f"{text} {_stamp_of_file(text)}" for text in texts_of(file))
        return f"texts {hashlib.blake2b(os.fsencode(stamps), digest_size=8).hexdigest()}"
    return _stamp_of_file(file)


def _stamp_of_file(file: Path) -> str:
    status = status_of(file)
    if status is None:
        return "cannot be read"
    seconds, rest = divmod(status.st_mtime_ns, 10**9)
    changed = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return f"{status.st_size:,} bytes, {changed:%Y-%m-%d %H:%M:%S}.{rest:09} UTC"


@dataclass(frozen=True)
class DatasetRows:
    """A dataset as rows, read where it lies and not copied.

    Args:
        name: how messages call it.
        dataset: the rows; formats and transforms set on it are not applied.
    """

    name: str
    dataset: Dataset

    @property
    def columns(self) -> pa.Schema:
        """Names and types of the columns."""
        return pa.schema(
            [field.with_nullable(True) for field in self.dataset.features.arrow_schema]
        )

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self.dataset)

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return -(-len(self.dataset) // _DATASET_GROUP_ROWS)

    def rows(self, group: int, skip: int, meter: Meter) -> Iterator[Row]:
        """Read a group from its row `skip` (from 0) on."""
        first = group * _DATASET_GROUP_ROWS
        end = min(first + _DATASET_GROUP_ROWS, len(self.dataset))
        tables = self.dataset.with_format("arrow")
        for start in range(first + skip, end, _BATCH_ROWS):
            batch = tables[start : min(start + _BATCH_ROWS, end)]
            for number, (values, error) in enumerate(batch_values(batch), start + 1):
                yield Row(number, values, error)

    def share(self, group: int, meter: Meter) -> float:
        """Estimate how much of all lies before the end of a group."""
        return min(1.0, (group + 1) * _DATASET_GROUP_ROWS / max(1, len(self.dataset)))

    @property
    def table(self) -> TableColumns:
        """The kinds of the columns, and the names of labels in them."""
        return TableColumns(
            self.name, kinds_of_schema(self.columns), class_names_of_features(self.dataset.features)
        )

    def fingerprint(self) -> dict[str, str]:
        """Return the fingerprint that `datasets` has for its contents."""
        return {self.name: f"{len(self.dataset):,} rows, fingerprint {self.dataset._fingerprint}"}


RowInput: TypeAlias = FileRows | DatasetRows
"""Rows of one source, with the same columns everywhere, in groups that are read one by one."""


def line_chunks(source: BinaryIO) -> Iterator[Chunk]:
    """Read the lines of a stream as rows of one column, `text`, each as soon as it arrives.

    Args:
        source: UTF-8 text.

    Yields:
        The lines that have arrived, without waiting for more of them.
    """
    numbers = itertools.count(1)
    begun: list[bytes] = []  # parts of a line whose end was not yet read
    reader = cast(io.BufferedIOBase, source)
    while block := reader.read1(_LINE_BYTES):
        *whole, rest = block.split(b"\n")
        if whole:
            whole[0] = b"".join([*begun, whole[0]])
            begun = []
            yield Chunk([_line(next(numbers), line) for line in whole], Place(), 0)
        begun.append(rest)
    if last := b"".join(begun):
        yield Chunk([_line(next(numbers), last)], Place(), 0)


def _line(number: int, line: bytes) -> Row:
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    text = line.removesuffix(b"\r").decode("utf-8", "surrogateescape")
    return Row(number, {"text": text})
