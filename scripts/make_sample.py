"""Build the bundled sample: short reviews whose label depends on the order of their words.

    python scripts/make_sample.py

Writes reviews with the rules of `sample_grammar.txt` to
`textlstm/sample/{train,validation,test}.parquet`. The same seed gives the same rows on any machine
and any version of Python, because `random.Random(seed).random()` is the only source of randomness.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

T = TypeVar("T")

LABELS = ("negative", "positive")
SEED = 1
SIZES = {"train": 10_000, "validation": 600, "test": 1_000}
FOLDER = Path(__file__).resolve().parents[1] / "textlstm" / "sample"

# How often opinions that need word order come from each rule.
GROUPS = {"verdict": 10, "negated": 4, "others": 4, "compare": 4, "expect": 3, "tally": 2}
PLAIN_SHARE = 0.42
COUNTS = [1] * 12 + [2] * 7 + [3]  # of opinions in a review
# Share of the reviews, pattern, replacement, maximum number of replacements (0: no limit).
STYLES: list[tuple[float, str, str | Callable[[re.Match[str]], str], int]] = [
    (0.05, r"\. ", ".<br /><br />", 1),
    (0.04, r"\b(not|never|nothing)\b", lambda match: match[1].upper(), 1),
    (0.08, r"\.$", "!", 0),
    (0.03, r".+", lambda match: match[0].lower(), 0),
]
CONTRACTIONS = [
    (r"\b(is|was|were|did|do|does|could|would) not\b(?! (?:only|but|one)\b)", r"\1n't"),
    (r"\bcannot\b", "can't"),
    (r"\b(?<!of )(?<!about )([Ii]t|[Tt]hat|[Tt]here) is (?=[a-z])", r"\1's "),
    (r"\bI (?:would|had) (?=[a-z])", "I'd "),
    (r"\bI will (?=[a-z])", "I'll "),
]


def read_rules() -> dict[str, list[str]]:
    """Return the entries of each rule of `sample_grammar.txt`."""
    text = Path(__file__).with_name("sample_grammar.txt").read_text(encoding="utf-8")
    lines = re.sub(r"\n +", " ", re.sub(r"(?m)^#.*\n", "", text)).split("\n")
    rules = (line.split(": ", 1) for line in lines if line)
    return {name: [entry.strip() for entry in body.split("|")] for name, body in rules}


RULES = read_rules()


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """Return one of `items`, all equally likely."""
    return items[int(rng.random() * len(items))]


class Review:
    """The writer of one review.

    Reviews of the same seed and opposite labels say the same about the same things; only the words
    that take a side change places. If the verdict has as many of them as the other side, both
    reviews have the same words in another order.

    Args:
        seed: seed of all choices.
        label: 0 for a negative review, 1 for a positive one.
    """

    def __init__(self, seed: int, label: int) -> None:
        self._rng = random.Random(seed)
        # The n-th word of a side is the same in both reviews of a seed: each side has its own.
        self._sides = random.Random(seed + 1), random.Random(seed + 2)
        self._label = label
        self._used: set[str] = set()
        self._fixed: dict[str, str] = {}  # slots that keep their words
        names = pick(self._rng, RULES["it"]), pick(self._rng, RULES["rival"])
        self._fixed["it"] = names[0]
        self._fixed["win"], self._fixed["lose"] = names if label else names[::-1]

    def text(self) -> str:
        """Return the text of the review."""
        groups, sentences = ["plain"] * 3, []
        if self._rng.random() >= PLAIN_SHARE:
            groups = [group for group, weight in GROUPS.items() for _ in range(weight)]
        for _ in range(pick(self._rng, COUNTS)):
            group = pick(self._rng, groups)
            groups = [other for other in groups if other != group or group == "plain"]
            sentences.append(self._expand(self._fresh(RULES[group], self._rng)))
        for rule, share, last in (("fact", 0.45, 2), ("opener", 0.35, 1), ("closer", 0.25, 0)):
            if self._rng.random() < share:
                place = int(self._rng.random() * last) if last else len(sentences)
                sentences.insert(place, self._expand(pick(self._rng, RULES[rule])))
        return self._style(" ".join(sentences))

    def _expand(self, pattern: str) -> str:
        """Fill the slots of an opinion or another sentence."""
        self._craft = self._rng.random() < 0.5
        aspects = RULES["story"] + (RULES["craft"] if self._craft else [])
        for number in sorted(set(re.findall(r"\{a(\d)\}", pattern))):
            aspect = self._fresh(aspects, self._rng)
            self._fixed["a" + number] = aspect
            self._fixed["was" + number] = "were" if aspect.endswith("s") else "was"
        while match := re.search(r"\{([^{}]+)\}", pattern):  # an entry may have slots of its own
            pattern = pattern[: match.start()] + self._fill(match[1]) + pattern[match.end() :]
        return pattern

    def _fill(self, slot: str) -> str:
        if slot in self._fixed:
            return self._fixed[slot]
        if match := re.fullmatch(r"(\d+)-(\d+)", slot):
            return str(pick(self._rng, range(int(match[1]), int(match[2]) + 1)))
        if match := re.fullmatch(r"([FAPN])\d?(?:\.(\w+))?(?:\+(\w+))?", slot):
            side = {"F": self._label, "A": 1 - self._label, "P": 1, "N": 0}[match[1]]
            kinds = [match[2]] if match[2] else ["any"] if self._craft else ["any", "story"]
            words = [word for kind in kinds for word in RULES[f"{'NP'[side]}.{kind}"]]
            word = self._fresh(words, self._sides[side])
            ending = match[3] or ""
            return (word.rstrip("e") if ending[:1] in ("e", "i") else word) + ending
        return self._fresh(RULES[slot], self._rng)

    def _fresh(self, items: Sequence[str], rng: random.Random) -> str:
        """Return an item that the review has not used yet, or any if none is left."""
        item = pick(rng, [item for item in items if item not in self._used] or items)
        if "{" not in item or item.endswith("."):
            self._used.add(item)
        return item

    def _style(self, text: str) -> str:
        """Add capitals and articles, and to some reviews the habits of real reviewers."""
        text = re.sub(r'((?:^|[.!?]"?\s+)"?)([a-z])', lambda m: m[1] + m[2].upper(), text)
        text = re.sub(r"\b([Aa]) (?=[aeiouAEIOU])", r"\1n ", text)
        if self._rng.random() < 0.5:
            for pattern, short in CONTRACTIONS:
                text = re.sub(pattern, short, text)
        if self._rng.random() < 0.1:
            text = re.sub(r'"([^"]*)"', "“\\1”", text).replace("'", "’")
        for share, pattern, change, most in STYLES:
            if self._rng.random() < share:
                text = re.sub(pattern, change, text, count=most)
        return text


def words_of(text: str) -> list[str]:
    """Return the words of a review in lower case, without punctuation."""
    return re.findall(r"[\w'-]+", text.lower().replace("<br />", " ").replace("’", "'"))


def make_rows(
    seed: int = SEED, sizes: Mapping[str, int] = SIZES
) -> dict[str, list[tuple[str, int]]]:
    """Write the reviews of all splits.

    A review is followed by its twin, the review of the same seed and the opposite label, if the
    twin has the same words in another order.

    Args:
        seed: seed of all choices.
        sizes: the number of rows of each split.

    Returns:
        For each split its rows (text, label), half of them of each label. No text occurs twice,
        even if case and punctuation are ignored.
    """
    rng = random.Random(seed)
    seen: set[tuple[str, ...]] = set()
    splits = {}
    for split, size in sizes.items():
        rows: list[tuple[str, int]] = []
        while len(rows) < size:
            label, number = len(rows) % 2, int(rng.random() * 2**31)
            found = [(Review(number, side).text(), side) for side in (label, 1 - label)]
            words = [words_of(text) for text, _ in found]
            if sorted(words[0]) != sorted(words[1]) or len(rows) + 2 > size:
                found, words = found[:1], words[:1]
            if seen.isdisjoint(map(tuple, words)):
                seen.update(map(tuple, words))
                rows += found
        splits[split] = [row for _, row in sorted((rng.random(), row) for row in rows)]
    return splits


def to_table(rows: list[tuple[str, int]]) -> pa.Table:
    """Return rows as a table whose label `datasets` reads as a `ClassLabel`."""
    label = datasets.ClassLabel(names=list(LABELS))
    features = datasets.Features(text=datasets.Value("string"), label=label)
    texts, labels = zip(*rows, strict=True)
    return pa.table({"text": list(texts), "label": list(labels)}, schema=features.arrow_schema)


def main() -> None:
    """Write the three parquet files and print their sizes."""
    form = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=__doc__, formatter_class=form).parse_args()
    for split, rows in make_rows().items():
        path = FOLDER / f"{split}.parquet"
        pq.write_table(to_table(rows), path, compression="zstd", compression_level=19)
        print(f"{path.name}: {len(rows):,} rows, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
