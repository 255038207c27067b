"""Text to tokens to ids, with the `tokenizers` library and its file format `tokenizer.json`.

Shapes: N texts, P pieces where they stand, Q different pieces.
"""

from __future__ import annotations

import logging
import os
from array import array
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from textlstm.config import TOKENIZERS, TRUNCATIONS, TokenizerConfig
from textlstm.errors import ConfigError, VocabularyError, did_you_mean, require_choice
from textlstm.io.atomic import atomic_path
from textlstm.text.rules import (
    FROM_FILE,
    Rules,
    assemble,
    count_tokens,
    rules_of,
    word_tokens,
)
from textlstm.text.subwords import SUBWORDS, count_subwords, train_subwords
from textlstm.text.tokenizer_file import library_errors, read_tokenizer
from textlstm.text.vocabulary import UNK, UNK_ID, Vocabulary

logger = logging.getLogger(__name__)

Batches = Callable[[], Iterable[Sequence[str]]]

WHOLE_WORDS = ("word", "basic_english", "whitespace")
"""Kinds whose entries are words, so that any other word can be added."""

_ID_BYTES = 4  # an id is an int32
_TEXTS_AT_ONCE = 1024  # bounds the memory for their pieces
_FEW = 16  # texts that are split without pyarrow,
_MOST_LETTERS = 2**28  # and so are texts with more: a column of pyarrow has at most 2 GB
_CACHE_LETTERS = 2**21  # of the pieces in one cache: about 250,000 English words, 35 MB
_LETTERS_A_TOKEN = 16  # a first, generous guess of where to cut a long text
_MOST_LETTERS_A_TOKEN = 256  # kept at each end of a text that can't be cut; a word has 100
_LEAST_LETTERS = 2**16  # kept there in any case


