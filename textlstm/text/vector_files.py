"""Files of word vectors as a stream of rows: GloVe, word2vec (text and binary), fastText.

The format is detected from the content, never from the name:

- gzip, a zip archive of one file, or neither;
- a first line of two whole numbers (words in the file, numbers per word) is the header of
  word2vec and fastText; GloVe has none, and its first line shows the numbers per word;
- what follows a header and is not text is word2vec's binary form: a word, a space, 32-bit
  numbers;
- a fastText model (`.bin`) has a mark of its own, and is read by `FastTextModel`.

Shapes: E numbers per word.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import math
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from textlstm.config import VECTORS
from textlstm.errors import DataError, did_you_mean
from textlstm.text.fasttext_model import MAGIC, FastTextModel
from textlstm.text.named_vectors import find_vectors

_BLOCK = 2**20  # bytes read at once
_HEAD = 2**16  # bytes from which the format is detected
_LONGEST = 2**22  # bytes of a line or a word: a file with more does not hold vectors
_MOST_NUMBERS = 2**16
_REMEDY = "pass GloVe, word2vec or fastText (.vec) vectors, plain, gzip or zip"
_FLOAT = np.dtype("<f4")
_BOM = b"\xef\xbb\xbf"

_OF_NUMBERS = b"0123456789.eE+- "
_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_HEADER = re.compile(rb"(\d{1,15})[ \t](\d{1,15})[ \t]*\r?")
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")


class VectorFile:
    """A file of vectors, read once, in memory that does not grow with it.

    Args:
        path: the file, for messages.
        read: returns some of the next bytes, decompressed, at most as many as requested; none
            at the end.

    Raises:
        DataError: it is empty, or not a file of vectors.
    """

    def __init__(self, path: Path, read: Callable[[int], bytes]) -> None:
        self.path = path
        self.size = 0
        """Numbers per word (E)."""
        self._rows_read = 0
        self._rows_promised: int | None = None
        self._binary = False
        self._blocks = self._read_blocks(read)
        head = iter([self._read_layout()])  # an iterator lets go of what it has yielded
        self._blocks = itertools.chain(head, self._blocks)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield each word, as UTF-8, and its numbers as they are in the file; only once.

        Rows are checked for their length, and text for characters that numbers don't have.

        Raises:
            DataError: the file is damaged; the line, or in the binary form the word, is named.
        """
        for word, numbers in self._binary_rows() if self._binary else self._text_rows():
            if not word.isascii():
                try:
                    word.decode()
                except UnicodeDecodeError as error:
                    raise self._fault(
                        f"byte 0x{word[error.start]:02x} is not UTF-8: convert the file to UTF-8"
                    ) from error
            yield word, numbers
        if self._rows_promised not in (None, self._rows_read):
            raise DataError(
                f"{self.path} has {self._rows_read:,} words, its header says "
                f"{self._rows_promised:,}: download the file again, or correct its first line"
            )

    def parse(self, numbers: bytes) -> np.ndarray:
        """Return the numbers of the row that was last read, float32 [E].

        Raises:
            DataError: one of them is not a finite number.
        """
        if self._binary:
            return np.frombuffer(numbers, _FLOAT)
        fields = numbers.split()
        try:
            with np.errstate(over="ignore"):  # found below
                vector = np.array([float(field) for field in fields], _FLOAT)  # [E]
        except ValueError:
            raise self._bad_number(fields) from None
        if not np.isfinite(vector).all():
            raise self._bad_number(fields)
        return vector

    def _read_blocks(self, read: Callable[[int], bytes]) -> Iterator[bytes]:
        try:
            while block := read(_BLOCK):
                yield block
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
            what = f"damaged or cut short ({error}): download the file again"
        except OSError as error:
            what = f"can't be read: {error.strerror or error}"
        else:
            return
        where = f", after {self._place()}" if self._rows_read else ""
        raise DataError(f"{self.path}{where}: {what}")

    def _read_layout(self) -> bytes:
        """Detect the format from the beginning; return the part of it that belongs to the rows."""
        head = b""
        for block in self._blocks:
            head += block
            if len(head) >= _HEAD:
                break
        head = head.removeprefix(_BOM)
        if not head.strip():
            raise DataError(f"{self.path} is empty: it has no word vectors")
        if head.startswith(MAGIC):
            raise DataError(f"{self.path} is a packed fastText model: unpack it")
        first, _, rest = head.partition(b"\n")
        header = _HEADER.fullmatch(first)
        if header is None:
            if b"\0" in head:
                raise DataError(
                    f"{self.path} is neither text nor word2vec's binary form: {_REMEDY}"
                )
            _, *numbers = first.split() or [b""]
            if not any(map(_NUMBER.fullmatch, numbers)):
                raise DataError(
                    f"{self.path}, line 1: {_shown(first)} is not a word and its numbers: "
                    + _REMEDY
                )
            self.size = len(numbers)
            return head
        self._rows_promised, self.size = int(header[1]), int(header[2])
        if not 1 <= self.size <= _MOST_NUMBERS:
            raise DataError(
                f"{self.path}, line 1: {self.size:,} numbers per word: must be 1 to "
                f"{_MOST_NUMBERS:,}: {_REMEDY}"
            )
        self._binary = _is_binary(rest, self.size)
        return rest

    def _text_rows(self) -> Iterator[tuple[bytes, bytes]]:
        size, blank = self.size, False
        for line in self._lines():
            line = line.rstrip()
            if not line:
                blank = True  # allowed at the end of the file
                continue
            self._rows_read += 1
            if blank:
                raise self._fault("the line is empty: delete it")
            if line.count(b" ") == size and b"  " not in line:
                word, _, numbers = line.partition(b" ")
            else:
                word, numbers = self._split(line)
            if numbers.translate(None, _OF_NUMBERS):
                raise self._bad_number(numbers.split())
            yield word, numbers

    def _split(self, line: bytes) -> tuple[bytes, bytes]:
        """Split a line from the right: GloVe has words with spaces in them, such as `. . .`."""
        word, *numbers = line.rsplit(None, self.size)
        if line[:1].isspace() and len(numbers) == self.size - 1:  # the word is white space
            word, numbers = b"", [word.strip(), *numbers]
        if len(numbers) != self.size:
            raise self._ragged(len(numbers))
        more = list(itertools.takewhile(_NUMBER.fullmatch, reversed(word.split()[1:])))
        if more:
            raise self._ragged(self.size + len(more))
        return word, b" ".join(numbers)

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for block in self._blocks:
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
            if len(rest) > _LONGEST:
                self._rows_read += 1
                raise self._fault(f"over {_LONGEST:,} bytes in a line: not word vectors")
        yield rest

    def _binary_rows(self) -> Iterator[tuple[bytes, bytes]]:
        length = self.size * _FLOAT.itemsize
        rest = b""
        for block in self._blocks:
            data, at = rest + block, 0
            while (space := data.find(b" ", at)) >= 0 and space + 1 + length <= len(data):
                numbers = data[space + 1 : space + 1 + length]
                self._rows_read += 1
                if not np.isfinite(np.frombuffer(numbers, _FLOAT)).all():
                    raise self._fault("a number is not finite: download or make the file again")
                # word2vec ends each row with a line feed, others don't
                yield data[at:space].lstrip(b"\n"), numbers
                at = space + 1 + length
            rest = data[at:]
            if len(rest) > _LONGEST:
                self._rows_read += 1
                raise self._fault(f"over {_LONGEST:,} bytes without a space: not word vectors")
        if rest.strip(b"\n"):
            self._rows_read += 1
            raise self._fault("the file ends in the middle of it: download the file again")

    def _place(self) -> str:
        if self._binary:
            return f"word {self._rows_read:,}"
        header = self._rows_promised is not None
        return f"line {self._rows_read + header:,}"

    def _fault(self, what: str) -> DataError:
        return DataError(f"{self.path}, {self._place()}: {what}")

    def _ragged(self, found: int) -> DataError:
        return self._fault(
            f"{found} number{'s' * (found != 1)}, expected {self.size}: every word must have as "
            "many: download or make the file again"
        )

    def _bad_number(self, fields: list[bytes]) -> DataError:
        bad = next((field for field in fields if not _is_finite(field)), b" ".join(fields))
        return self._fault(f"{_shown(bad)} is not a finite number: download or make the file again")


