"""Prediction in batches of like length, on whatever computes them; without torch.

Several batches are predicted side by side: an LSTM's products are small, and threads that share
one wait for each other at every time step; a thread with its own batch never waits.

Shapes: N texts, B batch, T time (tokens), C classes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from textlstm.data.encoded import EncodedTexts, collate_arrays, sorted_batches
from textlstm.evaluation.cascade import Shortcut

T = TypeVar("T")

_MOST = 8  # Python's lock slows more of them down: about an eighth of a short batch is Python
_LEAST_ITEMS = 4  # for each thread; with fewer, most threads would wait for the last one
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


def for_each(
    work: Callable[[T], None],
    items: Sequence[T],
    *,
    most: int = _MOST,
    threads: int | None = None,
) -> None:
    """Call a function with every item, in threads that share torch's CPU threads.

    Args:
        work: takes an item. Modes such as `torch.inference_mode` belong to a thread, so it has
            to enter them itself.
        items: with few items, or if torch has one thread, all are done in the calling thread.
        most: the greatest number of items at once, for instance because of the memory they take.
        threads: how many threads to use where torch does not compute; None divides torch's.

    Raises:
        Exception: what `work` raises; items that are not begun by then are skipped.
    """
    torch: Any = None
    if threads is None:
        import torch  # takes seconds, and ONNX Runtime does without

        threads = torch.get_num_threads()
    workers = min(threads, most, _MOST, len(items) // _LEAST_ITEMS)
    if workers < 2:
        for item in items:
            work(item)
        return
    begun = threading.Barrier(workers + 1)

    def begin() -> None:
        if torch is not None:
            torch.get_num_threads()  # a thread's first call sets its number to the process's
            torch.set_num_threads(threads // workers)
        begun.wait()

    with ThreadPoolExecutor(workers, "textlstm-parallel", begin) as pool:
        results = pool.map(work, items)
        begun.wait()
        if torch is not None:
            torch.set_num_threads(threads)  # the workers have set that of later threads, too
        try:
            for _ in results:
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
