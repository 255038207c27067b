"""Mistakes of a classifier, and which of them are likely errors of the labels.

Labels are judged by confident learning (Northcutt et al. 2021, section 3): a text is confidently
of a label if that label's probability reaches its mean over the texts that have it. A text that
is confidently of another label than its own is likely labelled wrongly. This needs probabilities
of a model that has not learned from these labels.

Shapes: N texts, C classes (labels).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from textlstm.nn.probabilities import answers


def likely_label_errors(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return which texts are confidently of another label than theirs.

    Args:
        labels: int64 [N]; where a text may have several, bool [N, C], each judged by itself.
        probabilities: [N, C].

    Returns:
        bool [N].
    """
    if labels.ndim == 2:
        two = [np.stack([1 - column, column], axis=1) for column in probabilities.T]  # C of [N, 2]
        found = map(likely_label_errors, labels.T.astype(np.int64), two)
        any_of_them: np.ndarray = np.any(list(found), axis=0)
        return any_of_them
    own = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0]  # [N]
    thresholds = [
        own[labels == label].mean() if (labels == label).any() else np.inf
        for label in range(probabilities.shape[1])
    ]
    reached = np.where(probabilities >= np.array(thresholds), probabilities, -1.0)  # [N, C]
    suspect: np.ndarray = (reached.max(axis=1) >= 0) & (reached.argmax(axis=1) != labels)
    return suspect


def find_mistakes(
    labels: np.ndarray, probabilities: np.ndarray, thresholds: Sequence[float] | None
) -> np.ndarray:
    """Return the texts that are predicted wrongly, int64 [n], the most confident mistake first.

    Args:
        labels: as for `likely_label_errors`.
        probabilities: [N, C].
        thresholds: the decision threshold of each label, where a text may have several.
    """
    wrong = answers(probabilities, thresholds) != labels
    if labels.ndim == 2:
        signed = np.where(labels, 1 - 2 * probabilities, 2 * probabilities - 1)  # [N, C]
        margins = np.where(wrong, signed, -1.0).max(axis=1)
        wrong = wrong.any(axis=1)
    else:
        own = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0]  # [N]
        margins = probabilities.max(axis=1) - own
    found = np.flatnonzero(wrong)
    ranked: np.ndarray = found[np.argsort(-margins[found], kind="stable")]
    return ranked
