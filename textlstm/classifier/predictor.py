"""Probabilities of encoded texts: a stream in, a stream out, constant memory.

Texts are sorted by length inside a bounded window, because batches of like length waste no
work on padding; the order of the results is that of the texts.

Shapes: N rows, B batch, T time (tokens), C classes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from textlstm.classifier.batched import BATCH_SIZE, WINDOW_ROWS, predict_in_batches
from textlstm.data.encoded import EncodedTexts
from textlstm.nn.device import mind_fork
from textlstm.nn.network import BiLSTMClassifier
from textlstm.nn.probabilities import to_probabilities


def predict_probabilities(
    model: BiLSTMClassifier, texts: EncodedTexts, *, batch_size: int = BATCH_SIZE
) -> np.ndarray:
    """Return the probabilities of texts, without dropout and without gradients.

    Args:
        model: the classifier; computes on its device. Its training mode is restored.
        texts: N encoded texts.
        batch_size: texts per step.

    Returns:
        Probabilities, float32 [N, C]; of one label a text, each row sums to 1.
    """
    mind_fork()
    device = model.linear.weight.device

    @torch.inference_mode()
    def forward(ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        logits = model(torch.from_numpy(ids).to(device), torch.from_numpy(lengths))  # [B, C]
        return to_probabilities(logits, multi_label=model.multi_label)

    with _evaluating(model):
        return predict_in_batches(
            forward,
            texts,
            model.linear.out_features,
            batch_size=batch_size,
            parallel=device.type == "cpu",
        )


def stream_probabilities(
    model: BiLSTMClassifier,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    batch_size: int = BATCH_SIZE,
) -> Iterator[np.ndarray]:
    """Yield the probabilities of a stream of texts; about `WINDOW_ROWS` are held at a time.

    Args:
        model: the classifier.
        batches: (flat ids, lengths) of some texts each, as of `TextTokenizer.encode_batch`.
        batch_size: texts per step.

    Yields:
        For each item of `batches`, in order, its probabilities, float32 [n, C].
    """
    window: list[tuple[np.ndarray, np.ndarray]] = []
    rows = 0
    for batch in batches:
        window.append(batch)
        rows += len(batch[1])
        if rows >= WINDOW_ROWS:
            yield from _predict_window(model, window, batch_size)
            window, rows = [], 0
    yield from _predict_window(model, window, batch_size)


def _predict_window(
    model: BiLSTMClassifier, window: list[tuple[np.ndarray, np.ndarray]], batch_size: int
) -> list[np.ndarray]:
    if not window:
        return []
    texts = EncodedTexts.from_batches(window)
    probabilities = predict_probabilities(model, texts, batch_size=batch_size)  # [N, C]
    ends = np.cumsum([len(lengths) for _, lengths in window])
    return np.split(probabilities, ends[:-1])


@contextlib.contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Set evaluation mode; a model already in it is not touched, as threads may share it."""
    training = model.training
    if training:
        model.eval()
    try:
        yield
    finally:
        if training:
            model.train()
