"""Gradients add up by row and by parameter; `test_distributed` does it in two processes."""

import numpy as np
import pytest
import torch
from tiny_training import NAMES, TRAIN, TinyModel
from torch import nn
from torch.nn import functional

from textlstm.config import ModelConfig, TrainingConfig
from textlstm.data.encoded import LabelledTexts, collate
from textlstm.nn.layers import RowEmbedding
from textlstm.nn.loss import TextLoss, make_loss
from textlstm.nn.network import BiLSTMClassifier
from textlstm.training.distributed import ALONE, World
from textlstm.training.gradients import BatchGradients, _knowledge, sum_gradients
from textlstm.training.optimizer import clip_gradients, make_optimizer

DRY = dict.fromkeys(("word_dropout", "embedding_dropout", "dropout", "output_dropout"), 0.0)


class Two(World):
    """The first of two processes; the other has read some rows and adds 1 to every number."""

    def __new__(cls, rows):
        return super().__new__(cls, 0, 2)

    def __init__(self, rows):
        self.__dict__["rows"] = torch.tensor(rows, dtype=torch.int64)
        self.__dict__["messages"] = 0

    def union(self, rows, count):
        assert count == 6
        return torch.unique(torch.cat([rows, self.rows]))

    def sum_(self, tensors):
        self.__dict__["messages"] += 1
        for tensor in tensors:
            tensor.add_(1.0)


def network():
    torch.manual_seed(0)
    model = nn.Sequential(RowEmbedding(6, 3, padding_idx=0), nn.Linear(3, 2))
    make_optimizer(model, TrainingConfig())
    return model


def learn(model):
    model(torch.tensor([[1, 3, 0]])).square().sum().backward()
    return {name: value.grad.to_dense().clone() for name, value in model.named_parameters()}


def test_one_process_keeps_what_it_has():
    model = network()
    before = learn(model)
    gradients = [parameter.grad for parameter in model.parameters()]
    sum_gradients(model, ALONE, torch.tensor(2.0))
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is gradient
        assert torch.equal(gradient.to_dense(), before.pop(next(iter(before))))


def test_rows_of_any_process_are_in_the_sum_and_the_loss_is_too():
    model, world, loss = network(), Two([3, 5]), torch.tensor(2.0)
    before = learn(model)
    sum_gradients(model, world, loss)
    assert world.messages == 1
    assert loss.item() == 3.0
    rows = model[0].weight.grad
    assert rows._indices()[0].tolist() == [1, 3, 5]
    expected = before.pop("0.weight")
    expected[[1, 3, 5]] += 1
    torch.testing.assert_close(rows.to_dense(), expected)
    for name, value in before.items():
        torch.testing.assert_close(model.get_parameter(name).grad, value + 1)


@pytest.mark.parametrize("rows", [[2], []])
def test_a_process_without_texts_takes_part_with_zeros(rows):
    model, loss = network(), torch.tensor(0.0)
    sum_gradients(model, Two(rows), loss)
    assert model[0].weight.grad._indices()[0].tolist() == rows
    assert (model[0].weight.grad.to_dense().sum(dim=0) == len(rows)).all()
    assert (model[1].weight.grad == 1).all()
    norm = clip_gradients(model.parameters(), 0.5)
    assert norm.item() == pytest.approx((8 + 3 * len(rows)) ** 0.5)


def test_frozen_parameters_are_left_out():
    model = network()
    model[0].requires_grad_(False)
    sum_gradients(model, Two([2]), torch.tensor(0.0))
    assert model[0].weight.grad is None
    assert model[1].weight.grad is not None


class OneOf(World):
    """A process whose part of a sum nobody adds to."""

    def union(self, rows, count):
        return rows

    def sum_(self, tensors):
        pass


def gradients_of(world, rows, *, weights=None, **options):
    """(loss, gradients) of a batch of the tiny data."""
    torch.manual_seed(0)
    model = TinyModel().eval()  # without dropout
    texts = LabelledTexts(TRAIN.texts, TRAIN.labels, weights)
    loss = make_loss(TrainingConfig(**options), TRAIN.labels, NAMES)
    value = BatchGradients(model, texts, loss, world).of(np.array(rows))
    return value.item(), [parameter.grad.to_dense() for parameter in model.parameters()]


