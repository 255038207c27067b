"""What computes predictions: torch or ONNX Runtime, behind one interface.

Shapes: N texts, B batch, T time (tokens), C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Union

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


class Engine(Protocol):
    """Predicts. Equal texts in equal lists give equal results, bit for bit."""

    def encode(self, texts: Sequence[str]) -> EncodedTexts:
        """Return the token ids of texts."""

    def predict(self, texts: EncodedTexts) -> Predicted:
        """Return the probabilities of N texts, and which of them the n-grams alone predicted."""

    def signature(self) -> dict[str, Any]:
        """Return what shapes a result to the last bit: the model, versions, device, threads."""


class TorchEngine:
    """The network itself.

    Args:
        classifier: the model, on its device and with its precision.
        batch_size: texts per step.
        place: device and threads, where another process computes.
        cascade: the share of labels that may differ; None to run the whole model on all texts.
    """

    def __init__(
        self,
        classifier: TextClassifier,
        batch_size: int,
        place: tuple[str, int] | None = None,
        cascade: float | None = None,
    ) -> None:
        self._classifier = classifier
        self._batch_size = batch_size
        self._place = place
        self._shortcut = classifier.shortcut(cascade)
        import torch

        self._threads = place[1] if place else torch.get_num_threads()

    def encode(self, texts: Sequence[str]) -> EncodedTexts:
        """Return the token ids of texts."""
        encoded = self._classifier.tokenizer.encode_batch(texts, threads=self._threads)
        return EncodedTexts.from_batches([encoded])

    def predict(self, texts: EncodedTexts) -> Predicted:
        """Return the probabilities of N texts, and which of them the n-grams alone predicted."""
        options: dict[str, Any] = {"batch_size": self._batch_size, "shortcut": self._shortcut}
        return predict_texts(self._classifier.model, texts, **options)

    def signature(self) -> dict[str, Any]:
        """Return what shapes a result to the last bit."""
        import torch

        classifier = self._classifier
        return {
            "model": classifier.fingerprint(),
            "textlstm": __version__,
            "torch": torch.__version__,
            "device": self._place[0] if self._place else str(classifier.device),
            "threads": self._threads,
        }


class OnnxEngine:
    """The network as an ONNX graph, run by ONNX Runtime on the CPU.

    Args:
        model: the model, whose tokenizer and labels are used.
        sessions: its graph and, for a cascade, that of its n-grams; batches are predicted side by
            side, each by one thread.
        batch_size: texts per step.
        threads: how many batches are predicted at once.
        shortcut: which texts the n-grams alone predict; None for none.
    """

    def __init__(
        self,
        model: Model,
        sessions: Sequence[OnnxSession],
        batch_size: int,
        threads: int,
        shortcut: Shortcut | None = None,
    ) -> None:
        self._model = model
        self._sessions = sessions
        self._batch_size = batch_size
        self._threads = threads
        self._shortcut = shortcut

    def encode(self, texts: Sequence[str]) -> EncodedTexts:
        """Return the token ids of texts."""
        encoded = self._model.tokenizer.encode_batch(texts, threads=self._threads)
        return EncodedTexts.from_batches([encoded])

    def predict(self, texts: EncodedTexts) -> Predicted:
        """Return the probabilities of N texts, and which of them the n-grams alone predicted."""

        def by(session: OnnxSession, texts: EncodedTexts) -> np.ndarray:
            return predict_in_batches(
                lambda ids, lengths: session(ids, lengths)[1],  # [B, C]
                texts,
                len(self._model.labels),
                batch_size=self._batch_size,
                threads=self._threads,
            )

        whole, ngrams = (partial(by, self._sessions[place]) for place in (0, -1))
        return predict_in_cascade(texts, ngrams, whole, self._shortcut)

    def signature(self) -> dict[str, Any]:
        """Return what shapes a result to the last bit."""
        import onnxruntime

        return {
            "model": self._model.fingerprint(),
            "textlstm": __version__,
            "onnxruntime": onnxruntime.__version__,
            "device": "cpu",
            "threads": self._threads,
        }


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
        place = (config.device, config.threads or 1)
        return TorchEngine(model, config.batch_size, place, config.cascade)
    return TorchEngine(model, config.batch_size, cascade=config.cascade)


def _onnx_engine(model: Model, config: PredictionConfig) -> OnnxEngine:
    from textlstm.export.onnx_model import OnnxModel, cpu_count
    from textlstm.export.onnx_session import OnnxSession

    ngrams = model.settings.model.ngrams
    shortcut = find_shortcut(config.cascade, model.cascade, model.thresholds, ngrams=ngrams)
    if isinstance(model, OnnxModel):
        if config.precision != "fp32":
            raise ConfigError(
                f"precision = {config.precision!r}: an ONNX folder has the one of its export"
            )
        sessions = [model.session, *([model.ngrams()] if shortcut else [])]
        threads = config.threads or cpu_count()
        return OnnxEngine(model, sessions, config.batch_size, threads, shortcut)
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
    return OnnxEngine(model, sessions, config.batch_size, torch.get_num_threads(), shortcut)
