"""What a terminal shows: log lines, and the progress of a command.

All of it goes to stderr: a bar where that is a terminal, plain lines now and then elsewhere.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from textlstm.errors import Interrupted, raise_interrupted

SECONDS_BETWEEN_LINES = 10.0

_QUIET, _NORMAL, _VERBOSE = range(3)
_verbosity = _NORMAL


def set_verbosity(*, quiet: bool, verbose: bool) -> None:
    """Set how much the commands of this process show: --quiet and --verbose."""
    global _verbosity
    _verbosity = _QUIET if quiet else _VERBOSE if verbose else _NORMAL


def is_verbose() -> bool:
    """Whether --verbose is set."""
    return _verbosity == _VERBOSE


def draws_bars() -> bool:
    """Whether progress is shown as a bar."""
    return sys.stderr.isatty() and _verbosity != _QUIET


@contextlib.contextmanager
def messages(*, shown: bool = True) -> Iterator[None]:
    """Show what the library logs, without breaking a bar; if not `shown`, drop it."""
    import logging  # costs `textlstm --help` a fifth of its time

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warning = "warning: " if record.levelno >= logging.WARNING else ""
            _write(warning + record.getMessage(), record.name)

    logger = logging.getLogger("textlstm")
    handler = Lines() if shown else logging.NullHandler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][_verbosity])
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def say(line: str) -> None:
    """Show a line on stderr, unless --quiet is set."""
    if _verbosity != _QUIET:
        _write(line, "textlstm.cli")


def _write(line: str, origin: str) -> None:
    tqdm = sys.modules.get("tqdm")  # a bar is there only if it is loaded, and that takes long
    if is_verbose():
        line = f"{time.strftime('%H:%M:%S')} {origin}: {line}"
    if tqdm is None:
        sys.stderr.write(line + "\n")
    else:
        tqdm.tqdm.write(line, file=sys.stderr)
    sys.stderr.flush()


@contextlib.contextmanager
def term_as_interrupt(*, wanted: bool = True) -> Iterator[None]:
    """Raise `Interrupted` on SIGTERM too, unless it is handled already or not `wanted`."""
    main = threading.current_thread() is threading.main_thread()
    if not (wanted and main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL):
        yield
        return
    signal.signal(signal.SIGTERM, raise_interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def interrupt_code(stop: KeyboardInterrupt) -> int:
    """Return the exit code after Ctrl-C (130) or SIGTERM (143)."""
    return 128 + (stop.signal_number if isinstance(stop, Interrupted) else signal.SIGINT)


OnProgress = Callable[[int, "int | None", int], None]
"""Takes the number done, the total if known, and the number done by an earlier run."""


@contextlib.contextmanager
def counting(unit: str) -> Iterator[OnProgress]:
    """Show a count, its speed, and the remaining time where the total is known.

    Args:
        unit: what is counted.

    Yields:
        A function to call with the progress.
    """
    if draws_bars():
        from tqdm import tqdm

        with tqdm(unit=f" {unit}", file=sys.stderr, dynamic_ncols=True) as bar:
            yield lambda done, total, before: _forward(bar, done, total, before)
        return
    began = last = time.monotonic()

    def on_progress(done: int, total: int | None, before: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            speed = (done - before) / (now - began)
            left = f", about {clock((total - done) / speed)} left" if total and speed else ""
            say(f"{done:,} {unit}, {speed:,.0f} per second{left}")

    yield on_progress


def _forward(bar: Any, done: int, total: int | None, before: int) -> None:
    bar.initial, bar.total = before, total
    bar.update(done - bar.n)


def clock(seconds: float) -> str:
    """Format a time as 3:05 or 1:03:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