@contextlib.contextmanager
def open_vectors(name: str | os.PathLike[str]) -> Iterator[VectorFile | FastTextModel]:
    """Open a file of word vectors in any of the formats above.

    Args:
        name: the file, or a name that `find_vectors` knows.

    Yields:
        The file; `size` is known, no row is read.

    Raises:
        DataError: the file is missing, empty, or none of these, or it can't be fetched.
    """
    path, member = find_vectors(name)
    with contextlib.ExitStack() as stack:
        try:
            # unbuffered: blocks are as large as a buffer
            stream = stack.enter_context(path.open("rb", buffering=0))
            magic = stream.read(4)
            stream.seek(0)
        except FileNotFoundError:
            raise DataError(
                f"no such file of word vectors: {path}{did_you_mean(path.name, VECTORS)}; known by "
                f"name: {', '.join(VECTORS)}"
            ) from None
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error
        if magic == MAGIC:
            yield FastTextModel(path)
            return
        read: Callable[[int], bytes] = stream.read
        if magic[:2] == b"\x1f\x8b":
            # read1 returns what could be unpacked before damage is found
            read = stack.enter_context(gzip.GzipFile(fileobj=stream)).read1
        elif magic == b"PK\x03\x04":
            read = stack.enter_context(_open_member(path, member, stack)).read1
        yield VectorFile(path, read)


