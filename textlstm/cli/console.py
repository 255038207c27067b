"""What a command shows on stderr: log lines, above the bars of its progress if there are any."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator

from textlstm.errors import Interrupted, raise_interrupted
from textlstm.io import progress

_QUIET, _NORMAL, _VERBOSE = range(3)
_verbosity = _NORMAL


def set_verbosity(*, quiet: bool, verbose: bool) -> None:
    """Set how much the commands of this process show: --quiet and --verbose."""
    global _verbosity
    _verbosity = _QUIET if quiet else _VERBOSE if verbose else _NORMAL


def is_verbose() -> bool:
    """Whether --verbose is set."""
    return _verbosity == _VERBOSE


def _screen() -> progress.Screen:
    """Return where the progress of a command is shown; nowhere with --quiet."""
    if _verbosity == _QUIET:
        return progress.Screen()
    return progress.TERMINAL if progress.is_terminal() else progress.Lines(say)


@contextlib.contextmanager
def messages(*, shown: bool = True) -> Iterator[None]:
    """Show what the library logs and how far it is; if not `shown`, drop it."""
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
        with progress.shown_on(_screen() if shown else progress.Screen()):
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def say(line: str) -> None:
    """Show a line on stderr, unless --quiet is set."""
    if _verbosity != _QUIET:
        _write(line, "textlstm.cli")


def _write(line: str, origin: str) -> None:
    if is_verbose():
        line = f"{time.strftime('%H:%M:%S')} {origin}: {line}"
    progress.TERMINAL.write(line)
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
