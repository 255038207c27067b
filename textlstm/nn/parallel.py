"""The same work for many items, done by several threads side by side.

An LSTM's products are small, and threads that share one wait for each other at every time step;
a thread with its own batch never waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_MOST = 8  # Python's lock slows more of them down: about an eighth of a short batch is Python
_LEAST_ITEMS = 4  # for each thread; with fewer, most threads would wait for the last one


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
