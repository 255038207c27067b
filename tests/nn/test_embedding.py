"""The row-wise embedding against nn.Embedding.

Shapes: V vocabulary, E embedding.
"""

import torch
from torch import nn

from textlstm.nn.layers import RowEmbedding


def pair(rows=12, size=5):
    torch.manual_seed(0)
    ours = RowEmbedding(rows, size, padding_idx=0, sparse=True)
    plain = nn.Embedding(rows, size, padding_idx=0)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def test_lookup_and_gradient_are_those_of_nn_embedding():
    ours, plain = pair()
    ids = torch.tensor([[3, 7, 3, 0], [1, 3, 11, 0]])
    weight = torch.randn(2, 4, 5)
    for embedding in (ours, plain):
        (embedding(ids) * weight).sum().backward()
    assert torch.equal(ours(ids), plain(ids))
    assert torch.allclose(ours.weight.grad.to_dense(), plain.weight.grad, atol=1e-6)


def test_the_gradient_holds_each_row_that_was_read_once_and_never_padding():
    ours, _ = pair()
    ours(torch.tensor([[3, 7, 3, 0], [1, 3, 11, 0]])).sum().backward()
    assert ours.weight.grad._indices().tolist() == [[1, 3, 7, 11]]


def test_a_batch_of_padding_only_gives_an_empty_gradient():
    ours, _ = pair()
    ours(torch.zeros(2, 3, dtype=torch.int64)).sum().backward()
    assert ours.weight.grad._indices().shape == (1, 0)


def test_gradients_of_two_batches_add_up():
    ours, plain = pair()
    for embedding in (ours, plain):
        embedding(torch.tensor([2, 3])).sum().backward()
        embedding(torch.tensor([3, 4])).sum().backward()
    assert torch.equal(ours.weight.grad.to_dense(), plain.weight.grad)


def test_without_gradients_it_is_a_plain_lookup():
    ours, _ = pair()
    ids = torch.tensor([1, 2])
    with torch.no_grad():
        assert torch.equal(ours(ids), ours.weight[ids])
    ours.weight.requires_grad_(False)
    assert not ours(ids).requires_grad


def test_the_gradient_is_dense_for_any_optimizer_unless_sparse_is_asked_for():
    ours, plain = pair()
    ours.sparse = False
    for embedding in (ours, plain):
        embedding(torch.tensor([0, 2, 2])).sum().backward()
    assert torch.equal(ours.weight.grad, plain.weight.grad)
