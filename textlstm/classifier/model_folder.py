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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from textlstm.classifier.weights import load_weights, save_weights
from textlstm.config import TrainSettings
from textlstm.errors import ConfigError, ModelFolderError, VocabularyError
from textlstm.evaluation.figures import FIGURES
from textlstm.io.atomic import atomic_folder, atomic_path, write_text
from textlstm.nn.network import BiLSTMClassifier, parameter_shapes
from textlstm.text.tokenizer import TextTokenizer
from textlstm.text.vocabulary import Vocabulary
from textlstm.version import __version__

LIBRARY = "textlstm"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ModelFiles:
    """Names of the files in a model folder."""

    config: str = "config.json"
    weights: str = "model.safetensors"
    tokenizer: str = "tokenizer.json"
    vocabulary: str = "vocab.txt"
    metrics: str = "metrics.json"
    history: str = "history.jsonl"
    card: str = "README.md"
    checkpoint: str = "checkpoint.safetensors"


FILES = ModelFiles()
RUN = "run.json"  # what an unfinished run was asked for; removed when the model is whole
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


@dataclass(frozen=True)
class ModelFolder:
    """The contents of a model folder.

    Args:
        labels: label names, index = id.
        settings: everything the model was trained with.
        tokenizer: text to ids.
        model: the network.
        record: the facts of the run.
        thresholds: the decision threshold of each label, where a text may have several; None
            where it has one.
    """

    labels: tuple[str, ...]
    settings: TrainSettings
    tokenizer: TextTokenizer
    model: BiLSTMClassifier
    record: RunRecord
    thresholds: tuple[float, ...] | None = None


def check_compatible(contents: ModelFolder) -> None:
    """Raise a `ConfigError` if the parts of a classifier don't belong together."""
    labels, thresholds, settings = contents.labels, contents.thresholds, contents.settings
    model, tokenizer = contents.model, contents.tokenizer
    rows, outputs = model.embedding.num_embeddings, model.linear.out_features
    least = 1 if model.multi_label else 2
    lengths = (settings.tokenizer.max_length, settings.tokenizer.truncation)
    if not _strings(labels):
        fault = f"labels = {labels!r}: must be a list of strings"
    elif len(labels) != outputs or len(set(labels)) < max(outputs, least):
        fault = f"labels = {labels!r}: must be {outputs} different names, one per logit, at least "
        fault += str(least)
    elif (thresholds is not None) != model.multi_label:
        fault = f"thresholds = {thresholds!r}: must be given for a multi-label network, and only "
        fault += "for one"
    elif thresholds is not None and not _are_thresholds(thresholds, outputs):
        fault = f"thresholds = {thresholds!r}: must be {outputs} numbers from 0 to 1, one per label"
    elif len(tokenizer.vocabulary) != rows:
        fault = f"a vocabulary of {len(tokenizer.vocabulary)} entries: must have {rows}, one per "
        fault += "row of the embedding"
    elif settings.model != model.config:
        fault = f"settings.model = {settings.model}: must be the network's, {model.config}"
    elif lengths != (tokenizer.max_length, tokenizer.truncation):
        fault = f"max_length, truncation = {lengths} in settings.tokenizer: must be the "
        fault += f"tokenizer's, {(tokenizer.max_length, tokenizer.truncation)}"
    else:
        return
    raise ConfigError(fault)


def write_folder(folder: str | Path, contents: ModelFolder, *, card: str) -> None:
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
    with atomic_folder(folder, replaceable=[p.name for p in folder.iterdir()]) as new:
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


def _write_files(folder: Path, contents: ModelFolder, card: str) -> None:
    """Write the files beside their names; rename all of them once all are written."""
    record, tokenizer = contents.record, contents.tokenizer
    with contextlib.ExitStack() as stack:
        # an ExitStack ends its parts in reverse order: config.json is renamed last
        paths = {name: stack.enter_context(atomic_path(folder / name)) for name in _WRITTEN}
        state = contents.model.state_dict()
        weights = {name: tensor.detach().float() for name, tensor in state.items()}
        save_weights(paths[FILES.weights], weights, {"format": "pt"})
        tokenizer.save(paths[FILES.tokenizer])
        tokenizer.vocabulary.save(paths[FILES.vocabulary])
        write_text(paths[FILES.metrics], _json_text(record.metrics))
        write_text(paths[FILES.history], "".join(json.dumps(r) + "\n" for r in record.history))
        write_text(paths[FILES.card], card)
        config = {
            "labels": list(contents.labels),
            "multi_label": contents.thresholds is not None,
            "thresholds": None if contents.thresholds is None else list(contents.thresholds),
            "settings": contents.settings.to_dict(),
            "data": {
                "source": record.source,
                "fingerprint": record.fingerprint,
                "dataset_id": record.dataset_id,
                "rows": dict(record.rows),
                "notes": list(record.notes),
            },
            "training": dict(record.training),
            "versions": dict(record.versions),
            "sha256": {
                **{name: _sha256(paths[name]) for name in _SEALED},
                "labels": _labels_hash(contents.labels),
            },
        }
        write_config(paths[FILES.config], config)


