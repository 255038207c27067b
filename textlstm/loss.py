"""What training makes small: cross entropy, with class weights and label smoothing.

Shapes: N texts, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from textlstm.config import TrainingConfig
from textlstm.errors import ConfigError


def make_loss(config: TrainingConfig, labels: np.ndarray, names: Sequence[str]) -> nn.Module:
    """Build the loss of a training run.

    Args:
        config: class weights and label smoothing.
        labels: label ids of the training texts, int64 [N].
        names: label names, C of them.

    Returns:
        A module: (logits [B, C], label ids [B]) -> mean loss, a scalar.

    Raises:
        ConfigError: a class weight is malformed or names no label.
    """
    weights = class_weights(config.class_weights, labels, names)
    return nn.CrossEntropyLoss(
        weight=None if weights is None else torch.from_numpy(weights).float(),
        label_smoothing=config.label_smoothing,
    )


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