OPTIONS = [
    {},
    {"class_weights": ("good=9",), "label_smoothing": 0.1},
    {"class_weights": ("good=9",), "weights": np.linspace(0.1, 5.0, len(TRAIN))},
]


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("rows", [[5, 9, 20, 31, 40, 3, 8], [7, 2], [11]])
@pytest.mark.parametrize("size", [2, 3])
def test_what_the_parts_of_a_batch_give_adds_up_to_what_the_batch_gives(size, rows, options):
    expected_loss, expected = gradients_of(ALONE, rows, **options)
    parts = [gradients_of(OneOf(rank, size), rows, **options) for rank in range(size)]
    assert sum(loss for loss, _ in parts) == pytest.approx(expected_loss)
    added = [torch.stack(each).sum(dim=0) for each in zip(*(g for _, g in parts), strict=True)]
    torch.testing.assert_close(added, expected)


def test_of_the_weights_of_texts_only_the_proportions_matter():
    rows, weights = [5, 9, 20], np.linspace(1.0, 5.0, len(TRAIN))
    loss, gradients = gradients_of(ALONE, rows, weights=weights)
    same_loss, same = gradients_of(ALONE, rows, weights=7 * weights)
    assert loss == pytest.approx(same_loss)
    torch.testing.assert_close(gradients, same)
    assert loss != pytest.approx(gradients_of(ALONE, rows)[0])


def classifier(**options):
    shape = {"embedding_size": 6, "hidden_size": 5, "num_layers": 1, "ngrams": 0, **DRY, **options}
    torch.manual_seed(4)
    return BiLSTMClassifier(ModelConfig(**shape), vocab_size=20, num_classes=2)


def learned(model, adversarial):
    loss = BatchGradients(model, TRAIN, TextLoss(None, 0.0), ALONE, adversarial=adversarial).of(
        np.arange(8)
    )
    return loss, {name: value.grad.clone() for name, value in model.named_parameters()}


def test_adversarial_gradients_are_those_of_the_texts_and_of_the_moved_ones():
    model, share = classifier(), 0.3
    loss, found = learned(model, share)
    other = classifier()
    ids, lengths = collate(TRAIN.texts, np.arange(8), few_shapes=True)
    targets = torch.from_numpy(TRAIN.labels[:8])
    x = other.embed(ids)
    x.retain_grad()
    logits = other.read(x, lengths)
    plain = functional.cross_entropy(logits, targets)
    plain.backward()
    shift = torch.zeros_like(x)
    for row in range(8):
        steep, size = x.grad[row], x[row].detach().norm()
        known = max(0, 2 * logits.detach().softmax(dim=1)[row, targets[row]] - 1)  # 0 at 1/2
        shift[row] = share * known * size * steep / steep.norm()
    assert 0 < (shift.flatten(1).norm(dim=1) > 0).sum() < 8
    moved = functional.cross_entropy(other.read(other.embed(ids) + shift, lengths), targets)
    moved.backward()
    assert loss == pytest.approx(plain.item())
    assert moved > plain
    for name, value in other.named_parameters():
        torch.testing.assert_close(found[name], value.grad, atol=1e-6, rtol=1e-4)


def test_without_a_share_the_gradients_are_those_of_the_texts_alone():
    loss, plain = learned(classifier(), 0.0)
    again, moved = learned(classifier(), 0.1)
    assert loss == again
    assert any(not torch.equal(plain[name], moved[name]) for name in plain)


def test_embeddings_that_are_frozen_can_be_moved():
    model = classifier()
    model.embedding.requires_grad_(False)
    loss = BatchGradients(model, TRAIN, TextLoss(None, 0.0), ALONE, adversarial=0.1)
    loss.of(np.arange(8))
    assert model.embedding.weight.grad is None
    assert model.linear.weight.grad is not None


@pytest.mark.parametrize("several", [False, True])
def test_a_text_is_moved_the_farther_the_better_its_labels_are_known(several):
    logits = torch.tensor([[9.0, -9.0], [1.0, -1.0], [0.0, 0.0], [-3.0, 3.0]])
    targets = torch.tensor([[True, False]] * 4) if several else torch.zeros(4, dtype=torch.int64)
    found = _knowledge(logits, targets).tolist()
    assert found[0] == pytest.approx(1.0, abs=1e-3)
    assert 0.2 < found[1] < 0.9
    assert found[2:] == pytest.approx([0.0, 0.0], abs=1e-6)
