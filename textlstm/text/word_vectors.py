"""Pretrained word vectors of a vocabulary: read the vectors needed, make the embedding.

Shapes: E numbers per word, K words with a vector, V vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from textlstm.errors import DataError
from textlstm.text.vector_files import open_vectors
from textlstm.text.vocabulary import PAD, PAD_ID, UNK, UNK_ID


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors read from a file.

    Args:
        path: the file, or its name.
        tokens: K tokens that have a vector: those wanted, in their order, then `extension`.
        matrix: their vectors, float32 [K, E].
        extension: frequent words of the file that were added, in its order.
        other_case: how many of `tokens` have the vector of a spelling with other case.
        rows: words in the file.
    """

    path: Path
    tokens: tuple[str, ...]
    matrix: np.ndarray
    extension: tuple[str, ...]
    other_case: int
    rows: int


def read_vectors(
    path: str | os.PathLike[str],
    wanted: Collection[str],
    *,
    extend: int = 0,
    usable: Callable[[str], bool] | None = None,
) -> Vectors:
    """Read the vectors of some words in one pass; memory grows with the words kept only.

    A token gets the vector of its own spelling. If there is none, it gets that of the first
    word of the file that differs from it in case alone: lower-cased tokens find the names of a
    file that keeps case, and the other way round. Of a word that occurs twice, the first counts.

    Args:
        path: GloVe, word2vec (text or binary) or fastText; plain, gzip, or a zip archive of one
            file; or a name that `find_vectors` knows.
        wanted: tokens, each once.
        extend: also read the first `extend` words of the file, whether wanted or not; such
            files begin with the most frequent words.
        usable: whether such a word may be added; default: all may.

    Returns:
        The vectors found.

    Raises:
        DataError: the file is missing or malformed: a row of another length, NaN or infinity,
            bytes that are not UTF-8, a truncated file. The line is named.
    """
    names = {token.encode("utf-8", "surrogatepass") for token in wanted}
    folded_names = {_folded(name) for name in names}
    kept: dict[bytes, int] = {}  # word -> its row in `numbers`
    first: dict[bytes, int] = {}  # folded word -> the row of its first spelling
    numbers = bytearray()
    extension: list[str] = []
    rows = 0
    with open_vectors(path) as file:
        for rows, (word, row) in enumerate(file.rows(), start=1):
            folded = _folded(word)
            if word in kept:
                continue
            if word not in names:
                if rows <= extend and _may_extend(word, usable):
                    extension.append(word.decode())
                elif folded not in folded_names or folded in first:
                    continue
            kept[word] = len(kept)
            first.setdefault(folded, kept[word])
            numbers += file.parse(row).tobytes()
        size = file.size
    found: dict[str, int] = {}
    other_case = 0
    for token in wanted:
        name = token.encode("utf-8", "surrogatepass")
        place = kept.get(name, first.get(_folded(name)))
        if place is not None:
            found[token] = place
            other_case += name not in kept
    found.update((word, kept[word.encode()]) for word in extension)
    matrix = np.frombuffer(numbers, np.float32).reshape(-1, size)
    return Vectors(
        path=Path(path),
        tokens=tuple(found),
        matrix=matrix[list(found.values())],  # [K, E]
        extension=tuple(extension),
        other_case=other_case,
        rows=rows,
    )


def embedding_matrix(tokens: Sequence[str], vectors: Vectors, *, seed: int) -> np.ndarray:
    """Make the embedding of a vocabulary from pretrained vectors.

    `<pad>` is zero. `<unk>` gets its vector from the file or, if there is none, the mean of the
    vectors found, as GloVe's authors advise. Any other token without a vector gets normal
    random numbers with the standard deviation of the vectors found.

    Args:
        tokens: the vocabulary in the order of its ids (V).
        vectors: what was found for it.
        seed: of the random rows.

    Returns:
        float32 [V, E], a function of the arguments alone.

    Raises:
        DataError: no token has a vector.
    """
    found = has_vector(tokens, vectors)  # [V]
    rows = dict(zip(vectors.tokens, vectors.matrix, strict=True))
    unk = rows.get(UNK)
    if not found.any():
        raise DataError(
            f"{vectors.path} has a vector for none of the {max(0, len(tokens) - 2):,} entries of "
            "the vocabulary: pass vectors of the texts' language and of whole words"
        )
    known = np.stack([rows[token] for token, has in zip(tokens, found, strict=True) if has])
    matrix = np.random.default_rng(seed).normal(
        scale=known.std(dtype=np.float64), size=(len(tokens), known.shape[1])
    )  # [V, E], a row for every token, so that it depends on the token's id and the seed alone
    matrix[found] = known
    matrix[PAD_ID] = 0
    matrix[UNK_ID] = known.mean(axis=0, dtype=np.float64) if unk is None else unk
    return matrix.astype(np.float32)


def has_vector(tokens: Sequence[str], vectors: Vectors) -> np.ndarray:
    """Return which tokens have a vector of their own, bool [V]; `<pad>` and `<unk>` never do."""
    known = set(vectors.tokens) - {PAD, UNK}
    return np.fromiter((token in known for token in tokens), bool, len(tokens))


def _may_extend(word: bytes, usable: Callable[[str], bool] | None) -> bool:
    text = word.decode()
    return bool(text) and text not in (PAD, UNK) and (usable is None or usable(text))


def _folded(word: bytes) -> bytes:
    if word.isascii():
        return word.lower()
    return word.decode("utf-8", "surrogatepass").lower().encode("utf-8", "surrogatepass")
