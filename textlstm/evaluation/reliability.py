"""Whether probabilities can be trusted: how often answers are right beside how sure they are.

Shapes: N texts, C classes (labels), M answers: N, or N * C where a text may have several labels.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

_BINS = 15
_Z = 1.959964  # of the normal distribution, for 95%

Certainty: TypeAlias = tuple[np.ndarray, np.ndarray, "np.ndarray | None"]
"""Which answers are right, bool [M]; how sure the model is of each, [M]; and their weights."""


def right_and_sure(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None
) -> Certainty:
    """Return which answers are right and how sure the model is of them.

    Args:
        labels: true label ids, [N]; or which labels the texts have, bool [N, C], where each label
            of a text is an answer of its own.
        probabilities: [N, C].
        weights: how much each text counts, [N]; None for all the same.
    """
    if labels.ndim == 2:
        flat = None if weights is None else np.repeat(weights, labels.shape[1])  # [N * C]
        return labels.ravel(), probabilities.ravel(), flat
    return probabilities.argmax(axis=1) == labels, probabilities.max(axis=1), weights


def calibration_error(
    right: np.ndarray, sure: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Measure how far confidence is from accuracy (Guo et al. 2017, equation 3).

    Answers are put into 15 bins of equal width by their probability; the result is the mean of
    |accuracy - mean confidence| over bins, weighted by their answers.

    Args:
        right: which answers are right, bool [M].
        sure: the probability of each, [M].
        weights: how much each counts, [M]; None for all the same.

    Returns:
        From 0 (a label given 80% is right 8 times in 10) to 1.
    """
    counted = np.ones(len(right)) if weights is None else weights
    gaps = counted * (right - sure.astype(np.float64))
    return float(np.abs(np.bincount(_bins(sure), gaps, _BINS)).sum() / counted.sum())


def reliability(
    right: np.ndarray, sure: np.ndarray, weights: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Return the bins of the `calibration_error`; arguments as there.

    Returns:
        Of each bin with answers: n (their number, not weighted), confidence (mean probability),
        accuracy (share that is right), and low and high, its 95% interval.
    """
    bins, found = _bins(sure), []
    for each in np.unique(bins):
        inside = bins == each
        own = None if weights is None or not weights[inside].any() else weights[inside]
        confidence = float(np.average(sure[inside].astype(np.float64), weights=own))
        found.append({"confidence": confidence, **proportion(right[inside], own)})
    return found


def proportion(right: np.ndarray, weights: np.ndarray | None = None) -> dict[str, Any]:
    """Return n and the share that is true with its 95% interval (Wilson 1927), of bool [M].

    With weights, [M], the interval is that of the effective number of answers (Kish 1965).
    """
    n = len(right) if weights is None else float(weights.sum() ** 2 / (weights**2).sum())
    share = float(np.average(right, weights=weights))
    center = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n * n))
    low, high = min(share, max(0.0, center - half)), max(share, min(1.0, center + half))
    return {"n": len(right), "accuracy": share, "low": low, "high": high}


def _bins(sure: np.ndarray) -> np.ndarray:
    """Return the bin of each answer, from 0; bin m is (m/15, (m+1)/15], as in the paper."""
    places = np.ceil(sure.astype(np.float64) * _BINS).astype(np.int64)
    return np.clip(places - 1, 0, _BINS - 1)
