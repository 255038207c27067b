"""Weight decay reaches matrices only, and AdamW does what its paper says."""

import pytest
import torch
from torch import nn

from textlstm import optimizer as optimizer_module
from textlstm.config import ModelConfig, TrainingConfig
from textlstm.model import BiLSTMClassifier
from textlstm.optimizer import make_optimizer


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


def test_a_torch_without_the_fused_kernel_will_do(monkeypatch):
    fused = one_step([1.0, 2.0], [0.5, -3.0])
    adamw = optimizer_module.AdamW

    def without_fused(*args, fused=False, **settings):
        if fused:
            raise RuntimeError("`fused=True` requires supported devices")
        return adamw(*args, **settings)

    monkeypatch.setattr(optimizer_module, "AdamW", without_fused)
    assert one_step([1.0, 2.0], [0.5, -3.0]) == pytest.approx(fused)
