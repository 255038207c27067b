"""The loss of predicting hidden tokens."""

import pytest
import torch

from textlstm.config import ModelConfig
from textlstm.nn.language_model import LanguageModel, _SampledLoss
from textlstm.nn.network import PAD_ID, UNK_ID

ENTRIES = 12
CONFIG = ModelConfig(
    embedding_size=4,
    hidden_size=3,
    num_layers=2,
    embedding_dropout=0.0,
    dropout=0.0,
    output_dropout=0.0,
)
IDS = torch.tensor([[5, 3, 7, 2, 9], [4, 1, 6, 0, 0]])  # [B, T]
LENGTHS = torch.tensor([5, 3])


@pytest.fixture
def model():
    torch.manual_seed(3)
    return LanguageModel(CONFIG, torch.arange(ENTRIES)).eval()


def test_padding_and_unknown_tokens_are_never_hidden(model):
    for seed in range(20):
        hidden = model.hide(IDS, torch.Generator().manual_seed(seed))
        assert not (hidden & (IDS <= UNK_ID)).any()


def test_about_a_fifth_of_the_tokens_is_hidden(model):
    hidden = model.hide(torch.full((100, 100), 5), torch.Generator().manual_seed(1))
    assert abs(hidden.float().mean() - 0.2) < 0.02


def test_a_hidden_token_is_not_seen(model):
    hidden = torch.zeros_like(IDS, dtype=torch.bool)
    hidden[0, 2] = True
    other = IDS.clone()
    other[0, 2] = 11
    assert torch.equal(model._read(IDS, LENGTHS, hidden), model._read(other, LENGTHS, hidden))
    other[0, 1] = 11
    assert not torch.equal(model._read(IDS, LENGTHS, hidden), model._read(other, LENGTHS, hidden))


def test_the_full_loss_is_the_softmax_over_what_can_be_hidden_and_knows_no_padding(model):
    hidden = torch.tensor([[0, 1, 0, 0, 1], [1, 0, 0, 0, 0]], dtype=torch.bool)
    x = model._read(IDS, LENGTHS, hidden)  # [N, E]
    logits = (x @ model.embedding.weight.t() + model.bias)[:, 2:].detach()
    expected = -logits.log_softmax(dim=1)[torch.arange(3), IDS[hidden] - 2].sum()
    expected = pytest.approx(float(expected), rel=1e-5)
    assert float(model.full_loss(IDS, LENGTHS, hidden)) == expected
    longer = torch.nn.functional.pad(IDS, (0, 4), value=PAD_ID)
    wider = torch.nn.functional.pad(hidden, (0, 4))
    assert float(model.full_loss(longer, LENGTHS, wider)) == expected


def test_the_sampled_loss_stands_for_the_full_one(model, monkeypatch):
    torch.manual_seed(0)
    ids, lengths = torch.randint(2, ENTRIES, (64, 20)), torch.full((64,), 20)
    hidden = model.hide(ids, torch.Generator().manual_seed(7))
    monkeypatch.setattr(model, "hide", lambda ids: hidden)
    with torch.no_grad():
        for _ in range(3):  # weights unlike those drawn, so that the logits differ
            model.embedding.weight.mul_(2.0)
        sampled = float(model(ids, lengths))
    full = float(model.full_loss(ids, lengths, hidden))
    assert sampled == pytest.approx(full, rel=0.02)


def test_the_gradients_of_the_sampled_loss_are_those_of_autograd(monkeypatch):
    monkeypatch.setattr("textlstm.nn.language_model._PLACES", 3)  # several parts, the last shorter
    torch.manual_seed(0)
    shapes = {"x": (7, 4), "rows": (6, 4), "bias": (6,), "true": (7,)}
    of = {name: torch.randn(shape, requires_grad=True) for name, shape in shapes.items()}
    targets, sample = torch.tensor([3, 4, 3, 9, 5, 4, 8]), torch.tensor([4, 4, 7, 3, 2, 6])
    loss = _SampledLoss.apply(*of.values(), targets, sample)
    others = (of["x"] @ of["rows"].t() + of["bias"]).masked_fill(
        targets[:, None] == sample, -torch.inf
    )
    expected = torch.cat([of["true"][:, None], others], dim=1).logsumexp(dim=1) - of["true"]
    torch.testing.assert_close(loss, expected.sum())
    gradients = torch.autograd.grad(3 * loss, list(of.values()))
    torch.testing.assert_close(
        gradients, torch.autograd.grad(3 * expected.sum(), list(of.values()))
    )
