"""Training of subword models from word counts, the same on every run and machine.

The trainers are those of the `tokenizers` library, which visit their words in the order of a
hash table with another seed in each process (huggingface/tokenizers issue 1794). What depends
on that order is fixed here: the alphabet, the ids of continuing characters (wordpiece), and the
scores of characters that no segmentation uses (unigram).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE, Unigram, WordPiece
from tokenizers.trainers import BpeTrainer, UnigramTrainer, WordPieceTrainer

from textlstm.text.rules import CONTINUATION
from textlstm.text.vocabulary import PAD, PAD_ID, UNK, UNK_ID

SUBWORDS = ("bpe", "wordpiece", "unigram")
_SCORE_DIGITS = 6  # the rest varies with the order of summation
_KEPT_STEP = 1e-4  # between scores of characters that UnigramTrainer must keep
_WORDS_A_LINE = 1000
_WORDS_A_BATCH = 10_000


def train_subwords(
    kind: str, words: Mapping[str, int], *, vocab_size: int, min_frequency: int
) -> Any:
    """Train a subword model.

    Args:
        kind: 'bpe', 'wordpiece' or 'unigram'.
        words: how often each word occurs, as split by the pre-tokenizer of the kind. Those with
            a character outside the alphabet are left out of training.
        vocab_size: maximum number of entries, including `<pad>` (0) and `<unk>` (1).
        min_frequency: minimum count of a character of the alphabet, and of a pair of pieces
            that is merged (bpe, wordpiece).

    Returns:
        A model of the `tokenizers` library.
    """
    room = vocab_size - 2
    alphabet = _alphabet(words, room // 2 if kind == "wordpiece" else room, min_frequency)
    known = {word: count for word, count in sorted(words.items()) if alphabet.issuperset(word)}
    common: dict[str, Any] = {"vocab_size": vocab_size, "show_progress": False}
    if not known:
        return _empty(kind)
    if kind == "unigram":
        unigram = UnigramTrainer(special_tokens=[PAD, UNK], unk_token=UNK, **common)
        return _settled(_run(Unigram(), unigram, known), room)
    common |= {
        "min_frequency": min_frequency,
        "limit_alphabet": len(alphabet),
        "initial_alphabet": sorted(alphabet),
    }
    if kind == "bpe":
        bpe = BpeTrainer(special_tokens=[PAD, UNK], **common)
        return _run(BPE(unk_token=UNK, fuse_unk=True), bpe, known)
    inner = sorted({CONTINUATION + letter for word in known for letter in word[1:]})
    common["special_tokens"] = [PAD, UNK, *inner]  # they get ids in this order
    wordpiece = WordPieceTrainer(continuing_subword_prefix=CONTINUATION, **common)
    return _run(WordPiece(unk_token=UNK), wordpiece, known)


def count_subwords(model: Any, words: Mapping[str, int]) -> list[int]:
    """Count how often each entry of a subword model occurs.

    Args:
        model: a model of the `tokenizers` library.
        words: how often each word occurs.

    Returns:
        A count for each id.
    """
    tokenizer = Tokenizer(model)
    totals = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    entries = iter(words.items())
    while batch := list(islice(entries, _WORDS_A_BATCH)):
        encoded = tokenizer.encode_batch_fast([word for word, _ in batch], add_special_tokens=False)
        ids = [index for one in encoded for index in one.ids]
        counts = np.repeat([count for _, count in batch], [len(one.ids) for one in encoded])
        np.add.at(totals, ids, counts)
    return [int(total) for total in totals]


def _alphabet(words: Mapping[str, int], most: int, min_frequency: int) -> frozenset[str]:
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for letter in word:
            counts[letter] += count
    order = sorted(counts, key=lambda letter: (-counts[letter], letter))
    return frozenset(letter for letter in order[:most] if counts[letter] >= min_frequency)


def _run(model: Any, trainer: Any, words: Mapping[str, int]) -> Any:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(_lines(words), trainer)
    return tokenizer.model


def _lines(words: Mapping[str, int]) -> Iterator[str]:
    """Yield each word as often as it occurs: the trainers accept no counts."""
    for word, count in words.items():
        for start in range(0, count, _WORDS_A_LINE):
            yield " ".join([word] * min(_WORDS_A_LINE, count - start))


def _empty(kind: str) -> Any:
    """Return a model without any token but the specials."""
    vocab = {PAD: PAD_ID, UNK: UNK_ID}
    if kind == "bpe":
        return BPE(vocab, [], unk_token=UNK, fuse_unk=True)
    if kind == "wordpiece":
        return WordPiece(vocab, unk_token=UNK)
    return Unigram([(PAD, 0.0), (UNK, 0.0)], UNK_ID, False)


def _settled(model: Any, room: int) -> Any:
    """Make the order and the scores of a trained unigram model the same on every run.

    Characters that the trainer must keep although no segmentation uses them get scores that
    rise by 0.0001 from the lowest one in the order of a hash table. Here all of them get the
    lowest; the others are rounded. The trainer also exceeds a size that is little more than the
    alphabet; only `room` pieces are kept.
    """
    scores = dict(json.loads(Tokenizer(model).to_str())["model"]["vocab"])
    del scores[PAD], scores[UNK]
    lowest = min(scores.values())
    letters = {piece for piece in scores if len(piece) == 1}
    limit = lowest + (len(letters) + 0.5) * _KEPT_STEP
    for letter in letters:
        scores[letter] = lowest if scores[letter] < limit else scores[letter]
    pieces = [(piece, round(score, _SCORE_DIGITS)) for piece, score in scores.items()]
    pieces.sort(key=lambda entry: (entry[0] not in letters, -entry[1], entry[0]))
    kept = sorted(pieces[:room], key=lambda entry: (-entry[1], entry[0]))
    return Unigram([(PAD, 0.0), (UNK, 0.0), *kept], UNK_ID, False)
