"""Rows are shared out by their labels, the same way for the same seed."""

import numpy as np
import pytest

from textlstm.data.stratify import fold_numbers, stratified_part

LABELS = np.array([0] * 23 + [1] * 9 + [2] * 7)


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_folds_have_as_many_rows_and_as_many_of_each_label_but_for_one(folds):
    numbers = fold_numbers(LABELS, folds, seed=3)
    assert set(numbers) == set(range(folds))
    for rows in (LABELS >= 0, LABELS == 0, LABELS == 1, LABELS == 2):
        counts = np.bincount(numbers[rows], minlength=folds)
        assert counts.max() - counts.min() <= 1


def test_a_row_of_several_labels_is_dealt_out_by_its_rarest():
    labels = np.zeros((60, 3), bool)
    labels[:, 0] = True
    labels[:12, 1] = True
    labels[:6, 2] = True
    labels[50:] = False
    numbers = fold_numbers(labels, 3, seed=1)
    assert np.bincount(numbers).tolist() == [20, 20, 20]
    assert np.bincount(numbers[:6]).tolist() == [2, 2, 2]
    assert np.bincount(numbers[6:12]).tolist() == [2, 2, 2]
    cut = stratified_part(labels, 0.5, seed=1)
    assert len(cut) == 30
    assert np.sum(cut < 6) == np.sum((cut >= 6) & (cut < 12)) == 3


def test_the_seed_decides():
    for deal in (
        lambda seed: fold_numbers(LABELS, 4, seed),
        lambda s: stratified_part(LABELS, 0.3, s),
    ):
        assert (deal(1) == deal(1)).all()
        assert (deal(1) != deal(2)).any()


def test_the_folds_of_a_seed_stay_as_they_were():
    # A fixed point: a library's other random numbers must not change old runs.
    assert fold_numbers(np.arange(8) % 2, 4, seed=1).tolist() == [2, 3, 0, 2, 1, 1, 3, 0]


def test_a_part_has_its_share_of_each_label_but_leaves_one_row():
    labels = np.array([0] * 20 + [1] * 2 + [2])
    part = stratified_part(labels, 0.25, seed=1)
    assert part.tolist() == sorted(part)
    assert np.bincount(labels[part], minlength=3).tolist() == [5, 1, 0]
    assert len(stratified_part(np.arange(4), 0.9, seed=1)) == 0
