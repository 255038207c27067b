"""Logits to probabilities to labels: one label per text, or any number.

Of one label the probabilities are the softmax of the logits and sum to 1, and the most probable
label is the answer. Of several each is the sigmoid of its own logit, and the answer is all
labels that reach their thresholds.

Shapes: N texts, C classes (labels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor  # ONNX Runtime does without

_FEW = 10  # labels that are found one after the other, without sorting all
_LEAST = 2.0**-30  # probability of which the log odds are taken


def probabilities_of(logits: Tensor, *, multi_label: bool) -> Tensor:
    """Turn logits into probabilities; the only place that does.

    Args:
        logits: [N, C].
        multi_label: whether a text may have any number of labels.

    Returns:
        [N, C], of the same type.
    """
    return logits.sigmoid() if multi_label else logits.softmax(dim=1)


def to_probabilities(logits: Tensor, *, multi_label: bool) -> np.ndarray:
    """Turn logits [N, C] into probabilities, float32 [N, C], on the CPU."""
    # float64: rows of one label then sum to 1 within one float32 rounding per class
    found = probabilities_of(logits.double(), multi_label=multi_label)
    return found.float().cpu().numpy()


def answers(probabilities: np.ndarray, thresholds: Sequence[float] | None) -> np.ndarray:
    """Return the labels predicted by probabilities.

    Args:
        probabilities: [N, C].
        thresholds: the decision threshold of each label, where a text may have several, [C];
            None where it has one.

    Returns:
        The id of the most probable label, int64 [N]; with thresholds which labels reach theirs,
        bool [N, C].
    """
    if thresholds is None:
        best: np.ndarray = probabilities.argmax(axis=1)  # [N]
        return best
    reached: np.ndarray = probabilities >= np.asarray(thresholds)  # [N, C]
    return reached


def best_labels(probabilities: np.ndarray, count: int) -> np.ndarray:
    """Return the most probable labels of texts, [N, C], the best first; of equals the first."""
    if count > _FEW:
        every: np.ndarray = np.argsort(-probabilities, axis=1, kind="stable")
        return every[:, :count]
    found = np.empty((len(probabilities), count), np.int64)
    rest = probabilities.copy() if count > 1 else probabilities
    for place in range(count):
        found[:, place] = rest.argmax(axis=1)
        if place + 1 < count:
            np.put_along_axis(rest, found[:, place, None], -1.0, 1)
    return found


def same_labels(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return for which texts two results of `answers` have the same labels, bool [N]."""
    same: np.ndarray = (one == other).reshape(len(one), -1).all(axis=1)
    return same


def certainty(probabilities: np.ndarray, thresholds: Sequence[float] | None) -> np.ndarray:
    """Return how certain probabilities are of the labels that `answers` returns.

    Args:
        probabilities: [N, C].
        thresholds: as for `answers`.

    Returns:
        From 0 to 1, float32 [N]: the greatest probability. Where a text may have several labels,
        that of the label that is least certain: the distance of its log odds from those of its
        threshold, as a probability (0.5 at the threshold).
    """
    if thresholds is None:
        greatest: np.ndarray = probabilities.max(axis=1).astype(np.float32)
        return greatest
    odds, limits = (
        np.log(clipped) - np.log1p(-clipped)
        for clipped in (
            np.clip(np.asarray(values, np.float64), _LEAST, 1 - _LEAST)
            for values in (probabilities, thresholds)
        )
    )
    least: np.ndarray = np.abs(odds - limits).min(axis=1)  # [N]
    sure: np.ndarray = (1 / (1 + np.exp(-least))).astype(np.float32)
    return sure


def predicted_labels(
    probabilities: np.ndarray, names: Sequence[str], thresholds: Sequence[float] | None
) -> list[tuple[tuple[str, ...], float]]:
    """Return the predicted labels of texts, and the probability that they are right.

    Args:
        probabilities: float32 [N, C].
        names: label names, C of them.
        thresholds: as for `answers`.

    Returns:
        For each text its labels, the most probable first, and a score: the probability of the
        one label; of several, that these labels are true and the others are not, taken as
        independent. Scores are float32 numbers.
    """
    found = answers(probabilities, thresholds)
    if thresholds is None:
        scores = np.take_along_axis(probabilities, found[:, None], 1)[:, 0]  # [N]
        return [
            ((names[label],), score)
            for label, score in zip(found.tolist(), scores.tolist(), strict=True)
        ]
    exact = probabilities.astype(np.float64)
    scores = np.where(found, exact, 1.0 - exact).prod(axis=1).astype(np.float32)  # [N]
    order = np.argsort(-probabilities, axis=1, kind="stable")  # [N, C]
    sorted_found = np.take_along_axis(found, order, 1)
    return [
        (tuple(names[label] for label in row[reached]), score)
        for row, reached, score in zip(order, sorted_found, scores.tolist(), strict=True)
    ]
