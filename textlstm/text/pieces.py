"""The pieces of many texts at once, as columns of pyarrow: each piece is encoded only once.

Importing pyarrow takes a fifth of a second, so few texts are split without this module.

Shapes: N texts, P pieces where they stand, Q different pieces, K ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Numbers: TypeAlias = npt.NDArray[np.int64]
Ids: TypeAlias = tuple[npt.NDArray[np.int32], Numbers]
"""The ids of some pieces one after the other, [K], and how many each has, [Q]."""
Column: TypeAlias = Any  # of strings, a `pyarrow.Array`

_PUNCTUATED = r'^([("]*)([A-Za-z]+)([,.!?;:)"]*)$'
_PLAIN = "^[A-Za-z]{1,100}$"


def column(texts: Sequence[str]) -> Column:
    """Return strings as a column; `pyarrow.array` would import pandas, if it is there."""
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    data = pa.py_buffer(b"".join(encoded))
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), data)


def _numbers(values: Any, dtype: type[np.number[Any]]) -> npt.NDArray[Any]:
    """Return a column of numbers without nulls; its method `to_numpy` would import pandas."""
    every = np.frombuffer(values.buffers()[1], dtype)
    return every[values.offset : values.offset + len(values)]


def split(texts: Column, breaks: str = "") -> tuple[Column, Numbers, Numbers]:
    """Split texts at ASCII white space.

    Args:
        texts: N strings.
        breaks: a pattern of what separates pieces besides, '' for nothing.

    Returns:
        The different pieces, [Q], some may be empty; the number of each where it stands, [P]; and
        the number of pieces up to the end of each text, [N].
    """
    if breaks:
        texts = pc.replace_substring_regex(texts, breaks, " ")
    pieces = pc.ascii_split_whitespace(texts)
    unique = pieces.flatten().dictionary_encode()
    offsets = _numbers(pieces.offsets, np.int32).astype(np.int64)
    return unique.dictionary, _numbers(unique.indices, np.int32), offsets[1:] - offsets[0]


def encode_plain(
    pieces: Column, entries: Column, unknown: int, encode: Callable[[list[str]], Ids]
) -> tuple[npt.NDArray[np.int32], Numbers, Numbers, Numbers, Numbers]:
    """Encode pieces by rules with `plain_words` (see `textlstm.text.rules.Rules`).

    Args:
        pieces: different ones, [Q].
        entries: those of the vocabulary.
        unknown: the id of what is no entry.
        encode: returns the ids of pieces that are no plain words.

    Returns:
        What `textlstm.text.tokenizer` gathers the ids of each piece from: the ids of its parts,
        which are encoded once; how many each part has, and where they begin; the number of each
        part where it stands; the number of parts up to the end of each piece, [Q].
    """
    parts, codes, ends = split(pc.replace_substring_regex(pieces, _PUNCTUATED, r"\1 \2 \3"))
    plain = pc.match_substring_regex(parts, _PLAIN)
    words = pc.index_in(pc.ascii_lower(parts.filter(plain)), value_set=entries)
    default = pa.py_buffer(np.full(len(words), unknown, np.int32))
    words = pc.coalesce(words, pa.Array.from_buffers(pa.int32(), len(words), [None, default]))
    others, counts = encode(parts.filter(pc.invert(plain)).to_pylist())
    is_plain = _numbers(plain.cast(pa.int8()), np.int8).astype(bool)
    sizes, starts = np.ones((2, len(parts)), np.int64)
    sizes[~is_plain], starts[~is_plain] = counts, np.cumsum(counts) - counts
    starts[is_plain] = len(others) + np.arange(len(words))
    every = np.concatenate([others, _numbers(words, np.int32)])
    return every, sizes, starts, codes, ends
