"""Class weights mean what they say, and wrong ones are refused."""

import numpy as np
import pytest
import torch

from textlstm.config import TrainingConfig
from textlstm.errors import ConfigError
from textlstm.nn.loss import Taught, class_weights, make_loss, prior_logits

NAMES = ("bad", "good", "a=b")
LABELS = np.array([0, 0, 0, 1])


def test_balanced_is_n_over_labels_present_times_count():
    assert class_weights(("balanced",), LABELS, NAMES).tolist() == [4 / (2 * 3), 4 / (2 * 1), 1.0]


def test_weights_go_by_name_and_the_others_are_one():
    assert class_weights(("good=2.5",), LABELS, NAMES).tolist() == [1.0, 2.5, 1.0]
    assert class_weights(("a=b=3", "bad=1e-3"), LABELS, NAMES).tolist() == [0.001, 1.0, 3.0]
    assert class_weights((), LABELS, NAMES) is None


@pytest.mark.parametrize("text", ["good", "good=", "good=x", "good=0", "good=-1", "good=nan", "3"])
def test_a_malformed_weight_is_named(text):
    with pytest.raises(ConfigError, match=f"class_weights = {text!r}: must be"):
        class_weights((text,), LABELS, NAMES)


def test_balanced_stands_alone():
    with pytest.raises(ConfigError, match="'balanced': must be 'balanced' alone"):
        class_weights(("balanced", "good=2"), LABELS, NAMES)


def test_an_unknown_label_is_named_with_the_labels():
    with pytest.raises(ConfigError, match="'god' is not a label; labels are bad, good, a=b"):
        class_weights(("god=2",), LABELS, NAMES)
    many = [f"label{n}" for n in range(11)]
    with pytest.raises(ConfigError, match=r"label9, … \(did you mean 'label10'\?\)$"):
        class_weights(("labl10=2",), LABELS, many)


def test_a_label_has_one_weight():
    with pytest.raises(ConfigError, match="'good=5': 'good' has another weight: delete one of"):
        class_weights(("good=1", "bad=2", "good=5"), LABELS, NAMES)


def test_the_loss_is_weighted_and_smoothed_cross_entropy():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]])
    targets = torch.tensor([0, 1])
    logs = logits.log_softmax(dim=1)
    plain = make_loss(TrainingConfig(), LABELS, NAMES)
    assert plain(logits, targets).item() == pytest.approx(-(logs[0, 0] + logs[1, 1]).item() / 2)
    weighted = make_loss(TrainingConfig(class_weights=("good=3",)), LABELS, NAMES)
    expected = -(logs[0, 0] + 3 * logs[1, 1]).item() / 4
    assert weighted(logits, targets).item() == pytest.approx(expected)
    smoothed = make_loss(TrainingConfig(label_smoothing=0.3), LABELS, NAMES)
    expected = -(0.7 * (logs[0, 0] + logs[1, 1]) + 0.1 * logs.sum()).item() / 2
    assert smoothed(logits, targets).item() == pytest.approx(expected)


@pytest.mark.parametrize("options", [{}, {"class_weights": ("good=3",), "label_smoothing": 0.2}])
def test_the_weight_of_a_text_multiplies_its_part_of_the_loss(options):
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0], [0.0, 0.1, 0.2]])
    targets = torch.tensor([0, 1, 1])
    loss = make_loss(TrainingConfig(**options), LABELS, NAMES)
    ones = loss(logits, targets, torch.ones(3))
    assert ones.item() == pytest.approx(loss(logits, targets).item())
    parts = [loss(logits, targets, row).item() for row in torch.eye(3)]
    assert ones.item() == pytest.approx(sum(parts))
    weighted = loss(logits, targets, torch.tensor([0.5, 2.0, 0.0])).item()
    assert weighted == pytest.approx(0.5 * parts[0] + 2 * parts[1])


SEVERAL = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 0, 1]], bool)  # of `NAMES`
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0], [0.0, 0.1, 0.2], [-3.0, 4.0, 1.0]])


def test_of_several_labels_the_loss_is_the_mean_over_all_answers():
    loss = make_loss(TrainingConfig(), SEVERAL, NAMES)
    targets = torch.from_numpy(SEVERAL)
    right = torch.where(targets, LOGITS.sigmoid(), (-LOGITS).sigmoid())
    assert loss(LOGITS, targets).item() == pytest.approx(-right.log().mean().item())
    smoothed = make_loss(TrainingConfig(label_smoothing=0.2), SEVERAL, NAMES)
    expected = -(0.9 * right.log() + 0.1 * (1 - right).log()).mean().item()
    assert smoothed(LOGITS, targets).item() == pytest.approx(expected)


def test_of_several_labels_a_class_weight_is_that_of_the_texts_that_have_it():
    loss = make_loss(TrainingConfig(class_weights=("bad=2", "a=b=5")), SEVERAL, NAMES)
    targets = torch.from_numpy(SEVERAL)
    right = torch.where(targets, LOGITS.sigmoid(), (-LOGITS).sigmoid())
    weights = torch.tensor([[2, 1, 5], [2, 1, 1], [1, 1, 1], [2, 1, 5.0]])
    expected = -(weights * right.log()).sum().item() / weights.sum().item()
    assert loss(LOGITS, targets).item() == pytest.approx(expected)
    assert loss.divisor(targets).item() == 23


