"""Prediction in batches of like length, on whatever computes them; without torch.

Shapes: N texts, B batch, T time (tokens), C classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from textlstm.data.batches import collate_arrays, sorted_batches
from textlstm.data.encoded import EncodedTexts
from textlstm.evaluation.cascade import Shortcut
from textlstm.nn.parallel import for_each

WINDOW_ROWS = 4096  # 64 batches of 64: padding is then about 1% on reviews
BATCH_SIZE = 64
TOKENS_AT_ONCE = 1 << 18  # about 5 kB of memory each, while threads read several batches


def predict_in_batches(
    forward: Callable[[np.ndarray, np.ndarray], np.ndarray],
    texts: EncodedTexts,
    classes: int,
    *,
    batch_size: int,
    parallel: bool = True,
    threads: int | None = None,
) -> np.ndarray:
    """Predict texts in batches of like length.

    Args:
        forward: ids int64 [B, T] and lengths int64 [B] to probabilities, float32 [B, C]; called
            in several threads at once if `parallel`.
        texts: N encoded texts.
        classes: C.
        batch_size: texts per step.
        parallel: whether the CPU threads predict batches side by side.
        threads: how many, where torch does not compute; None divides torch's.

    Returns:
        Probabilities, float32 [N, C].
    """
    probabilities = np.empty((len(texts), classes), np.float32)  # [N, C]

    def predict(rows: np.ndarray) -> None:
        probabilities[rows] = forward(*collate_arrays(texts, rows))

    for start in range(0, len(texts), WINDOW_ROWS):
        window = texts.lengths[start : start + WINDOW_ROWS]
        batches = [rows + start for rows in sorted_batches(window, batch_size=batch_size)]
        tokens = len(batches[0]) * int(window.max())  # of the largest batch
        most = TOKENS_AT_ONCE // tokens if parallel else 1
        for_each(predict, batches, most=most, threads=threads)
    return probabilities


Predicted = tuple[np.ndarray, np.ndarray]
"""Probabilities, float32 [N, C], and which texts the n-grams alone predicted, bool [N]."""


def predict_in_cascade(
    texts: EncodedTexts,
    ngrams: Callable[[EncodedTexts], np.ndarray],
    whole: Callable[[EncodedTexts], np.ndarray],
    shortcut: Shortcut | None,
) -> Predicted:
    """Predict texts by the n-grams, and by the whole model where these are not certain.

    Args:
        texts: N encoded texts.
        ngrams: encoded texts to probabilities by the n-grams alone, float32 [N, C].
        whole: the same for the whole model.
        shortcut: which texts are skipped; None for none.

    Returns:
        Probabilities, and which texts the n-grams alone predicted.
    """
    if shortcut is None or shortcut.least is None:
        return whole(texts), np.zeros(len(texts), bool)
    probabilities = ngrams(texts)  # [N, C]
    skipped = shortcut.skips(probabilities)  # [N]
    rest = np.flatnonzero(~skipped)
    probabilities[rest] = whole(texts.take(rest))
    return probabilities, skipped
