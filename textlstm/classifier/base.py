"""What a training may start from: tokenizer, embedding and LSTM that know the language.

`textlstm pretrain` writes them to a folder without labels, a base. A model folder has them too.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import ModelCardData
from torch import Tensor

from textlstm.classifier.hub import find_model
from textlstm.classifier.json_files import LIBRARY, read_config
from textlstm.classifier.markdown import bullets, encodable, line
from textlstm.classifier.model_folder import PARTS, RunRecord, read_parts, write_files
from textlstm.config import TrainSettings
from textlstm.text.tokenizer import TextTokenizer


@dataclass(frozen=True, eq=False)
class Base:
    """A tokenizer, and an embedding and LSTM for its ids.

    Args:
        name: the folder, or 'owner/name' on the Hub.
        tokenizer: text to ids.
        settings: those it was trained with.
        weights: of embedding and LSTM, named as in `BiLSTMClassifier`.
    """

    name: str
    tokenizer: TextTokenizer
    settings: TrainSettings
    weights: Mapping[str, Tensor]


def base_settings(name: str | os.PathLike[str]) -> tuple[TrainSettings, bool]:
    """Return the settings of a base or a model, without its weights, and whether it is a base.

    Args:
        name: a folder, or 'owner/name' on the Hub.

    Raises:
        ModelFolderError: there is no base or model, or it can't be read.
    """
    config = read_config(find_model(name), base=True)
    return TrainSettings.from_dict(config["settings"]), not config["labels"]


def read_base(name: str | os.PathLike[str]) -> Base:
    """Read a base, or what a model has of one.

    Args:
        name: a folder, or 'owner/name' on the Hub.

    Raises:
        ModelFolderError: there is no base or model, or it can't be read.
    """
    folder = find_model(name)
    config = read_config(folder, base=True)
    settings = TrainSettings.from_dict(config["settings"])
    tokenizer, found = read_parts(folder, config, settings)
    weights = {name: tensor for name, tensor in found.items() if name.startswith(PARTS)}
    return Base(os.fspath(name), tokenizer, settings, weights)


def save_base(folder: Path, base: Base, record: RunRecord) -> None:
    """Write the folder of a base.

    Args:
        folder: it exists, or is created.
        base: what to write.
        record: the facts of its run.

    Raises:
        OutputError: the folder can't be written to.
    """
    config = {"base": True, "labels": []}
    card = _card(folder.name, base, record)
    write_files(folder, config, base.settings, base.weights, base.tokenizer, record, card)


def _card(name: str, base: Base, record: RunRecord) -> str:
    """Return the card of a base, with the metadata block that the Hub reads."""
    metadata = ModelCardData(library_name=LIBRARY, tags=["lstm", "pretraining", "masked-tokens"])
    model, figures = base.settings.model, record.metrics.get("validation", {})
    direction = "bidirectional" if model.bidirectional else "one-way"
    facts = {
        "texts": f"{record.rows.get('train', 0):,}",
        "vocabulary": f"{len(base.tokenizer.vocabulary):,} entries",
        "embedding": f"{model.embedding_size} numbers per token",
        "LSTM layers": str(model.num_layers),
        "units per layer and direction": str(model.hidden_size),
        **{
            f"{key} of hidden tokens": f"{figures[key]:.6g}"
            for key in ("loss", "perplexity")
            if key in figures
        },
        **{key.replace("_", " "): str(value) for key, value in record.training.items()},
        **record.versions,
    }
    parts = [
        f"---\n{metadata.to_yaml()}\n---",
        f"# {line(name)}",
        f"A base for text classifiers: an embedding and a {direction} LSTM that have learned to "
        f"predict hidden tokens of {line(record.source) or 'texts'}.",
        f"```bash\ntextlstm train DATA --init-from {shlex.quote(line(name))} --out my-model\n```",
        bullets(facts.items()),
    ]
    return encodable("\n\n".join(parts) + "\n")
