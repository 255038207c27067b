"""Rules that find what is likely to be wrong with data, and with what was learned from it.

Each rule is a function that returns a sentence for the user or None: the value, what it costs,
and a remedy. Nothing here stops a training.

Shapes: N rows of a split, C labels.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from textlstm.config import TokenizerConfig
from textlstm.data.corpus import Corpus
from textlstm.data.split import Split
from textlstm.text.tokenizer import TextTokenizer
from textlstm.text.vocabulary import UNK_ID

LEAST_VALIDATION = 50  # rows; fewer can't tell one epoch from another
LEAST_PER_LABEL = 5
MOST_IMBALANCE = 20
_MEASUREMENT = 20  # labels that are numbers, from which on they may be a measurement
_CUT = 0.05  # share of the texts
_COPIES = 0.02  # share of the texts
_UNKNOWN = 0.2  # share of the tokens; 0.08 in SST-2, 0.14 in TREC
_TOKEN_LETTERS = 15  # on average; 5 in English, 8 in Finnish
_QUIET_BRANCH = 0.25  # scale of the LSTM, as a share of that of the n-grams

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
_MOJIBAKE = re.compile(r"[ÂÃ][\x80-\xbf]|â€|(?:[ÐÑ][\x80-\xbf]){2}")
_SPOILED = ("with control characters or \ufffd, as a wrong decoding leaves", "fix or remove them")
_GARBLED = (
    "that look like UTF-8 read as Latin-1 ('Ã©' for 'é')",
    "decode the data again as UTF-8",
)


@dataclass(frozen=True)
class DataCheck:
    """What `check_corpus` found.

    Args:
        source: the data.
        rows: split to its number of rows.
        labels: label to its rows in train.
        lengths: of the texts of train, in tokens: 'median', '95%' and 'longest', where longer
            texts are cut to `max_length`, and that.
        unknown: share of the tokens of validation that are not in the vocabulary of train.
        notes: what was detected and left out.
        warnings: rule to its sentence, the most serious first.
    """

    source: str
    rows: dict[str, int]
    labels: dict[str, int]
    lengths: dict[str, int]
    unknown: float
    notes: tuple[str, ...]
    warnings: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return asdict(self)


def check_corpus(corpus: Corpus, config: TokenizerConfig) -> DataCheck:
    """Check all that can be seen before a training.

    Args:
        corpus: the splits; each is read two or three times.
        config: how the training would make ids.

    Returns:
        Facts and warnings.
    """
    splits, tokenizer = corpus.splits, TextTokenizer.train(corpus.train.texts, config)
    lengths, letters, spoiled, garbled = [np.zeros(0, np.int64)], 0, 0, 0
    for texts in corpus.train.texts():
        found = tokenizer.encode_batch(texts)[1]
        lengths.append(found)
        whole = zip(texts, found.tolist(), strict=True)
        letters += sum(len(text) for text, length in whole if length < config.max_length)
        spoiled += sum(_CONTROL.search(text) is not None for text in texts)
        garbled += sum(_MOJIBAKE.search(text) is not None for text in texts)
    tokens = np.concatenate(lengths)  # [N]
    unknown = [tokenizer.encode_batch(texts)[0] == UNK_ID for texts in corpus.validation.texts()]
    share = float(np.concatenate(unknown).mean())
    rows, counts = len(corpus.train), _counts(corpus.train.labels, len(corpus.labels))
    warnings = corpus_warnings(corpus, folded=True) | {
        "encoding": spoiled_texts(garbled, rows, *_GARBLED),
        "control_characters": spoiled_texts(spoiled, rows, *_SPOILED),
        "long_tokens": long_tokens(letters, int(tokens[tokens < config.max_length].sum()), config),
        "cut_texts": cut_texts(tokens, config.max_length),
        "unknown_words": unknown_words(share),
    }
    median, most = np.percentile(tokens, (50, 95)).astype(int).tolist()
    return DataCheck(
        source=corpus.source,
        rows={name: len(split) for name, split in splits.items()},
        labels=dict(zip(corpus.labels, counts.tolist(), strict=True)),
        lengths={
            "median": median,
            "95%": most,
            "longest": int(tokens.max()),
            "max_length": config.max_length,
        },
        unknown=round(share, 6),
        notes=(*corpus.notes, *([] if "test" in splits else [NO_TEST])),
        warnings=_found(warnings | {"no_test": None}),
    )


def corpus_warnings(corpus: Corpus, *, folded: bool = False) -> dict[str, str]:
    """Check the splits of a training, before it begins.

    Args:
        corpus: the splits; their texts are read once.
        folded: whether to look for texts that are equal but for case, spaces and punctuation
            too, which takes longer.

    Returns:
        Rule to a sentence for each finding, the most serious first.
    """
    keys = {name: _text_keys(split) for name, split in corpus.splits.items()}
    train, counts = keys["train"], _counts(corpus.train.labels, len(corpus.labels))
    copied = {name: np.isin(keys[name], train) for name in ("test", "validation") if name in keys}
    found = {f"{name}_leakage": leakage(which, name) for name, which in copied.items()}
    if folded and corpus.test is not None:
        near = np.isin(_text_keys(corpus.test, folded=True), _text_keys(corpus.train, folded=True))
        how = "but for case, spaces or punctuation"
        found["near_leakage"] = leakage(near & ~copied["test"], "test", how)
    found |= {
        "measurement": measurement(corpus.labels, len(corpus.train)),
        "contradictions": contradictions(train, corpus.train.labels),
        "copies": copies(train),
        "rare_labels": rare_labels(counts, corpus.labels),
        "imbalance": imbalance(counts, corpus.labels),
        "small_validation": small_validation(len(corpus.validation)),
        "no_test": None if corpus.test is not None else NO_TEST,
    }
    return _found(found)


def _found(sentences: Mapping[str, str | None]) -> dict[str, str]:
    return {rule: sentence for rule, sentence in sentences.items() if sentence}


def result_warnings(metrics: Mapping[str, Any]) -> list[str]:
    """Check the validation figures of a training.

    Args:
        metrics: what `evaluate_probabilities` returned, with `calibration` if it was done.

    Returns:
        One sentence per finding, the most serious first.
    """
    scales = metrics.get("calibration", {}).get("scales", {})
    found = [never_predicted(metrics), quiet_lstm(scales)]
    return [warning for warning in found if warning]


NO_TEST = (
    "there is no test split, so the validation figures, which also picked the epoch, are all there "
    "is: add a test split, or run textlstm crossval"
)


def leakage(copied: np.ndarray, name: str, how: str = "too") -> str | None:
    """Report texts of another split that are in train too.

    Args:
        copied: bool [M], which of its texts are.
        name: how it is called.
        how: how they are in train.
    """
    count = int(copied.sum())
    if not count:
        return None
    return (
        f"{count:,} of {len(copied):,} {name} texts are in train {how}: the {name} figures are too "
        "good; remove the copies"
    )


def copies(texts: np.ndarray) -> str | None:
    """Report copies among the texts of train; the argument is hashes of texts, [N]."""
    count = len(texts) - len(np.unique(texts))
    if count <= _COPIES * len(texts):
        return None
    return (
        f"{count:,} of {len(texts):,} texts in train are copies of others: each counts several "
        "times; remove the copies unless that is meant"
    )


def contradictions(texts: np.ndarray, labels: np.ndarray) -> str | None:
    """Report equal texts with different labels.

    Args:
        texts: hashes of the texts, [N].
        labels: int64 [N], or bool [N, C].
    """
    order = np.argsort(texts, kind="stable")
    texts, labels = texts[order], labels[order]
    differ = labels[1:] != labels[:-1]
    differ = differ.any(axis=1) if differ.ndim == 2 else differ
    count = len(np.unique(texts[1:][(texts[1:] == texts[:-1]) & differ]))
    if not count:
        return None
    return (
        f"texts that occur in train with different labels: {count:,}; nothing can learn both: "
        "correct or remove them"
    )


def measurement(labels: Sequence[str], rows: int) -> str | None:
    """Report labels that look like the values of a measurement."""
    if len(labels) < _MEASUREMENT or not all(_NUMBER.fullmatch(label) for label in labels):
        return None
    if len(labels) < rows / 10 and not any("." in label for label in labels):
        return None
    return (
        f"the {len(labels):,} labels are all numbers, such as {labels[0]} and {labels[-1]}: this "
        "looks like a measurement; choose another --label-column, group the values, or pass "
        "--numeric-labels if each is a class"
    )


def rare_labels(counts: np.ndarray, labels: Sequence[str]) -> str | None:
    """Report labels that have few rows in train; `counts` are theirs, [C]."""
    rare = [label for label, count in zip(labels, counts, strict=True) if count < LEAST_PER_LABEL]
    if not rare:
        return None
    return (
        f"fewer than {LEAST_PER_LABEL} rows in train: {_names(rare)}; too few to learn from: add "
        "rows, or merge labels"
    )


def imbalance(counts: np.ndarray, labels: Sequence[str]) -> str | None:
    """Report labels that are many times as frequent as others; `counts` are theirs, [C]."""
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] <= MOST_IMBALANCE * counts[least]:
        return None
    return (
        f"label {labels[most]!r} has {counts[most]:,} rows in train and {labels[least]!r} only "
        f"{counts[least]:,}: rare labels may never be predicted; try --class-weights balanced"
    )


def small_validation(rows: int) -> str | None:
    """Report a validation split that is too small to compare epochs."""
    if rows >= LEAST_VALIDATION:
        return None
    return (
        f"validation has only {rows} rows: its figures are largely chance; add data, or run "
        "textlstm crossval"
    )


def cut_texts(lengths: np.ndarray, max_length: int) -> str | None:
    """Report texts that are probably cut; `lengths` are those read, in tokens, [N]."""
    count = int((lengths >= max_length).sum())
    if count <= _CUT * len(lengths):
        return None
    return (
        f"{count:,} of {len(lengths):,} texts of train have {max_length} tokens or more; what is "
        "longer is cut: raise --max-length, or choose what is kept by --truncation"
    )


def spoiled_texts(count: int, rows: int, what: str, remedy: str) -> str | None:
    """Report texts of train with wrong characters."""
    if not count:
        return None
    return (
        f"texts in train {what}: {count:,} of {rows:,}; the model treats their words as different "
        f"words: {remedy}"
    )


def long_tokens(letters: int, tokens: int, config: TokenizerConfig) -> str | None:
    """Report a tokenizer that does not find the words; the arguments are sums over texts."""
    if letters <= _TOKEN_LETTERS * tokens:
        return None
    return (
        f"the tokens of {config.tokenizer} have {letters / tokens:.0f} characters on average, as "
        "where words are not separated by spaces: most tokens of new texts will be unknown; pass "
        "--tokenizer word, char or unigram"
    )


def unknown_words(share: float) -> str | None:
    """Report a large share of unknown tokens in validation."""
    if share <= _UNKNOWN:
        return None
    return (
        f"{share:.0%} of the tokens in validation are not in the vocabulary of train, and all read "
        "as the same token: add data, or pass --tokenizer unigram, --min-frequency 1 or --vectors"
    )


def never_predicted(metrics: Mapping[str, Any]) -> str | None:
    """Report labels that have rows in validation and were predicted for none."""
    rows = metrics["per_label"]
    predicted: Any = [row["precision"] for row in rows.values()]  # of several labels a text
    if "confusions" in metrics:
        seen = [label for _, label, _ in metrics["confusions"]]
        predicted = np.bincount(seen, minlength=len(rows))  # [C]
    elif "confusion_matrix" in metrics:
        predicted = np.sum(metrics["confusion_matrix"], axis=0)  # [C]
    pairs = zip(rows.items(), predicted, strict=True)
    found = [name for (name, row), n in pairs if row["support"] and not n]
    if not found:
        return None
    return (
        f"never predicted on validation: {_names(found)}; add rows, or try --class-weights balanced"
    )


def quiet_lstm(scales: Mapping[str, float]) -> str | None:
    """Report an LSTM that counts for little beside the n-grams; `scales` are by branch."""
    lstm, ngrams = scales.get("lstm"), scales.get("ngrams")
    if lstm is None or ngrams is None or lstm >= _QUIET_BRANCH * ngrams:
        return None
    return (
        f"the LSTM counts for little beside the n-grams (scales {lstm:.2f} and {ngrams:.2f}): word "
        "vectors (--vectors) or more data help it"
    )


def _names(labels: Sequence[str]) -> str:
    return ", ".join(map(repr, labels[:5])) + (f" and {len(labels) - 5} more" if labels[5:] else "")


def _counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return how many rows have each label, [C]."""
    counts: np.ndarray = (
        labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=classes)
    )
    return counts


def _text_keys(split: Split, *, folded: bool = False) -> np.ndarray:
    """Return a hash of each text, int64 [N]; spaces around a text don't count."""
    fold = folded_text if folded else str.strip
    keys = (hash(fold(text)) for texts in split.texts() for text in texts)
    return np.fromiter(keys, np.int64, len(split))


def folded_text(text: str) -> str:
    """Return a text without the differences of case, spaces and punctuation."""
    folded = re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()
    return folded or text.strip()
