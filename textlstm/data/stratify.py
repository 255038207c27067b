"""Which rows go where: the part held out for validation, the folds of a cross-validation.

Shapes: N rows, C labels.
"""

from __future__ import annotations

import numpy as np


def stratified_part(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose the rows for validation: a share of each label, the same for the same seed.

    Args:
        labels: int64 [N], or bool [N, C].
        fraction: share of the rows of each label; at least one row, if a label has two.
        seed: decides which.

    Returns:
        int64 [n], ascending; a label with a single row keeps it in train.
    """
    groups, order = _groups(labels), _random_order(len(labels), seed)
    chosen = []
    for group in np.unique(groups):
        rows = order[groups[order] == group]
        count = min(max(1, round(fraction * len(rows))), len(rows) - 1)
        chosen.append(rows[:count])
    return np.sort(np.concatenate([np.zeros(0, np.int64), *chosen]))


def fold_numbers(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Deal rows out to folds, so that they differ by one row at most, as do those of each label.

    Args:
        labels: int64 [N], or bool [N, C]; rows of several labels are dealt out by their rarest.
        folds: how many.
        seed: decides which row goes where.

    Returns:
        The fold of each row, from 0, int64 [N].
    """
    groups, order = _groups(labels), _random_order(len(labels), seed)
    dealt = order[np.argsort(groups[order], kind="stable")]  # label by label
    numbers = np.empty(len(labels), np.int64)
    numbers[dealt] = np.arange(len(labels)) % folds
    return numbers


def _groups(labels: np.ndarray) -> np.ndarray:
    """Put rows into groups by their label; those of several labels by their rarest one.

    Rare labels, whose share chance could change most, so keep theirs (after the order in which
    Sechidis et al. 2011 share out labels).

    Args:
        labels: int64 [N], or bool [N, C].

    Returns:
        int64 [N]: the label of the row that fewest rows have, -1 for a row without any.
    """
    if labels.ndim == 1:
        return labels
    counts = labels.sum(axis=0)  # [C]
    rarest = np.where(labels, counts, len(labels) + 1).argmin(axis=1)
    return np.where(labels.any(axis=1), rarest, -1)


def _random_order(count: int, seed: int) -> np.ndarray:
    """Shuffle 0 to `count` - 1; the same order for a seed with every version of numpy."""
    drawn = np.random.Generator(np.random.PCG64(seed)).random(count)
    return np.argsort(drawn, kind="stable")
