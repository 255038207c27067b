"""Word vectors of a fastText model (`.bin`), read from where they lie in the file.

The vector of a word is the mean of its own row and the rows of its character n-grams
(Bojanowski et al. 2017), which are found by a hash. Only the rows that are needed are read.

Shapes: E numbers per word.
"""

from __future__ import annotations

import mmap
import struct
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from textlstm.errors import DataError

MAGIC = b"\xba\x16\x4f\x2f"
_VERSIONS = (11, 12)
_SUPERVISED = 3  # a kind of model
_HEAD = struct.Struct("<4x i 12i d 3i 2q")  # magic, version, arguments, sizes of the dictionary
_ENTRY = struct.Struct("<qb")  # count and type, after a word that ends in a zero byte
_WORD = 0  # the type of an entry that is not a label
_MATRIX = struct.Struct("<? 2q")  # whether it is quantized; rows and columns
_END_OF_SENTENCE = b"</s>"  # has no n-grams
_FLOAT = np.dtype("<f4")


class FastTextModel:
    """A fastText model as a stream of words, used as a `VectorFile`.

    Args:
        path: the file.

    Raises:
        DataError: it is cut short, pruned or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as stream:
            self._bytes = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            version, *values = _HEAD.unpack_from(self._bytes)
        except struct.error:
            raise self._cut_short() from None
        if version not in _VERSIONS:
            raise self._fault(f"has version {version}, not {' or '.join(map(str, _VERSIONS))}")
        self.size: int = values[0]
        """Numbers per word (E)."""
        model, self._buckets, self._shortest, self._longest = values[7:11]
        if (version, model) == (11, _SUPERVISED):  # had no n-grams of characters
            self._longest = 0
        self._entries, self._words, _, _, pruned = values[13:]
        if pruned >= 0:
            raise self._fault("is pruned")
        self._matrix = np.zeros((0, self.size), _FLOAT)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield each word, as UTF-8, and what `parse` takes; the most frequent words first.

        A word that is not UTF-8, which no text can have, is left out.

        Raises:
            DataError: the file is cut short or quantized.
        """
        last = deque(self._walk(), maxlen=1)
        self._matrix = self._map_matrix(last[0][2] if last else _HEAD.size)
        for number, (word, kind, _) in enumerate(self._walk()):
            if kind == _WORD and word.decode(errors="ignore").encode() == word:
                yield word, number.to_bytes(4, "little") + word

    def parse(self, row: bytes) -> np.ndarray:
        """Return the vector of a word, float32 [E].

        Raises:
            DataError: a number of it is not finite.
        """
        word = row[4:]
        ids = [int.from_bytes(row[:4], "little")]
        if word != _END_OF_SENTENCE:
            ids += [self._words + bucket for bucket in self._ngrams(b"<" + word + b">")]
        vector: np.ndarray = self._matrix[ids].mean(axis=0, dtype=_FLOAT)
        if not np.isfinite(vector).all():
            raise self._fault(f"has a number that is not finite ({word.decode()!r})")
        return vector

    def _walk(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield each entry of the dictionary, its type, and the byte after it."""
        at = _HEAD.size
        for _ in range(self._entries):
            end = self._bytes.find(b"\0", at) + 1
            if not end or end + _ENTRY.size > len(self._bytes):
                raise self._cut_short()
            word = self._bytes[at : end - 1]
            at = end + _ENTRY.size
            yield word, _ENTRY.unpack_from(self._bytes, end)[1], at

    def _map_matrix(self, at: int) -> np.ndarray:
        """Return the rows of words and n-grams, [words + buckets, E], without reading them."""
        if at + _MATRIX.size > len(self._bytes):
            raise self._cut_short()
        quantized, rows, columns = _MATRIX.unpack_from(self._bytes, at)
        if quantized:
            raise self._fault("is quantized")
        ngrams = self._buckets if self._longest else 0
        if columns != self.size or rows < self._words + ngrams:
            raise self._fault("is damaged")
        at += _MATRIX.size
        if at + rows * columns * _FLOAT.itemsize > len(self._bytes):
            raise self._cut_short()
        numbers = np.frombuffer(self._bytes, _FLOAT, rows * columns, at)
        return numbers.reshape(rows, columns)

    def _ngrams(self, word: bytes) -> Iterator[int]:
        """Yield the buckets of a word's n-grams, which are counted in characters."""
        starts = [i for i, byte in enumerate(word) if byte & 0xC0 != 0x80] + [len(word)]
        last = len(starts) - 1
        for first in range(last):
            for length in range(max(1, self._shortest), self._longest + 1):
                if first + length > last:
                    break
                if length == 1 and (first == 0 or first + 1 == last):
                    continue  # the marks at both ends
                yield _hash(word[starts[first] : starts[first + length]]) % self._buckets

    def _cut_short(self) -> DataError:
        return DataError(f"{self.path} is cut short: download the file again")

    def _fault(self, what: str) -> DataError:
        return DataError(f"{self.path}, a fastText model, {what}: pass its .vec file instead")


def _hash(text: bytes) -> int:
    """Hash as fastText does: FNV-1a of 32 bits, with bytes taken as signed numbers."""
    value = 2166136261
    for byte in text:
        value = (value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * 16777619 & 0xFFFFFFFF
    return value
