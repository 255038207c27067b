"""A hash by which two classifiers with the same results are known to be the same."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textlstm.config import TrainSettings
from textlstm.nn.network import BiLSTMClassifier
from textlstm.text.tokenizer import TextTokenizer

_LETTERS = 16


def model_hash(
    model: BiLSTMClassifier,
    tokenizer: TextTokenizer,
    labels: Sequence[str],
    settings: TrainSettings,
    thresholds: Sequence[float] | None = None,
) -> str:
    """Hash all that a result depends on, but for the machine that computes it.

    Args:
        model: the network; its weights and the numbers that it computes in count.
        tokenizer: text to ids.
        labels: label names, index = id.
        settings: those of the tokenizer and the network count.
        thresholds: the least probability of each label, where a text may have several.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    tables = settings.to_dict()
    known: list[Any] = [list(labels), tables["tokenizer"], tables["model"]]
    known += [str(model.compute_dtype), None if thresholds is None else list(thresholds)]
    digest.update(json.dumps(known).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    with tempfile.TemporaryDirectory(prefix="textlstm-") as folder:
        path = Path(folder) / "tokenizer.json"
        tokenizer.save(path)
        digest.update(path.read_bytes())
    return digest.hexdigest()[:_LETTERS]
