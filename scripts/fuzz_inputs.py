"""What the cases of `fuzz.py` are made of: odd texts, small classifiers, and damage."""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch

from textlstm import TextClassifier, TrainSettings
from textlstm.classifier.model_folder import RunRecord
from textlstm.config import CASCADES, POOLINGS
from textlstm.evaluation.cascade import Cascade
from textlstm.evaluation.cascade import name as share_name
from textlstm.nn.device import seed_everything
from textlstm.nn.network import BiLSTMClassifier
from textlstm.text.tokenizer import TextTokenizer

WORDS = ["a", "the", "film", "was", "dull", "bright", "slow", "not", "never", "naïve", "映画"]
# What is odd to some rule of some tokenizer or file format.
PARTS = [
    *("<pad>", "<unk>", "[PAD]", "<br />", "n't", "##a", "👩‍🔬", "🇩🇪", "e\u0301", "  ", "a" * 300),
    *("NaN", "null", "1e999", "-0", "=1+1", '""', "\\N", "\r\n", "\ud7ff", "\uffff", "\U0010ffff"),
    *"'’İΣǅ\u0301😀中ไ\x00\x1c\x85\xa0\u2028\u200b\ufeff\xad \t\n\r\",;\\#▁{[&",
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 10**9, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), "", "a", "word", "1", "\x00", [], {}, [[]], [None], {"": {}}),
]
# Values that mean something in one of the files.
NAMES = [
    *("F16", "BF16", "F64", "I64", "U8", "BOOL", "F8_E4M3", "[PAD]", "<unk>", "##", "char", "bpe"),
    *("unigram", "wordpiece", "basic_english", *POOLINGS, "head", "both", "validation", "0.1", "ß"),
]
# Components of the tokenizers library that a tokenizer trained here may lack.
PIECES: list[Any] = [
    *(
        {"type": name}
        for name in ("Lowercase", "NFKC", "StripAccents", "Nmt", "Whitespace", "Fuse")
    ),
    {"type": "Precompiled", "precompiled_charsmap": ""},
    {"type": "FixedLength", "length": 0},
    {"type": "Replace", "pattern": {"String": "a"}, "content": "aa" * 500},
    {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""},
    {"type": "Replace", "pattern": {"Regex": ""}, "content": "a"},
    {"type": "Split", "pattern": {"Regex": "(.*)*x"}, "behavior": "Isolated", "invert": False},
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    {"type": "Punctuation", "behavior": "Isolated"},
    {"type": "Digits", "individual_digits": True},
    {"type": "Prepend", "prepend": "a" * 999},
    {"type": "Sequence", "normalizers": []},
    {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}},
    {"type": "BPE", "dropout": 0.5, "unk_token": None, "vocab": {}, "merges": [["a", "b"]]},
    {"type": "Unigram", "unk_id": 9, "vocab": [["a", 0.0]], "byte_fallback": False},
]


class WrongError(Exception):
    """A result is wrong or lost."""


def expect(condition: object, message: str) -> None:
    """Raise `WrongError` unless the condition holds."""
    if not condition:
        raise WrongError(message)


def make_text(rng: random.Random) -> str:
    """Return a text of ordinary and odd parts; most are short, a few are long."""
    count = rng.choice((0, 1, 2, 5, 20, 20, rng.randrange(2000)))
    parts = (
        rng.choices(WORDS, k=count) if rng.random() < 0.2 else rng.choices(WORDS + PARTS, k=count)
    )
    if rng.random() < 0.2:
        parts += [chr(c) for c in rng.choices(range(0x110000), k=5) if not 0xD800 <= c < 0xE000]
    return rng.choice((" ", "")).join(parts)


