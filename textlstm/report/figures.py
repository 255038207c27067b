"""Figures of a report: plain values for JSON, made of the arrays of an evaluation.

Shapes: N texts, C classes (labels), U different pairs of answers, r resamples at a time,
M values.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textlstm.evaluation.reliability import proportion
from textlstm.nn.probabilities import answers, certainty, same_labels

_RESAMPLES = 1000
_MOST_DRAWN = 20_000_000  # numbers drawn for all resamples together
_AT_ONCE = 2**20  # of them, or of figures by label, in memory
_CONFIDENCE = (2.5, 97.5)  # percentiles of a 95% interval
_GROUPS = 6  # of texts by length
_LEAST_EXACT = 25  # differing texts from which on McNemar's test is approximated
_UNKNOWN = (0.0, 0.05, 0.1, 0.2, 0.4)  # shares of unknown words that part groups
_PAIRS = 20  # of labels that are confused most


@dataclass(frozen=True)
class EvaluatedTexts:
    """Texts with their labels and with what models say of them.

    Args:
        names: label names [C].
        labels: true label ids, int64 [N]; where a text may have several, bool [N, C].
        whole: probabilities by the whole model, float32 [N, C].
        ngrams: those by the n-grams alone, [N, C]; None for a model without.
        other: those by a second model, [N, C]; None for none.
        thresholds: the decision threshold of each label, where a text may have several.
        other_thresholds: those of the second model.
        lengths: tokens that are read of each text, [N].
        unknown: share of them that are not in the vocabulary, [N].
    """

    names: Sequence[str]
    labels: np.ndarray
    whole: np.ndarray
    lengths: np.ndarray
    unknown: np.ndarray
    ngrams: np.ndarray | None = None
    other: np.ndarray | None = None
    thresholds: Sequence[float] | None = None
    other_thresholds: Sequence[float] | None = None

    def predicted(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the answers of one of the models."""
        known = self.other_thresholds if probabilities is self.other else self.thresholds
        return answers(probabilities, known)

    def right(self, probabilities: np.ndarray) -> np.ndarray:
        """Return which texts a model labels as they are labelled, bool [N]."""
        return same_labels(self.labels, self.predicted(probabilities))


def report_figures(evaluated: EvaluatedTexts) -> dict[str, Any]:
    """Return all figures that are made of probabilities alone.

    Args:
        evaluated: at least one text.

    Returns:
        scores (of 'model', 'ngrams', 'majority' and 'other', each with accuracy and macro_f1, of
        them `value`, `low` and `high`), tests (McNemar's of the model against 'ngrams' and
        'other'), confused (pairs of labels), by_length and by_unknown.
    """
    single = evaluated.labels.ndim == 1
    systems, tests = {"model": evaluated.predicted(evaluated.whole)}, {}
    right = evaluated.right(evaluated.whole)
    for name, probabilities in (("other", evaluated.other), ("ngrams", evaluated.ngrams)):
        if probabilities is not None:
            systems[name] = evaluated.predicted(probabilities)
            tests[name] = mcnemar(right, evaluated.right(probabilities))
    systems["majority"] = majority_answer(evaluated.labels, len(evaluated.names))
    return {
        "scores": {
            name: bootstrap(evaluated.labels, predicted, len(evaluated.names))
            for name, predicted in systems.items()
        },
        "tests": tests,
        "confused": confused_labels(evaluated, systems["model"]) if single else [],
        "by_length": by_groups(right, evaluated.lengths, _edges(evaluated.lengths)),
        "by_unknown": by_groups(right, evaluated.unknown, _UNKNOWN),
    }


