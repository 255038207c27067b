"""Rows in, the same rows with labels out: from a file to a file, or from stream to stream.

Rows out are rows in, in order. A row without a usable text gets no label, and the reason in a
column `error`. A few thousand rows are held at a time.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from textlstm.classifier import TextClassifier
from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, DataError, OutputError
from textlstm.predictor import WINDOW_ROWS
from textlstm.row_files import file_format
from textlstm.row_writers import JsonLinesWriter, RowWriter, columns_of, open_writer
from textlstm.rows import Row, read_rows, row_text

ERROR_COLUMN = "error"
TEXT_COLUMN = "text"  # of a plain line, and the first guess elsewhere
_WINDOW_CHARACTERS = 2**24  # most characters held at a time, but for a single longer text
_BLOCK = 2**18  # bytes read at once from a stream

Target = str | os.PathLike[str] | BinaryIO
"""A file, its format told by its name, or a stream that gets json lines."""


@dataclass
class Summary:
    """How many rows were read, and why some got no label.

    Args:
        rows: all rows.
        failed: reason -> rows without a label.
    """

    rows: int = 0
    failed: Counter[str] = field(default_factory=Counter)


def classify_file(
    classifier: TextClassifier,
    source: str | os.PathLike[str],
    target: Target,
    config: PredictionConfig,
    *,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Label the rows of a file.

    Args:
        classifier: the model.
        source: a csv, tsv, json lines or parquet file.
        target: where the rows go; all columns are kept, `added_columns` and `error` follow
            them (in json lines, `error` only where there is one).
        config: names of columns, what is added, batch size.
        overwrite: whether a target that is there may be replaced.
        progress: told now and then how many rows are done.

    Returns:
        What was counted.

    Raises:
        ConfigError: an added column has the name of another, or there are not so many labels.
        DataError: the source can't be read, or it is not clear which column holds the text.
        OutputError: the target exists or can't be written.
    """
    kind = "jsonl"
    if isinstance(target, str | os.PathLike):
        kind = file_format(target)
        if Path(target).exists() and Path(source).exists() and Path(target).samefile(source):
            raise OutputError(f"{target} is the input: choose another name for the output")
    columns = columns_of(source, kind)
    texts = _text_columns(str(source), columns.names, config, classifier)
    added = added_columns(classifier.labels, config)
    _require_new_names(columns.names, added, source=str(source))
    fields = [*columns, *(pa.field(name, kind) for name, kind in added.items())]
    with _open_target(target, pa.schema(fields), overwrite=overwrite) as writer:
        windows = _windows(read_rows(source))
        return _classify(classifier, windows, texts, config, writer, progress)


