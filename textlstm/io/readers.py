"""Streaming readers of files of rows: csv, tsv, json lines and parquet, plain, gzip or zstd.

One bad row never stops the reading: it comes as a `Row` with an error, under its own number.
What to do with it is the caller's choice: training refuses it, prediction keeps it with its
reason. Memory is constant: a batch of a parquet file or a record of a text file at a time.
"""

from __future__ import annotations

import csv
import errno
import io
import itertools
import json
import os
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from textlstm.errors import DataError
from textlstm.io.arrow import parquet_values
from textlstm.io.formats import (
    DELIMITERS,
    EmptyFileError,
    Meter,
    check_file,
    clear_errors,
    first_line,
    open_lines,
    open_parquet,
    open_text,
    texts_of,
)

LABEL_MARK = "__label__"  # of fastText
JSON_ARRAY = re.compile(rb"\[\s*(\{|$)")  # the first line of an array of objects
_LABEL = re.compile(rf"{LABEL_MARK}(\S*)\s*", re.ASCII)
_UNLABELLED = ("unsup", "unlabeled", "unlabelled")  # names of folders
# Errors of the machine or the network, not of the text that is read: the run stops, to be resumed.
_PASSING = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOTCONN,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
_HEAD = 2**16  # characters of a csv that are looked at
# The csv module's buffer takes 4 bytes a character: a quote left open can't take all memory.
_LONGEST_FIELD = 2**26
MOST_NESTED = 100  # levels of a json line; Python's functions for JSON call themselves for each
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Args:
        number: place among the data rows of its file, from 1 (csv: records, the header and
            blank lines not counted; json lines: the line's number).
        values: column name to value (csv: strings; json lines and parquet: any); empty if the
            row can't be read, but for the label and the name of a text of a folder.
        error: why the row can't be read, else None.
        raw: of json lines, the line as it stands in the file.
        file: the name of its file, where there are several and the row can't be read.
        lossy: why `values` lack something that the row has: of json lines, two values for one key
            inside of a column. For one key of the row itself that is an error.
    """

    number: int
    values: dict[str, Any]
    error: str | None = None
    raw: str | None = field(default=None, compare=False, repr=False)
    file: str = ""
    lossy: str | None = field(default=None, compare=False, repr=False)


def read_rows(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    skip: int = 0,
    meter: Meter | None = None,
    delimiter: str | None = None,
) -> Iterator[Row]:
    """Read a file row by row.

    A csv record with a quote that never closes, or with text after a closing quote, is bad
    up to the end of its first line; reading goes on with the next line. A json line with two
    values for one key is bad: which of them is meant is not known.

    Args:
        path: a csv, tsv, json lines, parquet or txt file, plain or ending in .gz or .zst, or a
            folder with one folder of .txt files per label.
        columns: the only columns wanted of a parquet file, which spares reading the others;
            rows of other formats always hold all of theirs.
        skip: how many rows to pass over at the beginning.
        meter: told how much of the file is read (not of parquet).
        delimiter: separates the cells of a csv or tsv; detected if not given.

    Returns:
        An iterator of all rows in order, good and bad.

    Raises:
        DataError: the file is missing, empty, damaged or not of its format. What lies within
            the file is found while iterating.
    """
    path, kind = check_file(path)
    if kind == "parquet":
        return _read_parquet(path, columns, skip)
    if kind == "jsonl":
        return _read_json_lines(path, skip, meter)
    if kind == "txt":
        return itertools.islice(_read_lines(path, meter), skip, None)
    if kind == "folder":
        return itertools.islice(_read_label_folder(path, meter), skip, None)
    delimiter = delimiter or csv_delimiter(path, kind)
    return itertools.islice(_read_csv(path, delimiter, meter), skip, None)


def read_columns(path: str | os.PathLike[str], *, delimiter: str | None = None) -> list[str]:
    """Return the names of the columns of a file.

    Args:
        path: as for `read_rows`.
        delimiter: as for `read_rows`.

    Returns:
        The names in the order of the file; for json lines those of the first good row, so
        none if no row is good.

    Raises:
        DataError: as for `read_rows`.
    """
    path, kind = check_file(path)
    if kind in ("jsonl", "txt"):
        good = (list(row.values) for row in read_rows(path) if not row.error)
        return next(good, ["text"] if kind == "txt" else [])
    if kind == "folder":
        return ["text", "label", "file"]
    with clear_errors(path):
        if kind == "parquet":
            with open_parquet(path) as file:
                return _unique(path, file.schema_arrow.names)
        delimiter = delimiter or csv_delimiter(path, kind)
        with open_text(path) as text:
            return _read_header(path, _csv_records(text, delimiter))


def bad_text(value: Any) -> str | None:
    """Return why a cell is no usable text.

    Args:
        value: what a row holds in a text column.

    Returns:
        'null' (also for NaN), 'not a string' or 'not UTF-8'; None if it is a good text. The
        empty string is one.
    """
    if isinstance(value, str):
        if value.isascii():
            return None
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:  # bytes that are not valid UTF-8 came in as lone surrogates
            return "not UTF-8"
        return None
    if value is None or (isinstance(value, float) and value != value):
        return "null"
    return "not a string"


def row_text(values: Mapping[str, Any], columns: Sequence[str]) -> tuple[str | None, str | None]:
    """Take the text of a row from one or several columns.

    Args:
        values: column name to value; a column that is absent counts as null.
        columns: the text columns, joined by a space; `body.text` is `text` within `body`.

    Returns:
        (text, None), or (None, reason) with 'blank' for white space alone, or a reason of
        `bad_text` and, where there are several columns, the name of the bad one. A null beside a
        good text counts as empty.
    """
    if len(columns) == 1:
        cell = cell_of(values, columns[0])
        reason = bad_text(cell)
        return (None, reason) if reason else (cell, None) if cell.strip() else (None, "blank")
    cells = [cell_of(values, column) for column in columns]
    reasons = list(map(bad_text, cells))
    for column, reason in zip(columns, reasons, strict=True):
        if reason not in (None, "null"):
            return None, f"{reason} (column {column!r})"
    if all(reasons):
        return None, "null"
    text = " ".join("" if reason else cell for cell, reason in zip(cells, reasons, strict=True))
    return (text, None) if text.strip() else (None, "blank")


def cell_of(values: Mapping[str, Any], column: str) -> Any:
    """Return the value of a column; None if it is absent. `body.text` is `text` within `body`."""
    if column in values:
        return values[column]
    head, dot, rest = column.partition(".")
    inner = values.get(head) if dot else None
    return cell_of(inner, rest) if isinstance(inner, Mapping) else None


def csv_delimiter(path: Path, kind: str) -> str:
    """Return what separates the cells of a csv or tsv: a comma or tab unless its rows say other.

    Another mark is taken where the first rows are one cell each, and several, as many in each,
    if they are cut at that mark.
    """
    expected = DELIMITERS[kind]
    with clear_errors(path), open_text(path) as text:
        head = text.read(_HEAD)

    def fields(mark: str) -> set[int]:
        records = list(itertools.islice(_csv_records(io.StringIO(head, newline=""), mark), 4))
        if len(head) == _HEAD and len(records) > 2:  # the last one may be cut off
            records.pop()
        return {len(record) if isinstance(record, list) else 0 for record in records[:3]}

    header = next(_csv_records(io.StringIO(head, newline=""), expected), [])
    if len(header) == 1 and isinstance(header, list):
        for mark in (";", "\t", "|", ","):
            counts = fields(mark) if mark in header[0] else {1}
            if len(counts) == 1 and min(counts) > 1:
                return mark
    return expected


def _read_lines(path: Path, meter: Meter | None) -> Iterator[Row]:
    """Read a text a line; if the first begins with `__label__`, each begins with its labels."""
    with clear_errors(path), open_text(path, meter) as text:
        labelled = False
        for number, line in enumerate(text, 1):
            line = line.rstrip("\r\n")
            labelled = labelled or (number == 1 and line.startswith(LABEL_MARK))
            if not labelled:
                yield Row(number, {"text": line})
                continue
            labels = []
            while found := _LABEL.match(line):
                labels.append(found[1])
                line = line[found.end() :]
            yield Row(number, {"text": line, "label": " ".join(labels) or None})


def _read_label_folder(path: Path, meter: Meter | None) -> Iterator[Row]:
    """Read the .txt files of a folder of folders, each named for the label of its texts."""
    for number, file in enumerate(texts_of(path), 1):
        folder = file.parent.name
        label = None if folder.lower() in _UNLABELLED else folder
        text, error = _read_text_file(file, meter)
        name = file.relative_to(path).as_posix()
        yield Row(number, {"text": text, "label": label, "file": name}, error)


def _read_text_file(file: Path, meter: Meter | None) -> tuple[str | None, str | None]:
    """Return (text, None), or (None, why the file can't be read)."""
    try:
        with open_text(file, meter) as text:
            return text.read(), None
    except DataError as error:  # known to be something else
        return None, str(error).removeprefix(f"{file} is ")
    except OSError as error:
        if error.errno in _PASSING:
            with clear_errors(file):
                raise
        return None, f"cannot be read: {error.strerror or first_line(error)}"


def _read_csv(path: Path, delimiter: str, meter: Meter | None) -> Iterator[Row]:
    with clear_errors(path), open_text(path, meter) as text:
        records = _csv_records(text, delimiter)
        header = _read_header(path, records)
        for number, record in enumerate(records, 1):
            if isinstance(record, str):
                yield Row(number, {}, record)
            elif len(record) != len(header):
                fields = "1 field" if len(record) == 1 else f"{len(record)} fields"
                yield Row(number, {}, f"{fields} instead of {len(header)}")
            else:
                yield Row(number, dict(zip(header, record, strict=True)))


def _csv_records(text: TextIO, delimiter: str) -> Iterator[list[str] | str]:
    """Split a csv into records: lists of fields, or the reason why one doesn't parse.

    After a bad record, reading goes on at its second line.
    """
    if csv.field_size_limit() < _LONGEST_FIELD:
        csv.field_size_limit(_LONGEST_FIELD)
    ahead: deque[str] = deque()
    lines: list[str] = []  # of the current record

    def next_lines() -> Iterator[str]:
        while line := ahead.popleft() if ahead else next(text, ""):
            lines.append(line)
            if "\0" in line:  # refused by the csv module of Python 3.10, taken by later ones
                raise csv.Error("a NUL byte")
            yield line

    reader = csv.reader(next_lines(), delimiter=delimiter, strict=True)
    record: list[str] | str | None
    while True:
        try:
            record = next(reader, None)
        except csv.Error as error:
            ahead.extendleft(reversed(lines[1:]))
            reader = csv.reader(next_lines(), delimiter=delimiter, strict=True)
            record = _csv_reason(error)
        if record is None:
            return
        lines.clear()
        if record:
            yield record


def _csv_reason(error: csv.Error) -> str:
    message = str(error)
    if "unexpected end of data" in message:
        return "a quote is opened and never closed"
    if "expected after" in message:
        return "text after a closing quote (a quote within quotes is written twice)"
    if "field limit" in message:
        return f"a field of over {_LONGEST_FIELD:,} characters (a quote left open?)"
    return message


def _unique(path: Path, columns: list[str]) -> list[str]:
    for index, column in enumerate(columns):
        if bad_text(column):
            raise DataError(
                f"{path}: the name of column {index + 1} is not UTF-8: save it as UTF-8"
            )
        if column in columns[:index]:
            raise DataError(f"{path} has two columns named {column!r}: rename one of them")
    return columns


def _read_header(path: Path, records: Iterator[list[str] | str]) -> list[str]:
    header = next(records, None)
    if header is None:
        raise EmptyFileError(f"{path} is empty: its first line must name the columns")
    if isinstance(header, str):
        raise DataError(f"{path}: its first line does not parse: {header}")
    return _unique(path, header)


def _read_json_lines(path: Path, skip: int = 0, meter: Meter | None = None) -> Iterator[Row]:
    empty = True
    with clear_errors(path), open_lines(path, meter) as stream:
        for number, line in enumerate(stream, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            line = line.strip()
            if not line:
                continue
            if skip:
                skip, empty = skip - 1, False
                continue
            row = _parse_json_line(number, line)
            if empty and JSON_ARRAY.match(line):
                raise DataError(f"{path} is one JSON array: write one object a line (json lines)")
            empty = False
            yield row
    if empty:
        raise EmptyFileError(f"{path} is empty")


def _depth(line: bytes) -> int:
    """Return how deep the arrays and objects of a line are nested."""
    steps = ((mark in b"[{") - (mark in b"]}") for mark in _BRACKETS.findall(line))
    return max(itertools.accumulate(steps), default=0)


def _parse_json_line(number: int, line: bytes) -> Row:
    if line.count(b"[") + line.count(b"{") > MOST_NESTED and _depth(line) > MOST_NESTED:
        return Row(number, {}, f"not JSON that can be read: nested more than {MOST_NESTED} deep")
    text = line.decode("utf-8", "surrogateescape")
    plain = "\\u" not in text and not bad_text(text)
    doubled: list[str | None] = []  # of each object, the row last: what `_twice` says

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        names = values if plain else {_SURROGATE.sub("\ufffd", name) for name in values}
        doubled.append(_twice(pairs) if len(names) < len(pairs) else None)
        return values

    try:
        values = json.loads(text, object_pairs_hook=build)
    except json.JSONDecodeError as error:
        return Row(number, {}, f"not JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, nesting 1,000 deep
        return Row(number, {}, f"not JSON that can be read: {first_line(error)}")
    if not isinstance(values, dict):
        return Row(number, {}, "not a JSON object")
    if not plain and any(bad_text(name) for name in values):
        return Row(number, {}, "a column name is not UTF-8")
    if doubled[-1]:
        return Row(number, {}, doubled[-1])
    return Row(number, values, raw=text, lossy=next(filter(None, doubled), None))


def _twice(pairs: list[tuple[str, Any]]) -> str:
    """Name the first key that stands twice; U+FFFD is written for all that is not valid UTF-8."""
    counts = Counter(_SURROGATE.sub("\ufffd", name) for name, _ in pairs)
    return f"two values for the key {counts.most_common(1)[0][0]!r:.60}"


def _read_parquet(path: Path, columns: Sequence[str] | None, skip: int) -> Iterator[Row]:
    with clear_errors(path), open_parquet(path) as file:
        _unique(path, file.schema_arrow.names)
        for number, values, error in parquet_values(file, columns, skip):
            yield Row(number, values, error)
