from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tiny_tokenizers import train
from tokenizers import Tokenizer

from textlstm.text.subwords import SUBWORDS, count_subwords, train_subwords
from textlstm.text.vocabulary import PAD, UNK


@pytest.mark.parametrize("kind", SUBWORDS)
def test_min_frequency_bounds_the_alphabet_of_subwords(kind):
    assert "q" not in "".join(
        train(kind, ["aa bb aa q"], min_frequency=2).vocabulary.get_itos()[2:]
    )
    assert "q" in "".join(train(kind, ["aa bb aa q"], min_frequency=1).vocabulary.get_itos()[2:])


@pytest.mark.slow
def test_subword_vocabularies_are_the_same_in_every_process(tmp_path):
    # 1,000 different texts with many ties, so that the order of a hash table would show.
    program = (
        "from textlstm.text.tokenizer import *\n"
        "texts = [f'w{i % 97:x}{i * 7919 % 1009:x} q{i:o} {chr(233 + i % 50)}'\n"
        "         for i in range(1000)]\n"
        "for kind in ('bpe', 'wordpiece', 'unigram'):\n"
        "    config = TokenizerConfig(tokenizer=kind, vocab_size=220, min_frequency=1)\n"
        "    tokenizer = TextTokenizer.train(lambda: [texts], config)\n"
        "    print(tokenizer._tokenizer.to_str(), tokenizer.vocabulary.counts)\n"
    )
    outputs = set()
    for seed, parallel, threads in (("1", "true", "2"), ("2", "false", "1"), ("3", "true", "1")):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "TOKENIZERS_PARALLELISM": parallel,
            "RAYON_NUM_THREADS": threads,
        }
        outputs.add(
            subprocess.run(
                [sys.executable, "-c", program],
                env=environment,
                capture_output=True,
                check=True,
                text=True,
            ).stdout
        )
    assert len(outputs) == 1
    assert len(outputs.pop()) > 3000


WORDS = {"▁abab": 5, "▁ab": 4, "▁ba": 2, "▁☃": 1}


@pytest.mark.parametrize("kind", SUBWORDS)
def test_counts_are_weighted_by_those_of_the_words(kind):
    model = train_subwords(kind, WORDS, vocab_size=20, min_frequency=2)
    tokenizer = Tokenizer(model)
    counts = count_subwords(model, WORDS)
    expected = [0] * tokenizer.get_vocab_size()
    for word, count in WORDS.items():
        for index in tokenizer.encode(word).ids:
            expected[index] += count
    assert counts == expected
    assert counts[0] == 0
    assert counts[1] > 0  # the snowman


@pytest.mark.parametrize("kind", SUBWORDS)
def test_specials_come_first_and_the_order_of_words_does_not_matter(kind):
    words = {**WORDS, "▁☀": 1, "▁★": 1}
    turned = dict(reversed(words.items()))
    for size in (7, 12, 20):
        model = train_subwords(kind, words, vocab_size=size, min_frequency=1)
        again = train_subwords(kind, turned, vocab_size=size, min_frequency=1)
        vocabulary = Tokenizer(model).get_vocab()
        assert Tokenizer(again).to_str() == Tokenizer(model).to_str()
        assert (vocabulary[PAD], vocabulary[UNK]) == (0, 1)
    assert len(vocabulary) > 6


@pytest.mark.parametrize("count", [50, 1000])
def test_the_most_frequent_pair_is_joined_first(count):
    model = train_subwords("bpe", {"▁a": 2, "▁z": count}, vocab_size=6, min_frequency=1)
    assert sorted(Tokenizer(model).get_vocab()) == [PAD, UNK, "a", "z", "▁", "▁z"]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_pairs_below_min_frequency_stay_apart(kind):
    words = {"ab": 2, "ba": 1}
    longest = [
        max(
            len(piece.removeprefix("##"))
            for piece in Tokenizer(model).get_vocab()
            if "<" not in piece
        )
        for least in (2, 3)
        for model in [train_subwords(kind, words, vocab_size=20, min_frequency=least)]
    ]
    assert longest == [2, 1]