def make_classifier(rng: random.Random, tokenizer: str, **options: Any) -> TextClassifier:
    """Return an untrained classifier of a random shape."""
    shape = {
        "embedding_size": rng.randint(1, 6),
        "hidden_size": rng.randint(1, 6),
        "num_layers": rng.randint(1, 2),
        "pooling": rng.choice(POOLINGS),
        "ngrams": rng.choice((0, 2, 3)),
        "ngram_buckets": 50,
        "max_length": rng.randint(1, 60),
        "truncation": rng.choice(("head", "tail", "both")),
        "min_frequency": 1,
        "vocab_size": 200,
    }
    settings = TrainSettings.from_options(tokenizer=tokenizer, **{**shape, **options})
    texts = [" ".join(WORDS), *(" ".join(rng.choices(WORDS, k=9)) for _ in range(30))]
    text_tokenizer = TextTokenizer.train(lambda: [texts], settings.tokenizer)
    labels = ("bad", "good", "très | <b>")[: rng.randint(2, 3)]
    several = rng.random() < 0.3
    seed_everything(rng.randrange(2**31))
    network = BiLSTMClassifier(
        settings.model,
        vocab_size=len(text_tokenizer.vocabulary),
        num_classes=len(labels),
        multi_label=several,
    )
    with torch.no_grad():
        network.linear.weight.normal_(std=3)
    thresholds = (0.5,) * len(labels) if several else None
    cascade = None
    if settings.model.ngrams:
        cascade = Cascade(1.0, {share_name(share): rng.random() for share in CASCADES})
    return TextClassifier(
        network,
        text_tokenizer,
        labels,
        settings,
        thresholds=thresholds,
        cascade=cascade,
        record=RunRecord(history=({"epoch": 1, "train_loss": 0.7},)),
        device="cpu",
    )


class Campaign(ABC):
    """Cases of one kind.

    Args:
        folder: for what all cases share; it outlives them.
    """

    batch = 100  # cases in a child
    unit = ""  # of what a case tries several
    tokenizers: tuple[str, ...] = ("word", "char", "bpe", "unigram", "wordpiece")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rng = random.Random(0)
        self.classifiers = [make_classifier(rng, tokenizer) for tokenizer in self.tokenizers]

    @abstractmethod
    def run(self, seed: int, folder: Path) -> int:
        """Run a case in an empty folder.

        Returns:
            How many inputs were tried.

        Raises:
            WrongError: a result is not what it must be.
        """


def mutated_json(rng: random.Random, value: Any) -> Any:
    """Return JSON with one value at a random place changed, removed, added or nested."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = rng.choice(keys)
        changed = value.copy()
        action = rng.random()
        if action < 0.12:
            del changed[key]
        elif action < 0.2 and isinstance(changed, dict):
            changed[rng.choice((*keys, "", "unknown", "labels"))] = rng.choice(VALUES)
        elif action < 0.25 and isinstance(changed, list):
            changed.insert(rng.randrange(len(changed) + 1), rng.choice([*VALUES, *changed]))
        else:
            changed[key] = mutated_json(rng, changed[key])
        return changed
    if isinstance(value, (int, float)) and not isinstance(value, bool) and rng.random() < 0.4:
        return rng.choice((-value, value + 1, value * 1000, str(value), f"{value}.5"))
    if isinstance(value, str) and rng.random() < 0.6:
        return rng.choice(NAMES) if rng.random() < 0.5 else make_text(rng)[:200]
    if (isinstance(value, dict) and "type" in value) or rng.random() < 0.1:
        piece = rng.choice(PIECES)
        if rng.random() < 0.3:
            several = [piece] * rng.choice((1, 2, 10))
            piece = {"type": "Sequence", "normalizers": several, "pretokenizers": several}
        return piece
    if rng.random() < 0.03:
        for _ in range(rng.choice((10, 1000, 100_000))):
            value = [value]
        return value
    return rng.choice(VALUES)


def mutated_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with some changed, removed, repeated or inserted."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at, size = rng.randrange(len(changed) + 1), rng.choice((1, 1, 2, 4, 8, 100))
        action = rng.random()
        if action < 0.4 and at < len(changed):
            changed[at] = rng.randrange(256)
        elif action < 0.6:
            del changed[at : at + size]
        elif action < 0.8:
            changed[at:at] = changed[at : at + size]
        elif action < 0.9:
            changed[at:at] = rng.choice(PARTS).encode("utf-8", "surrogatepass")
        else:
            del changed[at:]
    return bytes(changed)


def dumped(value: Any) -> str:
    """Return JSON of any depth; the standard encoder ends at the recursion limit."""
    depth = 0
    while isinstance(value, list) and len(value) == 1:
        value, depth = value[0], depth + 1
    try:
        return "[" * depth + json.dumps(value) + "]" * depth
    except RecursionError:
        return "[" * 100_000 + "]" * 100_000
