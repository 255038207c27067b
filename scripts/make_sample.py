"""Build the bundled sample: short reviews whose label hangs on the order of their words.

    python scripts/make_sample.py

The reviews come from the seeded grammar in `sample_grammar.py` and are written to
`textlstm/sample/{train,validation,test}.parquet`. The same seed gives the same rows on any
machine and any version of Python: the only source of chance is `random.Random(seed).random()`.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from sample_grammar import APART, CLOSERS, FACTS, GROUP_WEIGHTS, OPENERS, OPINIONS
from sample_words import (
    ADJECTIVES_ANY,
    ADJECTIVES_STORY,
    ASPECTS_CRAFT,
    ASPECTS_STORY,
    FAMILIES,
    FILLERS,
    KINDS,
    NUMBERS,
    PEOPLE,
    SIDED,
)

T = TypeVar("T")

LABELS = ("negative", "positive")
SEED = 1
SIZES = {"train": 10_000, "validation": 600, "test": 1000}
FOLDER = Path(__file__).resolve().parents[1] / "textlstm" / "sample"

# How often, against the sum of all: a kind of thing reviewed, a number of opinions in a review.
KIND_WEIGHTS = {"film": 7, "series": 2, "play": 1}
OPINION_COUNTS = {1: 12, 2: 7, 3: 1}
MOST_SENTENCES = 6

_SLOT = re.compile(r"\{([^{}]+)\}")
_SENTENCE_START = re.compile(r'(^|[.!?]"?\s+)("?)([a-z])')
_SENTENCE_END = re.compile(r"[.!?]+[\"”]?(?=\s|<|$)")
# None of the words begins with a silent h, or with a vowel that sounds like a consonant.
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiouAEIOU])")
_CONTRACTIONS = [
    (re.compile(pattern), short)
    for pattern, short in [
        (r"\b(is|was|were|did|do|does|could|would) not\b(?! (?:only|but)\b)", r"\1n't"),
        (r"\bcannot\b", "can't"),
        (r"\b(?<!of )(?<!about )([Ii]t|[Tt]hat|[Tt]here|[Hh]e|[Ss]he) is (?=[a-z])", r"\1's "),
        (r"\b([Tt]hey) are (?=[a-z])", r"\1're "),
        (r"\bI (?:would|had) (?=[a-z])", "I'd "),
        (r"\bI will (?=[a-z])", "I'll "),
    ]
]


class Chance:
    """Random choices that are the same on every version of Python.

    Args:
        seed: seed of all choices.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, n: int) -> int:
        """Give a whole number from 0 to n - 1."""
        return int(self._random.random() * n)

    def happens(self, share: float) -> bool:
        """Give True in `share` of all calls."""
        return self._random.random() < share

    def pick(self, items: Sequence[T]) -> T:
        """Give one of `items`, each as likely as the others."""
        return items[self.below(len(items))]

    def weighted(self, weights: dict[T, int]) -> T:
        """Give one key of `weights`, as likely as its weight says."""
        point = self.below(sum(weights.values()))
        for item, weight in weights.items():
            point -= weight
            if point < 0:
                return item
        raise AssertionError("the weights are used up")

    def shuffle(self, items: list[T]) -> None:
        """Put `items` in a random order (Fisher and Yates)."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]


class Review:
    """One review in the making: its verdict, and the words it has used up.

    Args:
        chance: where choices come from.
        label: 0 for a negative review, 1 for a positive one.
    """

    def __init__(self, chance: Chance, label: int) -> None:
        self._chance = chance
        self._label = label
        self._used: set[str] = set()
        self._person = PEOPLE[0]
        self._aspects: dict[str, str] = {}
        self._kind = chance.weighted(KIND_WEIGHTS)
        names, rivals = KINDS[self._kind]
        self._name = chance.pick(names)
        self._rival = chance.pick(rivals)

    def text(self) -> str:
        """Write the review."""
        sentences = self._opinions()
        chance = self._chance
        opener, fact, closer = (
            self._expand(chance.pick(pool["any"] + pool[self._kind])) if wanted else None
            for pool, wanted in (
                (OPENERS, chance.happens(0.35)),
                (FACTS, chance.happens(0.45)),
                (CLOSERS, chance.happens(0.25)),
            )
        )
        if fact:
            sentences.insert(chance.below(2), fact)
        return _style(" ".join(filter(None, [opener, *sentences, closer])), chance)

    def _opinions(self) -> list[str]:
        chance = self._chance
        count = chance.weighted(OPINION_COUNTS)
        groups: list[str] = []
        while len(groups) < count:
            group = chance.weighted(GROUP_WEIGHTS)
            if all(group != other and {group, other} not in APART for other in groups):
                groups.append(group)
        sentences = []
        for group in groups:
            pattern = chance.pick(OPINIONS[group])
            self._aspects = {}
            sentences.append(
                self._expand(pattern if isinstance(pattern, str) else pattern[self._label])
            )
        return sentences

    def _expand(self, pattern: str) -> str:
        """Fill the slots of `pattern`; a filler may have slots of its own."""
        while _SLOT.search(pattern):
            pattern = _SLOT.sub(lambda match: self._fill(match[1]), pattern, count=1)
        return pattern

    def _fill(self, slot: str) -> str:
        side = {"F": self._label, "A": 1 - self._label, "P": 1, "N": 0}.get(slot[0])
        if side is not None:
            return self._sided(slot[1:], side)
        if slot[-1] in "123":
            return self._aspect(slot[:-1], slot[-1])
        if slot in ("win", "lose"):
            mine = (slot == "win") == (self._label == 1)
            return self._name if mine else self._rival
        if slot == "it":
            return self._name
        if slot == "who":
            self._person = self._fresh(PEOPLE)
        if slot in ("who", "he", "is"):
            return self._person[("who", "he", "is").index(slot)]
        if slot in NUMBERS:
            low, high = NUMBERS[slot]
            return str(low + self._chance.below(high - low + 1))
        return self._fresh(FILLERS[slot])

    def _sided(self, rest: str, side: int) -> str:
        if rest.startswith("."):
            words = SIDED[rest[1:]][side]
            family = FAMILIES.get(rest[1:], rest[1:])
            place = self._fresh([(family, side, place) for place in range(len(words))])[2]
            return words[place]
        words = ADJECTIVES_ANY[side]
        if not rest or self._aspect("a", rest) in ASPECTS_STORY:
            words = words + ADJECTIVES_STORY[side]
        return self._fresh(words)

    def _aspect(self, word: str, number: str) -> str:
        """Give aspect `number` of the sentence, or the verb for it."""
        if number not in self._aspects:
            self._aspects[number] = self._fresh(ASPECTS_CRAFT + ASPECTS_STORY)
        aspect = self._aspects[number]
        if word == "was":
            return "were" if aspect.endswith("*") else "was"
        return aspect.rstrip("*")

    def _fresh(self, items: Sequence[T]) -> T:
        free = [item for item in items if str(item) not in self._used]
        item = self._chance.pick(free)
        if "{" not in str(item):
            self._used.add(str(item))
        return item


def _style(text: str, chance: Chance) -> str:
    """Give plain sentences their capitals and articles, and some the habits of real reviewers."""
    text = _SENTENCE_START.sub(lambda match: match[1] + match[2] + match[3].upper(), text)
    text = _ARTICLE.sub(r"\1n ", text)
    if chance.happens(0.5):
        for pattern, short in _CONTRACTIONS:
            text = pattern.sub(short, text)
    if chance.happens(0.05):
        text = text.replace(". ", ".<br /><br />", 1)
    if chance.happens(0.04):
        text = re.sub(r"\b(not|never|nothing)\b", lambda m: m[1].upper(), text, count=1)
    if chance.happens(0.1):
        text = re.sub(r'"([^"]*)"', "“\\1”", text).replace("'", "’")
    if chance.happens(0.08):
        text = re.sub(r"\.$", "!", text)
    if chance.happens(0.03):
        text = text.lower()
    return text


def count_sentences(text: str) -> int:
    """Count the sentences of a review."""
    return len(_SENTENCE_END.findall(text))


def make_rows(seed: int = SEED) -> dict[str, list[tuple[str, int]]]:
    """Write the reviews of all splits.

    Args:
        seed: seed of all choices.

    Returns:
        For each split its rows (text, label), half of them of each label; no text comes twice,
        capitals and quotes aside.
    """
    chance = Chance(seed)
    seen: set[str] = set()
    splits: dict[str, list[tuple[str, int]]] = {}
    for split, size in SIZES.items():
        rows: list[tuple[str, int]] = []
        while len(rows) < size:
            label = len(rows) % 2
            text = Review(chance, label).text()
            key = re.sub(r"[^a-z0-9]+", " ", text.lower().replace("<br />", " "))
            if key not in seen and count_sentences(text) <= MOST_SENTENCES:
                seen.add(key)
                rows.append((text, label))
        chance.shuffle(rows)
        splits[split] = rows
    return splits


def to_table(rows: list[tuple[str, int]]) -> pa.Table:
    """Give rows as a table whose label `datasets` reads as a `ClassLabel`."""
    features = {
        "text": {"dtype": "string", "_type": "Value"},
        "label": {"names": list(LABELS), "_type": "ClassLabel"},
    }
    schema = pa.schema(
        [("text", pa.string()), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    texts, labels = zip(*rows, strict=True)
    return pa.table({"text": list(texts), "label": list(labels)}, schema=schema)


def main() -> None:
    """Write the three parquet files and say what is in them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for split, rows in make_rows().items():
        path = FOLDER / f"{split}.parquet"
        pq.write_table(to_table(rows), path, compression="zstd", compression_level=19)
        print(f"{path.name}: {len(rows):,} rows, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
