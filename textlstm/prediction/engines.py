"""What computes predictions: torch or ONNX Runtime, behind one interface.

Shapes: N texts, B batch, T time (tokens), C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.predictor import predict_in_batches, predict_probabilities
from textlstm.config import PredictionConfig
from textlstm.data.encoded import EncodedTexts
from textlstm.errors import ConfigError
from textlstm.version import __version__


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
        batch_size: texts a step.
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
        return predict_probabilities(self._classifier.model, texts, batch_size=self._batch_size)

    def signature(self) -> dict[str, Any]:
        """Return what shapes a result to the last bit."""
        device, threads = self._place or (str(self._classifier.device), torch.get_num_threads())
        return {
            "model": self._classifier.fingerprint(),
            "textlstm": __version__,
            "torch": torch.__version__,
            "device": device,
            "threads": threads,
        }


class OnnxEngine(TorchEngine):
    """The network as an ONNX graph, run by ONNX Runtime on the CPU.

    Args:
        classifier: the model.
        batch_size: texts a step.
        int8: whether weights and products are in 8 bits.

    Raises:
        MissingDependencyError: `onnx` or `onnxruntime` is not installed.
    """

    def __init__(self, classifier: TextClassifier, batch_size: int, *, int8: bool) -> None:
        from textlstm.export.onnx_graph import build_graph
        from textlstm.export.onnx_session import OnnxSession
        from textlstm.export.parity import plain_copy

        super().__init__(classifier, batch_size, ("cpu", torch.get_num_threads()))
        graph = build_graph(plain_copy(classifier.model), int8=int8)
        # batches are predicted side by side, each by one thread
        self._session = OnnxSession(graph.SerializeToString(), threads=1)

    def predict(self, texts: EncodedTexts) -> np.ndarray:
        """Return the probabilities of N texts, float32 [N, C]."""

        def forward(ids: Tensor, lengths: Tensor) -> np.ndarray:
            return self._session(ids.numpy(), lengths.numpy())[1]  # [B, C]

        return predict_in_batches(
            forward, texts, len(self._classifier.labels), batch_size=self._batch_size
        )

    def signature(self) -> dict[str, Any]:
        """Return what shapes a result to the last bit."""
        signature = super().signature()
        del signature["torch"]
        return {**signature, "onnxruntime": version("onnxruntime")}


def make_engine(classifier: TextClassifier, config: PredictionConfig) -> Engine:
    """Create the engine that the options ask for; for ray, the one of an actor.

    Args:
        classifier: the model.
        config: `engine`, `precision` and `batch_size`.

    Raises:
        ConfigError: the engine does not have the precision, or another engine's options are set.
        MissingDependencyError: the engine's library is not installed.
    """
    if config.engine == "onnx":
        if config.precision not in ("fp32", "int8"):
            raise ConfigError(
                f"precision = {config.precision!r}: the engine onnx has fp32 and int8"
            )
        return OnnxEngine(classifier, config.batch_size, int8=config.precision == "int8")
    if config.engine == "ray":
        return TorchEngine(classifier, config.batch_size, (config.device, config.threads or 1))
    if config.address or config.workers:
        raise ConfigError(f"address and workers are for the engine ray, not for {config.engine}")
    return TorchEngine(classifier, config.batch_size)
