"""The JSON files of a model folder: `config.json`, `metrics.json`, `history.jsonl`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textlstm.config import TrainSettings
from textlstm.errors import ConfigError, ModelFolderError
from textlstm.evaluation.cascade import Cascade
from textlstm.evaluation.figures import FIGURES
from textlstm.io.atomic import write_text
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
REPORT = ("report.html", "report.json")  # a page to look at, and its figures
RUN = "run.json"  # what an unfinished run was asked for; removed when the model is whole


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
    write_text(path, json_text({**head, **config}))


def read_config(folder: str | Path, *, base: bool = False) -> dict[str, Any]:
    """Read and check the `config.json` of a model folder.

    Args:
        folder: the model folder.
        base: whether it may be a base, which has no labels (see `textlstm.classifier.base`).

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
                f"{FILES.config}): finish it with textlstm {_command(folder / RUN)} --resume "
                f"--out {folder}"
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
    is_base = config.get("base", False) is True
    if is_base and not base:
        raise ModelFolderError(
            f"{folder} is a base, which has no labels: train a classifier from it with "
            f"textlstm train DATA --init-from {folder} --out MODEL"
        )
    fault = _config_fault(config, least=0 if is_base else 2)
    if fault:
        raise ModelFolderError(
            f"{path}, written by textlstm {config.get('library_version')} and read by "
            f"{__version__}: {fault}: restore the file, use the version that wrote it, or train "
            "again"
        )
    return config


def _command(run: Path) -> str:
    """Return the command that resumes a run; 'train' where its record does not say."""
    try:
        return str(json.loads(run.read_bytes()).get("command", "train"))
    except (OSError, ValueError, AttributeError):
        return "train"


def _config_fault(config: Mapping[str, Any], *, least: int) -> str:
    """Return what is wrong with the types in a configuration; '' if nothing is."""
    labels, thresholds = config.get("labels"), config.get("thresholds")
    multi_label = config.get("multi_label", False)  # folders of version 0.1.0 may lack it
    least = min(least, 1) if multi_label is True else least
    tables = {name: config.get(name) for name in ("settings", "data", "training", "versions")}
    tables["sha256"] = config.get("sha256")
    data = tables["data"] if isinstance(tables["data"], dict) else {}
    versions, rows, notes = tables["versions"], data.get("rows"), data.get("notes")
    version, cascade = config.get("format_version"), config.get("cascade")
    names = labels if isinstance(labels, list) and are_strings(labels) else []
    enough = names == labels and len(names) >= least
    right = not multi_label or are_thresholds(thresholds, len(names))
    named = isinstance(versions, dict) and are_strings(versions.values())
    counted = isinstance(rows, dict) and all(type(count) is int for count in rows.values())
    sure = cascade is None or Cascade.is_valid(cascade)
    rules = [
        ("format_version", version, "a whole number", type(version) is int and version > 0),
        ("multi_label", multi_label, "true or false", isinstance(multi_label, bool)),
        ("labels", labels, f"a list of at least {least} strings", enough),
        ("labels", labels, "different names", len(set(names)) == len(names)),
        ("thresholds", thresholds, "a number from 0 to 1 for each label", right),
        ("cascade", cascade, "a scale and certainties from 0 to 1", sure),
        *((name, table, "an object", isinstance(table, dict)) for name, table in tables.items()),
        ("versions", versions, "an object of strings", named),
        *(
            (f"data.{name}", data.get(name), "a string", isinstance(data.get(name, lacking), str))
            for name, lacking in (("source", None), ("fingerprint", None), ("dataset_id", ""))
        ),
        ("data.rows", rows, "an object of whole numbers", counted),
        ("data.notes", notes, "a list of strings", isinstance(notes, list) and are_strings(notes)),
    ]
    for name, value, rule, fits in rules:
        if not fits:
            return f"{name} = {value!r} must be {rule}"
    try:
        TrainSettings.from_dict(config["settings"])
    except ConfigError as error:
        return f"in settings, {error}"
    return ""


def are_thresholds(thresholds: Any, count: int) -> bool:
    """Whether a value is a list of as many numbers from 0 to 1."""
    return (
        isinstance(thresholds, list | tuple)
        and len(thresholds) == count
        and all(_is_number(value) and 0 <= value <= 1 for value in thresholds)
    )


def are_strings(values: Iterable[Any]) -> bool:
    """Whether values are strings, and not a string themselves."""
    return not isinstance(values, str) and all(isinstance(value, str) for value in values)


def require_file(path: Path) -> Path:
    """Return the path; raise a `ModelFolderError` if there is no such file, or it can't be read."""
    if path.is_file() and not os.access(path, os.R_OK):
        raise ModelFolderError(
            f"{path} can't be read: permission denied; check the file's permissions"
        )
    if not path.is_file():
        raise ModelFolderError(
            f"{path} is missing: copy the whole model folder again, or train it again"
        )
    return path


def json_text(value: Any) -> str:
    """Return a value as indented JSON in UTF-8."""
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


def read_metrics(path: Path) -> dict[str, Any]:
    """Read `metrics.json`: figures per split, of the types that are shown."""
    metrics = _read_json_object(path)
    for split, figures in metrics.items():
        if not isinstance(figures, dict):
            fault = f"{split!r} = {figures!r:.60} must be an object of figures"
        elif wrong := [key for key in FIGURES if key in figures and not _is_number(figures[key])]:
            fault = f"{split}.{wrong[0]} = {figures[wrong[0]]!r:.60} must be a number"
        elif "per_label" in figures and not _is_table(figures["per_label"]):
            fault = f"{split}.per_label must hold precision, recall, f1 and support of each label"
        elif "cascade" in figures and not _is_cascade(figures["cascade"]):
            fault = f"{split}.cascade must hold certainty, skipped and differ of each share"
        else:
            continue
        raise ModelFolderError(f"{path}: {fault}: copy it again, or train again")
    return metrics


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def _is_table(per_label: Any) -> bool:
    return (
        isinstance(per_label, dict)
        and per_label != {}
        and all(
            isinstance(row, dict)
            and all(_is_number(row.get(key)) for key in ("precision", "recall", "f1", "support"))
            and _is_number(row.get("threshold", 0))
            for row in per_label.values()
        )
    )


def _is_cascade(figures: Any) -> bool:
    if not Cascade.is_valid(figures):
        return False
    columns = [figures.get(key) for key in ("skipped", "differ", "accuracy")]
    return all(
        isinstance(column, dict)
        and (column.keys() == figures["certainty"].keys() or (not column and i == 2))
        and all(map(_is_number, column.values()))
        for i, column in enumerate(columns)
    )


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a JSON object per line."""
    rows = [_parse_json(path, line) for line in _read_text(path).splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ModelFolderError(f"{path} must hold one JSON object a line: copy it again")
    return rows


def _read_text(path: Path) -> str:
    try:
        return require_file(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelFolderError(f"{path} is not UTF-8 text ({error}): copy it again") from error


def _parse_json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(
            f"{path} is truncated or not JSON ({error}): copy it again, or train again"
        ) from error
