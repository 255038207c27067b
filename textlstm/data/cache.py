"""Files of rows → memory-mapped Arrow files in the cache folder of `datasets`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from textlstm.data.labels import ONE_LABEL, LabelCells
from textlstm.errors import DataError, OutputError
from textlstm.io.atomic import atomic_path
from textlstm.io.formats import parts_of, status_of
from textlstm.io.progress import Display
from textlstm.io.readers import Row, bad_text, cell_of, read_rows

_CACHE_FORMAT = 2
_BATCH_ROWS = 1000
_BATCH_CHARACTERS = 2**24
_STALE_SECONDS = 24 * 3600

_Batch = dict[str, list["str | list[str] | None"]]


def import_files(
    files: Sequence[Path],
    text_columns: Sequence[str],
    label_column: str | None,
    cells: LabelCells = ONE_LABEL,
    delimiter: str | None = None,
) -> datasets.Dataset:
    """Open files of rows by way of an Arrow file in the cache, made if it isn't there yet.

    Args:
        files: the files, whose rows follow one another.
        text_columns: columns that hold texts.
        label_column: the column that holds the label, if it is wanted; its values become names
            (`label_name`).
        cells: how it is read.
        delimiter: as for `read_rows`.

    Returns:
        A dataset of these columns, all of them strings, or lists of strings where a row may have
        several labels.

    Raises:
        DataError: a row doesn't parse, or a text or label in it can't be used; names file and
            row, or the file of a text.
        OutputError: the cache folder can't be written to.
    """
    places = [str(file.resolve()) for file in files]
    parts = [part for file in files for part in parts_of(file)]
    stats = map(status_of, parts)
    # Size and times alone would miss a file replaced by a copy with its old time (cp -p).
    state: list[Any] = [
        s and [s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for s in stats
    ]
    state += [str(part) for part in parts if len(parts) > len(files)]  # folders name labels
    cut = [cells.lists, cells.separator, delimiter]
    where = _hash([places, list(text_columns), label_column, cut])
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "textlstm"
    target = folder / f"{where}-{_hash([_CACHE_FORMAT, state])}.arrow"
    if not target.is_file():
        try:
            with atomic_path(target) as temporary:
                batches = _batches(files, text_columns, label_column, cells, delimiter)
                lists = label_column if cells.multi_label else None
                _write_arrow(temporary, batches, lists)
        except OutputError as error:
            raise OutputError(f"{error}: set HF_DATASETS_CACHE to a folder with room") from error
        _remove_stale(folder, where, target)
    return datasets.Dataset.from_file(str(target))


def _hash(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=12).hexdigest()


def _remove_stale(folder: Path, where: str, target: Path) -> None:
    """Remove imports of older states of the same files, and what killed imports left behind."""
    long_ago = time.time() - _STALE_SECONDS
    for path in [*folder.glob(f"{where}-*.arrow"), *folder.glob(".*.arrow")]:
        with contextlib.suppress(OSError):  # another process may be at it too
            if path != target and (path.name[0] != "." or path.stat().st_mtime < long_ago):
                path.unlink()


def _write_arrow(path: Path, batches: Iterable[_Batch], lists: str | None) -> None:
    """Write columns of strings; the one named `lists` holds lists of them."""
    writer = None
    text = pa.large_string()
    reading = Display("rows", title="reading", brief=True)
    with pa.OSFile(str(path), "wb") as sink, reading:
        for batch in batches:
            schema = pa.schema(
                [(column, pa.list_(text) if column == lists else text) for column in batch]
            )
            writer = writer or pa.ipc.new_stream(sink, schema)
            records = pa.RecordBatch.from_pydict(batch, schema=schema)
            writer.write_batch(records)
            reading.update(reading.done + len(records))
        assert writer is not None  # the last batch comes even if it is empty
        writer.close()


def _batches(
    files: Sequence[Path],
    text_columns: Sequence[str],
    label_column: str | None,
    cells: LabelCells,
    delimiter: str | None,
) -> Iterator[_Batch]:
    """Read texts and label names in batches that are limited in rows and in characters."""
    columns = [*text_columns, *([] if label_column is None else [label_column])]
    batch: _Batch = {column: [] for column in columns}
    characters = 0
    for file in files:
        for row in read_rows(file, columns=columns, delimiter=delimiter):
            if row.error:
                verb = "" if file.is_dir() else " does not parse"
                raise DataError(f"{_place(row, file)}{verb}: {row.error}")
            for column in text_columns:
                text = _text_cell(row, column, file)
                characters += len(text or "")
                batch[column].append(text)
            if label_column is not None:
                batch[label_column].append(_label_cell(row, label_column, cells, file))
            if len(batch[columns[0]]) >= _BATCH_ROWS or characters >= _BATCH_CHARACTERS:
                yield batch
                batch = {column: [] for column in columns}
                characters = 0
    yield batch


def _place(row: Row, file: Path) -> str:
    """Return where a row stands, in words; of a folder of texts, the path of its text."""
    return str(file / row.values["file"]) if file.is_dir() else f"row {row.number} of {file}"


def _text_cell(row: Row, column: str, file: Path) -> str | None:
    value = cell_of(row.values, column)
    reason = bad_text(value)
    if reason is None:
        return str(value)
    if reason == "null":
        return None
    remedy = "save the file as UTF-8" if reason == "not UTF-8" else "pass --text-column"
    raise DataError(f"{_place(row, file)}: column {column!r} is {reason}: {remedy}")


def _label_cell(row: Row, column: str, cells: LabelCells, file: Path) -> str | list[str] | None:
    try:
        return cells.read(cell_of(row.values, column))
    except DataError as error:
        raise DataError(f"{_place(row, file)}: {error}") from None
