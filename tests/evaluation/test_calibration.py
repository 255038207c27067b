"""Scales make validation most probable: sure where the model is right, and of the better branch.

Shapes: K branches, N texts, C classes.
"""

import numpy as np
import pytest
import torch

from textlstm.evaluation import calibration
from textlstm.evaluation.calibration import calibration_facts, fit_scales
from textlstm.nn.network import combine
from textlstm.nn.probabilities import to_probabilities

N = 4000


def drawn(scale, seed=1, classes=3):
    """Logits [N, C] and labels [N] drawn from the probabilities of `scale` times them."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (N, classes)).astype(np.float32)
    probabilities = torch.from_numpy(logits * scale).softmax(dim=1).numpy()
    labels = (random.random((N, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=2)
    return logits, labels


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_one_branch_gets_the_temperature_that_its_labels_were_drawn_with(scale):
    logits, labels = drawn(scale)
    assert fit_scales(logits[None], labels).item() == pytest.approx(scale, rel=0.1)


def test_calibration_lowers_the_error_and_changes_no_answer_of_one_branch():
    logits, labels = drawn(0.3)
    scales = fit_scales(logits[None], labels)
    facts = calibration_facts(logits[None], torch.ones(1), scales, labels)
    assert facts["ece_before"] > 0.2
    assert facts["ece_after"] < 0.03
    assert facts["scales"] == {"lstm": pytest.approx(0.3, rel=0.1)}
    found = to_probabilities(combine(torch.from_numpy(logits)[None], scales), multi_label=False)
    np.testing.assert_array_equal(found.argmax(axis=1), logits.argmax(axis=1))


def test_a_branch_that_knows_nothing_hardly_counts():
    logits, labels = drawn(1.0)
    noise = np.random.default_rng(5).normal(0, 2, logits.shape).astype(np.float32)
    scales = fit_scales(np.stack([logits, noise]), labels)
    assert scales[0] == pytest.approx(1.0, rel=0.1)
    assert scales[1] < 0.1
    facts = calibration_facts(np.stack([logits, noise]), torch.full((2,), 0.5), scales, labels)
    assert list(facts["scales"]) == ["lstm", "ngrams"]


def test_two_branches_that_err_on_different_texts_are_better_together():
    logits, labels = drawn(1.0)
    random = np.random.default_rng(6)
    branches = np.stack([logits + random.normal(0, 2, logits.shape) for _ in range(2)])
    branches = branches.astype(np.float32)
    together = combine(torch.from_numpy(branches), fit_scales(branches, labels))
    alone = [(branch.argmax(axis=1) == labels).mean() for branch in branches]
    assert (together.argmax(dim=1).numpy() == labels).mean() > max(alone) + 0.02


@pytest.mark.parametrize("weighted", [False, True])
def test_in_parts_the_scales_are_the_same(monkeypatch, weighted):
    logits, labels = drawn(0.5)
    noise = np.random.default_rng(5).normal(0, 2, logits.shape).astype(np.float32)
    weights = np.linspace(0.5, 2, N) if weighted else None
    given = np.stack([logits, noise]), labels, weights
    whole = fit_scales(*given)
    monkeypatch.setattr(calibration, "_FEW", 2)
    monkeypatch.setattr(calibration, "_AT_ONCE", 2 * 3 * 999)  # the last part has fewer texts
    torch.testing.assert_close(fit_scales(*given), whole, rtol=0, atol=2e-3)


def test_texts_count_by_their_weights():
    (sure, labels), (unsure, others) = drawn(2.0, seed=1), drawn(0.3, seed=2)
    logits = np.concatenate([sure, unsure])[None]
    weights = np.repeat([1.0, 1e-6], N)
    found = fit_scales(logits, np.concatenate([labels, others]), weights)
    assert found.item() == pytest.approx(2.0, rel=0.1)


def test_several_labels_a_text_are_calibrated_by_their_own_probabilities():
    random = np.random.default_rng(3)
    logits = random.normal(0, 2, (1, N, 2)).astype(np.float32)
    labels = random.random((N, 2)) < 1 / (1 + np.exp(-0.5 * logits[0]))
    scales = fit_scales(logits, labels)
    assert scales.item() == pytest.approx(0.5, rel=0.1)
    facts = calibration_facts(logits, torch.ones(1), scales, labels)
    assert facts["ece_after"] < 0.02 < facts["ece_before"]


@pytest.mark.parametrize("n", [1, 5])
def test_a_few_texts_that_are_all_right_give_no_certainty(n):
    logits = np.tile(np.array([3.0, -3.0], np.float32), (1, n, 1))
    assert 0.5 < fit_scales(logits, np.zeros(n, np.int64)).item() < 3


def test_labels_that_are_all_wrong_leave_a_scale_above_0():
    logits = np.tile(np.array([9.0, -9.0], np.float32), (1, 500, 1))
    assert fit_scales(logits, np.ones(500, np.int64)).item() == pytest.approx(0.02, rel=1e-3)