def majority_answer(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the same answer for all texts: the most frequent label, or set of labels."""
    if labels.ndim == 2:
        rows, counts = np.unique(labels, axis=0, return_counts=True)
        return np.repeat(rows[counts.argmax()][None], len(labels), axis=0)
    return np.full(len(labels), np.bincount(labels, minlength=classes).argmax())


def bootstrap(
    labels: np.ndarray, predicted: np.ndarray, classes: int
) -> dict[str, dict[str, float]]:
    """Return accuracy and macro F1 with 95% bootstrap intervals (Efron 1979, percentiles).

    Args:
        labels: as in `EvaluatedTexts`.
        predicted: the answers, of the same shape.
        classes: C.

    Returns:
        accuracy and macro_f1, of each `value`, `low` and `high`. Texts are resampled as counts of
        equal pairs of answers, which is the same and faster.
    """
    from scipy.sparse import csr_matrix

    if labels.ndim == 1:
        cells, counts = np.unique(labels * classes + predicted, return_counts=True)  # [U]
        ones, ends = np.ones(len(cells)), np.arange(len(cells) + 1)
        ids, shape = divmod(cells, classes), (len(cells), classes)
        true, found = (csr_matrix((ones, each, ends), shape) for each in ids)  # [U, C]
    else:
        rows, counts = np.unique(np.hstack([labels, predicted]), axis=0, return_counts=True)
        true, found = map(csr_matrix, np.hsplit(rows.astype(np.float64), 2))
    right = ((true != found).getnnz(axis=1) == 0).astype(np.float64)  # [U]
    hit, either = true.multiply(found).tocsr(), true + found
    total = int(counts.sum())
    draws = max(100, min(_RESAMPLES, _MOST_DRAWN // len(counts)))
    size = max(1, _AT_ONCE // max(hit.shape))
    random = np.random.default_rng(1)
    chosen = (
        random.multinomial(total, counts / total, min(size, draws - start))
        for start in range(0, draws, size)
    )
    values: dict[str, list[float]] = {"accuracy": [], "macro_f1": []}
    for part in itertools.chain([counts[None]], chosen):
        weights = part.astype(np.float64)  # [r, U]
        hits, both = weights @ hit, weights @ either  # [r, C]
        f1 = np.divide(2 * hits, both, out=np.zeros_like(hits), where=both > 0)
        counted = both > 0 if labels.ndim == 1 else np.ones_like(both, bool)  # as in `metrics`
        values["accuracy"] += (weights @ right / total).tolist()
        values["macro_f1"] += (f1.sum(axis=1) / counted.sum(axis=1)).tolist()
    found_figures = {}
    for name, every in values.items():
        low, high = np.percentile(every[1:], _CONFIDENCE)
        found_figures[name] = {"value": float(every[0]), "low": float(low), "high": float(high)}
    return found_figures


def mcnemar(one: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """Return McNemar's test of whether one model is right more often than another.

    Args:
        one: which texts it labels rightly, bool [N].
        other: the same of the other.

    Returns:
        both_right, only_first, only_second, both_wrong (counts of texts) and p_value: exact
        (binomial) for fewer than 25 texts that differ, else by chi-squared with continuity
        correction.
    """
    first, second = int((one & ~other).sum()), int((other & ~one).sum())
    differ = first + second
    if differ < _LEAST_EXACT:
        ways = sum(math.comb(differ, k) for k in range(min(first, second) + 1))
        p_value = min(1.0, 2 * ways / 2**differ)
    else:
        chi = max(0, abs(first - second) - 1) ** 2 / differ
        p_value = math.erfc(math.sqrt(chi / 2))
    return {
        "both_right": int((one & other).sum()),
        "only_first": first,
        "only_second": second,
        "both_wrong": int((~one & ~other).sum()),
        "p_value": p_value,
    }


def confused_labels(evaluated: EvaluatedTexts, predicted: np.ndarray) -> list[dict[str, Any]]:
    """Return the pairs (label, prediction) of most mistakes, with their number and share."""
    labels = evaluated.labels
    pairs = np.stack([labels, predicted], axis=1)[labels != predicted]
    cells, counts = np.unique(pairs, axis=0, return_counts=True)
    support = np.bincount(labels, minlength=len(evaluated.names))
    return [
        {
            "label": evaluated.names[cells[i][0]],
            "prediction": evaluated.names[cells[i][1]],
            "n": int(counts[i]),
            "share": float(counts[i] / support[cells[i][0]]),
        }
        for i in np.argsort(-counts, kind="stable")[:_PAIRS]
    ]


def by_groups(right: np.ndarray, values: np.ndarray, edges: Sequence[float]) -> list[Any]:
    """Return the accuracy of texts grouped by a value.

    Args:
        right: which texts are labelled rightly, bool [N].
        values: [N].
        edges: the greatest values of the groups, but for the last.

    Returns:
        Of each group with texts: from and to (the least and greatest value in it), and
        `proportion`.
    """
    groups = np.searchsorted(np.asarray(edges), values)
    found = []
    for group in np.unique(groups):
        inside = groups == group
        ends = values[inside].min().item(), values[inside].max().item()
        found.append({"from": ends[0], "to": ends[1], **proportion(right[inside])})
    return found


def uncertain_texts(evaluated: EvaluatedTexts) -> np.ndarray:
    """Return the texts, the least certain first, int64 [N]."""
    if evaluated.labels.ndim == 2:
        gaps = certainty(evaluated.whole, evaluated.thresholds)
    else:
        best = np.partition(evaluated.whole, -2, axis=1)
        gaps = best[:, -1] - best[:, -2]
    ranked: np.ndarray = np.argsort(gaps, kind="stable")
    return ranked


def data_figures(evaluated: EvaluatedTexts, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts of the texts that were evaluated, beside others that are known."""
    several = evaluated.labels.ndim == 2
    counts = (
        evaluated.labels.sum(axis=0)
        if several
        else np.bincount(evaluated.labels, minlength=len(evaluated.names))
    )
    low, median, most, longest = np.percentile(evaluated.lengths, (5, 50, 95, 100)).tolist()
    known = float(np.average(evaluated.unknown, weights=evaluated.lengths))
    return {
        **facts,
        "texts": len(evaluated.labels),
        "labels": dict(zip(evaluated.names, counts.tolist(), strict=True)),
        "tokens": {"5%": low, "median": median, "95%": most, "longest": longest},
        "unknown_words": known,
    }


def _edges(lengths: np.ndarray) -> list[float]:
    """Return edges of groups of about as many texts each."""
    parts = np.quantile(lengths, np.linspace(0, 1, _GROUPS + 1)[1:-1], method="lower")
    edges: list[float] = np.unique(parts).tolist()
    return edges
