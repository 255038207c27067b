"""Text to tokens to ids, on the `tokenizers` library; saved as its own `tokenizer.json`.

N texts.
"""

from __future__ import annotations

import difflib
import logging
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel

from textlstm.config import TOKENIZERS, TRUNCATIONS, TokenizerConfig
from textlstm.errors import ConfigError, VocabularyError
from textlstm.io.atomic import atomic_path
from textlstm.text.rules import FROM_FILE, Rules, assemble, rules_of
from textlstm.text.subwords import SUBWORDS, count_subwords, train_subwords
from textlstm.text.tokenizer_file import read_tokenizer
from textlstm.text.vocabulary import UNK, UNK_ID, Vocabulary

logger = logging.getLogger(__name__)

Batches = Callable[[], Iterable[Sequence[str]]]

WHOLE_WORDS = ("word", "basic_english", "whitespace")
"""Kinds whose entries are words, so that any further word may be one."""

_ID_BYTES = 4  # an id is an int32
_UNKNOWN = array("i", [UNK_ID]).tobytes()
_TEXTS_AT_ONCE = 512  # bounds the memory for their pieces
_CACHE_LETTERS = 2**21  # of the pieces in one cache: about 250,000 English words, 35 MB
_COUNT_LETTERS, _COUNT_PIECES = 2**26, 2**19  # read before distinct pieces are read: 100 MB
_LETTERS_A_TOKEN = 16  # a first guess, generous, where a long text is cut
_MOST_LETTERS_A_TOKEN = 256  # read at either end of a text that can be cut nowhere; a word has 100
_LEAST_LETTERS = 2**16  # read there in any case


