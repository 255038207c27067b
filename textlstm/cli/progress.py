"""The progress of a command on stderr: a bar on a terminal, lines of text elsewhere.

with progress("rows", total=5000) as rows:
    for number, row in enumerate(work):
        rows.update(number + 1)  # as often as you like: it is drawn five times a second

with progress("trials", total=50) as trials:  # with the steps of each training below it
    for number in range(50):
        train(data, observer=Progress())
        trials.update(number + 1, best="macro F1 0.9123, trial 4")
"""

from __future__ import annotations

from typing import Any

from textlstm.cli.console import say, screen
from textlstm.io.progress import Display
from textlstm.training.observer import ProgressObserver, TrainResult


def progress(unit: str, total: int | None = None, **options: Any) -> Display:
    """Return a display of the work of a command, a context manager; see `Display`.

    Args:
        unit: what is counted, in the plural.
        total: how many there are; None if that is not known.
        **options: `done`, `title`, `opening` and `screen` of `Display`.
    """
    return Display(unit, total, **{**options, "screen": options.get("screen") or screen()})


class Progress(ProgressObserver):
    """Shows the steps of a training, below the `progress` in which it runs if there is one."""

    def __init__(self) -> None:
        super().__init__(screen())

    def on_stop(self, result: TrainResult) -> None:
        """Say that the training was interrupted, if it was."""
        self.on_close()
        if result.reason == "interrupted":
            say("training was interrupted")
