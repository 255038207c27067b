"""What a classifier is put together from, and whether its parts fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from textlstm.classifier.model_folder import FILES, ModelFolder, fit_thresholds
from textlstm.config import TrainSettings
from textlstm.errors import ModelFolderError
from textlstm.nn.network import BiLSTMClassifier
from textlstm.text.tokenizer import TextTokenizer


def misfit(
    model: BiLSTMClassifier,
    tokenizer: TextTokenizer,
    labels: Sequence[str],
    settings: TrainSettings,
    thresholds: Sequence[float] | None = None,
) -> str:
    """Say what of a classifier does not fit together.

    Args:
        model: the network.
        tokenizer: text to ids.
        labels: label names, index = id.
        settings: of both.
        thresholds: the least probability of each label, where a text may have several.

    Returns:
        The value, the rule and the remedy; '' if all fits, so that what is saved can be loaded.
    """
    rows, outputs = model.embedding.num_embeddings, model.linear.out_features
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        return f"labels = {labels!r}: must be a list of strings"
    least = 1 if model.multi_label else 2
    if len(labels) != outputs or len(set(labels)) < max(outputs, least):
        return (
            f"labels = {labels!r}: must be {outputs} different names, one per logit, at least "
            f"{least}"
        )
    if (thresholds is not None) != model.multi_label:
        return (
            f"thresholds = {thresholds!r}: must be given where the network is multi-label, and "
            "only there"
        )
    if thresholds is not None and not fit_thresholds(thresholds, outputs):
        return f"thresholds = {thresholds!r}: must be {outputs} numbers from 0 to 1, one per label"
    if len(tokenizer.vocabulary) != rows:
        return (
            f"a vocabulary of {len(tokenizer.vocabulary)} entries: must have {rows}, "
            "as the embedding has rows"
        )
    if settings.model != model.config:
        return f"settings.model = {settings.model}: must be the network's, {model.config}"
    asked = (settings.tokenizer.max_length, settings.tokenizer.truncation)
    if asked != (tokenizer.max_length, tokenizer.truncation):
        return (
            f"max_length, truncation = {asked} in settings.tokenizer: must be the tokenizer's, "
            f"{(tokenizer.max_length, tokenizer.truncation)}"
        )
    return ""


def build_model(contents: ModelFolder, folder: Path) -> BiLSTMClassifier:
    """Make the network of a model folder with its weights.

    Args:
        contents: what `read_folder` gave.
        folder: where that was, for messages.

    Returns:
        The network, on the CPU.

    Raises:
        ModelFolderError: the weights are not those of a network of these settings.
    """
    shape = contents.settings.model
    # Not on the device "meta": drawing numbers there has torch import its compiler, for seconds.
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers go on as they were
        model = BiLSTMClassifier(
            shape,
            vocab_size=len(contents.tokenizer.vocabulary),
            num_classes=len(contents.labels),
            multi_label=contents.thresholds is not None,
        )
    expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: list(tensor.shape) for name, tensor in contents.weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ModelFolderError(
                f"{folder / FILES.weights}: {name} is {found.get(name, 'missing')}, but "
                f"{FILES.config} and {FILES.vocabulary} ask for {expected.get(name, 'no such')}: "
                "copy the whole model folder again, or train it again"
            )
    model.load_state_dict(contents.weights)
    return model
