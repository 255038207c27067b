"""The comparison sees every kind of difference, and its batches hold the awkward cases."""

import numpy as np
import pytest
import torch
from tiny_classifier import tiny_classifier, tiny_tagger

from textlstm.errors import ExportError
from textlstm.export.parity import Parity, compare, plain_copy, random_batches, require_parity

BATCHES = list(random_batches(50, 20_000))


def judge(model):
    def judged(ids, lengths):
        with torch.no_grad():
            logits = model(torch.from_numpy(ids), torch.from_numpy(lengths))
        return logits.numpy(), logits.softmax(dim=1).numpy()

    return judged


@pytest.fixture(scope="module")
def model():
    return plain_copy(tiny_classifier().model)


def test_batches_hold_lengths_from_1_to_600_and_padding_of_any_id():
    lengths = np.concatenate([lengths for _, lengths in BATCHES])
    assert (lengths.min(), lengths.max()) == (1, 600)
    assert any(ids.shape == (1, 1) for ids, _ in BATCHES)
    assert any(len(ids) == 64 for ids, _ in BATCHES)
    assert any(ids.shape[1] > lengths.max() for ids, lengths in BATCHES)
    assert any(len(set(lengths)) > 10 for _, lengths in BATCHES)
    assert all(n.min() >= 1 and n.max() <= ids.shape[1] for ids, n in BATCHES)
    assert any(row[n:].any() for ids, ends in BATCHES for row, n in zip(ids, ends, strict=True))
    assert set(np.unique(BATCHES[5][0])) == set(range(50))
    assert len(BATCHES) > 15


def test_batches_are_always_the_same_and_as_many_as_asked_for():
    for (ids, lengths), (again, lengths_again) in zip(
        BATCHES, random_batches(50, 20_000), strict=True
    ):
        np.testing.assert_array_equal(ids, again)
        np.testing.assert_array_equal(lengths, lengths_again)
    assert 18_000 < sum(ids.size for ids, _ in BATCHES) < 25_000
    assert max(ids.shape[1] for ids, _ in random_batches(50, 0)) == 600


def test_the_network_is_equal_to_itself(model):
    parity = compare(model, judge(model), tokens=0)
    assert (parity.logits, parity.probabilities) == (0, 0)
    assert parity.batches == 9
    assert parity.texts > 80
    require_parity(parity, "x")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["logits", "probabilities"])
@pytest.mark.parametrize("change", [2e-4, -2e-4, np.nan])
def test_one_number_that_differs_is_seen(model, which, change):
    right = judge(model)

    def wrong(ids, lengths):
        found = dict(zip(("logits", "probabilities"), right(ids, lengths), strict=True))
        if ids.shape[1] == 2 + 3:
            found[which][0, 1] += change
        return tuple(found.values())

    parity = compare(model, wrong, tokens=0)
    other = {"logits": "probabilities", "probabilities": "logits"}[which]
    assert getattr(parity, other) == 0
    with pytest.raises(ExportError, match=r"the ONNX model differs .*(0\.0002|nan)"):
        require_parity(parity, "ONNX model")


def test_outputs_of_another_shape_are_a_difference(model):
    right = judge(model)
    parity = compare(model, lambda *batch: [part[:, :1] for part in right(*batch)], tokens=0)
    with pytest.raises(ExportError, match="inf"):
        require_parity(parity, "x")


@pytest.mark.parametrize("values", [(1e-4, 0), (0, 1e-4), (np.nan, 0), (0, np.nan), (np.inf, 0)])
def test_what_is_not_below_the_bound_is_refused(values):
    with pytest.raises(ExportError, match=r"must be below 0\.0001"):
        require_parity(Parity(1, 1, *values), "x")
    require_parity(Parity(1, 1, 9e-5, 9e-5), "x")


def test_the_copy_is_float32_in_evaluation_and_the_model_stays_as_it_is():
    model = tiny_classifier().model.train()
    model.compute_dtype = torch.bfloat16
    copy = plain_copy(model)
    assert not copy.training
    assert copy.compute_dtype is torch.float32
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert model.training
    assert model.compute_dtype is torch.bfloat16
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert plain_copy(tiny_classifier().model.double()).linear.weight.dtype is torch.float32
    with torch.no_grad():
        copy.linear.bias += 1
    assert not torch.equal(copy.linear.bias, model.linear.bias)


def test_of_several_labels_sigmoids_are_compared():
    model = plain_copy(tiny_tagger().model)

    def sigmoids(ids, lengths):
        with torch.no_grad():
            logits = model(torch.from_numpy(ids), torch.from_numpy(lengths))
        return logits.numpy(), logits.sigmoid().numpy()

    assert compare(model, sigmoids, tokens=0).probabilities == 0
    assert compare(model, judge(model), tokens=0).probabilities > 0.01
