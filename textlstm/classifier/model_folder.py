"""The model folder: which files it has, how they are written whole and checked when read.

JSON, text and safetensors only; nothing is pickled. `config.json` takes its place last and
holds the SHA-256 of the files that must fit each other, so a folder without it is unfinished
and one that was mixed up from two models is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from textlstm.config import TrainSettings
from textlstm.errors import ConfigError, ModelFolderError, OutputError, VocabularyError
from textlstm.io.atomic import atomic_path, write_text
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
RUN = "run.json"  # what a run under way was asked for; it goes when the model is whole
_SEALED = (FILES.weights, FILES.tokenizer, FILES.vocabulary)


def current_versions() -> dict[str, str]:
    """Give the versions of Python and of the libraries that shape a result."""
    versions = {LIBRARY: __version__, "python": platform.python_version()}
    for name in ("torch", "tokenizers", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


@dataclass(frozen=True)
class RunRecord:
    """What is known of the run that made a classifier; the model card is written from it.

    Args:
        source: the data, as it was asked for; '' if unknown.
        fingerprint: hash of the data; '' if unknown.
        dataset_id: the name on the Hub of a dataset that is from there.
        rows: rows used per split.
        notes: what was guessed, dropped or cut in the data.
        training: facts of the run for JSON, such as `best_epoch`, `steps`, `minutes`.
        metrics: what `evaluate_probabilities` gave, per split.
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
    """The checked contents of a model folder.

    Args:
        labels: label names, index = id.
        settings: everything the model was trained with.
        tokenizer: text to ids.
        weights: the model's state dict, on the CPU.
        record: what is known of the run.
        thresholds: the least probability of each label, where a text may have several; None
            where it has one.
    """

    labels: tuple[str, ...]
    settings: TrainSettings
    tokenizer: TextTokenizer
    weights: dict[str, Tensor]
    record: RunRecord
    thresholds: tuple[float, ...] | None = None


def write_folder(folder: str | Path, contents: ModelFolder, *, card: str) -> None:
    """Write a model folder; files take their places only when all of them are written.

    Args:
        folder: where; other files in it are left alone.
        contents: what to write; weights are stored as float32.
        card: text of the model card.

    Raises:
        OutputError: the folder can't be written to; then none of its files has changed.
    """
    folder = Path(folder)
    record, tokenizer = contents.record, contents.tokenizer
    with contextlib.ExitStack() as stack:
        # an ExitStack ends its parts in reverse order: config.json is put in place last
        names = (FILES.config, FILES.card, FILES.history, FILES.metrics, *_SEALED)
        paths = {name: stack.enter_context(atomic_path(folder / name)) for name in names}
        weights = {name: tensor.detach().float() for name, tensor in contents.weights.items()}
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
            "sha256": {name: _sha256(paths[name]) for name in _SEALED},
        }
        write_config(paths[FILES.config], config)


def read_folder(folder: str | Path) -> ModelFolder:
    """Read and check a model folder.

    Args:
        folder: where it is.

    Returns:
        Its contents, which fit each other; whether the weights fit the network is for the
        caller to check.

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
    weights, _ = load_weights(folder / FILES.weights)
    try:
        vocabulary = Vocabulary.load(folder / FILES.vocabulary)
        tokenizer = TextTokenizer.load(
            folder / FILES.tokenizer,
            max_length=settings.tokenizer.max_length,
            truncation=settings.tokenizer.truncation,
            vocabulary=vocabulary,
        )
    except VocabularyError as error:
        raise ModelFolderError(
            f"{FILES.tokenizer} and {FILES.vocabulary} of the model folder {folder} do not fit or "
            f"can't be read ({error}): copy the whole folder again, or train it again"
        ) from error
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
    thresholds = tuple(config["thresholds"]) if config.get("multi_label") else None
    return ModelFolder(tuple(config["labels"]), settings, tokenizer, weights, record, thresholds)


def write_config(path: str | Path, config: Mapping[str, Any]) -> None:
    """Write a `config.json`, all or nothing; the library and the versions are added in front.

    Args:
        path: the file.
        config: labels, settings and what else belongs there, fit for JSON.
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
        The object, with the types and keys that `write_folder` gave it.

    Raises:
        ModelFolderError: there is no finished model in the folder, or the file is not a
            textlstm configuration that this version can read.
    """
    folder = Path(folder)
    path = folder / FILES.config
    if not folder.exists():
        raise ModelFolderError(f"there is no model folder {folder}: check the path")
    if not folder.is_dir():
        raise ModelFolderError(f"{folder} is a file: give the model folder that textlstm wrote")
    if not path.exists():
        begun = [name for name in (FILES.checkpoint, RUN) if (folder / name).exists()]
        if begun:
            raise ModelFolderError(
                f"training of {folder} is unfinished (there is a {begun[0]} but no "
                f"{FILES.config}): finish it with textlstm train --resume --out {folder}"
            )
        raise ModelFolderError(
            f"{path} is missing, so {folder} is no finished model folder: "
            "copy the whole folder again, or train into it"
        )
    config = _read_json_object(path)
    if config.get("library_name") != LIBRARY:
        raise ModelFolderError(
            f"{path} is not a configuration of textlstm (library_name is "
            f"{config.get('library_name')!r}): give a folder that textlstm wrote"
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


def save_weights(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write tensors as safetensors, all or nothing; equal contents give equal bytes.

    Args:
        path: the file.
        tensors: name to tensor, of any kind and on any device.
        metadata: strings that go with them.

    Raises:
        OutputError: the file can't be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(plain, temporary, dict(metadata))
        except SafetensorError as error:  # a full disk, among others
            raise OutputError(f"cannot write {path}: {error}") from error
        _sort_metadata(temporary)


def load_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file.

    Args:
        path: the file.

    Returns:
        The tensors by name, on the CPU, and the metadata.

    Raises:
        ModelFolderError: the file is missing, truncated or no safetensors file.
    """
    path = _existing(Path(path))
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFolderError(
            f"{path} is truncated, damaged or no safetensors file ({error}): "
            "copy it again, or train again"
        ) from error


