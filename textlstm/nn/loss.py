"""The training loss: cross entropy, with class weights, label smoothing and a teacher.

Where a text may have several labels, each label is a yes-or-no question of its own, and the loss
is the mean over texts and labels.

Shapes: B batch, N texts, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from textlstm.config import TrainingConfig
from textlstm.errors import ConfigError, did_you_mean

_LEAST = 1e-6  # of a teacher's probabilities, whose logits are finite then
_MOST_NAMED = 10  # labels in a message


@dataclass(frozen=True)
class Taught:
    """A teacher's predictions for some texts, B of them in a batch.

    Args:
        probabilities: of each label, float32 [B, C].
        label_shares: share of the text's own label in its loss, [B]: 1 without a
            prediction of the teacher, 0 where the label is not known.
    """

    probabilities: Tensor
    label_shares: Tensor


class TextLoss(nn.Module):
    """Mean cross entropy of a batch.

    Args:
        class_weights: how much each label counts, float32 [C]; None for all the same.
        label_smoothing: share of a label given to all labels.
        temperature: what logits are divided by before they are compared with a teacher's. This
            part of the loss is multiplied by its square, which keeps the size of the gradients
            (Hinton et al. 2015).
    """

    class_weights: Tensor | None

    def __init__(
        self, class_weights: Tensor | None, label_smoothing: float, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.register_buffer("class_weights", class_weights)
        self.label_smoothing = label_smoothing
        self.temperature = temperature

    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weights: Tensor | None = None,
        taught: Taught | None = None,
    ) -> Tensor:
        """Compare logits with the true labels, and with a teacher's predictions.

        Args:
            logits: [B, C].
            targets: label ids, int64 [B].
            weights: how much each text counts, [B]; None for all the same. They don't change
                what the sum is divided by (B, or the class weights of the batch), so that a
                batch of light texts moves the model less.
            taught: a teacher's predictions; None without a teacher.

        Returns:
            A scalar.
        """
        each = self._by_labels(logits, targets)  # [B]
        if taught is not None:
            by_teacher = self._by_teacher(logits.float(), taught.probabilities)
            each = torch.lerp(self.temperature**2 * by_teacher, each, taught.label_shares)
        if weights is not None:
            each = each * weights
        return each.sum() / self.divisor(targets)

    def _by_labels(self, logits: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(
            logits,
            targets,
            self.class_weights,
            label_smoothing=self.label_smoothing,
            reduction="none",
        )

    def _by_teacher(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        """Return the cross entropy of the softened probabilities of both, [B]."""
        targets = (probabilities.clamp(min=_LEAST).log() / self.temperature).softmax(dim=1)
        logs = (logits / self.temperature).log_softmax(dim=1)
        return -(self._weighted(targets) * logs).sum(dim=1)

    def _weighted(self, targets: Tensor) -> Tensor:
        return targets if self.class_weights is None else targets * self.class_weights

    def divisor(self, targets: Tensor) -> Tensor | int:
        """Return what the sum over texts is divided by.

        Args:
            targets: their label ids, int64 [B].

        Returns:
            Their number, or the sum of their class weights.
        """
        return len(targets) if self.class_weights is None else self.class_weights[targets].sum()


class MultiLabelLoss(TextLoss):
    """Mean binary cross entropy over the texts and labels of a batch.

    A class weight is how much a text counts for a label that it has, beside one that does not
    have it. Label smoothing moves yes and no towards the middle by half its share.
    """

    def _by_labels(self, logits: Tensor, targets: Tensor) -> Tensor:
        """`TextLoss._by_labels` with targets of bool [B, C]."""
        smoothed = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        return functional.binary_cross_entropy_with_logits(
            logits.float(), smoothed, self._label_weights(targets), reduction="none"
        ).sum(dim=1)

    def _by_teacher(self, logits: Tensor, probabilities: Tensor) -> Tensor:
        targets = (probabilities.logit(_LEAST) / self.temperature).sigmoid()
        return functional.binary_cross_entropy_with_logits(
            logits / self.temperature, targets, pos_weight=self.class_weights, reduction="none"
        ).sum(dim=1)

    def divisor(self, targets: Tensor) -> Tensor | int:
        """Return the number of answers, bool [B, C], or the sum of their weights."""
        weights = self._label_weights(targets)
        return targets.numel() if weights is None else weights.sum()

    def _label_weights(self, targets: Tensor) -> Tensor | None:
        """Return how much each answer counts, [B, C]."""
        if self.class_weights is None:
            return None
        return torch.where(targets, self.class_weights, torch.ones_like(self.class_weights))


def prior_logits(config: TrainingConfig, labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return the logits of several labels for the share of texts that have each.

    A network that begins with them need not learn first that most labels are rare (Lin et al.
    2017, section 3.3).

    Args:
        config: class weights, which count here as in the loss.
        labels: which labels the training texts have, bool [N, C].
        names: label names, C of them.

    Returns:
        float64 [C]; finite also for a label that no text has, or all.
    """
    having = labels.sum(axis=0) + 1.0  # [C], one more on either side
    lacking = len(labels) - labels.sum(axis=0) + 1.0
    weights = class_weights(config.class_weights, labels, names)
    prior: np.ndarray = np.log(having / lacking * (1.0 if weights is None else weights))
    return prior


