"""Probabilities of encoded texts: a stream in, a stream out, constant memory; no import of torch.

Texts are sorted by length inside a bounded window, because batches of like length waste no
work on padding; the order of the results is that of the texts. Several batches are predicted side
by side: an LSTM's products are small, and threads that share one wait for each other at every
time step; a thread with its own batch never waits.

Shapes: N rows, B batch, T time (tokens), C classes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from textlstm.data.encoded import EncodedTexts, collate_arrays, sorted_batches
from textlstm.errors import ModelFolderError
from textlstm.evaluation.cascade import Shortcut
from textlstm.io.progress import Display
from textlstm.nn.probabilities import to_probabilities

if TYPE_CHECKING:
    from torch import Tensor

    from textlstm.nn.network import BiLSTMClassifier

T = TypeVar("T")

MOST_THREADS = 8  # Python's lock slows more down: about an eighth of a short batch is Python
_LEAST_ITEMS = 4  # for each thread; with fewer, most threads would wait for the last one
WINDOW_ROWS = 4096  # 64 batches of 64: padding is then about 1% on reviews
# Short texts are done the sooner, the fewer batches are the last of a window, with a shape of their
# own, for which a kernel may have to be made.
_MANY = 4  # windows at a time, of texts with
_FEW_TOKENS = 64  # on average
_MOST_NUMBERS = 2**22  # probabilities at a time, or those of
_LEAST_ROWS = 64  # texts
BATCH_SIZE = 64
_SHORT = 32  # tokens
_NGRAM_BATCHES = 4  # read as one by the n-grams alone, which take so little time
TOKENS_AT_ONCE = 1 << 18  # about 5 kB of memory each, while threads read several batches


def rows_at_once(most: int, labels: int) -> int:
    """Return of how many texts, at most so many, the probabilities of labels are in memory."""
    return min(most, max(_LEAST_ROWS, _MOST_NUMBERS // labels))


def predict_in_batches(
    forward: Callable[[np.ndarray, np.ndarray], np.ndarray],
    texts: EncodedTexts,
    classes: int,
    *,
    batch_size: int,
    parallel: bool = True,
    threads: int | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Predict texts in batches of like length.

    Args:
        forward: ids int64 [B, T] and lengths int64 [B] to probabilities, float32 [B, C]; called
            in several threads at once if `parallel`.
        texts: N encoded texts.
        classes: C.
        batch_size: texts per step, half of those of short texts.
        parallel: whether the CPU threads predict batches side by side.
        threads: how many, where torch does not compute; None divides torch's.
        on_rows: called now and then with the number of texts that are predicted.

    Returns:
        Probabilities, float32 [N, C].
    """
    probabilities = np.empty((len(texts), classes), np.float32)  # [N, C]

    def predict(rows: np.ndarray) -> None:
        probabilities[rows] = forward(*collate_arrays(texts, rows))

    lengths = texts.lengths
    short = lengths.sum() <= _FEW_TOKENS * len(texts)
    size = WINDOW_ROWS * (_MANY if short else 1)
    for start in range(0, len(texts), size):
        if on_rows is not None:
            on_rows(start)
        window = lengths[start : start + size]
        found = sorted_batches(window, batch_size=batch_size, pair_up_to=_SHORT)
        batches = [rows + start for rows in found]
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

    Raises:
        ModelFolderError: a probability is not finite.
    """
    skipped = np.zeros(len(texts), bool)  # [N]
    if shortcut is None or shortcut.least is None:
        probabilities = whole(texts)  # [N, C]
    else:
        probabilities = ngrams(texts)  # [N, C]
        skipped = shortcut.skips(probabilities)  # [N]
        rest = np.flatnonzero(~skipped)
        probabilities[rest] = whole(texts.take(rest))
    if not np.isfinite(probabilities).all():
        raise ModelFolderError(
            "probabilities are not finite: the model's weights are damaged; copy its folder again, "
            "or train it again"
        )
    return probabilities, skipped


def for_each(
    work: Callable[[T], None],
    items: Sequence[T],
    *,
    most: int = MOST_THREADS,
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
    shared = None
    if threads is None:
        import torch  # takes seconds, and ONNX Runtime does without

        threads = shared = torch.get_num_threads()
    workers = min(threads, most, MOST_THREADS, len(items) // _LEAST_ITEMS)
    if workers < 2:
        for item in items:
            work(item)
        return
    pool = _threads_of(os.getpid(), workers, shared)
    begun = [pool.submit(work, item) for item in items]
    try:
        for each in begun:
            each.result()  # raises what `work` raises
    except BaseException:
        for each in begun:
            each.cancel()
        wait(begun)
        raise


@lru_cache(maxsize=4)
def _threads_of(process: int, workers: int, threads: int | None) -> ThreadPoolExecutor:
    """Return threads that are started once: that takes longer than many a short batch.

    Args:
        process: who asks; a forked process has none of its parent's threads.
        workers: as for `start_threads`.
        threads: as for `start_threads`.
    """
    return start_threads(workers, threads)


def start_threads(workers: int, threads: int | None) -> ThreadPoolExecutor:
    """Start threads that share torch's CPU threads.

    Args:
        workers: how many to start.
        threads: torch's CPU threads, divided among them; None where torch does not compute.
    """
    torch: Any = None
    if threads is not None:
        import torch
    begun = threading.Barrier(workers + 1)

    def begin() -> None:
        if threads is not None:
            torch.get_num_threads()  # a thread's first call sets its number to the process's
            torch.set_num_threads(threads // workers)
        begun.wait()

    pool = ThreadPoolExecutor(workers, "textlstm-parallel", begin)
    for _ in range(workers):  # each waits for all, and so each gets a thread
        pool.submit(int)
    begun.wait()
    if threads is not None:
        torch.set_num_threads(threads)  # the workers have set that of later threads, too
    return pool


def predict_texts(
    model: BiLSTMClassifier,
    texts: EncodedTexts,
    *,
    batch_size: int = BATCH_SIZE,
    shortcut: Shortcut | None = None,
) -> Predicted:
    """Predict texts, without dropout and without gradients.

    Args:
        model: the classifier; computes on its device. Its training mode is restored.
        texts: N encoded texts.
        batch_size: texts per step.
        shortcut: which texts the n-grams alone predict; None for none.

    Returns:
        Probabilities (of one label a text, each row sums to 1), and which texts the n-grams alone
        predicted.
    """

    def predict(size: int, logits_of: Callable[..., Tensor], texts: EncodedTexts) -> np.ndarray:
        def probabilities(*batch: Tensor) -> np.ndarray:
            return to_probabilities(logits_of(*batch), multi_label=model.multi_label)

        return _compute(model, texts, probabilities, model.linear.out_features, size)  # [N, C]

    def ngram_logits(ids: Tensor, lengths: Tensor) -> Tensor:
        assert model.ngrams is not None
        assert shortcut is not None
        logits: Tensor = model.ngrams(ids, lengths) * shortcut.scale  # [B, C]
        return logits

    ngrams = partial(predict, _NGRAM_BATCHES * batch_size, ngram_logits)
    return predict_in_cascade(texts, ngrams, partial(predict, batch_size, model), shortcut)


def predict_branches(
    model: BiLSTMClassifier, texts: EncodedTexts, *, batch_size: int = BATCH_SIZE
) -> np.ndarray:
    """Return the logits of each branch, float32 [K, N, C]; arguments as for `predict_texts`."""
    shape = (len(model.scales), model.linear.out_features)

    def logits(ids: Tensor, lengths: Tensor) -> np.ndarray:
        found = model.branches(ids, lengths).float().cpu().transpose(0, 1)  # [B, K, C]
        flat: np.ndarray = found.flatten(1).numpy()
        return flat

    size = shape[0] * shape[1]
    with Display("texts", len(texts), brief=True) as display:
        found = _compute(model, texts, logits, size, batch_size, display.update)  # [N, K * C]
    return np.ascontiguousarray(found.reshape(-1, *shape).transpose(1, 0, 2))


def _compute(
    model: BiLSTMClassifier,
    texts: EncodedTexts,
    function: Callable[[Tensor, Tensor], np.ndarray],
    size: int,
    batch_size: int,
    on_rows: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Return what a function of ids [B, T] and lengths [B] returns for all texts, [N, size]."""
    import torch

    from textlstm.nn.device import mind_fork

    mind_fork()
    device = model.linear.weight.device

    def forward(ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        with torch.inference_mode():  # in each thread
            return function(torch.from_numpy(ids).to(device), torch.from_numpy(lengths))

    options: dict[str, Any] = {"batch_size": batch_size, "on_rows": on_rows}
    training = model.training
    model.eval()
    try:
        with model.lstm.weights_in(model.compute_dtype):
            return predict_in_batches(
                forward, texts, size, parallel=device.type == "cpu", **options
            )
    finally:
        model.train(training)


def stream_predictions(
    model: BiLSTMClassifier,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    batch_size: int = BATCH_SIZE,
    shortcut: Shortcut | None = None,
) -> Iterator[Predicted]:
    """Predict a stream of texts; about as many as in a window are held at a time.

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
    rows, most = 0, rows_at_once(WINDOW_ROWS, model.linear.out_features)

    def predicted() -> Iterator[Predicted]:
        texts = EncodedTexts.from_batches(window)
        found = predict_texts(model, texts, batch_size=batch_size, shortcut=shortcut)
        ends = np.cumsum([len(lengths) for _, lengths in window])[:-1]
        return zip(*(np.split(part, ends) for part in found), strict=True)

    for batch in batches:
        window.append(batch)
        rows += len(batch[1])
        if rows >= most:
            yield from predicted()
            window, rows = [], 0
    if window:
        yield from predicted()
