"""The model folder: which files it has, how they are written whole and checked when read.

JSON, text and safetensors only; nothing is pickled. In a new folder `config.json` is written
last, so a folder without it is unfinished; over an older model the whole folder is swapped.
`config.json` holds the SHA-256 of the files that belong together, so a folder mixed up from two
models is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from textlstm.classifier.json_files import (
    FILES,
    LIBRARY,
    RUN,
    are_strings,
    are_thresholds,
    json_text,
    read_config,
    read_json_lines,
    read_metrics,
    require_file,
    write_config,
)
from textlstm.classifier.weights import load_weights, save_weights
from textlstm.config import TrainSettings
from textlstm.errors import ConfigError, ModelFolderError, VocabularyError
from textlstm.evaluation.cascade import Cascade
from textlstm.io.atomic import atomic_folder, atomic_path, file_hash, write_text
from textlstm.nn.network import network_of, parameter_shapes
from textlstm.text.tokenizer import TextTokenizer
from textlstm.text.vocabulary import Vocabulary
from textlstm.version import __version__

if TYPE_CHECKING:
    from textlstm.classifier.saved_model import SavedModel

PARTS = ("embedding.", "lstm.")  # of a network: all that a base has
_SEALED = (FILES.weights, FILES.tokenizer, FILES.vocabulary)
_WRITTEN = (FILES.config, FILES.card, FILES.history, FILES.metrics, *_SEALED)


def current_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    versions = {LIBRARY: __version__, "python": platform.python_version()}
    for name in ("torch", "tokenizers", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


@dataclass(frozen=True)
class RunRecord:
    """The facts of the run that made a classifier; the model card is written from it.

    Args:
        source: the data, as it was named; '' if unknown.
        fingerprint: hash of the data; '' if unknown.
        dataset_id: the name of a Hub dataset; '' for other data.
        rows: rows used per split.
        notes: what was inferred, dropped or truncated in the data.
        training: facts of the run for JSON, such as `best_epoch`, `steps`, `minutes`.
        metrics: the result of `evaluate_probabilities` per split.
        history: one record per epoch.
        versions: versions of Python and the libraries.
    """

    source: str = ""
    fingerprint: str = ""
    dataset_id: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()
    versions: Mapping[str, str] = field(default_factory=current_versions)

    def data(self) -> dict[str, Any]:
        """Return what is known of the data, ready for JSON."""
        return {
            "source": self.source,
            "fingerprint": self.fingerprint,
            "dataset_id": self.dataset_id,
            "rows": dict(self.rows),
            "notes": list(self.notes),
        }


def check_compatible(contents: SavedModel) -> None:
    """Raise a `ConfigError` if the parts of a classifier don't belong together."""
    labels, thresholds = contents.labels, contents.thresholds
    settings = contents.settings
    model, tokenizer = contents.model, contents.tokenizer
    rows, outputs = model.embedding.num_embeddings, model.linear.out_features
    least = 1 if model.multi_label else 2
    lengths = (settings.tokenizer.max_length, settings.tokenizer.truncation)
    if not are_strings(labels):
        fault = f"labels = {labels!r}: must be a list of strings"
    elif len(labels) != outputs or len(set(labels)) < max(outputs, least):
        fault = f"labels = {labels!r}: must be {outputs} different names, one per logit, at least "
        fault += str(least)
    elif (thresholds is not None) != model.multi_label:
        fault = f"thresholds = {thresholds!r}: must be given for a multi-label network, and only "
        fault += "for one"
    elif thresholds is not None and not are_thresholds(thresholds, outputs):
        fault = f"thresholds = {thresholds!r}: must be {outputs} numbers from 0 to 1, one per label"
    elif len(tokenizer.vocabulary) != rows:
        fault = f"a vocabulary of {len(tokenizer.vocabulary)} entries: must have {rows}, one per "
        fault += "row of the embedding"
    elif settings.model != model.config:
        fault = f"settings.model = {settings.model}: must be the network's, {model.config}"
    elif contents.cascade is not None and model.ngrams is None:
        fault = f"cascade = {contents.cascade!r}: must be None, as the network has no n-grams"
    elif lengths != (tokenizer.max_length, tokenizer.truncation):
        fault = f"max_length, truncation = {lengths} in settings.tokenizer: must be the "
        fault += f"tokenizer's, {(tokenizer.max_length, tokenizer.truncation)}"
    else:
        return
    raise ConfigError(fault)


def write_folder(folder: str | Path, contents: SavedModel, *, card: str) -> None:
    """Write a model folder, all or nothing.

    Over an older model the new folder is written beside it and then renamed to its name; other
    files in it are kept. That needs the right to write to the folder's parent. Without it, in a
    folder that is a mount point or the working folder, and during a training run (which can be
    resumed), each file is replaced by itself, once all are written, and `config.json` last.

    Args:
        folder: the folder; it is created if it is missing.
        contents: what to write; weights are stored as float32.
        card: text of the model card.

    Raises:
        OutputError: the folder can't be written to; a model that was there is unchanged.
    """
    folder = Path(folder)
    if not _is_swappable(folder):
        return _write_files(folder, contents, card)
    with atomic_folder(folder, replaceable=lambda name: True) as new:
        _write_files(new, contents, card)
        shutil.copytree(
            folder,
            new,
            symlinks=True,
            ignore=lambda where, _: _WRITTEN if Path(where) == folder else (),
            copy_function=_link,
            dirs_exist_ok=True,
        )


def _is_swappable(folder: Path) -> bool:
    """Whether an older model is there that can be replaced as a whole."""
    real = folder.resolve()
    return (
        (real / FILES.config).is_file()
        and not (real / RUN).exists()
        and not real.is_mount()
        and real not in (Path.cwd(), *Path.cwd().parents)
        and os.access(real.parent, os.W_OK)
    )


