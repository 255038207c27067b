"""A network as plain bytes, for pickles that shall hold no object of torch."""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load, save

from textlstm.config import ModelConfig
from textlstm.nn.device import mind_fork
from textlstm.nn.network import BiLSTMClassifier
from textlstm.options import build

PackedModel = tuple[dict[str, Any], bool, bytes]
"""The shape of a network as options, whether it is multi-label, and its weights as safetensors."""


def pack(model: BiLSTMClassifier) -> PackedModel:
    """Give a network as a dictionary and bytes; equal networks give equal ones."""
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    return model.config.to_dict(), model.multi_label, save(weights)


def unpack(packed: PackedModel) -> BiLSTMClassifier:
    """Give the network back, on the CPU and in evaluation mode."""
    mind_fork()  # making a network computes
    config, multi_label, data = packed
    weights = load(data)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers go on as they were
        model = BiLSTMClassifier(
            build(ModelConfig, config),
            vocab_size=len(weights["embedding.weight"]),
            num_classes=len(weights["linear.weight"]),
            multi_label=multi_label,
        )
    model.load_state_dict(weights)
    return model.eval()
