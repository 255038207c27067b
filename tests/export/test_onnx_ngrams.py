"""The n-grams' part of the graph gives what the module gives."""

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from textlstm.export.onnx_ngrams import add_ngrams  # noqa: E402
from textlstm.export.onnx_nodes import Graph  # noqa: E402
from textlstm.nn.ngrams import NgramLinear  # noqa: E402


def logits(model, ids, lengths, *, scale=1.0, int8=False):
    graph = Graph()
    found = add_ngrams(graph, model, scale, int8=int8)
    graph.add("Identity", found, to_name="logits")
    graph.add("Softmax", "logits", to_name="probabilities", axis=1)
    content = graph.finish(classes=3).SerializeToString()
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input_ids": ids, "lengths": lengths})[0]


def make(order, buckets=500, rank=0):
    model = NgramLinear(5000, 3, order=order, buckets=buckets, rank=rank)
    if rank:
        model.labels[:] = torch.randn(3, rank, generator=torch.manual_seed(1))
    model.table[1:] = torch.randn(model.table[1:].shape, generator=torch.manual_seed(0))
    model.bias[:] = torch.tensor([0.1, -2.0, 1.0])
    return model


@pytest.mark.slow
@pytest.mark.parametrize(("order", "rank"), [(1, 0), (2, 0), (2, 2), (3, 0), (5, 0)])
@pytest.mark.parametrize("longest", [1, 2, 40])
def test_it_is_equal_to_the_module(order, rank, longest):
    model = make(order, rank=rank)
    random = np.random.default_rng(longest)
    ids = random.integers(0, 5000, (6, longest))
    lengths = random.integers(1, longest + 1, 6)
    expected = model(torch.from_numpy(ids), torch.from_numpy(lengths)).numpy()
    np.testing.assert_allclose(logits(model, ids, lengths), expected, atol=1e-5)
    np.testing.assert_allclose(logits(model, ids, lengths, scale=0.5), expected / 2, atol=1e-5)


@pytest.mark.parametrize("rank", [0, 2])
def test_in_8_bits_it_is_near_and_no_batch_changes_a_bit(rank):
    model = make(2, rank=rank)
    random = np.random.default_rng(1)
    ids, lengths = random.integers(0, 5000, (6, 30)), random.integers(1, 31, 6)
    expected = model(torch.from_numpy(ids), torch.from_numpy(lengths)).numpy()
    found = logits(model, ids, lengths, int8=True)
    np.testing.assert_allclose(found, expected, atol=0.1)
    assert not np.array_equal(found, expected)
    alone = [
        logits(model, ids[i : i + 1, :n], lengths[i : i + 1], int8=True)
        for i, n in enumerate(lengths)
    ]
    np.testing.assert_array_equal(np.concatenate(alone), found)
