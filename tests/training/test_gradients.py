"""Gradients add up by row and by parameter; `test_distributed` does it in two processes."""

import threading
import time

import numpy as np
import pytest
import torch
from tiny_training import NAMES, TRAIN, TinyModel
from torch import nn
from torch.nn import functional

from textlstm.config import ModelConfig, TrainingConfig
from textlstm.data.encoded import LabelledTexts, collate
from textlstm.nn.device import cpu_threads, seed_everything
from textlstm.nn.language_model import LanguageModel
from textlstm.nn.layers import RowEmbedding, thread_generator
from textlstm.nn.loss import TextLoss, make_loss
from textlstm.nn.network import BiLSTMClassifier
from textlstm.training.distributed import ALONE, World
from textlstm.training.gradients import BatchGradients, Parts, _knowledge, sum_gradients
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


def taught_by_itself(model, rows, *, several=False, batch=8, **options):
    """The gradients that rows of `TRAIN` without their labels add to those of a batch."""
    labels = torch.nn.functional.one_hot(torch.from_numpy(TRAIN.labels)).bool().numpy()
    texts = LabelledTexts(TRAIN.texts, labels if several else TRAIN.labels)
    loss = make_loss(TrainingConfig(), texts.labels, NAMES)
    made = BatchGradients(model, texts, loss, ALONE, unlabeled=TRAIN.texts, **options)
    value = made.of(np.arange(batch), np.asarray(rows))
    found = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    assert made.of(np.arange(batch)) == value  # that of the labels alone
    return {name: found[name] - w.grad for name, w in model.named_parameters()}


@pytest.mark.parametrize("several", [False, True])
def test_a_text_without_a_label_is_learned_by_the_sharpened_prediction_of_the_model(several):
    model = classifier()
    model.linear.weight.data *= 30  # so that some are sure
    rows = np.arange(20, 30)
    found = taught_by_itself(model, rows, several=several)
    model.zero_grad()
    logits = model.lstm_logits(*collate(TRAIN.texts, rows, few_shapes=True))
    if several:
        targets = (2 * logits.detach()).sigmoid()
        loss = functional.binary_cross_entropy_with_logits(logits, targets)
    else:
        targets = (2 * logits.detach()).softmax(dim=1)
        loss = functional.cross_entropy(logits, targets)
    loss.backward()
    assert model.linear.weight.grad.abs().max() > 1e-3
    for name, value in model.named_parameters():
        torch.testing.assert_close(found[name], value.grad, atol=1e-6, rtol=1e-3)


def test_it_is_learned_with_dropout_and_moved_but_predicted_without(monkeypatch):
    model, taught, known = classifier(output_dropout=0.5), [], []
    forward = TextLoss.forward

    def seen(self, logits, targets, weights=None, taught_by=None):
        if taught_by is not None:
            taught.append(taught_by.probabilities)
            known.append(logits.detach())
        return forward(self, logits, targets, weights, taught_by)

    monkeypatch.setattr(TextLoss, "forward", seen)
    rows = np.arange(20, 28)
    gradients = BatchGradients(
        model, TRAIN, TextLoss(None, 0.0), ALONE, adversarial=0.5, unlabeled=TRAIN.texts
    )
    gradients.of(np.arange(8), rows)
    assert model.training
    with torch.no_grad():
        logits = model.eval().lstm_logits(*collate(TRAIN.texts, rows, few_shapes=True))
    plain, moved = known
    for targets in taught:
        torch.testing.assert_close(targets, (2 * logits).softmax(dim=1))
    assert not torch.allclose(plain, logits, atol=1e-3)
    assert not torch.allclose(plain, moved, atol=1e-3)


def test_fewer_texts_without_labels_than_with_count_as_much_each():
    few = taught_by_itself(classifier(), [20, 21], batch=8)
    alone = taught_by_itself(classifier(), [20, 21], batch=2)
    for name, value in alone.items():
        torch.testing.assert_close(few[name] * 4, value, atol=1e-6, rtol=1e-3)


def test_texts_without_labels_teach_several_threads_what_they_teach_one(monkeypatch):
    monkeypatch.setattr("textlstm.training.gradients._LEAST_WORK", 1)
    found = []
    for threads in (1, 2):
        with cpu_threads(threads):
            found.append(taught_by_itself(classifier(), np.arange(20, 42), adversarial=0.2))
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, atol=1e-6, rtol=1e-3)


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


def of_threads(threads, model, rows=22, *, weights=None, adversarial=0.0, delay=None, **options):
    """(loss, gradients) of a batch that as many threads share; `delay` is what a part waits."""
    texts = LabelledTexts(TRAIN.texts, TRAIN.labels, weights)
    loss = make_loss(TrainingConfig(**options), TRAIN.labels, NAMES)
    made = BatchGradients(model, texts, loss, ALONE, adversarial=adversarial)
    of_part, threads_seen = made._of_part, set()

    def slow(model, part, rows):
        threads_seen.add(threading.get_ident())
        if delay is not None:
            time.sleep(delay(part[0]))
        return of_part(model, part, rows)

    made._parts = Parts(model, slow)
    seed_everything(3)
    with cpu_threads(threads):
        value = made.of(np.arange(rows))
        assert torch.get_num_threads() == threads
    alone = threads == 1 or rows < 8
    assert (threading.get_ident() in threads_seen) == alone
    found = {name: weight.grad for name, weight in model.named_parameters()}
    return value.item(), {n: g if g is None else g.to_dense().clone() for n, g in found.items()}


