"""Work in stages that overlap: a thread for each, with bounded queues between them.

Python code of one stage runs while another waits for the disk or computes outside the
interpreter, as torch and the tokenizers do. However long the stream, only a few items are held.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class ChannelClosedError(Exception):
    """The other end of a channel is gone."""


class Channel(Generic[T]):
    """A queue between two threads that either of them can close.

    Args:
        size: most items in it; `put` waits while there are as many.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False  # nothing more will be put in
        self._closed = False  # nothing more will be taken out
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Add an item; raises `ChannelClosedError` if nobody will take it."""
        with self._changed:
            while len(self._items) >= self._size and not self._closed:
                self._changed.wait()
            if self._closed:
                raise ChannelClosedError
            self._items.append(item)
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """Say that no item will follow, because of an error if there is one."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Say that no item will be taken any more."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Take items until the end; raises the error that ended them."""
        while True:
            with self._changed:
                while not (self._items or self._ended or self._closed):
                    self._changed.wait()
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item


@contextlib.contextmanager
def ahead(items: Iterable[T], *, depth: int = 1) -> Iterator[Iterator[T]]:
    """Have a thread compute items before they are asked for.

    Args:
        items: what to compute; errors that it raises are raised where the item is asked for.
        depth: how many finished items may wait.

    Yields:
        The items, in order. When the block ends, the thread has ended too.
    """
    channel: Channel[T] = Channel(depth)

    def work() -> None:
        source = iter(items)
        error: BaseException | None = None
        try:
            for item in source:
                channel.put(item)
        except ChannelClosedError:
            pass
        except BaseException as raised:
            error = raised
        finally:
            close = getattr(source, "close", None)  # of a generator: its files are closed now
            if close is not None:
                close()
            channel.end(error)

    thread = threading.Thread(target=work, name="textlstm-ahead", daemon=True)
    thread.start()
    try:
        yield iter(channel)
    finally:
        channel.close()
        thread.join()


class Behind(Generic[T]):
    """Has a thread do something with items after they are handed over.

    To be used in a `with` block, which ends when all items are done. If `work` raises, the
    error is raised by the next `put` or at the end of the block. If the block itself ends in an
    error, items that still wait are dropped.

    Args:
        work: what to do with an item.
        depth: how many items may wait.
    """

    def __init__(self, work: Callable[[T], None], *, depth: int = 1) -> None:
        self._work = work
        self._channel: Channel[T] = Channel(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="textlstm-behind", daemon=True)

    def put(self, item: T) -> None:
        """Hand an item over; waits while too many are not done yet."""
        try:
            self._channel.put(item)
        except ChannelClosedError:
            assert self._error is not None
            raise self._error from None

    def __enter__(self) -> Behind[T]:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._channel.close()
        self._channel.end()
        try:
            self._thread.join()
        except BaseException:  # Ctrl-C
            self._channel.close()
            self._thread.join()
            raise
        if error is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            for item in self._channel:
                self._work(item)
        except BaseException as raised:
            self._error = raised
            self._channel.close()