class TextTokenizer:
    """Reads texts as ids. Safe to share between threads; it can be pickled.

    Args:
        tokenizer: the pipeline of the `tokenizers` library, `<pad>` at 0 and `<unk>` at 1.
        vocabulary: its entries in the order of their ids.
        kind: a name in `config.TOKENIZERS`, or 'file' for a foreign tokenizer.json.
        max_length: most tokens of a text.
        truncation: which tokens of a longer text are read: the first ('head'), the last
            ('tail'), or the first quarter and the rest from the end ('both').

    Raises:
        ConfigError: `max_length` or `truncation` is no good.
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
        if truncation not in TRUNCATIONS:
            raise ConfigError(
                f"truncation = {truncation!r}: must be one of {', '.join(TRUNCATIONS)}"
            )
        if max_length < 1:
            raise ConfigError(f"max_length = {max_length}: must be at least 1")
        if tokenizer.get_vocab(with_added_tokens=True) != vocabulary.get_stoi():
            raise VocabularyError(
                f"the vocabulary ({len(vocabulary)} entries) is not that of the tokenizer"
                f" ({tokenizer.get_vocab_size()}): take both from the same model"
            )
        self.kind = kind
        self.vocabulary = vocabulary
        self.max_length = max_length
        self.truncation = truncation
        self._tokenizer = tokenizer
        self._rules: Rules | None = None if kind == FROM_FILE else rules_of(kind)
        self._head = {"head": max_length, "tail": 0, "both": max_length // 4}[truncation]
        # Ids, as bytes, of the pieces met lately, and of those met before them. A dictionary is
        # only ever added to, or replaced as a whole, so threads need no lock.
        self._recent: dict[str, bytes] = {}
        self._older: dict[str, bytes] = {}
        self._recent_letters = 0

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self._tokenizer, self.vocabulary, self.kind, self.max_length, self.truncation)
        return _rebuild, state

    @classmethod
    def train(cls, batches: Batches, config: TokenizerConfig) -> TextTokenizer:
        """Build the tokenizer that `config` asks for.

        Args:
            batches: gives the texts anew at each call, in batches. They are read at most once,
                in memory that grows with the number of distinct words only.
            config: the kind, the size of the vocabulary and so on.

        Returns:
            The tokenizer. The same texts, in whatever batches, give the same vocabulary.

        Raises:
            ConfigError: the kind is unknown, or settings contradict each other.
            VocabularyError: the vocabulary or the tokenizer.json can't be read or used.
        """
        kind = _kind_of(config)
        if kind == FROM_FILE:
            return cls._from_file(batches, config)
        if config.vocab is not None:
            vocabulary = _given_vocabulary(config, config.vocab)
            model = _word_level(vocabulary)
        else:
            words = _count(batches(), rules_of(kind))
            if kind in SUBWORDS:
                model = train_subwords(
                    kind,
                    words,
                    vocab_size=config.vocab_size,
                    min_frequency=config.min_frequency,
                )
                vocabulary = Vocabulary(_entries(Tokenizer(model)), count_subwords(model, words))
            else:
                vocabulary = Vocabulary.from_counts(
                    words, size=config.vocab_size, min_frequency=config.min_frequency
                )
                model = _word_level(vocabulary)
        return cls(
            assemble(kind, model),
            vocabulary,
            kind=kind,
            max_length=config.max_length,
            truncation=config.truncation,
        )

    @classmethod
    def _from_file(cls, batches: Batches, config: TokenizerConfig) -> TextTokenizer:
        """Take a ready tokenizer.json and count its entries in the texts."""
        form = {"max_length": config.max_length, "truncation": config.truncation}
        loaded = cls.load(config.tokenizer, **form)  # type: ignore[arg-type]
        totals = np.zeros(len(loaded.vocabulary), dtype=np.int64)
        for batch in batches():
            for start in range(0, len(batch), _TEXTS_AT_ONCE):
                part = [_valid(text) for text in batch[start : start + _TEXTS_AT_ONCE]]
                ids = np.frombuffer(b"".join(loaded._read(part)), dtype=np.int32)
                totals += np.bincount(ids, minlength=len(totals))
        counted = Vocabulary(loaded.vocabulary.get_itos(), totals.tolist())
        return cls(loaded._tokenizer, counted, kind=loaded.kind, **form)  # type: ignore[arg-type]

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
            max_length: most tokens of a text.
            truncation: 'head', 'tail' or 'both'.
            vocabulary: the same entries with their counts; without it counts are 0.

        Returns:
            The tokenizer.

        Raises:
            VocabularyError: the file is missing, malformed or not to be brought to our ids, or
                `vocabulary` has other entries.
        """
        tokenizer, kind = read_tokenizer(path)
        if vocabulary is None:
            vocabulary = Vocabulary(_entries(tokenizer))
        return cls(tokenizer, vocabulary, kind=kind, max_length=max_length, truncation=truncation)

    def extended(self, words: Sequence[str]) -> TextTokenizer:
        """Give a tokenizer with more entries, behind those it has and with counts of 0.

        Args:
            words: the new entries, each read as one token by this kind (see `WHOLE_WORDS`).

        Raises:
            VocabularyError: one of them is an entry already.
        """
        assert self.kind in WHOLE_WORDS
        vocabulary = Vocabulary(
            [*self.vocabulary.get_itos(), *words], [*self.vocabulary.counts, *(0 for _ in words)]
        )
        return TextTokenizer(
            assemble(self.kind, _word_level(vocabulary)),
            vocabulary,
            kind=self.kind,
            max_length=self.max_length,
            truncation=self.truncation,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tokenizer.json, all or nothing.

        The `tokenizers` library reads the same ids with it, except that it does not cut long
        texts and gives no id at all, not that of `<unk>`, for an empty one.
        """
        with atomic_path(path) as temporary:
            self._tokenizer.save(str(temporary), pretty=False)

    def tokens(self, text: str) -> list[str]:
        """Give all tokens of a text as they are read, before ids and before truncation."""
        text = _valid(text)
        if not isinstance(self._tokenizer.model, WordLevel):
            return list(self._tokenizer.encode(text, add_special_tokens=False).tokens)
        if self._rules is not None:
            return _word_tokens(text, *_steps(self._rules))
        return _word_tokens(text, self._tokenizer.normalizer, self._tokenizer.pre_tokenizer)

    def encode(self, text: str) -> list[int]:
        """Give the ids of one text, as `encode_batch` does."""
        return list(self.encode_batch([text])[0].tolist())

    def encode_batch(
        self, texts: Sequence[str]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Give the ids of texts, one behind the other.

        Args:
            texts: any strings. An empty one, or one of white space alone, reads as one `<unk>`;
                half of a surrogate pair reads as U+FFFD. Of a very long text without a blank, such
                as base64, only both ends are read.

        Returns:
            ids, int32 [sum of lengths], and lengths, int64 [N], each from 1 to `max_length`.

        Raises:
            ConfigError: `texts` is a single string.
        """
        if isinstance(texts, str):
            raise ConfigError(f"texts = {texts[:40]!r} is one string: put it into a list")
        found: list[bytes] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = [self._shorten(_valid(text)) for text in texts[start : start + _TEXTS_AT_ONCE]]
            found += [self._truncate(ids) or _UNKNOWN for ids in self._read(part)]
        lengths = np.fromiter(map(len, found), np.int64, len(found)) // _ID_BYTES
        return np.frombuffer(bytearray().join(found), dtype=np.int32), lengths

    def _truncate(self, ids: bytes) -> bytes:
        most = self.max_length * _ID_BYTES
        if len(ids) <= most:
            return ids
        head = self._head * _ID_BYTES
        return ids[:head] + ids[len(ids) - (most - head) :]

    def _shorten(self, text: str) -> str:
        """Leave out the middle of a text so long that it is never read, before it costs."""
        most = max(_LEAST_LETTERS, self.max_length * _MOST_LETTERS_A_TOKEN)
        reach = self.max_length * _LETTERS_A_TOKEN
        # where a foreign tokenizer allows a cut is not known
        while self._rules is not None and 2 * reach < len(text) and reach < most:
            places = (reach, len(text) - reach)
            cuts = [self._rules.cut.search(text, at, at + most) for at in places]
            if cuts[0] is None or cuts[1] is None:
                break
            head = text[: cuts[0].end()] if self._head else ""
            tail = text[cuts[1].end() :] if self._head < self.max_length else ""
            enough = (self._head, self.max_length - self._head)
            if all(
                len(ids) >= least * _ID_BYTES
                for ids, least in zip(self._read([head, tail]), enough, strict=True)
            ):
                return head + tail
            reach *= 4
        # hardly a text for people: blanks, or no blank for so long
        return text if len(text) <= 2 * most else f"{text[:most]} {text[-most:]}"

    def _read(self, texts: Sequence[str]) -> list[bytes]:
        """Give the ids of whole texts as bytes; none for an empty text."""
        if self._rules is None:
            return self._read_now(["" if text.isspace() else text for text in texts])
        split = self._rules.pieces
        pieces = [[] if text.isspace() else split(text) for text in texts]
        recent, older = self._recent, self._older
        absent = set(chain.from_iterable(pieces)).difference(recent)
        if absent:
            unread = list(absent.difference(older))
            recent.update({piece: older[piece] for piece in absent if piece in older})
            recent.update(zip(unread, self._read_now(unread), strict=True))
        found = [b"".join(map(recent.__getitem__, some)) for some in pieces]
        self._recent_letters += sum(map(len, absent))
        if self._recent_letters > _CACHE_LETTERS:
            self._recent, self._older, self._recent_letters = {}, recent, 0
        return found

    def _read_now(self, texts: Sequence[str]) -> list[bytes]:
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [array("i", one.ids).tobytes() for one in encoded]


def _rebuild(
    tokenizer: Tokenizer, vocabulary: Vocabulary, kind: str, max_length: int, truncation: str
) -> TextTokenizer:
    return TextTokenizer(
        tokenizer, vocabulary, kind=kind, max_length=max_length, truncation=truncation
    )


def _kind_of(config: TokenizerConfig) -> str:
    name = config.tokenizer
    if name in TOKENIZERS:
        kind = name
    elif name.lower().endswith(".json") or Path(name).is_file():
        kind = FROM_FILE
    else:
        close = difflib.get_close_matches(name, TOKENIZERS, n=1)
        raise ConfigError(
            f"tokenizer = {name!r}: must be one of {', '.join(TOKENIZERS)}, or a tokenizer.json"
            + (f"; did you mean {close[0]!r}?" if close else "")
        )
    if config.vocab is not None and (kind in SUBWORDS or kind == FROM_FILE):
        raise ConfigError(
            f"vocab = {config.vocab!r} does not go with tokenizer = {name!r}, which has entries"
            " of its own: leave vocab out, or take the word tokenizer"
        )
    return kind


def _given_vocabulary(config: TokenizerConfig, path: str) -> Vocabulary:
    vocabulary = Vocabulary.load(path)
    size = config.vocab_size
    if len(vocabulary) <= size:
        return vocabulary
    logger.warning(
        "%s has %d entries; the first %d are used (vocab_size)", path, len(vocabulary), size
    )
    left_out = sum(vocabulary.counts[size:])
    counts = list(vocabulary.counts[:size])
    counts[UNK_ID] += left_out
    return Vocabulary(vocabulary.get_itos()[:size], counts)


def _word_level(vocabulary: Vocabulary) -> Any:
    return WordLevel(vocabulary.get_stoi(), unk_token=UNK)


def _entries(tokenizer: Tokenizer) -> list[str]:
    vocab = tokenizer.get_vocab(with_added_tokens=True)
    return sorted(vocab, key=vocab.__getitem__)


def _valid(text: str) -> str:
    """Replace halves of surrogate pairs, which `tokenizers` refuses; join whole pairs."""
    if text.isascii():  # answered without looking at the letters
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _steps(rules: Rules) -> tuple[Any, Any]:
    return normalizers.Sequence(list(rules.normalizers)), pre_tokenizers.Sequence(
        list(rules.pre_tokenizers)
    )


def _word_tokens(text: str, normalizer: Any, pre_tokenizer: Any) -> list[str]:
    if normalizer is not None:
        text = normalizer.normalize_str(text)
    if pre_tokenizer is None:
        return [text] if text else []
    return [token for token, _ in pre_tokenizer.pre_tokenize_str(text)]


def _count(batches: Iterable[Sequence[str]], rules: Rules) -> Counter[str]:
    """Count tokens. Equal pieces of text are counted first, and read once."""
    steps = _steps(rules)
    tokens: Counter[str] = Counter()
    pieces: Counter[str] = Counter()

    def read_pieces() -> None:
        for piece, count in pieces.items():
            for token in _word_tokens(piece, *steps):
                tokens[token] += count
        pieces.clear()

    letters = 0
    for batch in batches:
        for text in batch:
            pieces.update(rules.pieces(_valid(text)))
        letters += sum(map(len, batch))
        if letters > _COUNT_LETTERS or len(pieces) > _COUNT_PIECES:
            read_pieces()
            letters = 0
    read_pieces()
    return tokens
