"""textlstm: small, exact, fast text classifiers on a stacked bidirectional LSTM.

Importing the package loads nothing heavy; each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textlstm.version import __version__

_HOMES = {
    "BiLSTM": "nn.bilstm",
    "BiLSTMClassifier": "nn.network",
    "CrossValidation": "training.crossval",
    "Prediction": "classifier.classifier",
    "TextClassifier": "classifier.classifier",
    "TextLSTMClassifier": "estimator",
    "TextLSTMError": "errors",
    "TextTokenizer": "text.tokenizer",
    "TrainSettings": "config",
    "Vocabulary": "text.vocabulary",
    "cross_validate": "training.crossval",
    "distill": "training.distill",
    "load_corpus": "data.corpus",
    "pretrain": "training.pretrain",
    "train": "training.train",
    "tune": "training.tune",
}

__all__ = [*_HOMES, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from textlstm.classifier.classifier import Prediction as Prediction
    from textlstm.classifier.classifier import TextClassifier as TextClassifier
    from textlstm.config import TrainSettings as TrainSettings
    from textlstm.data.corpus import load_corpus as load_corpus
    from textlstm.errors import TextLSTMError as TextLSTMError
    from textlstm.estimator import TextLSTMClassifier as TextLSTMClassifier
    from textlstm.nn.bilstm import BiLSTM as BiLSTM
    from textlstm.nn.network import BiLSTMClassifier as BiLSTMClassifier
    from textlstm.text.tokenizer import TextTokenizer as TextTokenizer
    from textlstm.text.vocabulary import Vocabulary as Vocabulary
    from textlstm.training.crossval import CrossValidation as CrossValidation
    from textlstm.training.crossval import cross_validate as cross_validate
    from textlstm.training.distill import distill as distill
    from textlstm.training.pretrain import pretrain as pretrain
    from textlstm.training.train import train as train
    from textlstm.training.tune import tune as tune


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'textlstm' has no attribute {name!r}")
    return getattr(importlib.import_module(f"textlstm.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
