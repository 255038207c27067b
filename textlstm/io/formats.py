"""Open files of rows: format by name, decompression, errors in one line."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import pyarrow as pa

from textlstm.errors import DataError, TextLSTMError

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
COMPRESSIONS = (".gz", ".zst")
_OTHER_SUFFIXES = (".txt", ".xlsx", ".xls", ".zip", ".arrow", ".pkl", ".tar", ".xml", ".yaml")

DELIMITERS = {"csv": ",", "tsv": "\t"}
_SIGNATURES = {
    b"\x1f\x8b": "it is gzip: add .gz to its name",
    b"\x28\xb5\x2f\xfd": "it is zstd: add .zst to its name",
    b"PAR1\x15": "it is parquet: name it .parquet",
    b"PK\x03\x04": "it is a zip archive or an Excel workbook: save its table as csv",
    b"\xff\xfe": "it is UTF-16: save it as UTF-8",
    b"\xfe\xff": "it is UTF-16: save it as UTF-8",
}


class EmptyFileError(DataError):
    """A file has no rows and no columns."""


def file_format(path: str | os.PathLike[str]) -> str:
    """Return the format of a file, detected from its name.

    Args:
        path: the file, which need not exist.

    Returns:
        'csv', 'tsv', 'jsonl', 'parquet' or 'txt' (a text a line, perhaps after `__label__`
        words as fastText has them); 'folder' for a folder with one folder of .txt files per label.

    Raises:
        DataError: the name ends in nothing that is known.
    """
    if is_label_folder(Path(path)):
        return "folder"
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    if suffixes and suffixes[-1] in (*SUFFIXES, ".txt"):
        return SUFFIXES.get(suffixes[-1], "txt")
    raise DataError(
        f"cannot tell the format of {path}: its name must end in {', '.join([*SUFFIXES, '.txt'])}, "
        f"each also with {' or '.join(COMPRESSIONS)}"
    )


def is_label_folder(path: Path) -> bool:
    """Whether a folder has one folder of .txt files per label and no other data."""
    return path.is_dir() and any(True for folder in _folders_in(path) for _ in _texts_in(folder))


def texts_of(path: Path) -> list[Path]:
    """Return the texts of a label folder in the order of their rows, readable or not."""
    return [text for folder in _folders_in(path) for text in sorted(_texts_in(folder))]


def parts_of(path: Path) -> list[Path]:
    """Return the texts of a label folder, or a file itself."""
    return texts_of(path) if path.is_dir() else [path]


def status_of(path: Path) -> os.stat_result | None:
    """Return the status of a file; None if there is none, as for a link to nowhere."""
    try:
        return path.stat()
    except OSError:
        return None


def _folders_in(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and entry.name[0] != ".")


def _texts_in(folder: Path) -> Iterator[Path]:
    """Yield the .txt files of a folder; neither hidden ones (macOS adds `._1.txt`) nor folders.

    A broken link counts as a text; its row says that it can't be read.
    """
    for path in folder.glob("*.txt"):
        if path.name[0] != ".":
            status = status_of(path)
            if status is None or stat.S_ISREG(status.st_mode):
                yield path


def expanded(name: str) -> Path:
    """Return a path with `~` as the home folder; a `~` that names no user is kept."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 (that of Path raises for such a `~`)


def looks_local(name: str) -> bool:
    """Whether a name is a path; a Hub name is never more than 'owner/name'."""
    suffixes = (*SUFFIXES, *COMPRESSIONS, *_OTHER_SUFFIXES)
    return (
        os.path.exists(expanded(name))  # noqa: PTH110 (false for a name that is too long)
        or name.startswith((".", "/", "~"))
        or name.endswith(("/", *suffixes))
        or "\\" in name
        or name.count("/") > 1
    )


@contextlib.contextmanager
def clear_errors(path: Path | str) -> Iterator[None]:
    """Turn what the libraries raise for an unreadable file into a `DataError`."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        if "Not a gzipped file" in str(error):
            raise DataError(f"{path} is not gzip: remove .gz from its name") from error
        raise DataError(f"{path} is damaged or ends too early: {first_line(error)}") from error
    except pa.ArrowException as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}") from error
    except TextLSTMError:  # some are an `OSError` too
        raise
    except OSError as error:
        where, reason = error.filename or path, error.strerror or first_line(error)
        raise DataError(f"cannot read {where}: {reason}") from error


@clear_errors("the file")
def check_file(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """Check that a file exists; return its path and its format."""
    path = Path(path)
    if path.is_dir() and not is_label_folder(path):
        raise DataError(f"{path} is a folder: name a file in it")
    if not path.exists():
        raise DataError(f"no such file: {path}")
    return path, file_format(path)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type's name if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@dataclass
class Meter:
    """Counts the bytes that are read from files, as they lie on the disk."""

    read: int = 0


class _Metered(io.RawIOBase):
    """A file whose bytes are counted by a meter as they are read."""

    def __init__(self, file: io.RawIOBase, meter: Meter) -> None:
        self._file = file
        self._meter = meter

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._file.readinto(buffer)
        self._meter.read += count or 0
        return count


@contextlib.contextmanager
def open_binary(path: Path, meter: Meter | None = None) -> Iterator[BinaryIO]:
    """Open a file for buffered reading, decompressed if its name says so."""
    with contextlib.ExitStack() as stack:
        stream: Any = stack.enter_context(path.open("rb", buffering=0))
        stream = _Metered(stream, meter or Meter())
        if path.suffix.lower() == ".gz":
            stream = stack.enter_context(gzip.open(stream, "rb"))
        elif path.suffix.lower() == ".zst":
            stream = stack.enter_context(pa.CompressedInputStream(pa.PythonFile(stream), "zstd"))
        yield stack.enter_context(io.BufferedReader(stream, buffer_size=2**18))


@contextlib.contextmanager
def open_lines(path: Path, meter: Meter | None = None) -> Iterator[BinaryIO]:
    """Open a file that should be UTF-8 text, and refuse what is known to be something else."""
    with open_binary(path, meter) as stream:
        head = cast(io.BufferedReader, stream).peek(8)
        for signature, remedy in _SIGNATURES.items():
            if head.startswith(signature):
                raise DataError(f"{path} is not plain text: {remedy}")
        yield stream


@contextlib.contextmanager
def open_text(path: Path, meter: Meter | None = None) -> Iterator[TextIO]:
    """Open a text file; undecodable bytes become lone surrogates, line ends stay as they are."""
    with open_lines(path, meter) as stream:
        yield io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")


@contextlib.contextmanager
def open_parquet(path: Path) -> Iterator[Any]:
    """Open a parquet file; a compressed one is unpacked into a file without a name first."""
    with contextlib.ExitStack() as stack:
        source: Any
        if path.suffix.lower() in COMPRESSIONS:
            source = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(stack.enter_context(open_binary(path)), source, 2**20)
            source.seek(0)
        elif path.stat().st_size == 0:
            raise EmptyFileError(f"{path} is empty")
        else:
            source = stack.enter_context(path.open("rb"))  # pyarrow opens no name but UTF-8
        try:
            # Pages come through a buffer; a whole column of a row group never lies in memory.
            import pyarrow.parquet as pq  # only where it is needed, to start fast

            file = pq.ParquetFile(source, buffer_size=2**20, pre_buffer=False)
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not a whole parquet file: {first_line(error)}") from error
        yield stack.enter_context(file)
