"""Weight decay reaches matrices only, AdamW does what its paper says, rows rest when unread."""

import pytest
import torch
from torch import nn

from textlstm.config import ModelConfig, TrainingConfig
from textlstm.nn.layers import RowEmbedding
from textlstm.nn.network import BiLSTMClassifier
from textlstm.training import optimizer as optimizer_module
from textlstm.training.optimizer import clip_gradients, make_optimizer, set_rate, unique_rows


def decayed(model):
    """Names of the parameters that shrink where all gradients are zero."""
    optimizer = make_optimizer(model, TrainingConfig(weight_decay=0.5, learning_rate=0.1))
    nn.utils.vector_to_parameters(
        torch.ones(sum(p.numel() for p in model.parameters())), model.parameters()
    )
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    shrunk = {
        name: parameter for name, parameter in model.named_parameters() if (parameter < 1).all()
    }
    for parameter in shrunk.values():
        assert parameter.flatten()[0].item() == pytest.approx(1 - 0.1 * 0.5)
    return set(shrunk)


def test_weight_decay_reaches_no_bias_and_no_embedding():
    model = BiLSTMClassifier(
        ModelConfig(embedding_size=3, hidden_size=2, num_layers=1), vocab_size=5, num_classes=2
    )
    names = [name for name, _ in model.named_parameters() if "weight" in name]
    assert decayed(model) == set(names) - {"embedding.weight"}


def test_frozen_parameters_are_left_out():
    model = nn.Linear(2, 2)
    model.weight.requires_grad_(False)
    groups = make_optimizer(model, TrainingConfig()).param_groups
    assert [len(group["params"]) for group in groups] == [1]


def one_step(parameter, gradient):
    model = nn.Module()
    model.bias = nn.Parameter(torch.tensor(parameter))
    optimizer = make_optimizer(model, TrainingConfig(learning_rate=0.1, weight_decay=0))
    model.bias.grad = torch.tensor(gradient)
    optimizer.step()
    return model.bias.tolist()


def test_the_first_step_is_the_rate_against_the_gradients_sign():
    assert one_step([1.0, 2.0], [0.5, -3.0]) == pytest.approx([0.9, 2.1])


class RefusesFused(torch.optim.AdamW):
    def __init__(self, *args, fused=None, **settings):
        if fused:
            raise RuntimeError("`fused=True` requires supported devices")
        super().__init__(*args, **settings)


class FailsInFusedStep(torch.optim.AdamW):  # torch 2.3 on a CPU
    def step(self, closure=None):
        if self.defaults["fused"]:
            raise NotImplementedError("Could not run 'aten::_fused_adamw_'")
        return super().step(closure)


@pytest.mark.parametrize("adamw", [RefusesFused, FailsInFusedStep])
def test_a_torch_without_the_fused_kernel_will_do(monkeypatch, adamw):
    usual = one_step([1.0, 2.0], [0.5, -3.0])
    monkeypatch.setattr(optimizer_module, "AdamW", adamw)
    monkeypatch.setattr(torch, "__version__", torch.torch_version.TorchVersion("2.3.1+cpu"))
    assert one_step([1.0, 2.0], [0.5, -3.0]) == pytest.approx(usual)


def test_the_fused_kernel_is_used_where_torch_has_it():
    optimizer = make_optimizer(torch.nn.Linear(2, 1), TrainingConfig(device="cpu"))
    on_cpu = torch.torch_version.TorchVersion(torch.__version__) >= "2.4"
    assert bool(optimizer.defaults["fused"]) == on_cpu


def embeddings(steps, sparse):
    """Weights after some steps that each read all rows, or some (`None` reads none)."""
    torch.manual_seed(0)
    model = RowEmbedding(6, 3, padding_idx=0)
    optimizer = make_optimizer(model, TrainingConfig(learning_rate=0.1))
    model.sparse = sparse
    weights = torch.randn(6, 3)
    for ids in steps:
        optimizer.zero_grad()
        (model(torch.tensor(ids)) * weights[torch.tensor(ids)]).sum().backward()
        clip_gradients(model.parameters(), 1.0)
        optimizer.step()
    return model.weight.detach()


def test_rows_that_every_batch_reads_move_as_under_plain_adamw():
    steps = [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 1], [1, 2, 3, 4, 5, 5, 0]]
    torch.testing.assert_close(embeddings(steps, sparse=True), embeddings(steps, sparse=False))


def test_rows_that_a_batch_does_not_read_stay_where_they_are():
    before = embeddings([[1, 2], [1, 2, 3]], sparse=True)
    after = embeddings([[1, 2], [1, 2, 3], [3, 4]], sparse=True)
    moved = (before != after).any(dim=1)
    assert moved.tolist() == [False, False, False, True, True, False]


def test_clipping_counts_sparse_and_dense_gradients_together():
    torch.manual_seed(0)
    model = nn.Sequential(RowEmbedding(6, 3, padding_idx=0, sparse=True), nn.Linear(3, 2))
    reference = nn.Sequential(nn.Embedding(6, 3, padding_idx=0), nn.Linear(3, 2))
    reference.load_state_dict(model.state_dict())
    for each in (model, reference):
        each(torch.tensor([[1, 2, 2, 0]])).square().sum().backward()
        each(torch.tensor([[2, 5]])).square().sum().backward()  # two passes add up
    norm = clip_gradients(model.parameters(), 0.1)
    expected = nn.utils.clip_grad_norm_(reference.parameters(), 0.1)
    torch.testing.assert_close(norm, expected)
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.to_dense(), theirs.grad)


def test_gradients_below_the_limit_are_left_alone():
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([0.3, 0.4])
    assert clip_gradients([parameter], 1.0).item() == pytest.approx(0.5)
    torch.testing.assert_close(parameter.grad, torch.tensor([0.3, 0.4]))


def test_rows_of_a_gradient_added_from_two_passes_are_merged():
    gradient = torch.sparse_coo_tensor(
        [[4, 1, 4]], torch.ones(3, 2), (6, 2), check_invariants=False
    )
    rows, values = unique_rows(gradient)
    assert rows.tolist() == [1, 4]
    assert values.tolist() == [[1, 1], [2, 2]]


@pytest.mark.parametrize(
    ("source", "share"), [({}, 1.0), ({"vectors": "v.txt"}, 0.2), ({"init_from": "base"}, 0.2)]
)
def test_pretrained_vectors_take_their_share_of_the_learning_rate(source, share):
    model = nn.Sequential(RowEmbedding(6, 3, padding_idx=0), nn.Linear(3, 2))
    optimizer = make_optimizer(model, TrainingConfig(**source, vector_rate=0.2))
    set_rate(optimizer, 0.5)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates[id(model[0].weight)] == pytest.approx(0.5 * share)
    assert rates[id(model[1].weight)] == rates[id(model[1].bias)] == 0.5
