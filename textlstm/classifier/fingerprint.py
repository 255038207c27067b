"""A network as plain bytes, for pickles without torch, and the hash of a classifier."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load, save

from textlstm.config import ModelConfig
from textlstm.nn.device import mind_fork
from textlstm.nn.network import BiLSTMClassifier, network_of
from textlstm.options import build

if TYPE_CHECKING:
    from textlstm.classifier.saved_model import SavedModel

PackedModel = tuple[dict[str, Any], bool, bytes]
"""The shape of a network as options, whether it is multi-label, and its weights as safetensors."""

_LETTERS = 16


def model_hash(saved: SavedModel) -> str:
    """Hash all that a result depends on, but for the machine that computes it.

    Args:
        saved: of its settings those of the tokenizer and the network count, and of the network
            the weights and the numbers that it computes in.

    Returns:
        16 hexadecimal digits.
    """
    model, tables, thresholds = saved.model, saved.settings.to_dict(), saved.thresholds
    known: list[Any] = [list(saved.labels), tables["tokenizer"], tables["model"]]
    known += [str(model.compute_dtype), None if thresholds is None else list(thresholds)]
    known += [] if saved.cascade is None else [saved.cascade.to_dict()]
    digest = hashlib.sha256(json.dumps(known).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    with tempfile.TemporaryDirectory(prefix="textlstm-") as folder:
        path = Path(folder) / "tokenizer.json"
        saved.tokenizer.save(path)
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
