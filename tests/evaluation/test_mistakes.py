"""Confident learning on numbers that can be checked by hand."""

import numpy as np
import pytest

from textlstm.evaluation.mistakes import find_mistakes, likely_label_errors

LABELS = np.array([0, 0, 0, 1, 1, 1])
PROBABILITIES = np.array(
    [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.45, 0.55], [0.61, 0.39]]
)


def test_a_text_is_suspect_if_another_label_reaches_its_mean():
    # the means of the own label are 0.6 and 0.547: the last text is confidently of label 0
    suspect = likely_label_errors(LABELS, PROBABILITIES)
    assert np.flatnonzero(suspect).tolist() == [2, 5]
    weaker = PROBABILITIES.copy()
    weaker[5] = [0.59, 0.41]
    assert not likely_label_errors(LABELS, weaker)[5]


def test_a_label_that_no_text_has_is_never_suspected():
    probabilities = np.column_stack([PROBABILITIES * 0.4, np.full(6, 0.6)])
    assert not likely_label_errors(LABELS, probabilities)[[0, 1, 3, 4]].any()
    suspect = likely_label_errors(np.array([0, 0]), np.array([[0.9, 0.1], [0.1, 0.9]]))
    assert not suspect.any()


def test_margins_rank_the_mistakes():
    assert find_mistakes(LABELS, PROBABILITIES, None).tolist() == [2, 5]
    assert find_mistakes(LABELS[:2], PROBABILITIES[:2], None).tolist() == []


def test_of_several_labels_the_worst_one_counts():
    labels = np.stack([LABELS == 0, LABELS == 1], axis=1)
    suspect = likely_label_errors(labels, PROBABILITIES)
    assert suspect[[2, 5]].all()
    assert not suspect[[0, 3]].any()
    assert find_mistakes(labels, PROBABILITIES, (0.5, 0.5)).tolist() == [2, 5]
    assert find_mistakes(labels, PROBABILITIES, (0.5, 0.6)).tolist() == [2, 5, 4]


def test_a_label_that_is_predicted_rightly_ranks_no_mistake():
    labels = np.array([[True, False], [True, False]])
    probabilities = np.array([[0.4, 0.6], [0.1, 0.4]])
    # the first label is predicted for both texts, though it is improbable for the second one
    assert find_mistakes(labels, probabilities, (0.05, 0.3)).tolist() == [0, 1]
    assert find_mistakes(labels, probabilities, (0.2, 0.3)).tolist() == [1, 0]


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_flipped_labels_are_found_among_good_probabilities(share):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 4, 1000)
    logits = rng.normal(size=(1000, 4)) + 4 * np.eye(4)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    flipped = rng.random(1000) < share
    labels = np.where(flipped, (truth + rng.integers(1, 4, 1000)) % 4, truth)
    suspect = likely_label_errors(labels, probabilities)
    assert (suspect & flipped).sum() > 0.6 * flipped.sum()
    assert (suspect & ~flipped).sum() < 0.1 * flipped.sum() + 10
    first = find_mistakes(labels, probabilities, None)[: flipped.sum() // 2]
    assert flipped[first].mean() > 0.95
