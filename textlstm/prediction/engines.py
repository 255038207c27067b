"""What computes predictions: torch or ONNX Runtime, behind one interface.

Shapes: N texts, B batch, T time (tokens), C classes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from textlstm.classifier.predictor import (
    Predicted,
    predict_in_batches,
    predict_in_cascade,
    predict_texts,
)
from textlstm.config import PredictionConfig
from textlstm.data.encoded import EncodedTexts
from textlstm.errors import ConfigError
from textlstm.evaluation.cascade import Shortcut, find_shortcut
from textlstm.version import __version__

if TYPE_CHECKING:
    from textlstm.classifier.classifier import TextClassifier
    from textlstm.export.onnx_model import OnnxModel
    from textlstm.export.onnx_session import OnnxSession

Model = Union["TextClassifier", "OnnxModel"]


@dataclass(frozen=True)
class Engine:
    """What predicts. Equal texts in equal lists give equal results, bit for bit.

    Args:
        model: a `Model`.
        library: what computes, 'torch' or 'onnxruntime'.
        device: where it computes.
        threads: of the CPU.
        encode: texts to token ids.
        predict: N texts to their probabilities, and which of them the n-grams alone predicted.
    """

    model: Any
    library: str
    device: str
    threads: int
    encode: Callable[[Sequence[str]], EncodedTexts]
    predict: Callable[[EncodedTexts], Predicted]

    def signature(self) -> dict[str, Any]:
        """Return what shapes a result to the last bit."""
        return {
            "model": self.model.fingerprint(),
            "textlstm": __version__,
            self.library: importlib.import_module(self.library).__version__,
            "device": self.device,
            "threads": self.threads,
        }


def torch_engine(
    classifier: TextClassifier, config: PredictionConfig, place: tuple[str, int] | None = None
) -> Engine:
    """Create the engine of a classifier: the network itself.

    Args:
        classifier: the model, on its device and with its precision.
        config: `batch_size` and `cascade`.
        place: device and threads, where another process computes.
    """
    import torch

    device, threads = place or (str(classifier.device), torch.get_num_threads())
    options: dict[str, Any] = {"shortcut": classifier.shortcut(config.cascade)}
    predict = partial(predict_texts, classifier.model, batch_size=config.batch_size, **options)
    encode = partial(EncodedTexts.of_texts, classifier.tokenizer, threads=threads)
    return Engine(classifier, "torch", device, threads, encode, predict)


def make_engine(model: Model, config: PredictionConfig) -> Engine:
    """Create the engine that the options ask for; for ray, the one of an actor.

    Args:
        model: a classifier, or an ONNX folder, which only ONNX Runtime runs.
        config: `engine`, `precision`, `batch_size` and `threads`.

    Raises:
        ConfigError: the engine does not have the precision, or another engine's options are set.
        MissingDependencyError: the engine's library is not installed.
    """
    if config.engine != "ray" and (config.address or config.workers):
        raise ConfigError(f"address and workers are for the engine ray, not for {config.engine}")
    if config.engine == "onnx":
        return _onnx_engine(model, config)

    from textlstm.classifier.classifier import TextClassifier  # imports torch

    if not isinstance(model, TextClassifier):
        raise ConfigError(f"engine = {config.engine!r}: an ONNX folder needs the engine onnx")
    if config.engine == "ray":
        return torch_engine(model, config, (config.device, config.threads or 1))
    return torch_engine(model, config)


def _onnx_engine(model: Model, config: PredictionConfig) -> Engine:
    """Create an engine that runs the network as an ONNX graph, on the CPU."""
    from textlstm.export.onnx_model import OnnxModel, cpu_count

    if config.device not in ("auto", "cpu"):
        raise ConfigError(
            f"device = {config.device!r}: the engine onnx computes on the CPU: choose auto or cpu"
        )
    ngrams = model.settings.model.ngrams
    shortcut = find_shortcut(config.cascade, model.cascade, model.thresholds, ngrams=ngrams)
    if isinstance(model, OnnxModel):
        if config.precision != "fp32":
            raise ConfigError(
                f"precision = {config.precision!r}: an ONNX folder has the one of its export"
            )
        sessions = [model.session, *([model.ngrams()] if shortcut else [])]
        threads = config.threads or cpu_count()
    else:
        sessions, threads = _sessions(model, config, shortcut)

    def by(session: OnnxSession) -> Callable[[EncodedTexts], np.ndarray]:
        return partial(
            predict_in_batches,
            lambda ids, lengths: session(ids, lengths)[1],  # [B, C]
            classes=len(model.labels),
            batch_size=config.batch_size,
            threads=threads,
        )

    whole, few = by(sessions[0]), by(sessions[-1])
    predict = partial(predict_in_cascade, ngrams=few, whole=whole, shortcut=shortcut)
    encode = partial(EncodedTexts.of_texts, model.tokenizer, threads=threads)
    return Engine(model, "onnxruntime", "cpu", threads, encode, predict)


def _sessions(
    classifier: TextClassifier, config: PredictionConfig, shortcut: Shortcut | None
) -> tuple[list[OnnxSession], int]:
    """Make the graph of a classifier and, for a cascade, that of its n-grams.

    Batches are predicted side by side, each by one thread.
    """
    if config.precision not in ("fp32", "int8"):
        raise ConfigError(f"precision = {config.precision!r}: the engine onnx has fp32 and int8")
    import torch

    from textlstm.export.onnx_graph import build_graph, build_ngram_graph
    from textlstm.export.onnx_session import OnnxSession
    from textlstm.export.parity import plain_copy

    network = plain_copy(classifier.model)
    graphs = [build_graph(network, int8=config.precision == "int8")]
    if shortcut:
        graphs.append(build_ngram_graph(network, shortcut.scale))
    sessions = [OnnxSession(graph.SerializeToString(), threads=1) for graph in graphs]
    return sessions, torch.get_num_threads()
