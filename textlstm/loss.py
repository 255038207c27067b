"""What training makes small: cross entropy, with weights and label smoothing.

Shapes: B batch, N texts, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from textlstm.config import TrainingConfig
from textlstm.errors import ConfigError


class TextLoss(nn.Module):
    """Mean cross entropy of a batch.

    Args:
        class_weights: how much each label counts, float32 [C]; None for all the same.
        label_smoothing: share of a label given to all labels.
    """

    class_weights: Tensor | None

    def __init__(self, class_weights: Tensor | None, label_smoothing: float) -> None:
        super().__init__()
        self.register_buffer("class_weights", class_weights)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Compare logits with the true labels.

        Args:
            logits: [B, C].
            targets: label ids, int64 [B].
            weights: how much each text counts, [B]; None for all the same. They don't change
                what the sum is divided by (B, or the class weights of the batch), so that a
                batch of light texts moves the model less.

        Returns:
            A scalar.
        """
        each = functional.cross_entropy(
            logits,
            targets,
            self.class_weights,
            label_smoothing=self.label_smoothing,
            reduction="mean" if weights is None else "none",
        )
        if weights is None:
            return each
        return (each * weights).sum() / self.divisor(targets)

    def divisor(self, targets: Tensor) -> Tensor | int:
        """Give what the sum over texts is divided by.

        Args:
            targets: their label ids, int64 [B].

        Returns:
            How many they are, or the sum of their class weights.
        """
        return len(targets) if self.class_weights is None else self.class_weights[targets].sum()


def make_loss(config: TrainingConfig, labels: np.ndarray, names: Sequence[str]) -> TextLoss:
    """Build the loss of a training run.

    Args:
        config: class weights and label smoothing.
        labels: label ids of the training texts, int64 [N].
        names: label names, C of them.

    Returns:
        The loss.

    Raises:
        ConfigError: a class weight is malformed or names no label.
    """
    weights = class_weights(config.class_weights, labels, names)
    tensor = None if weights is None else torch.from_numpy(weights).float()
    return TextLoss(tensor, config.label_smoothing)


def class_weights(
    options: Sequence[str], labels: np.ndarray, names: Sequence[str]
) -> np.ndarray | None:
    """Work out how much each label counts.

    Args:
        options: nothing; or 'balanced' alone: n / (labels present * texts of the label), as in
            scikit-learn; or 'label=weight' for some labels, the others being 1.
        labels: label ids of the training texts, int64 [N].
        names: label names, C of them.

    Returns:
        Weights, float64 [C], or None if all count the same.

    Raises:
        ConfigError: an option is malformed or names no label.
    """
    if not options:
        return None
    weights = np.ones(len(names))
    if tuple(options) == ("balanced",):
        counts = np.bincount(labels, minlength=len(names))
        present = counts > 0
        weights[present] = len(labels) / (present.sum() * counts[present])
        return weights
    for text in options:
        name, weight = _parse(text)
        if name not in names:
            raise ConfigError(
                f"class_weights = {text!r}: {name!r} is not a label; labels are {', '.join(names)}"
            )
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
