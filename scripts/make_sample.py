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
from sample_grammar import (
    APART,
    CLOSERS,
    FACTS,
    GROUP_WEIGHTS,
    OPENERS,
    ORDERED,
    PLAIN,
    Pattern,
)
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
PLAIN_SHARE = 0.42
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

    def sample(self, items: Sequence[T], n: int) -> list[T]:
        """Give `n` different `items`."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in range(n)]

    def shuffle(self, items: list[T]) -> None:
        """Put `items` in a random order (Fisher and Yates)."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]


class Review:
    """One review in the making.

    Reviews of the same seed and opposite labels say the same of the same things; only the words
    that take a side have changed places. Where as many are for the verdict as against it, the
    two have the same words in another order.

    Args:
        seed: seed of all choices.
        label: 0 for a negative review, 1 for a positive one.
    """

    def __init__(self, seed: int, label: int) -> None:
        self._chance = Chance(seed)
        # The n-th word of a side is the same in both reviews of a seed: each side draws for itself.
        self._sides = Chance(seed + 1), Chance(seed + 2)
        self._label = label
        self._used: set[str] = set()
        self._person = PEOPLE[0]
        self._aspects: dict[str, str] = {}
        self._of_craft = False
        self._kind = self._chance.weighted(KIND_WEIGHTS)
        names, rivals = KINDS[self._kind]
        self._name = self._chance.pick(names)
        self._rival = self._chance.pick(rivals)

    def text(self) -> str:
        """Write the review."""
        sentences = self._opinions()
        if fact := self._filler(FACTS, 0.45):
            sentences.insert(self._chance.below(2), fact)
        if opener := self._filler(OPENERS, 0.35):
            sentences.insert(0, opener)
        if closer := self._filler(CLOSERS, 0.25):
            sentences.append(closer)
        return _style(" ".join(sentences), self._chance)

    def _opinions(self) -> list[str]:
        """Write plain opinions, or others of different groups."""
        count = self._chance.weighted(OPINION_COUNTS)
        if self._chance.happens(PLAIN_SHARE):
            return [self._opinion(pattern) for pattern in self._chance.sample(PLAIN, count)]
        groups: list[str] = []
        while len(groups) < count:
            group = self._chance.weighted(GROUP_WEIGHTS)
            if all(group != other and {group, other} not in APART for other in groups):
                groups.append(group)
        return [self._opinion(self._chance.pick(ORDERED[group])) for group in groups]

    def _opinion(self, pattern: Pattern) -> str:
        self._aspects = {}
        self._of_craft = self._chance.happens(0.5)
        return self._expand(pattern if isinstance(pattern, str) else pattern[self._label])

    def _filler(self, pool: dict[str, list[str]], share: float) -> str:
        """Write a sentence that takes no side, or, in all but `share` of cases, none."""
        if not self._chance.happens(share):
            return ""
        return self._expand(self._chance.pick(pool["any"] + pool[self._kind]))

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
            self._person = self._fresh(PEOPLE, self._chance)
        if slot in ("who", "he", "is"):
            return self._person[("who", "he", "is").index(slot)]
        if slot in NUMBERS:
            low, high = NUMBERS[slot]
            return str(low + self._chance.below(high - low + 1))
        return self._fresh(FILLERS[slot], self._chance)

    def _sided(self, rest: str, side: int) -> str:
        """Give a word that takes a side; `rest` is the slot without its first letter."""
        if rest.startswith("."):
            words = SIDED[rest[1:]][side]
            family = FAMILIES.get(rest[1:], rest[1:])
            entries = [(family, side, place) for place in range(len(words))]
            return words[self._fresh(entries, self._sides[side])[2]]
        words = ADJECTIVES_ANY[side] + ([] if self._of_craft else ADJECTIVES_STORY[side])
        return self._fresh(words, self._sides[side])

    def _aspect(self, word: str, number: str) -> str:
        """Give aspect `number` of the sentence ('a'), or the verb for it ('was')."""
        if number not in self._aspects:
            aspects = ASPECTS_STORY + (ASPECTS_CRAFT if self._of_craft else [])
            self._aspects[number] = self._fresh(aspects, self._chance)
        aspect = self._aspects[number]
        if word == "was":
            return "were" if aspect.endswith("*") else "was"
        return aspect.rstrip("*")

    def _fresh(self, items: Sequence[T], chance: Chance) -> T:
        """Give an item that the review has not used yet."""
        item = chance.pick([item for item in items if str(item) not in self._used])
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


def words_of(text: str) -> list[str]:
    """Give the words of a review in lower case, without punctuation."""
    return re.findall(r"[\w'-]+", text.lower().replace("<br />", " ").replace("’", "'"))


def make_rows(seed: int = SEED) -> dict[str, list[tuple[str, int]]]:
    """Write the reviews of all splits.

    A review whose twin, the review of the same seed and the opposite label, has the same words
    in another order is followed by that twin.

    Args:
        seed: seed of all choices.

    Returns:
        For each split its rows (text, label), half of them of each label; no text comes twice,
        capitals and punctuation aside.
    """
    chance = Chance(seed)
    seen: set[tuple[str, ...]] = set()
    splits = {}
    for split, size in SIZES.items():
        rows: list[tuple[str, int]] = []
        while len(rows) < size:
            label = len(rows) % 2
            number = chance.below(2**31)
            text, twin = (Review(number, which).text() for which in (label, 1 - label))
            if sorted(words_of(text)) == sorted(words_of(twin)) and len(rows) + 2 <= size:
                found = [(text, label), (twin, 1 - label)]
            else:
                found = [(text, label)]
            keys = [tuple(words_of(text)) for text, _ in found]
            if seen.isdisjoint(keys) and count_sentences(text) <= MOST_SENTENCES:
                seen.update(keys)
                rows += found
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
