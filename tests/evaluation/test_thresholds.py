"""A threshold is where a label's F1 is highest."""

import numpy as np
import pytest

from textlstm.evaluation.thresholds import best_thresholds, between


def one(labels, probabilities, weights=None):
    column = np.array(probabilities, np.float32)[:, None]
    weights = None if weights is None else np.array(weights, float)
    return best_thresholds(np.array(labels, bool)[:, None], column, weights)[0]


def test_it_lies_in_the_middle_between_what_reaches_it_and_what_does_not():
    assert one([1, 0, 1, 0], [0.4, 0.2, 0.9, 0.1]) == 0.3
    assert one([0, 1], [0.75, 0.75]) == 0.375
    assert one([1, 1], [0.2, 0.1]) == 0.05


def test_of_equal_f1_it_is_the_one_next_to_a_half():
    assert one([1, 0, 0, 1], [0.9, 0.8, 0.7, 0.1]) == pytest.approx(0.85)
    assert one([1, 0, 0, 1], [0.99, 0.3, 0.2, 0.1]) == pytest.approx(0.645)
    assert one([1, 0, 0, 1], [0.99, 0.97, 0.96, 0.4]) == pytest.approx(0.2)


def test_a_label_that_no_text_has_gets_a_half():
    assert one([0, 0], [0.9, 0.1]) == 0.5
    assert best_thresholds(np.zeros((0, 2), bool), np.zeros((0, 2))) == (0.5, 0.5)


def test_equal_probabilities_are_never_parted():
    threshold = one([1, 0, 1, 0, 0], [0.6, 0.6, 0.6, 0.6, 0.1])
    assert threshold == pytest.approx(0.35)


def test_neighbours_too_close_for_four_digits_are_parted_still():
    low = np.float32(0.7)
    high = np.nextafter(low, np.float32(1))
    threshold = one([1, 0], [high, low])
    assert float(low) < threshold <= float(high)


def test_no_other_threshold_has_a_higher_f1():
    random = np.random.default_rng(5)
    labels = random.random((200, 3)) < [0.5, 0.1, 0.02]
    probabilities = np.clip(labels * 0.2 + random.random((200, 3)) * 0.7, 0, 1).astype(np.float32)
    weights = random.integers(1, 5, 200).astype(float)
    for counted in (None, weights):
        found = best_thresholds(labels, probabilities, counted)
        for i, threshold in enumerate(found):

            def f1(at, i=i, counted=counted):
                chosen, weight = probabilities[:, i] >= at, 1.0 if counted is None else counted
                wrong, right = chosen != labels[:, i], chosen & labels[:, i]
                return 2 * (weight * right).sum() / (weight * (wrong + 2 * right)).sum()

            best = max(f1(at) for at in probabilities[:, i])
            assert f1(threshold) == pytest.approx(best)


def test_weights_count_as_repetitions():
    labels, probabilities = [1, 0, 1], [0.9, 0.6, 0.3]
    repeated = one([1, 0, 0, 0, 0, 1], [0.9, 0.6, 0.6, 0.6, 0.6, 0.3])
    assert one(labels, probabilities, [1, 4, 1]) == repeated != one(labels, probabilities)


def test_a_number_between_two_is_short_where_that_is_exact_enough():
    assert between(0.1, 0.20003) == 0.15
    assert between(0.12341, 0.1235) == 0.1235
    assert between(0.12345, 0.12347) == pytest.approx(0.12346, abs=1e-12)
    assert between(0.1234, 0.12343) == pytest.approx(0.123415, abs=1e-12)
