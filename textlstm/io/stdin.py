"""Data from stdin, kept in a file for a while, so that it can be read more than once."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import logging
import sys
import time
from pathlib import Path

from textlstm.errors import DataError
from textlstm.io.atomic import atomic_path
from textlstm.io.formats import COMPRESSIONS, EmptyFileError, clear_errors, open_lines
from textlstm.io.guess import LABEL_NAMES, TEXT_NAMES
from textlstm.io.readers import JSON_ARRAY, LABEL_MARK, read_columns, read_rows

logger = logging.getLogger(__name__)

_KEPT_DAYS = 7
_ROWS = 20  # that must have as many cells each where no column has a usual name
_SIGNATURES = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")  # of `COMPRESSIONS`


@functools.cache  # it can be read once
def spool_stdin() -> Path:
    """Copy stdin to a file in the cache folder of `datasets`; equal data gets the same name.

    Returns:
        The file; its suffix is that of the format detected: parquet, json lines, csv (with any
        delimiter), or else a text per line, perhaps after the labels of fastText.

    Raises:
        DataError: stdin is a terminal, or nothing is in it.
        OutputError: the folder can't be written to.
    """
    import datasets  # takes a second

    stream, digest = sys.stdin.buffer, hashlib.blake2b(digest_size=8)
    if stream.isatty():
        raise DataError("DATA is -, and stdin is a terminal: pipe data in, or name a file")
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "textlstm"
    for old in folder.glob("stdin-*"):
        with contextlib.suppress(OSError):  # another process may be at it too
            if time.time() - old.stat().st_mtime > _KEPT_DAYS * 24 * 3600:
                old.unlink()
    copied = folder / f"stdin-{time.time_ns()}.csv"
    with atomic_path(copied) as copy, copy.open("wb") as file:
        while block := stream.read(2**20):
            digest.update(block)
            file.write(block)
    with copied.open("rb") as file:
        head = file.read(4)
    marks = zip(COMPRESSIONS, _SIGNATURES, strict=True)
    packed = next((suffix for suffix, mark in marks if head.startswith(mark)), "")
    named = copied.rename(copied.with_suffix(f".csv{packed}"))
    try:
        kind = "parquet" if head == b"PAR1" else _kind_of_text(named)
    except DataError as error:
        named.unlink()
        raise type(error)(str(error).replace(str(named), "stdin")) from None
    path = named.rename(folder / f"stdin-{digest.hexdigest()}.{kind}{packed}")
    logger.info("stdin read as %s and kept for %d days in %s", kind, _KEPT_DAYS, path)
    return path


def _kind_of_text(path: Path) -> str:
    """Return the format of a file that is named as a csv: 'jsonl', 'csv' or 'txt'."""
    with clear_errors(path), open_lines(path) as stream:
        first = next(filter(None, map(bytes.strip, stream)), b"").removeprefix(b"\xef\xbb\xbf")
    if not first:
        raise EmptyFileError("DATA is -, and stdin is empty: pipe data in, or name a file")
    if first.startswith(b"{") or JSON_ARRAY.match(first):
        return "jsonl"
    if first.startswith(LABEL_MARK.encode()):
        return "txt"
    try:
        columns = read_columns(path)
        rows = list(itertools.islice(read_rows(path), _ROWS))
    except DataError:  # its first line is no csv
        return "txt"
    usual = {*TEXT_NAMES, *LABEL_NAMES} & {column.strip().lower() for column in columns}
    even = len(columns) > 1 and bool(rows) and not any(row.error for row in rows)
    return "csv" if usual or even else "txt"
