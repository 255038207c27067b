"""What computes predictions: torch or ONNX Runtime, behind one interface.

Shapes: N texts, B batch, T time (tokens), C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol, Union

import numpy as np

from textlstm.classifier.batched import predict_in_batches
from textlstm.config import PredictionConfig
from textlstm.data.encoded import EncodedTexts
from textlstm.errors import ConfigError
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

    def predict(self, texts: EncodedTexts) -> np.ndarray:
        """Return the probabilities of N texts, float32 [N, C]."""

    def signature(self) -> dict[str, Any]:
        """Return what shapes a result to the last bit: the model, versions, device, threads."""


class TorchEngine:
    """The network itself.

    Args:
        classifier: the model, on its device and with its precision.
        batch_size: texts per step.
        place: device and threads, where another process computes.
    """

    def __init__(
        self, classifier: TextClassifier, batch_size: int, place: tuple[str, int] | None = None
    ) -> None:
        self._classifier = classifier
        self._batch_size = batch_size
        self._place = place

    def encode(self, texts: Sequence[str]) -> EncodedTexts:
        """Return the token ids of texts."""
        return EncodedTexts.from_batches([self._classifier.tokenizer.encode_batch(texts)])

    def predict(self, texts: EncodedTexts) -> np.ndarray:
        """Return the probabilities of N texts, float32 [N, C]."""
        from textlstm.classifier.predictor import predict_probabilities

        return predict_probabilities(self._classifier.model, texts, batch_size=self._batch_size)

    def signature(self) -> dict[str, Any]:
        """Return what shapes a result to the last bit."""
        import torch

        classifier = self._classifier
        device, threads = self._place or (str(classifier.device), torch.get_num_threads())
        return {
            "model": classifier.fingerprint(),
            "textlstm": __version__,
            "torch": torch.__version__,
            "device": device,
            "threads": threads,
        }


class OnnxEngine:
    """The network as an ONNX graph, run by ONNX Runtime on the CPU.

    Args:
        model: the model, whose tokenizer and labels are used.
        session: its graph; batches are predicted side by side, each by one thread.
        batch_size: texts per step.
        threads: how many batches are predicted at once.
    """

    def __init__(self, model: Model, session: OnnxSession, batch_size: int, threads: int) -> None:
        self._model = model
        self._session = session
        self._batch_size = batch_size
        self._threads = threads

    def encode(self, texts: Sequence[str]) -> EncodedTexts:
        """Return the token ids of texts."""
        return EncodedTexts.from_batches([self._model.tokenizer.encode_batch(texts)])

    def predict(self, texts: EncodedTexts) -> np.ndarray:
        """Return the probabilities of N texts, float32 [N, C]."""
        return predict_in_batches(
            lambda ids, lengths: self._session(ids, lengths)[1],  # [B, C]
            texts,
            len(self._model.labels),
            batch_size=self._batch_size,
            threads=self._threads,
        )

    def signature(self) -> dict[str, Any]:
        """Return what shapes a result to the last bit."""
        return {
            "model": self._model.fingerprint(),
            "textlstm": __version__,
            "onnxruntime": version("onnxruntime"),
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
        return TorchEngine(model, config.batch_size, (config.device, config.threads or 1))
    return TorchEngine(model, config.batch_size)


def _onnx_engine(model: Model, config: PredictionConfig) -> OnnxEngine:
    from textlstm.export.onnx_model import OnnxModel, cpu_count
    from textlstm.export.onnx_session import OnnxSession

    if isinstance(model, OnnxModel):
        if config.precision != "fp32":
            raise ConfigError(
                f"precision = {config.precision!r}: an ONNX folder has the one of its export"
            )
        return OnnxEngine(model, model.session, config.batch_size, config.threads or cpu_count())
    if config.precision not in ("fp32", "int8"):
        raise ConfigError(f"precision = {config.precision!r}: the engine onnx has fp32 and int8")
    import torch

    from textlstm.export.onnx_graph import build_graph
    from textlstm.export.parity import plain_copy

    graph = build_graph(plain_copy(model.model), int8=config.precision == "int8")
    session = OnnxSession(graph.SerializeToString(), threads=1)
    return OnnxEngine(model, session, config.batch_size, torch.get_num_threads())
