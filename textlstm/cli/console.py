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
def messages() -> Iterator[None]:
    """Show what the library logs, without disturbing a bar."""
    logger = logging.getLogger("textlstm")
    handler = _Lines()
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


@contextlib.contextmanager
def counting(unit: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show how many of something are done.

    Args:
        unit: what is counted.
        total: how many there will be, if known.

    Yields:
        A function that takes the number done so far.
    """
    began = last = time.monotonic()
    if sys.stderr.isatty():
        with tqdm(total=total, unit=f" {unit}", file=sys.stderr, dynamic_ncols=True) as bar:
            yield lambda done: _forward(bar, done)
        return

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            say(f"{done:,} {unit}, {done / (now - began):,.0f} a second")

    yield tell


def _forward(bar: Any, done: int) -> None:
    bar.update(done - bar.n)


def clock(seconds: float) -> str:
    """Give a time as 3:05 or 1:03:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