def _link(source: str, target: str) -> None:
    """Link a file to a second name; copy it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _write_files(folder: Path, contents: SavedModel, card: str) -> None:
    labels = {
        "labels": list(contents.labels),
        "multi_label": contents.thresholds is not None,
        "thresholds": None if contents.thresholds is None else list(contents.thresholds),
        "cascade": None if contents.cascade is None else contents.cascade.to_dict(),
    }
    state = contents.model.state_dict()
    write_files(folder, labels, contents.settings, state, contents.tokenizer, contents.record, card)


def write_files(
    folder: Path,
    config: Mapping[str, Any],
    settings: TrainSettings,
    state: Mapping[str, Tensor],
    tokenizer: TextTokenizer,
    record: RunRecord,
    card: str,
) -> None:
    """Write the files of a folder beside their names; rename all of them once all are written.

    Args:
        folder: it exists, or is created.
        config: what `config.json` has besides settings, record and checksums: `labels` and more.
        settings: everything the weights were trained with.
        state: the weights; stored as float32.
        tokenizer: text to ids.
        record: the facts of the run.
        card: text of the card.

    Raises:
        OutputError: the folder can't be written to.
    """
    with contextlib.ExitStack() as stack:
        # an ExitStack ends its parts in reverse order: config.json is renamed last
        paths = {name: stack.enter_context(atomic_path(folder / name)) for name in _WRITTEN}
        weights = {name: tensor.detach().float() for name, tensor in state.items()}
        save_weights(paths[FILES.weights], weights, {"format": "pt"})
        tokenizer.save(paths[FILES.tokenizer])
        tokenizer.vocabulary.save(paths[FILES.vocabulary])
        write_text(paths[FILES.metrics], json_text(record.metrics))
        write_text(paths[FILES.history], "".join(json.dumps(r) + "\n" for r in record.history))
        write_text(paths[FILES.card], card)
        seals = {name: file_hash(paths[name]) for name in _SEALED}
        rest = {
            "settings": settings.to_dict(),
            "data": record.data(),
            "training": dict(record.training),
            "versions": dict(record.versions),
            "sha256": {**seals, "labels": _labels_hash(config["labels"])},
        }
        write_config(paths[FILES.config], {**config, **rest})


def read_parts(
    folder: Path, config: Mapping[str, Any], settings: TrainSettings
) -> tuple[TextTokenizer, dict[str, Tensor]]:
    """Read tokenizer and weights of a folder, whose files are compared with their checksums first.

    Args:
        folder: of a model or a base.
        config: its `config.json`.
        settings: those in it.

    Raises:
        ModelFolderError: a file is missing, damaged or not the one that was saved.
    """
    for name in _SEALED:
        path = require_file(folder / name)
        if file_hash(path) != config["sha256"].get(name):
            raise ModelFolderError(
                f"{path} is not the file that {FILES.config} was saved with (truncated, edited or "
                "from another model): copy the whole model folder again, or train it again"
            )
    try:
        tokenizer = TextTokenizer.load(
            folder / FILES.tokenizer,
            max_length=settings.tokenizer.max_length,
            truncation=settings.tokenizer.truncation,
            vocabulary=Vocabulary.load(folder / FILES.vocabulary),
        )
    except VocabularyError as error:
        raise ModelFolderError(
            f"{FILES.tokenizer} and {FILES.vocabulary} of the model folder {folder} do not fit or "
            f"can't be read ({error}): copy the whole folder again, or train it again"
        ) from error
    sizes = {"vocab_size": len(tokenizer.vocabulary), "num_classes": len(config["labels"])}
    shapes = parameter_shapes(settings.model, **sizes)
    if config.get("base"):
        shapes = ((name, shape) for name, shape in shapes if name.startswith(PARTS))
    return tokenizer, load_weights(folder / FILES.weights, shapes)


def read_folder(folder: str | Path) -> dict[str, Any]:
    """Read and check a model folder.

    Args:
        folder: the folder.

    Returns:
        Its contents as arguments of `TextClassifier`, the network on the CPU.

    Raises:
        ModelFolderError: the folder or a file is missing, unfinished, damaged, foreign or from
            a newer version; the message names the file and the remedy.
    """
    folder = Path(folder)
    config = read_config(folder)
    settings = TrainSettings.from_dict(config["settings"])
    if config["sha256"].get("labels", found := _labels_hash(config["labels"])) != found:
        raise ModelFolderError(
            f"the labels in {folder / FILES.config} were edited after the model was saved: restore "
            "the file; to rename labels, set `labels` of the loaded classifier and save it"
        )
    tokenizer, weights = read_parts(folder, config, settings)
    multi_label = config.get("multi_label", False)
    model = network_of(weights, settings.model, multi_label=multi_label)
    data = config["data"]
    record = RunRecord(
        source=data["source"],
        fingerprint=data["fingerprint"],
        dataset_id=data.get("dataset_id", ""),  # folders of version 0.1.0 may have none
        rows=data["rows"],
        notes=tuple(data["notes"]),
        training=config["training"],
        versions=config["versions"],
        metrics=read_metrics(folder / FILES.metrics),
        history=tuple(read_json_lines(folder / FILES.history)),
    )
    return {
        "labels": config["labels"],
        "settings": settings,
        "tokenizer": tokenizer,
        "model": model,
        "record": record,
        "thresholds": config["thresholds"] if multi_label else None,
        "cascade": Cascade.from_dict(config.get("cascade")),  # folders of version 0.1.0 have none
    }


def _labels_hash(labels: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(labels)).encode()).hexdigest()