def make_loss(config: TrainingConfig, labels: np.ndarray, names: Sequence[str]) -> TextLoss:
    """Build the loss of a training run.

    Args:
        config: class weights and label smoothing.
        labels: label ids of the training texts, int64 [N]; of several labels a text, bool
            [N, C].
        names: label names, C of them.

    Returns:
        The loss.

    Raises:
        ConfigError: a class weight is malformed or names no label.
    """
    weights = class_weights(config.class_weights, labels, names)
    tensor = None if weights is None else torch.from_numpy(weights).float()
    kind = MultiLabelLoss if labels.ndim == 2 else TextLoss
    return kind(tensor, config.label_smoothing, config.teacher_temperature)


def class_weights(
    options: Sequence[str], labels: np.ndarray, names: Sequence[str]
) -> np.ndarray | None:
    """Return how much each label counts.

    Args:
        options: empty; or 'balanced' alone: n / (labels present * texts of the label), as in
            scikit-learn, and of several labels a text: texts without the label / texts with
            it, so that yes and no count alike; or 'label=weight' for some labels, the others
            being 1.
        labels: label ids of the training texts, int64 [N]; or bool [N, C].
        names: label names, C of them.

    Returns:
        Weights, float64 [C], or None if all count the same.

    Raises:
        ConfigError: an option is malformed, or names no label or one again.
    """
    if not options:
        return None
    weights = np.ones(len(names))
    if tuple(options) == ("balanced",):
        if labels.ndim == 2:
            having = labels.sum(axis=0)  # [C]
            split = (having > 0) & (having < len(labels))
            weights[split] = len(labels) / having[split] - 1
            return weights
        counts = np.bincount(labels, minlength=len(names))
        present = counts > 0
        weights[present] = len(labels) / (present.sum() * counts[present])
        return weights
    given: set[str] = set()
    for text in options:
        name, weight = _parse(text)
        if name not in names:
            more = ", …" * (len(names) > _MOST_NAMED) + did_you_mean(name, names)
            raise ConfigError(
                f"class_weights = {text!r}: {name!r} is not a label; labels are "
                f"{', '.join(names[:_MOST_NAMED])}{more}"
            )
        if name in given:
            raise ConfigError(
                f"class_weights = {text!r}: {name!r} has another weight: delete one of them"
            )
        given.add(name)
        weights[list(names).index(name)] = weight
    return weights


def _parse(text: str) -> tuple[str, float]:
    name, equals, number = text.rpartition("=")  # a label may have a '=' itself
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not equals or not 0 < weight < math.inf:
        raise ConfigError(
            f"class_weights = {text!r}: must be 'balanced' alone, or label=weight with a weight "
            "above 0"
        )
    return name, weight