def read_folder(folder: str | Path) -> ModelFolder:
    """Read and check a model folder.

    Args:
        folder: the folder.

    Returns:
        Its contents, the network on the CPU.

    Raises:
        ModelFolderError: the folder or a file is missing, unfinished, damaged, foreign or from
            a newer version; the message names the file and the remedy.
    """
    folder = Path(folder)
    config = read_config(folder)
    settings = TrainSettings.from_dict(config["settings"])
    for name in _SEALED:
        path = _existing(folder / name)
        if _sha256(path) != config["sha256"].get(name):
            raise ModelFolderError(
                f"{path} is not the file that {FILES.config} was saved with (truncated, edited or "
                "from another model): copy the whole model folder again, or train it again"
            )
    if config["sha256"].get("labels", found := _labels_hash(config["labels"])) != found:
        raise ModelFolderError(
            f"the labels in {folder / FILES.config} were edited after the model was saved: restore "
            "the file; to rename labels, set `labels` of the loaded classifier and save it"
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
    multi_label = config.get("multi_label", False)
    sizes = {"vocab_size": len(tokenizer.vocabulary), "num_classes": len(config["labels"])}
    shapes = parameter_shapes(settings.model, **sizes)
    weights = load_weights(folder / FILES.weights, shapes)
    # Not on the device "meta": drawing numbers there has torch import its compiler, for seconds.
    with torch.random.fork_rng(devices=[]):  # the caller's random state stays as it was
        model = BiLSTMClassifier(settings.model, **sizes, multi_label=multi_label)
    model.load_state_dict(weights)
    data = config["data"]
    record = RunRecord(
        source=data["source"],
        fingerprint=data["fingerprint"],
        dataset_id=data.get("dataset_id", ""),  # folders of version 0.1.0 may have none
        rows=data["rows"],
        notes=tuple(data["notes"]),
        training=config["training"],
        versions=config["versions"],
        metrics=_read_metrics(folder / FILES.metrics),
        history=tuple(_read_json_lines(folder / FILES.history)),
    )
    thresholds = tuple(config["thresholds"]) if multi_label else None
    return ModelFolder(tuple(config["labels"]), settings, tokenizer, model, record, thresholds)


def write_config(path: str | Path, config: Mapping[str, Any]) -> None:
    """Write a `config.json`, all or nothing; the library and the versions are added in front.

    Args:
        path: the file.
        config: labels, settings and the rest, ready for JSON.
    """
    head = {
        "library_name": LIBRARY,
        "library_version": __version__,
        "format_version": FORMAT_VERSION,
    }
    write_text(path, _json_text({**head, **config}))


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read and check the `config.json` of a model folder.

    Args:
        folder: the model folder.

    Returns:
        The object, with the types and keys that `write_folder` writes.

    Raises:
        ModelFolderError: there is no finished model in the folder, or the file is not a
            textlstm configuration that this version can read.
    """
    folder = Path(folder)
    path = folder / FILES.config
    if not folder.exists():
        raise ModelFolderError(f"there is no model folder {folder}: check the path")
    if not folder.is_dir():
        raise ModelFolderError(f"{folder} is a file: pass the model folder that textlstm wrote")
    if not path.exists():
        begun = [name for name in (FILES.checkpoint, RUN) if (folder / name).exists()]
        if begun:
            raise ModelFolderError(
                f"training of {folder} is unfinished (there is a {begun[0]} but no "
                f"{FILES.config}): finish it with textlstm train --resume --out {folder}"
            )
        raise ModelFolderError(
            f"{path} is missing, so {folder} is not a finished model folder: "
            "copy the whole folder again, or train into it"
        )
    config = _read_json_object(path)
    if config.get("library_name") != LIBRARY:
        raise ModelFolderError(
            f"{path} is not a configuration of textlstm (library_name is "
            f"{config.get('library_name')!r}): pass a folder that textlstm wrote"
        )
    found = config.get("format_version")
    if type(found) is int and found > FORMAT_VERSION:
        raise ModelFolderError(
            f"{path} has format_version {found}, written by textlstm "
            f"{config.get('library_version')}; this is textlstm {__version__}, which reads up to "
            f"{FORMAT_VERSION}: pip install --upgrade textlstm"
        )
    fault = _config_fault(config)
    if fault:
        raise ModelFolderError(
            f"{path}, written by textlstm {config.get('library_version')} and read by "
            f"{__version__}: {fault}: restore the file, use the version that wrote it, or train "
            "again"
        )
    return config


def _config_fault(config: Mapping[str, Any]) -> str:
    """Return what is wrong with the types in a configuration; '' if nothing is."""
    labels, thresholds = config.get("labels"), config.get("thresholds")
    multi_label = config.get("multi_label", False)  # folders of version 0.1.0 may lack it
    least = 1 if multi_label is True else 2
    data = config["data"] if isinstance(config.get("data"), dict) else {}
    versions, rows, notes = config.get("versions"), data.get("rows"), data.get("notes")
    version = config.get("format_version")
    names = labels if isinstance(labels, list) and _strings(labels) else None
    rules = [
        ("format_version", version, "a whole number", type(version) is int and version > 0),
        ("multi_label", multi_label, "true or false", isinstance(multi_label, bool)),
        ("labels", labels, f"a list of at least {least} strings", len(names or ()) >= least),
        ("labels", labels, "different names", len(set(names or ())) == len(names or ())),
        (
            "thresholds",
            thresholds,
            "a number from 0 to 1 for each label",
            not multi_label or _are_thresholds(thresholds, len(names or ())),
        ),
        *(
            (name, config.get(name), "an object", isinstance(config.get(name), dict))
            for name in ("settings", "data", "training", "versions", "sha256")
        ),
        (
            "versions",
            versions,
            "an object of strings",
            isinstance(versions, dict) and _strings(versions.values()),
        ),
        *(
            (f"data.{name}", data.get(name), "a string", isinstance(data.get(name, lacking), str))
            for name, lacking in (("source", None), ("fingerprint", None), ("dataset_id", ""))
        ),
        (
            "data.rows",
            rows,
            "an object of whole numbers",
            isinstance(rows, dict) and all(type(count) is int for count in rows.values()),
        ),
        ("data.notes", notes, "a list of strings", isinstance(notes, list) and _strings(notes)),
    ]
    for name, value, rule, fits in rules:
        if not fits:
            return f"{name} = {value!r} must be {rule}"
    try:
        TrainSettings.from_dict(config["settings"])
    except ConfigError as error:
        return f"in settings, {error}"
    return ""


def _are_thresholds(thresholds: Any, count: int) -> bool:
    return (
        isinstance(thresholds, list | tuple)
        and len(thresholds) == count
        and all(_is_number(value) and 0 <= value <= 1 for value in thresholds)
    )


def _strings(values: Iterable[Any]) -> bool:
    return not isinstance(values, str) and all(isinstance(value, str) for value in values)


def _existing(path: Path) -> Path:
    if path.is_file() and not os.access(path, os.R_OK):
        raise ModelFolderError(
            f"{path} can't be read: permission denied; check the file's permissions"
        )
    if not path.is_file():
        raise ModelFolderError(
            f"{path} is missing: copy the whole model folder again, or train it again"
        )
    return path


def _json_text(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # a path that is not UTF-8 holds lone surrogates; \udcXX is JSON's own way to write them
    return text.encode("utf-8", "backslashreplace").decode()


def _read_json_object(path: Path) -> dict[str, Any]:
    value = _parse_json(path, _read_text(path))
    if not isinstance(value, dict):
        raise ModelFolderError(
            f"{path} holds a {type(value).__name__}, not a JSON object: copy it again"
        )
    return value


def _read_metrics(path: Path) -> dict[str, Any]:
    metrics = _read_json_object(path)
    for split, figures in metrics.items():
        if not isinstance(figures, dict):
            fault = f"{split!r} = {figures!r:.60} must be an object of figures"
        elif wrong := [key for key in FIGURES if key in figures and not _is_number(figures[key])]:
            fault = f"{split}.{wrong[0]} = {figures[wrong[0]]!r:.60} must be a number"
        elif not _is_table(figures.get("per_label", {})):
            fault = f"{split}.per_label must hold precision, recall, f1 and support of each label"
        else:
            continue
        raise ModelFolderError(f"{path}: {fault}: copy it again, or train again")
    return metrics


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_table(per_label: Any) -> bool:
    return isinstance(per_label, dict) and all(
        isinstance(row, dict)
        and all(_is_number(row.get(key)) for key in ("precision", "recall", "f1", "support"))
        and _is_number(row.get("threshold", 0))
        for row in per_label.values()
    )


def _read_json_lines(path: Path) -> list[dict[str, Any]]:
    rows = [_parse_json(path, line) for line in _read_text(path).splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ModelFolderError(f"{path} must hold one JSON object a line: copy it again")
    return rows


def _read_text(path: Path) -> str:
    try:
        return _existing(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelFolderError(f"{path} is not UTF-8 text ({error}): copy it again") from error


def _parse_json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(
            f"{path} is truncated or not JSON ({error}): copy it again, or train again"
        ) from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):  # bytes
            digest.update(block)
    return digest.hexdigest()


def _labels_hash(labels: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(labels)).encode()).hexdigest()