def test_balanced_has_yes_and_no_count_alike_for_each_of_several_labels():
    weights = class_weights(("balanced",), SEVERAL, NAMES)
    assert weights.tolist() == pytest.approx([1 / 3, 1.0, 1.0])


@pytest.mark.parametrize("options", [{}, {"class_weights": ("bad=3",), "label_smoothing": 0.2}])
def test_of_several_labels_the_weight_of_a_text_multiplies_its_part_of_the_loss(options):
    targets = torch.from_numpy(SEVERAL)
    loss = make_loss(TrainingConfig(**options), SEVERAL, NAMES)
    parts = [loss(LOGITS, targets, row).item() for row in torch.eye(4)]
    assert loss(LOGITS, targets).item() == pytest.approx(sum(parts))
    weighted = loss(LOGITS, targets, torch.tensor([0.5, 2.0, 0.0, 1.0])).item()
    assert weighted == pytest.approx(0.5 * parts[0] + 2 * parts[1] + parts[3])


@pytest.mark.parametrize("options", [{}, {"class_weights": ("balanced",)}])
@pytest.mark.parametrize("labels", [LABELS, SEVERAL])
def test_parts_of_a_batch_add_up_by_their_divisors(labels, options):
    targets = torch.from_numpy(labels)
    loss = make_loss(TrainingConfig(**options), labels, NAMES)
    whole = loss(LOGITS, targets).item()
    parts = [
        loss(LOGITS[rows], targets[rows]) * loss.divisor(targets[rows]) / loss.divisor(targets)
        for rows in ([0, 2], [1, 3])
    ]
    assert sum(parts).item() == pytest.approx(whole)


def test_no_logits_that_are_the_same_for_all_texts_have_a_lower_loss_than_the_prior():
    labels = np.random.default_rng(2).random((4000, 3)) < [0.5, 0.2, 0.1]
    targets = torch.from_numpy(labels)
    for weights in ((), ("good=4",), ("balanced",)):
        config = TrainingConfig(class_weights=weights)
        loss = make_loss(config, labels, NAMES)
        prior = torch.from_numpy(prior_logits(config, labels, NAMES)).requires_grad_()
        loss(prior.expand(4000, 3), targets).backward()
        np.testing.assert_allclose(prior.grad, 0, atol=2e-3)


def test_the_prior_is_finite_where_no_text_or_every_text_has_a_label():
    labels = np.array([[True, False, True]] * 3)
    prior = prior_logits(TrainingConfig(), labels, NAMES)
    assert prior.tolist() == pytest.approx(np.log([4, 1 / 4, 4]).tolist())


TAUGHT = torch.tensor([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.3, 0.3, 0.4]])
THREE = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0], [0.0, 0.1, 0.2]])


def taught_loss(labels, share, weights=None, **options):
    """The loss of three texts with a teacher; all have the same share of their own label."""
    loss = make_loss(TrainingConfig(**options), labels, NAMES)
    return loss(THREE, torch.from_numpy(labels), weights, Taught(TAUGHT, torch.full((3,), share)))


@pytest.mark.parametrize("labels", [LABELS[:3], SEVERAL[:3]])
def test_a_text_of_which_a_teacher_says_nothing_has_the_plain_loss(labels):
    plain = make_loss(TrainingConfig(), labels, NAMES)(THREE, torch.from_numpy(labels))
    assert taught_loss(labels, 1.0).item() == plain.item()


def test_the_teachers_part_is_cross_entropy_at_its_temperature_times_its_square():
    logs = THREE.log_softmax(dim=1)
    one = taught_loss(LABELS[:3], 0.0, teacher_temperature=1.0)
    assert one.item() == pytest.approx(-(TAUGHT * logs).sum().item() / 3, rel=1e-4)
    soft = TAUGHT**0.5 / (TAUGHT**0.5).sum(dim=1, keepdim=True)
    two = taught_loss(LABELS[:3], 0.0, teacher_temperature=2.0)
    expected = -4 * (soft * (THREE / 2).log_softmax(dim=1)).sum().item() / 3
    assert two.item() == pytest.approx(expected, rel=1e-2)  # probabilities of 0 are 1e-6
    half = taught_loss(LABELS[:3], 0.25, teacher_temperature=2.0)
    label = taught_loss(LABELS[:3], 1.0)
    assert half.item() == pytest.approx((0.75 * two + 0.25 * label).item())


def test_of_several_labels_the_teachers_part_is_binary_cross_entropy():
    found = taught_loss(SEVERAL[:3], 0.0, teacher_temperature=2.0)
    soft = TAUGHT**0.5 / (TAUGHT**0.5 + (1 - TAUGHT) ** 0.5)
    answers = soft * (THREE / 2).sigmoid().log() + (1 - soft) * (-THREE / 2).sigmoid().log()
    assert found.item() == pytest.approx(-4 * answers.mean().item(), rel=1e-2)


@pytest.mark.parametrize("labels", [LABELS[:3], SEVERAL[:3]])
def test_class_weights_and_weights_of_texts_count_beside_a_teacher(labels):
    options = {"class_weights": ("good=3",)}
    parts = [taught_loss(labels, 0.5, row, **options).item() for row in torch.eye(3)]
    assert taught_loss(labels, 0.5, **options).item() == pytest.approx(sum(parts))
    assert taught_loss(labels, 0.0, **options).item() != taught_loss(labels, 0.0).item()
