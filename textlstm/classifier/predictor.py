"""Probabilities of encoded texts: a stream in, a stream out, constant memory.

Texts are sorted by length inside a bounded window, because batches of like length waste no
work on padding; the order of the results is that of the texts.

Shapes: N rows, B batch, T time (tokens), C classes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from textlstm.classifier.batched import (
    BATCH_SIZE,
    WINDOW_ROWS,
    Predicted,
    predict_in_batches,
    predict_in_cascade,
)
from textlstm.data.encoded import EncodedTexts
from textlstm.evaluation.cascade import Shortcut
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
    return predict_texts(model, texts, batch_size=batch_size)[0]


def predict_texts(
    model: BiLSTMClassifier,
    texts: EncodedTexts,
    *,
    batch_size: int = BATCH_SIZE,
    shortcut: Shortcut | None = None,
) -> Predicted:
    """Predict texts as `predict_probabilities` does, but for those that a cascade skips.

    Args:
        model: as for `predict_probabilities`.
        texts: as for `predict_probabilities`.
        batch_size: as for `predict_probabilities`.
        shortcut: which texts the n-grams alone predict; None for none.

    Returns:
        Probabilities, and which texts the n-grams alone predicted.
    """
    mind_fork()
    device = model.linear.weight.device

    def predict(logits_of: Callable[..., Tensor], texts: EncodedTexts) -> np.ndarray:
        @torch.inference_mode()
        def forward(ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
            logits = logits_of(torch.from_numpy(ids).to(device), torch.from_numpy(lengths))
            return to_probabilities(logits, multi_label=model.multi_label)  # [B, C]

        return predict_in_batches(
            forward,
            texts,
            model.linear.out_features,
            batch_size=batch_size,
            parallel=device.type == "cpu",
        )

    def ngram_logits(ids: Tensor, lengths: Tensor) -> Tensor:
        assert model.ngrams is not None
        assert shortcut is not None
        logits: Tensor = model.ngrams(ids, lengths) * shortcut.scale  # [B, C]
        return logits

    with _evaluating(model):
        return predict_in_cascade(
            texts, partial(predict, ngram_logits), partial(predict, model), shortcut
        )


def predict_branches(
    model: BiLSTMClassifier, texts: EncodedTexts, *, batch_size: int = BATCH_SIZE
) -> np.ndarray:
    """Return the logits of each branch, float32 [K, N, C]; arguments as for `predict_texts`."""
    device, shape = model.linear.weight.device, (len(model.scales), model.linear.out_features)

    @torch.inference_mode()
    def forward(ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        logits = model.branches(torch.from_numpy(ids).to(device), torch.from_numpy(lengths))
        return logits.float().cpu().transpose(0, 1).flatten(1).numpy()  # [B, K * C]

    size, parallel = shape[0] * shape[1], device.type == "cpu"
    with _evaluating(model):
        found = predict_in_batches(forward, texts, size, batch_size=batch_size, parallel=parallel)
    return np.ascontiguousarray(found.reshape(-1, *shape).transpose(1, 0, 2))


def stream_probabilities(
    model: BiLSTMClassifier,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    batch_size: int = BATCH_SIZE,
) -> Iterator[np.ndarray]:
    """Yield the probabilities of a stream of texts; see `stream_predictions`."""
    for probabilities, _ in stream_predictions(model, batches, batch_size=batch_size):
        yield probabilities


def stream_predictions(
    model: BiLSTMClassifier,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    batch_size: int = BATCH_SIZE,
    shortcut: Shortcut | None = None,
) -> Iterator[Predicted]:
    """Predict a stream of texts; about `WINDOW_ROWS` are held at a time.

    Args:
        model: the classifier.
        batches: (flat ids, lengths) of some texts each, as of `TextTokenizer.encode_batch`.
        batch_size: texts per step.
        shortcut: as for `predict_texts`.

    Yields:
        For each item of `batches`, in order, its probabilities, float32 [n, C], and which texts
        the n-grams alone predicted, bool [n].
    """
    window: list[tuple[np.ndarray, np.ndarray]] = []
    rows = 0

    def predicted() -> Iterator[Predicted]:
        texts = EncodedTexts.from_batches(window)
        found = predict_texts(model, texts, batch_size=batch_size, shortcut=shortcut)
        ends = np.cumsum([len(lengths) for _, lengths in window])[:-1]
        return zip(*(np.split(part, ends) for part in found), strict=True)

    for batch in batches:
        window.append(batch)
        rows += len(batch[1])
        if rows >= WINDOW_ROWS:
            yield from predicted()
            window, rows = [], 0
    if window:
        yield from predicted()


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
