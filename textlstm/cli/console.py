"""What a terminal shows: log lines, and the progress of training and of classification.

All of it goes to stderr: a bar where that is a terminal, plain lines now and then elsewhere.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


@contextlib.contextmanager
def messages(*, shown: bool = True) -> Iterator[None]:
    """Show what the library logs, without disturbing a bar; if not `shown`, drop it."""
    logger = logging.getLogger("textlstm")
    handler = _Lines() if shown else logging.NullHandler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def say(line: str) -> None:
    """Show a line on stderr."""
    tqdm.write(line, file=sys.stderr)
    sys.stderr.flush()


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        warning = "warning: " if record.levelno >= logging.WARNING else ""
        say(warning + record.getMessage())


Tell = Callable[[int, "int | None", int], None]
"""Takes how many are done, how many there seem to be, and how many were done before."""


@contextlib.contextmanager
def counting(unit: str) -> Iterator[Tell]:
    """Show how many of something are done, how fast, and the time left where that is known.

    Args:
        unit: what is counted.

    Yields:
        A function to be called now and then.
    """
    if sys.stderr.isatty():
        with tqdm(unit=f" {unit}", file=sys.stderr, dynamic_ncols=True) as bar:
            yield lambda done, total, before: _forward(bar, done, total, before)
        return
    began = last = time.monotonic()

    def tell(done: int, total: int | None, before: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            speed = (done - before) / (now - began)
            left = f", about {clock((total - done) / speed)} left" if total and speed else ""
            say(f"{done:,} {unit}, {speed:,.0f} a second{left}")

    yield tell


def _forward(bar: Any, done: int, total: int | None, before: int) -> None:
    bar.initial, bar.total = before, total
    bar.update(done - bar.n)


def clock(seconds: float) -> str:
    """Give a time as 3:05 or 1:03:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
