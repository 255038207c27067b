"""How often answers are right beside how sure the model is."""

import numpy as np
import pytest
from scipy.stats import binomtest

from textlstm.evaluation.metrics import evaluate_probabilities
from textlstm.evaluation.reliability import (
    calibration_error,
    proportion,
    reliability,
    right_and_sure,
)

RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("weights", [None, RANDOM.random(200)])
def test_the_bins_add_up_to_the_calibration_error(several, weights):
    labels = RANDOM.random((200, 3)) < 0.3 if several else RANDOM.integers(0, 3, 200)
    probabilities = RANDOM.dirichlet(np.ones(3), 200).astype(np.float32)
    thresholds = (0.5, 0.5, 0.5) if several else None
    figures = evaluate_probabilities(labels, probabilities, "abc", weights, thresholds)
    bins = figures["reliability"]
    assert sum(row["n"] for row in bins) == labels.size
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in bins)
    sure = right_and_sure(labels, probabilities, weights)
    assert figures["ece"] == calibration_error(*sure)
    if weights is None:
        gaps = sum(row["n"] * abs(row["accuracy"] - row["confidence"]) for row in bins)
        assert gaps / labels.size == pytest.approx(figures["ece"], abs=1e-6)


def test_answers_count_by_their_weights():
    right, sure = np.array([True, False, False]), np.array([0.5, 0.51, 0.9])
    (first, second) = reliability(right, sure, np.array([3.0, 1.0, 0.0]))
    assert (first["n"], first["accuracy"]) == (2, 0.75)
    assert first["confidence"] == pytest.approx(0.5025)
    assert (second["n"], second["accuracy"]) == (1, 0.0)  # of no weight, but not a fault


def test_a_proportion_has_the_interval_of_wilson():
    expected = binomtest(8, 10).proportion_ci(method="wilson")
    found = proportion(np.arange(10) < 8)
    assert [found["low"], found["high"]] == pytest.approx(list(expected), abs=1e-6)
    assert proportion(np.ones(4, bool))["high"] == 1.0


def test_the_interval_of_weighted_answers_is_of_their_effective_number():
    right = np.arange(100) % 3 > 0
    assert proportion(right, np.full(100, 7.0)) == pytest.approx(proportion(right))
    few = proportion(right, (np.arange(100) < 10).astype(float))  # the others count for nothing
    assert few == pytest.approx({**proportion(right[:10]), "n": 100})
