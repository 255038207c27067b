"""An exported ONNX folder as a model that predicts; imports neither torch nor datasets."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textlstm.classifier.json_files import are_strings, are_thresholds
from textlstm.config import TrainSettings
from textlstm.errors import ConfigError, ModelFolderError
from textlstm.evaluation.cascade import Cascade
from textlstm.export.onnx_session import OnnxSession
from textlstm.text.tokenizer import TextTokenizer

MODEL, LABELS, THRESHOLDS = "model.onnx", "labels.json", "thresholds.json"
TOKENIZER, SETTINGS = "tokenizer.json", "settings.json"
NGRAMS, CASCADE = "ngrams.onnx", "cascade.json"
_LETTERS = 16


class OnnxModel:
    """A model that ONNX Runtime computes.

    Args:
        folder: what `export --format onnx` wrote.

    Raises:
        ModelFolderError: a file is missing or damaged.
        MissingDependencyError: `onnxruntime` is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder)
        labels = _read(path / LABELS, lambda value: isinstance(value, list) and are_strings(value))
        self.labels: tuple[str, ...] = tuple(labels)
        self.settings = _settings(path / SETTINGS)
        self.thresholds: tuple[float, ...] | None = None
        if (path / THRESHOLDS).is_file():
            found = _read(path / THRESHOLDS, lambda value: are_thresholds(value, len(labels)))
            self.thresholds = tuple(found)
        self.cascade: Cascade | None = None
        if (path / CASCADE).is_file():
            self.cascade = Cascade.from_dict(_read(path / CASCADE, Cascade.is_valid))
        self.tokenizer = TextTokenizer.load(
            path / TOKENIZER,
            max_length=self.settings.tokenizer.max_length,
            truncation=self.settings.tokenizer.truncation,
        )
        self.session = self._session(path / MODEL)
        self._files = [path / name for name in (MODEL, TOKENIZER, LABELS, SETTINGS)]
        self._files += [path / name for name in (NGRAMS, CASCADE) if self.cascade]
        self._ngrams = path / NGRAMS

    def ngrams(self) -> OnnxSession:
        """Return the n-grams alone, for a cascade."""
        return self._session(self._ngrams)

    def _session(self, path: Path) -> OnnxSession:
        session = OnnxSession(path, threads=1)  # batches are computed side by side
        _require(session.classes == len(self.labels), path)
        return session

    def fingerprint(self) -> str:
        """Return a hash of everything that a result depends on."""
        digest = hashlib.sha256(json.dumps([self.labels, self.thresholds]).encode())
        for file in self._files:
            digest.update(file.read_bytes())
        return digest.hexdigest()[:_LETTERS]


def cpu_count() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _require(condition: bool, path: Path) -> None:
    if not condition:
        raise ModelFolderError(f"{path} is damaged, or of another model: export the model again")


def _settings(path: Path) -> TrainSettings:
    try:
        return TrainSettings.from_dict(_read(path))
    except (ConfigError, TypeError, AttributeError) as error:
        raise ModelFolderError(f"{path} is damaged ({error}): export the model again") from error


def _read(path: Path, is_valid: Callable[[Any], bool] = lambda value: True) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        fault = f"{path} cannot be read ({error})"
        raise ModelFolderError(f"{fault}: export the model again") from error
    _require(is_valid(value), path)
    return value
