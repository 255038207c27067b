"""A network as plain bytes, for pickles without torch, and the hash of a classifier."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load, save

from textlstm.config import ModelConfig, TrainSettings
from textlstm.evaluation.cascade import Cascade
from textlstm.nn.device import mind_fork
from textlstm.nn.network import BiLSTMClassifier, network_of
from textlstm.options import build
from textlstm.text.tokenizer import TextTokenizer

PackedModel = tuple[dict[str, Any], bool, bytes]
"""The shape of a network as options, whether it is multi-label, and its weights as safetensors."""

_LETTERS = 16


def model_hash(
    model: BiLSTMClassifier,
    tokenizer: TextTokenizer,
    labels: Sequence[str],
    settings: TrainSettings,
    thresholds: Sequence[float] | None = None,
    cascade: Cascade | None = None,
) -> str:
    """Hash all that a result depends on, but for the machine that computes it.

    Args:
        model: the network; its weights and the numbers that it computes in count.
        tokenizer: text to ids.
        labels: label names, index = id.
        settings: those of the tokenizer and the network count.
        thresholds: the least probability of each label, where a text may have several.
        cascade: when the n-grams alone label a text.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    tables = settings.to_dict()
    known: list[Any] = [list(labels), tables["tokenizer"], tables["model"]]
    known += [str(model.compute_dtype), None if thresholds is None else list(thresholds)]
    known += [] if cascade is None else [cascade.to_dict()]
    digest.update(json.dumps(known).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    with tempfile.TemporaryDirectory(prefix="textlstm-") as folder:
        path = Path(folder) / "tokenizer.json"
        tokenizer.save(path)
        digest.update(path.read_bytes())
    return digest.hexdigest()[:_LETTERS]


def pack(model: BiLSTMClassifier) -> PackedModel:
    """Return a network as a dictionary and bytes; equal networks give equal bytes."""
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    return model.config.to_dict(), model.multi_label, save(weights)


def unpack(packed: PackedModel) -> BiLSTMClassifier:
    """Rebuild the network, on the CPU and in evaluation mode."""
    mind_fork()  # making a network computes
    config, multi_label, data = packed
    return network_of(load(data), build(ModelConfig, config), multi_label=multi_label)
