"""Ways to judge texts behind one seam: torch, and ONNX Runtime.

Shapes: N texts, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import torch

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.predictor import TOKENS_AT_ONCE, predict_probabilities
from textlstm.config import PredictionConfig
from textlstm.data.batches import collate, sorted_batches
from textlstm.data.encoded import EncodedTexts
from textlstm.errors import ConfigError
from textlstm.nn.parallel import for_each
from textlstm.version import __version__

Tokens = tuple[np.ndarray, np.ndarray]
"""Ids of texts one behind the other, and their lengths, as `TextTokenizer.encode_batch` gives."""


class Engine(Protocol):
    """Judges texts. Equal texts in equal lists give equal results, bit for bit."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names, index = id."""

    @property
    def trained_columns(self) -> tuple[str, ...]:
        """The text columns of the training."""

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Read texts as ids."""

    def judge(self, tokens: Tokens) -> np.ndarray:
        """Give the probabilities of N texts, float32 [N, C]."""

    def facts(self) -> dict[str, Any]:
        """Name what shapes a result to the last bit: the model, versions, device, threads."""


class TorchEngine:
    """The network itself.

    Args:
        classifier: the model, on its device and with its precision.
        batch_size: texts a step.
        place: device and threads, where it is another process that computes.
    """

    def __init__(
        self, classifier: TextClassifier, batch_size: int, place: tuple[str, int] | None = None
    ) -> None:
        self._classifier = classifier
        self._batch_size = batch_size
        self._place = place
        self.labels = classifier.labels
        self.trained_columns = classifier.settings.data.text_column

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Read texts as ids."""
        return self._classifier.tokenizer.encode_batch(texts)

    def judge(self, tokens: Tokens) -> np.ndarray:
        """Give the probabilities of N texts, float32 [N, C]."""
        texts = EncodedTexts.from_batches([tokens])
        return predict_probabilities(self._classifier.model, texts, batch_size=self._batch_size)

    def facts(self) -> dict[str, Any]:
        """Name what shapes a result to the last bit."""
        device, threads = self._place or (str(self._classifier.device), torch.get_num_threads())
        return {
            "model": self._classifier.fingerprint(),
            "textlstm": __version__,
            "torch": torch.__version__,
            "device": device,
            "threads": threads,
        }


class OnnxEngine:
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

        self._threads = torch.get_num_threads()
        graph = build_graph(plain_copy(classifier.model), int8=int8)
        # each of the threads of `for_each` judges a batch of its own, alone
        self._session = OnnxSession(graph.SerializeToString(), threads=1)
        self._classifier = classifier
        self._batch_size = batch_size
        self.labels = classifier.labels
        self.trained_columns = classifier.settings.data.text_column

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Read texts as ids."""
        return self._classifier.tokenizer.encode_batch(texts)

    def judge(self, tokens: Tokens) -> np.ndarray:
        """Give the probabilities of N texts, float32 [N, C]."""
        texts = EncodedTexts.from_batches([tokens])
        found = np.empty((len(texts), len(self.labels)), np.float32)  # [N, C]

        def judge(rows: np.ndarray) -> None:
            ids, lengths = (part.numpy() for part in collate(texts, rows))  # [B, T], [B]
            _, found[rows] = self._session(ids, lengths)

        largest = self._batch_size * int(texts.lengths.max(initial=1))  # tokens of a batch
        batches = sorted_batches(texts.lengths, batch_size=self._batch_size)
        for_each(judge, batches, most=TOKENS_AT_ONCE // largest)
        return found

    def facts(self) -> dict[str, Any]:
        """Name what shapes a result to the last bit."""
        return {
            "model": self._classifier.fingerprint(),
            "textlstm": __version__,
            "onnxruntime": version("onnxruntime"),
            "device": "cpu",
            "threads": self._threads,
        }


def make_engine(classifier: TextClassifier, config: PredictionConfig) -> Engine:
    """Make the engine that the options ask for (that of an actor, where it is ray).

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
