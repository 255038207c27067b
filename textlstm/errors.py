"""Errors that a user can cause: one family, each naming the value, the rule and the remedy.

The command line prints the message of any of them in one line and exits with 2. A bug in
this library is never one of them.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import NoReturn


class TextLSTMError(Exception):
    """Base of every error that a user can cause and fix."""


class ConfigError(TextLSTMError, ValueError):
    """A setting does not exist or has a value that is not allowed."""


class DataError(TextLSTMError, ValueError):
    """The data can't be found, read or used."""


class VocabularyError(TextLSTMError, ValueError):
    """A vocabulary or tokenizer is malformed or does not fit."""


class ModelFolderError(TextLSTMError, OSError):
    """A model folder is missing, incomplete, damaged or not ours."""


class OutputError(TextLSTMError, OSError):
    """A result can't be written to its path."""


class TrainingError(TextLSTMError, RuntimeError):
    """Training can't continue."""


class PeerError(TrainingError):
    """Another process of the same training failed or disappeared; that process says why."""


class ExportError(TextLSTMError, RuntimeError):
    """A model can't be exported in this form, or the export differs from the model."""


class MissingDependencyError(TextLSTMError, ImportError):
    """An optional library is needed and not installed."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM.

    Args:
        signal_number: which signal it was.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


def raise_interrupted(number: int, frame: FrameType | None) -> NoReturn:
    """Raise `Interrupted`: a signal handler."""
    raise Interrupted(number)


@contextlib.contextmanager
def system_errors(kind: type[TextLSTMError], what: str) -> Iterator[None]:
    """Raise `kind` for an `OSError` of the system in the block: what failed, then the reason."""
    try:
        yield
    except TextLSTMError:  # raised inside the block: its own message is the right one
        raise
    except OSError as error:
        raise kind(f"{what}: {error.strerror or error}") from error


def require_choice(name: str, value: object, known: Iterable[object]) -> None:
    """Raise a `ConfigError` if the value of an option is none of those known."""
    words = {other: str(other) for other in known}
    if not any(value == other for other in words):  # a value may have no hash
        listing = ", ".join(words.values())
        hint = did_you_mean(value, words.values())
        raise ConfigError(f"{name} = {value!r}: must be one of {listing}{hint}")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return ' (did you mean ...?)' with the known name closest to `name`; '' if none is near.

    Args:
        name: what was asked for.
        known: the names that there are.

    Returns:
        Text to append to a message. Names of three letters or more have near ones: those that
        begin with the whole `name`, and those that differ from it by at most one edit in four
        letters (at least one): a letter added, removed, replaced, or two swapped.
    """
    wanted = str(name)
    if len(wanted) < 3:
        return ""
    limit = max(1, len(wanted.strip("-")) // 4)
    near = [
        (0 if other.startswith(wanted) else _edits(wanted, other), other)
        for other in known
        if other != wanted
    ]
    distance, best = min(near, default=(limit + 1, ""))
    return f" (did you mean {best!r}?)" if distance <= limit else ""


def _edits(one: str, other: str) -> int:
    """Count the edits between two words (optimal string alignment), upper and lower case alike."""
    one, other = one.lower(), other.lower()
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        above, row = row, [i]
        for j, there in enumerate(other, start=1):
            cost = min(above[j] + 1, row[-1] + 1, above[j - 1] + (letter != there))
            if i > 1 and j > 1 and (one[i - 2], letter) == (there, other[j - 2]):
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = above
    return row[-1]
