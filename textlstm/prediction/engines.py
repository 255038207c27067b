"""What computes predictions: torch or ONNX Runtime, behind one interface.

Shapes: N texts, B batch, T time (tokens), C classes.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, Union

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
class _Engine:
    """What predicts. Equal texts in equal lists give equal results, bit for bit.

    Args:
        model: its tokenizer and labels are used.
        batch_size: texts per step.
        threads: of the CPU.
        device: where it computes.
        shortcut: which texts the n-grams alone predict; None for none.
    """

    model: Any  # a `Model`
    batch_size: int
    threads: int
    device: str
    shortcut: Shortcut | None

    library = ""

    def encode(self, texts: Sequence[str]) -> EncodedTexts:
        """Return the token ids of texts."""
        encoded = self.model.tokenizer.encode_batch(texts, threads=self.threads)
        return EncodedTexts.from_batches([encoded])

    def signature(self) -> dict[str, Any]:
        """Return what shapes a result to the last bit."""
        return {
            "model": self.model.fingerprint(),
            "textlstm": __version__,
            self.library: importlib.import_module(self.library).__version__,
            "device": self.device,
            "threads": self.threads,
        }


class TorchEngine(_Engine):
    """The network itself, on its device and with its precision."""

    library = "torch"

    def predict(self, texts: EncodedTexts) -> Predicted:
        """Return the probabilities of N texts, and which of them the n-grams alone predicted."""
        options: dict[str, Any] = {"batch_size": self.batch_size, "shortcut": self.shortcut}
        return predict_texts(self.model.model, texts, **options)


@dataclass(frozen=True)
class OnnxEngine(_Engine):
    """The network as an ONNX graph, run by ONNX Runtime on the CPU.

    Args:
        sessions: the graph and, for a cascade, that of its n-grams; batches are predicted side by
            side, each by one thread.
    """

    sessions: Sequence[OnnxSession]

    library = "onnxruntime"

    def predict(self, texts: EncodedTexts) -> Predicted:
        """Return the probabilities of N texts, and which of them the n-grams alone predicted."""

        def by(session: OnnxSession, texts: EncodedTexts) -> np.ndarray:
            return predict_in_batches(
                lambda ids, lengths: session(ids, lengths)[1],  # [B, C]
                texts,
                len(self.model.labels),
                batch_size=self.batch_size,
                threads=self.threads,
            )

        whole, ngrams = (partial(by, self.sessions[place]) for place in (0, -1))
        return predict_in_cascade(texts, ngrams, whole, self.shortcut)


Engine: TypeAlias = TorchEngine | OnnxEngine


def torch_engine(
    classifier: TextClassifier, config: PredictionConfig, place: tuple[str, int] | None = None
) -> TorchEngine:
    """Create the engine of a classifier.

    Args:
        classifier: the model, on its device and with its precision.
        config: `batch_size` and `cascade`.
        place: device and threads, where another process computes.
    """
    import torch

    device, threads = place or (str(classifier.device), torch.get_num_threads())
    shortcut = classifier.shortcut(config.cascade)
    return TorchEngine(classifier, config.batch_size, threads, device, shortcut)


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


def _onnx_engine(model: Model, config: PredictionConfig) -> OnnxEngine:
    from textlstm.export.onnx_model import OnnxModel, cpu_count
    from textlstm.export.onnx_session import OnnxSession

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
        return OnnxEngine(model, config.batch_size, threads, "cpu", shortcut, sessions)
    if config.precision not in ("fp32", "int8"):
        raise ConfigError(f"precision = {config.precision!r}: the engine onnx has fp32 and int8")
    import torch

    from textlstm.export.onnx_graph import build_graph, build_ngram_graph
    from textlstm.export.parity import plain_copy

    network = plain_copy(model.model)
    graphs = [build_graph(network, int8=config.precision == "int8")]
    if shortcut:
        graphs.append(build_ngram_graph(network, shortcut.scale))
    sessions = [OnnxSession(graph.SerializeToString(), threads=1) for graph in graphs]
    threads = torch.get_num_threads()
    return OnnxEngine(model, config.batch_size, threads, "cpu", shortcut, sessions)