def _config_fault(config: Mapping[str, Any]) -> str:
    """Say what is wrong with the types in a configuration; '' if nothing is."""
    if type(config.get("format_version")) is not int or config["format_version"] < 1:
        return f"format_version = {config.get('format_version')!r} must be a whole number"
    labels = config.get("labels")
    multi_label = config.get("multi_label", False)  # folders of version 0.1.0 may lack it
    if not isinstance(multi_label, bool):
        return f"multi_label = {multi_label!r} must be true or false"
    least = 1 if multi_label else 2
    if not isinstance(labels, list) or len(labels) < least or not _strings(labels):
        return f"labels = {labels!r} must be a list of at least {least} strings"
    thresholds = config.get("thresholds")
    if multi_label and not (
        isinstance(thresholds, list) and fit_thresholds(thresholds, len(labels))
    ):
        return f"thresholds = {thresholds!r} must be a number from 0 to 1 for each label"
    if len(set(labels)) < len(labels):
        return f"labels = {labels!r} must differ from each other"
    for name in ("settings", "data", "training", "versions", "sha256"):
        if not isinstance(config.get(name), dict):
            return f"{name} = {config.get(name)!r} must be an object"
    data = config["data"]
    for name, if_missing in (("source", None), ("fingerprint", None), ("dataset_id", "")):
        if not isinstance(data.get(name, if_missing), str):
            return f"data.{name} = {data.get(name)!r} must be a string"
    rows, notes = data.get("rows"), data.get("notes")
    if not isinstance(rows, dict) or not all(type(count) is int for count in rows.values()):
        return f"data.rows = {rows!r} must be an object of whole numbers"
    if not isinstance(notes, list) or not _strings(notes):
        return f"data.notes = {notes!r} must be a list of strings"
    try:
        TrainSettings.from_dict(config["settings"])
    except ConfigError as error:
        return f"in settings, {error}"
    return ""


def fit_thresholds(thresholds: Sequence[Any], count: int) -> bool:
    """Tell whether thresholds are as many numbers from 0 to 1."""
    return len(thresholds) == count and all(
        type(value) in (int, float) and 0 <= value <= 1 for value in thresholds
    )


def _strings(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _existing(path: Path) -> Path:
    if path.is_file() and not os.access(path, os.R_OK):
        raise ModelFolderError(f"{path} can't be read: give yourself the right to read it")
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
            raise ModelFolderError(
                f"{path}: {split!r} = {figures!r} must be an object of figures: copy it again"
            )
    return metrics


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


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file in order; its writer leaves that to chance.

    The file opens with the header's length (8 bytes, little endian) and the header, JSON that
    spaces may follow.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        metadata = header.get("__metadata__", {})
        header["__metadata__"] = {name: metadata[name] for name in sorted(metadata)}
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= size:  # always so, as the same strings are only moved about
            file.seek(8)
            file.write(text.ljust(size))
