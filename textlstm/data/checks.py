"""Rules that find what is likely to be wrong with data, and with what was learned from it.

Each rule is a function that returns a sentence for the user or None: the value, what it means,
and a remedy. Nothing here stops a training.

Shapes: N rows of a split, C labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from textlstm.data.corpus import Corpus
from textlstm.data.split import Split

LEAST_VALIDATION = 50  # rows; fewer can't tell one epoch from another
LEAST_PER_LABEL = 5
MOST_IMBALANCE = 20
_MEASUREMENT = 20  # labels that are numbers, from which on they may be a measurement
_CUT = 0.05  # share of the texts
_QUIET_BRANCH = 0.25  # scale of the LSTM, as a share of that of the n-grams

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def corpus_warnings(corpus: Corpus) -> list[str]:
    """Check the splits of a training, before it begins.

    Args:
        corpus: the splits; the texts of train and test are read once.

    Returns:
        One sentence per finding, the most serious first.
    """
    train = _text_keys(corpus.train)
    found = [
        None if corpus.test is None else leakage(train, _text_keys(corpus.test)),
        measurement(corpus.labels, len(corpus.train)),
        contradictions(train, corpus.train.labels),
        rare_labels(_counts(corpus.train.labels, len(corpus.labels)), corpus.labels),
        imbalance(_counts(corpus.train.labels, len(corpus.labels)), corpus.labels),
        small_validation(len(corpus.validation)),
        None if corpus.test is not None else NO_TEST,
    ]
    return [warning for warning in found if warning]


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


def leakage(train: np.ndarray, test: np.ndarray) -> str | None:
    """Report test texts that are in train too; the arguments are hashes of texts, [N]."""
    count = int(np.isin(test, train).sum())
    if not count:
        return None
    return (
        f"{count:,} of {len(test):,} test texts are in train too: the test figures are too good; "
        "remove them from one of the two"
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
    return f"texts that occur in train with different labels: {count:,}; correct or remove them"


def measurement(labels: Sequence[str], rows: int) -> str | None:
    """Report labels that look like the values of a measurement."""
    if len(labels) < _MEASUREMENT or not all(_NUMBER.fullmatch(label) for label in labels):
        return None
    if len(labels) < rows / 10 and not any("." in label for label in labels):
        return None
    return (
        f"the {len(labels):,} labels are all numbers, such as {labels[0]} and {labels[-1]}: this "
        "looks like a measurement; choose another --label-column, or group the values"
    )


def rare_labels(counts: np.ndarray, labels: Sequence[str]) -> str | None:
    """Report labels that have few rows in train; `counts` are theirs, [C]."""
    rare = [label for label, count in zip(labels, counts, strict=True) if count < LEAST_PER_LABEL]
    if not rare:
        return None
    return f"fewer than {LEAST_PER_LABEL} rows in train: {_names(rare)}; add rows, or merge labels"


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


def never_predicted(metrics: Mapping[str, Any]) -> str | None:
    """Report labels that have rows in validation and were predicted for none."""
    rows = metrics["per_label"].items()
    if "confusion_matrix" in metrics:
        predicted = np.sum(metrics["confusion_matrix"], axis=0)  # [C]
        found = [
            name for (name, row), n in zip(rows, predicted, strict=True) if not n and row["support"]
        ]
    else:
        found = [name for name, row in rows if row["support"] and not row["precision"]]
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


def _text_keys(split: Split) -> np.ndarray:
    """Return a hash of each text, int64 [N]; spaces around a text don't count."""
    keys: Iterable[int] = (hash(text.strip()) for texts in split.texts() for text in texts)
    return np.fromiter(keys, np.int64, len(split))