def vector_size(name: str | os.PathLike[str]) -> int:
    """Return the numbers per word of a file of vectors; only its beginning is read.

    Raises:
        DataError: as in `open_vectors`.
    """
    with open_vectors(name) as file:
        return file.size


def _open_member(path: Path, member: str | None, stack: contextlib.ExitStack) -> zipfile.ZipExtFile:
    """Open a member of an archive, the only one if none is named."""
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
        names = [item.filename for item in archive.infolist() if not item.is_dir()]
        if member in names:
            names = [member]
        if not names:
            raise DataError(f"{path} is an empty archive: download it again")
        if len(names) != 1:
            raise DataError(
                f"{path} holds {len(names)} files ({', '.join(names[:5])}): "
                "unpack it and pass one of them"
            )
        return archive.open(names[0])  # type: ignore[return-value]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        # the last two: an unknown compression, a password
        raise DataError(f"{path} can't be unpacked ({error}): unpack it yourself") from error


def _is_binary(rows: bytes, size: int) -> bool:
    """Whether the bytes after the first word are numbers and not text.

    As text, `size` numbers take more than 4 bytes each or are followed by more lines of text;
    as 32-bit numbers they almost surely hold control characters or are not UTF-8.
    """
    start = rows.find(b" ") + 1
    window = rows[start : start + size * _FLOAT.itemsize]
    if _NO_TEXT.search(window):
        return True
    try:
        window.decode()
    except UnicodeDecodeError as error:
        return error.end < len(window)  # a character may be cut by the window's end
    return False


def _is_finite(field: bytes) -> bool:
    if not _NUMBER.fullmatch(field):
        return False
    with np.errstate(over="ignore"):
        return math.isfinite(np.float32(float(field)))


def _shown(text: bytes) -> str:
    shown = text[:60].decode("utf-8", "replace")
    return repr(shown + "..." if len(text) > 60 else shown)
