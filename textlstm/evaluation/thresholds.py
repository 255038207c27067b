"""Decision thresholds of texts that may have any number of labels.

Shapes: N texts, C labels.
"""

from __future__ import annotations

import numpy as np

PLAIN = 0.5  # where nothing is known


def between(low: float, high: float) -> float:
    """Return a number above `low` and up to `high`: the middle, of 4 digits if that is enough."""
    middle = (low + high) / 2
    short = round(middle, 4)
    return short if low < short <= high else middle


def best_thresholds(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float, ...]:
    """Find the threshold of each label at which its F1 is highest (Yang 2001, SCut).

    Args:
        labels: which labels the texts have, bool [N, C].
        probabilities: of each label, [N, C].
        weights: how much each text counts, [N]; None for all the same.

    Returns:
        For each label a number from 0 to 1, in the middle between the least probability that
        reaches it and the greatest that does not; of equal F1 the one next to 0.5. A label that
        no text has gets 0.5.
    """
    counted = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
    return tuple(
        _best(labels[:, i], probabilities[:, i].astype(np.float64), counted)
        for i in range(labels.shape[1])
    )


def _best(present: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """Find the threshold of one label, all of its arguments [N]."""
    total = float(weights[present].sum())
    if not total:
        return PLAIN
    order = np.argsort(-probabilities, kind="stable")
    reached = probabilities[order]
    below = np.append(reached[1:], 0.0)  # the next lower one
    right = np.cumsum((weights * present)[order])
    chosen = np.cumsum(weights[order])
    f1 = np.where(below < reached, 2 * right / (chosen + total), -1.0)  # equals can't be parted
    middle = (reached + below) / 2
    best = np.flatnonzero(f1 == f1.max())
    place = best[np.abs(middle[best] - PLAIN).argmin()]
    return between(float(below[place]), float(reached[place]))
