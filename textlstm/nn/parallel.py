"""The same work for many items, done by several threads side by side.

An LSTM's products are small, and threads that share one wait for each other at every time step;
a thread with a batch of its own waits for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")

_MOST = 8  # Python's lock lets no more of them run: about an eighth of a short batch is Python
_LEAST_ITEMS = 4  # for each thread; with fewer, most would wait for the one that ends last


def for_each(work: Callable[[T], None], items: Sequence[T], *, most: int = _MOST) -> None:
    """Do something with every item; torch's CPU threads are divided among those who do it.

    Args:
        work: what to do with an item, in some thread; modes such as `torch.inference_mode`
            belong to a thread, so it has to enter them itself.
        items: with few items, or if torch has one thread, all are done in the calling thread.
        most: no more items than this at once, for instance because of the memory they take.

    Raises:
        Exception: what `work` raises; items that nobody has begun are then left.
    """
    threads = torch.get_num_threads()
    crew = min(threads, most, _MOST, len(items) // _LEAST_ITEMS)
    if crew < 2:
        for item in items:
            work(item)
        return
    begun = threading.Barrier(crew + 1)

    def begin() -> None:
        torch.get_num_threads()  # a thread's first call sets its number to that of the process
        torch.set_num_threads(threads // crew)
        begun.wait()

    with ThreadPoolExecutor(crew, "textlstm-crew", begin) as pool:
        waiting = [pool.submit(work, item) for item in items]
        begun.wait()
        torch.set_num_threads(threads)  # theirs has become that of threads still to come, too
        try:
            for each in waiting:
                each.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
