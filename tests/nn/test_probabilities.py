"""Logits come to probabilities, and probabilities to labels, in one way for all."""

import numpy as np
import pytest
import torch

from textlstm.nn.probabilities import (
    answers,
    best_labels,
    predicted_labels,
    probabilities_of,
    to_probabilities,
)

NAMES = ("a", "b", "c")
LOGITS = torch.tensor([[1000.0, -1000.0, 0.0], [0.1, 0.2, 0.3]])
FOUND = np.array([[0.2, 0.5, 0.3], [0.5, 0.5, 0.25], [0.1, 0.2, 0.3]], np.float32)
THRESHOLDS = (0.2, 0.5, 0.4)


def test_one_label_is_a_softmax_and_several_are_sigmoids():
    one = to_probabilities(LOGITS, multi_label=False)
    assert one.dtype == np.float32
    np.testing.assert_allclose(one.sum(axis=1), 1, atol=1e-6)
    several = to_probabilities(LOGITS, multi_label=True)
    np.testing.assert_allclose(several[0], [1, 0, 0.5])
    np.testing.assert_allclose(several[1], 1 / (1 + np.exp([-0.1, -0.2, -0.3])), rtol=1e-6)
    for multi_label, expected in ((False, one), (True, several)):
        found = probabilities_of(LOGITS, multi_label=multi_label)
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_the_answer_is_the_best_label_or_all_that_reach_their_thresholds():
    assert answers(FOUND, None).tolist() == [1, 0, 2]
    expected = [[True, True, False], [True, True, False], [False, False, False]]
    assert answers(FOUND, (0.2, 0.5, 0.4)).tolist()[1:] == expected[1:]
    assert answers(FOUND, (0.19, 0.5, 0.4)).tolist() == expected


def test_one_label_has_its_probability_as_score():
    judged = predicted_labels(FOUND, NAMES, None)
    assert [labels for labels, _ in judged] == [("b",), ("a",), ("c",)]
    assert [score for _, score in judged] == FOUND.max(axis=1).tolist()


def test_several_labels_come_best_first_with_the_probability_of_just_these():
    judged = predicted_labels(FOUND, NAMES, (0.19, 0.5, 0.3))
    assert [labels for labels, _ in judged] == [("b", "c", "a"), ("a", "b"), ("c",)]
    expected = [0.2 * 0.5 * 0.3, 0.5 * 0.5 * 0.75, 0.9 * 0.8 * 0.3]
    assert [score for _, score in judged] == pytest.approx(expected, rel=1e-6)
    assert predicted_labels(FOUND[2:], NAMES, (0.9, 0.9, 0.9)) == [
        ((), pytest.approx(0.9 * 0.8 * 0.7, rel=1e-6))
    ]


def test_no_texts_have_no_labels():
    nothing = np.zeros((0, 3), np.float32)
    assert (
        predicted_labels(nothing, NAMES, None) == predicted_labels(nothing, NAMES, THRESHOLDS) == []
    )


@pytest.mark.parametrize("count", [1, 3, 11])
def test_the_best_labels_are_in_order_and_of_equals_the_first_is_best(count):
    found = np.random.default_rng(2).integers(0, 5, (50, 12)).astype(np.float32) / 5  # many equals
    before = found.copy()
    expected = [[i for _, i in sorted((-x, i) for i, x in enumerate(row))] for row in found]
    assert best_labels(found, count).tolist() == [row[:count] for row in expected]
    assert (found == before).all()