def classify_lines(
    classifier: TextClassifier,
    source: BinaryIO,
    target: Target,
    config: PredictionConfig,
    *,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Label the lines of a stream of text, each as soon as it is there.

    Args:
        classifier: the model.
        source: UTF-8 text; each line is a row with one column, `text`.
        target: as in `classify_file`.
        config: as in `classify_file`.
        overwrite: as in `classify_file`.
        progress: as in `classify_file`.

    Returns:
        What was counted.

    Raises:
        ConfigError: as in `classify_file`.
        OutputError: as in `classify_file`.
    """
    added = added_columns(classifier.labels, config)
    _require_new_names([TEXT_COLUMN], added, source="a line of text")
    fields = [pa.field(TEXT_COLUMN, pa.string()), *(pa.field(n, k) for n, k in added.items())]
    with _open_target(target, pa.schema(fields), overwrite=overwrite) as writer:
        windows = _line_windows(source)
        return _classify(classifier, windows, [TEXT_COLUMN], config, writer, progress)


def added_columns(labels: Sequence[str], config: PredictionConfig) -> dict[str, pa.DataType]:
    """Name the columns that classification adds.

    Args:
        labels: the model's labels.
        config: with `top_k` = K above 1 there are also `label_2`, `score_2` up to K; with
            `probabilities` there is `probability_LABEL` for each label.

    Returns:
        Name -> type, the column `error` last.

    Raises:
        ConfigError: the model has less than `top_k` labels, or two columns have one name.
    """
    if config.top_k > len(labels):
        raise ConfigError(f"top_k = {config.top_k}: the model has {len(labels)} labels")
    columns = []
    for place in range(1, config.top_k + 1):
        columns.append((_ranked(config.label_column, place), pa.string()))
        columns.append((_ranked(config.score_column, place), pa.float64()))
    if config.probabilities:
        columns.extend((f"probability_{label}", pa.float64()) for label in labels)
    columns.append((ERROR_COLUMN, pa.string()))
    twice = [name for name, count in Counter(name for name, _ in columns).items() if count > 1]
    if twice:
        raise ConfigError(
            f"two added columns would be named {twice[0]!r}: "
            "choose other names with --label-column and --score-column"
        )
    return dict(columns)


def _ranked(name: str, place: int) -> str:
    return name if place == 1 else f"{name}_{place}"


def _require_new_names(columns: Sequence[str], added: Iterable[str], *, source: str) -> None:
    """Check before any work that no column of the input gets lost."""
    taken = [name for name in added if name in columns]
    if taken:
        remedy = "rename it" if taken == [ERROR_COLUMN] else "pass --label-column, --score-column"
        raise ConfigError(
            f"{source} already has a column {taken[0]!r}, which is to be added: {remedy}"
        )


def _text_columns(
    source: str, columns: Sequence[str], config: PredictionConfig, classifier: TextClassifier
) -> Sequence[str]:
    """Choose the columns to read: as asked, else as in training, else the one good guess."""
    if config.text_column:
        missing = [name for name in config.text_column if name not in columns]
        if missing:
            raise DataError(
                f"column {missing[0]!r} is not in {source}; its columns are {', '.join(columns)}"
            )
        return config.text_column
    trained = classifier.settings.data.text_column
    if trained and all(name in columns for name in trained):
        return trained
    if TEXT_COLUMN in columns:
        return [TEXT_COLUMN]
    if len(columns) == 1:
        return columns
    raise DataError(
        f"which column of {source} holds the text? Its columns are {', '.join(columns)}: "
        "pass --text-column"
    )


@contextlib.contextmanager
def _open_target(target: Target, columns: pa.Schema, *, overwrite: bool) -> Iterator[RowWriter]:
    if isinstance(target, str | os.PathLike):
        with open_writer(target, columns, overwrite=overwrite) as writer:
            yield writer
    else:
        yield JsonLinesWriter(target)


def _windows(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Cut a stream of rows into lists that are bounded in rows and in characters."""
    window: list[Row] = []
    characters = 0
    for row in rows:
        window.append(row)
        characters += sum(len(value) for value in row.values.values() if isinstance(value, str))
        if len(window) >= WINDOW_ROWS or characters >= _WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


def _line_windows(source: BinaryIO) -> Iterator[list[Row]]:
    """Give the lines that are there, without waiting for more of them."""
    numbers = itertools.count(1)
    begun: list[bytes] = []  # of a line whose end was not yet read
    reader = cast(io.BufferedIOBase, source)
    while block := reader.read1(_BLOCK):
        *whole, rest = block.split(b"\n")
        if whole:
            whole[0] = b"".join([*begun, whole[0]])
            begun = []
            yield [_line(next(numbers), line) for line in whole]
        begun.append(rest)
    if last := b"".join(begun):
        yield [_line(next(numbers), last)]


def _line(number: int, line: bytes) -> Row:
    text = line.removesuffix(b"\r").decode("utf-8", "surrogateescape")
    return Row(number, {TEXT_COLUMN: text})


def _classify(
    classifier: TextClassifier,
    windows: Iterable[Sequence[Row]],
    texts: Sequence[str],
    config: PredictionConfig,
    writer: RowWriter,
    progress: Callable[[int], None] | None,
) -> Summary:
    summary = Summary()
    for window in windows:
        writer.write(_labelled(classifier, window, texts, config, summary))
        if progress:
            progress(summary.rows)
    return summary


def _labelled(
    classifier: TextClassifier,
    window: Sequence[Row],
    texts: Sequence[str],
    config: PredictionConfig,
    summary: Summary,
) -> list[dict[str, Any]]:
    """Give the rows of a window with what is added to them."""
    read = [(None, row.error) if row.error else row_text(row.values, texts) for row in window]
    good = [text for text, _ in read if text is not None]
    judged = iter(classifier.predict_proba(good, batch_size=config.batch_size))  # N x [C]
    rows = []
    for row, (text, reason) in zip(window, read, strict=True):
        summary.rows += 1
        if text is None:
            assert reason is not None
            summary.failed[reason] += 1
            added = dict.fromkeys([config.label_column, config.score_column])
            rows.append({**row.values, **added, ERROR_COLUMN: _reason(row, reason)})
        else:
            rows.append({**row.values, **_judgement(next(judged), classifier.labels, config)})
    return rows


def _reason(row: Row, reason: str) -> str:
    """Give the reason; a row that could not be read has nothing but its number to tell it by."""
    return f"row {row.number}: {reason}" if row.error else reason


def _judgement(
    probabilities: Any, labels: Sequence[str], config: PredictionConfig
) -> dict[str, Any]:
    """Name the values of the added columns for one row of probabilities, float32 [C]."""
    numbers = [float(str(value)) for value in probabilities]  # the shortest that reads back equal
    best = sorted(range(len(labels)), key=lambda i: -numbers[i])  # of equals, the first
    added: dict[str, Any] = {}
    for place in range(1, config.top_k + 1):
        label = best[place - 1]
        added[_ranked(config.label_column, place)] = labels[label]
        added[_ranked(config.score_column, place)] = numbers[label]
    if config.probabilities:
        for name, number in zip(labels, numbers, strict=True):
            added[f"probability_{name}"] = number
    return added