@pytest.mark.parametrize("options", [*OPTIONS, {"adversarial": 0.3}])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_compute_the_gradients_of_the_whole_batch(threads, options):
    models = [classifier(pooling="attention", num_layers=2) for _ in range(2)]
    for model in models:
        make_optimizer(model, TrainingConfig())  # gradients of embeddings are sparse
    loss, expected = of_threads(1, models[0], **options)
    found_loss, found = of_threads(threads, models[1], **options)
    assert found_loss == pytest.approx(loss)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
    assert all(weight.abs().sum() > 0 for weight in found.values())


def test_what_a_thread_waits_for_changes_no_bit():
    wet = dict.fromkeys(DRY, 0.3) | {"num_layers": 2}
    first = of_threads(3, classifier(**wet), delay=lambda row: 0.02 * row)
    second = of_threads(3, classifier(**wet), delay=lambda row: 0.02 * (2 - row))
    assert first[0] == second[0]
    assert all(torch.equal(first[1][name], second[1][name]) for name in first[1])
    other = of_threads(2, classifier(**wet))
    assert other[0] != first[0]  # each part draws its own numbers


def test_parts_follow_what_is_frozen_and_what_is_trained(monkeypatch):
    monkeypatch.setattr("textlstm.training.gradients._LEAST_WORK", 1)
    model, texts = classifier(), np.arange(12)
    gradients = BatchGradients(model, TRAIN, TextLoss(None, 0.0), ALONE)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    with cpu_threads(2):
        for frozen in (True, False, False):
            model.embedding.requires_grad_(not frozen)
            optimizer.zero_grad()
            losses.append(gradients.of(texts).item())
            assert (model.embedding.weight.grad is None) == frozen
            optimizer.step()
    assert losses[0] > losses[1] > losses[2]


def test_models_that_may_draw_from_the_common_generator_and_small_batches_are_not_divided():
    for model, rows in ((TinyModel(), 22), (classifier(), 7)):
        seen = []
        parts = Parts(
            model, lambda model, part, rows, seen=seen: seen.append(part) or torch.ones(())
        )
        with cpu_threads(2):
            parts.learn(np.arange(rows), np.arange(rows))
        assert [len(part) for part in seen] == [rows]


@pytest.mark.parametrize(("length", "parts"), [(1, 1), (78, 1), (79, 2), (10**6, 3)])
def test_a_batch_has_as_many_parts_as_it_has_work_for(length, parts):
    model = classifier(hidden_size=64, embedding_size=100, num_layers=1)
    # 84,992 weights of the LSTM, so that 12 texts of 79 tokens are just above twice 40,000,000
    lengths = np.where(np.arange(24) < 12, 1000, length)  # other texts do not count
    seen = []

    def learn(model, part, rows):
        seen.append((len(part), torch.get_num_threads()))
        return torch.ones(())

    with cpu_threads(3):
        Parts(model, learn, lengths).learn(np.arange(12, 24), np.arange(12, 24))
    assert seen == [(12 // parts, 1)] * parts


def test_parts_draw_numbers_of_their_own_which_follow_from_the_seed():
    drawn = []

    def draw(model, part, rows):
        drawn.append((part[0], torch.rand(3, generator=thread_generator()).tolist()))
        return torch.ones(())

    for _ in range(2):
        seed_everything(1)
        with cpu_threads(2):
            Parts(classifier(), draw).learn(np.arange(22), np.arange(22))
    first, second = sorted(drawn[:2]), sorted(drawn[2:])
    assert first == second
    assert first[0][1] != first[1][1]


def test_an_error_in_a_part_is_raised():
    def fail(model, part, rows):
        raise ValueError(f"row {part[0]}")

    with cpu_threads(2), pytest.raises(ValueError, match=r"row [01]"):
        Parts(classifier(), fail).learn(np.arange(22), np.arange(22))


def test_a_language_model_learns_from_parts():
    torch.manual_seed(0)
    config = ModelConfig(embedding_size=6, hidden_size=5, num_layers=1, ngrams=0, **DRY)
    model = LanguageModel(config, torch.arange(20.0))

    def learn(model, part, rows):
        ids, lengths = collate(TRAIN.texts, part)
        loss = model(ids, lengths) / len(rows)
        loss.backward()
        return loss.detach()

    losses = []
    for threads in (2, 2, 1):
        seed_everything(1)
        model.zero_grad()
        with cpu_threads(threads):
            losses.append(Parts(model, learn).learn(np.arange(22), np.arange(22)).item())
        assert all(weight.grad.abs().sum() > 0 for weight in model.parameters())
    assert losses[0] == losses[1] != losses[2]