class TextTokenizer:
    """Encodes texts as ids. Safe to share between threads; it can be pickled.

    Args:
        tokenizer: the pipeline of the `tokenizers` library, `<pad>` at 0 and `<unk>` at 1.
        vocabulary: its entries in the order of their ids.
        kind: a name in `config.TOKENIZERS`, or 'file' for a foreign tokenizer.json.
        max_length: maximum number of tokens of a text.
        truncation: which tokens of a longer text are kept: the first ('head'), the last
            ('tail'), or a quarter from the start and the rest from the end ('both').

    Raises:
        ConfigError: `max_length` or `truncation` is not valid.
        VocabularyError: the vocabulary is not that of the tokenizer.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        *,
        kind: str,
        max_length: int,
        truncation: str,
    ) -> None:
        require_choice("truncation", truncation, TRUNCATIONS)
        if max_length < 1:
            raise ConfigError(f"max_length = {max_length}: must be at least 1")
        if tokenizer.get_vocab(with_added_tokens=True) != vocabulary.get_stoi():
            raise VocabularyError(
                f"the vocabulary ({len(vocabulary)} entries) is not that of the tokenizer"
                f" ({tokenizer.get_vocab_size()}): use both from the same model"
            )
        self.kind = kind
        self.vocabulary = vocabulary
        self.max_length = max_length
        self.truncation = truncation
        self._tokenizer = tokenizer
        self._rules: Rules | None = None if kind == FROM_FILE else rules_of(kind)
        self._head = {"head": max_length, "tail": 0, "both": max_length // 4}[truncation]
        # Ids, as bytes, of recent pieces and of the ones before them. A dictionary only grows or
        # is replaced as a whole, so threads need no lock.
        self._recent: dict[str, bytes] = {}
        self._older: dict[str, bytes] = {}
        self._recent_letters = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return self._with, (self._tokenizer, self.vocabulary)

    @classmethod
    def train(cls, batches: Batches, config: TokenizerConfig) -> TextTokenizer:
        """Build the tokenizer that `config` describes.

        Args:
            batches: returns an iterator over batches of texts. The texts are read at most once;
                memory grows with the number of distinct words only.
            config: the kind, the size of the vocabulary and so on.

        Returns:
            The tokenizer. The vocabulary does not depend on how texts are divided into batches.

        Raises:
            ConfigError: the kind is unknown, or settings contradict each other.
            VocabularyError: the vocabulary or the tokenizer.json can't be read or used.
        """
        make = partial(cls, max_length=config.max_length, truncation=config.truncation)
        kind = _kind_of(config)
        if kind == FROM_FILE:
            tokenizer, kind = read_tokenizer(config.tokenizer)
            ready = make(tokenizer, Vocabulary(_entries(tokenizer)), kind=kind)
            return make(tokenizer, ready._counted(batches()), kind=kind)
        if config.vocab is not None:
            vocabulary = _given_vocabulary(config, config.vocab)
            model = _word_level(vocabulary)
        else:
            valid = (list(map(_valid, batch)) for batch in batches())
            words = count_tokens(valid, rules_of(kind))
            if kind in SUBWORDS:
                limits = {"vocab_size": config.vocab_size, "min_frequency": config.min_frequency}
                model = train_subwords(kind, words, **limits)
                vocabulary = Vocabulary(_entries(Tokenizer(model)), count_subwords(model, words))
            else:
                vocabulary = Vocabulary.from_counts(
                    words, size=config.vocab_size, min_frequency=config.min_frequency
                )
                model = _word_level(vocabulary)
        return make(assemble(kind, model), vocabulary, kind=kind)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        max_length: int,
        truncation: str,
        vocabulary: Vocabulary | None = None,
    ) -> TextTokenizer:
        """Read a tokenizer.json, ours or a foreign one (see `tokenizer_file`).

        Args:
            path: the file.
            max_length: maximum number of tokens of a text.
            truncation: 'head', 'tail' or 'both'.
            vocabulary: the same entries with their counts; default: counts of 0.

        Returns:
            The tokenizer.

        Raises:
            VocabularyError: the file is missing, malformed or can't be converted to our ids, or
                `vocabulary` has other entries.
        """
        tokenizer, kind = read_tokenizer(path)
        if vocabulary is None:
            vocabulary = Vocabulary(_entries(tokenizer))
        return cls(tokenizer, vocabulary, kind=kind, max_length=max_length, truncation=truncation)

    def extended(self, words: Sequence[str]) -> TextTokenizer:
        """Return a tokenizer with more entries, after those it has and with counts of 0.

        Args:
            words: the new entries, each a single token for this kind (see `WHOLE_WORDS`).

        Raises:
            VocabularyError: one of them is an entry already.
        """
        assert self.kind in WHOLE_WORDS
        vocabulary = Vocabulary(
            [*self.vocabulary.get_itos(), *words], [*self.vocabulary.counts, *(0 for _ in words)]
        )
        return self._with(assemble(self.kind, _word_level(vocabulary)), vocabulary)

    def cut(self, max_length: int, truncation: str = "both") -> TextTokenizer:
        """Return this tokenizer with another length and truncation of texts."""
        whole = self._tokenizer, self.vocabulary
        return self._with(*whole, max_length=max_length, truncation=truncation)

    @property
    def words(self) -> list[str]:
        """The entries of the vocabulary if they are whole words, else none."""
        return self.vocabulary.get_itos() if self.kind in WHOLE_WORDS else []

    @property
    def _with(self) -> partial[TextTokenizer]:
        """A function that makes a tokenizer like this one of a pipeline and a vocabulary."""
        return partial(
            TextTokenizer,
            kind=self.kind,
            max_length=self.max_length,
            truncation=self.truncation,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tokenizer.json, all or nothing.

        The `tokenizers` library encodes texts with it to the same ids, except that it does not
        cut long texts, and that a text that is empty or white space alone is one `<unk>` only here.
        """
        with atomic_path(path) as temporary:
            self._tokenizer.save(str(temporary), pretty=False)

    def tokens(self, text: str) -> list[str]:
        """Return all tokens of a text, before they become ids and before truncation."""
        text = _valid(text)
        with library_errors(VocabularyError, f"can't tokenize {text[:60]!r}"):
            if not isinstance(self._tokenizer.model, WordLevel):
                return list(self._tokenizer.encode(text, add_special_tokens=False).tokens)
            return word_tokens(text, self._tokenizer.normalizer, self._tokenizer.pre_tokenizer)

    def _counted(self, batches: Iterable[Sequence[str]]) -> Vocabulary:
        """Count the entries in texts."""
        totals = np.zeros(len(self.vocabulary), dtype=np.int64)
        for batch in batches:
            for start in range(0, len(batch), _TEXTS_AT_ONCE):
                part = [_valid(text) for text in batch[start : start + _TEXTS_AT_ONCE]]
                ids, _ = self._encode(part)
                totals += np.bincount(ids, minlength=len(totals))
        return Vocabulary(self.vocabulary.get_itos(), totals.tolist())

    def encode(self, text: str) -> list[int]:
        """Return the ids of one text, as `encode_batch` does."""
        ids: list[int] = self.encode_batch([text])[0].tolist()
        return ids

    def read(self, text: str) -> list[tuple[str, int]]:
        """Return the tokens of one text that are read, with their ids, after truncation.

        Args:
            text: the text; an empty one is one unknown token.
        """
        ids, tokens = self.encode(text), self.tokens(self._shorten(_valid(text)))
        if len(tokens) > self.max_length:
            tokens = tokens[: self._head] + tokens[len(tokens) - self.max_length + self._head :]
        if len(tokens) != len(ids):  # of a text without tokens
            tokens = self.vocabulary.lookup_tokens(ids)
        return list(zip(tokens, ids, strict=True))

    def __repr__(self) -> str:
        return (
            f"TextTokenizer({self.kind}, {len(self.vocabulary):,} entries, at most "
            f"{self.max_length} tokens, truncation {self.truncation})"
        )

    def encode_batch(
        self, texts: Sequence[str], *, threads: int = 1
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of texts, concatenated.

        Args:
            texts: any strings. An empty one, or one of white space alone, becomes one `<unk>`;
                half of a surrogate pair becomes U+FFFD. Of a very long text without spaces, such
                as base64, only both ends are encoded.
            threads: how many threads to use; it does not change results.

        Returns:
            ids, int32 [sum of lengths], and lengths, int64 [N], each from 1 to `max_length`.

        Raises:
            ConfigError: `texts` is a single string.
        """
        if isinstance(texts, str):
            raise ConfigError(f"texts = {texts[:40]!r} is a single string: pass a list")
        starts = range(0, len(texts), _TEXTS_AT_ONCE)
        parts = (texts[start : start + _TEXTS_AT_ONCE] for start in starts)
        if threads > 1 and len(starts) > 1:
            with ThreadPoolExecutor(threads, "textlstm-encode") as pool:
                found = list(pool.map(self._encode_part, parts))
        else:
            found = list(map(self._encode_part, parts))
        none = (np.zeros(0, np.int32), np.zeros(0, np.int64))
        ids, lengths = (np.concatenate(some) for some in zip(none, *found, strict=True))
        return ids, lengths

    def _encode_part(
        self, texts: Sequence[str]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        ids, lengths = self._encode([self._shorten(_valid(text)) for text in texts])
        if lengths.max(initial=0) > self.max_length:
            ends = np.cumsum(lengths)
            places = np.arange(len(ids)) - np.repeat(ends - lengths, lengths)  # in its text
            tail = np.repeat(lengths - (self.max_length - self._head), lengths)
            ids = ids[(places < self._head) | (places >= tail)]
            lengths = np.minimum(lengths, self.max_length)
        empty = np.flatnonzero(lengths == 0)
        if len(empty):
            ids = np.insert(ids, (np.cumsum(lengths) - lengths)[empty], UNK_ID)
            lengths[empty] = 1
        return ids, lengths

    def _shorten(self, text: str) -> str:
        """Drop the middle of a very long text, which truncation would drop, before encoding it."""
        most = max(_LEAST_LETTERS, self.max_length * _MOST_LETTERS_A_TOKEN)
        reach = self.max_length * _LETTERS_A_TOKEN
        # where a foreign tokenizer allows a cut is not known
        while self._rules is not None and 2 * reach < len(text) and reach < most:
            first = self._rules.cut.search(text, reach, reach + most)
            last = self._rules.cut.search(text, len(text) - reach, len(text) - reach + most)
            if first is None or last is None:
                break
            head = text[: first.end()] if self._head else ""
            tail = text[last.end() :] if self._head < self.max_length else ""
            _, found = self._encode([head, tail])
            if found[0] >= self._head and found[1] >= self.max_length - self._head:
                return head + tail
            reach *= 4
        # not a text for people: nothing but spaces, or none for very long
        return text if len(text) <= 2 * most else f"{text[:most]} {text[-most:]}"

    def _encode(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of whole texts, and how many each has; none for an empty text."""
        rules = self._rules
        few = len(texts) <= _FEW or sum(map(len, texts)) > _MOST_LETTERS
        if rules is None or rules.breaks is None or few:
            split_one = rules.pieces if rules else lambda text: [text]
            numbers: dict[str, int] = {}
            some = [[] if text.isspace() else split_one(text) for text in texts]
            flat = [numbers.setdefault(piece, len(numbers)) for one in some for piece in one]
            codes = np.array(flat, np.int64)
            ends = np.cumsum(list(map(len, some)), dtype=np.int64)
            ids, sizes = self._encode_pieces(list(numbers))
        else:
            # imports pyarrow: a fifth of a second, for a single text
            from textlstm.text.pieces import column, encode_plain, split

            pieces, codes, ends = split(column(texts), rules.breaks)
            if rules.plain_words:
                parts = encode_plain(pieces, self._column, UNK_ID, self._encode_pieces)
                ids, sizes = _gather(*parts)
            else:
                ids, sizes = self._encode_pieces(pieces.to_pylist())
        return _gather(ids, sizes, np.cumsum(sizes) - sizes, codes, ends)

    @cached_property
    def _column(self) -> Any:
        """The entries of the vocabulary as a `pyarrow.Array`."""
        from textlstm.text.pieces import column

        return column(self.vocabulary.get_itos())

    def _encode_pieces(
        self, pieces: list[str]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of different pieces, and how many each has."""
        recent, older = self._recent, self._older
        found = list(map(recent.get, pieces))
        absent = [piece for piece, ids in zip(pieces, found, strict=True) if ids is None]
        if absent:
            fresh = {piece: older[piece] for piece in absent if piece in older}
            new = [piece for piece in absent if piece not in fresh]
            fresh.update(zip(new, self._encode_now(new), strict=True))
            recent.update(fresh)
            self._recent_letters += sum(map(len, absent))
            if self._recent_letters > _CACHE_LETTERS:
                self._recent, self._older, self._recent_letters = {}, recent, 0
            pairs = zip(pieces, found, strict=True)
            found = [fresh[piece] if ids is None else ids for piece, ids in pairs]
        known = cast("list[bytes]", found)
        sizes = np.fromiter(map(len, known), np.int64, len(known)) // _ID_BYTES
        return np.frombuffer(b"".join(known), np.int32), sizes

    def _encode_now(self, texts: Sequence[str]) -> list[bytes]:
        try:
            with library_errors(VocabularyError, f"can't tokenize {''.join(texts[:1])[:60]!r}"):
                encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        except VocabularyError:  # a foreign pattern gave up; alone, the text is named
            if len(texts) == 1:
                raise
            return [ids for text in texts for ids in self._encode_now([text])]
        return [array("i", one.ids).tobytes() for one in encoded]


def _valid(text: str) -> str:
    """Replace halves of surrogate pairs, which `tokenizers` refuses; join whole pairs."""
    if text.isascii():  # known without looking at the letters
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _gather(
    ids: npt.NDArray[np.int32],
    sizes: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    codes: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return the ids of texts, and how many each has.

    Args:
        ids: those of different pieces.
        sizes: how many each piece has, [Q].
        starts: where its ids begin, [Q].
        codes: the number of each piece where it stands, [P].
        ends: the number of pieces up to the end of each text, [N].
    """
    counts = sizes[codes]  # [P]
    until = np.cumsum(counts)
    begin = np.repeat(starts[codes] - (until - counts), counts)
    found = ids[begin + np.arange(len(begin))]
    return found, np.diff(np.append(0, until)[ends], prepend=0)


def _kind_of(config: TokenizerConfig) -> str:
    name = config.tokenizer
    if name in TOKENIZERS:
        kind = name
    elif name.lower().endswith(".json") or Path(name).is_file():
        kind = FROM_FILE
    else:
        raise ConfigError(
            f"tokenizer = {name!r}: must be one of {', '.join(TOKENIZERS)}, or a tokenizer.json"
            + did_you_mean(name, TOKENIZERS)
        )
    if config.vocab is not None and kind in (*SUBWORDS, FROM_FILE):
        raise ConfigError(
            f"vocab = {config.vocab!r} can't be combined with tokenizer = {name!r}, which has its"
            " own entries: leave vocab out, or use the word tokenizer"
        )
    return kind


def _given_vocabulary(config: TokenizerConfig, path: str) -> Vocabulary:
    vocabulary, size = Vocabulary.load(path), config.vocab_size
    if len(vocabulary) <= size:
        return vocabulary
    logger.warning("%s: using the first %d of %d entries", path, size, len(vocabulary))
    counts = list(vocabulary.counts[:size])
    counts[UNK_ID] += sum(vocabulary.counts[size:])
    return Vocabulary(vocabulary.get_itos()[:size], counts)


def _word_level(vocabulary: Vocabulary) -> Any:
    return WordLevel(vocabulary.get_stoi(), unk_token=UNK)


def _entries(tokenizer: Tokenizer) -> list[str]:
    vocab = tokenizer.get_vocab(with_added_tokens=True)
    return sorted(vocab, key=vocab.__getitem__)
