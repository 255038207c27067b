"""What a training run reports, during it and at its end."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from textlstm.evaluation.figures import FIGURES
from textlstm.io.progress import Display, Screen

logger = logging.getLogger(__name__)

_SMOOTHING = 0.05  # weight of the newest loss in the mean that is shown

Reason = Literal["finished", "early stopping", "max minutes", "ended early", "interrupted"]


@dataclass(frozen=True)
class TrainResult:
    """The outcome of a training run.

    Args:
        history: one record per epoch, as in `history.jsonl`.
        best_epoch: the epoch, from 1, whose weights the model has now; 0 if none was validated.
        best_metrics: `evaluate_probabilities` of that epoch on validation; empty if none.
        reason: why the run ended.
        steps: optimizer steps taken, those before a resume included.
    """

    history: list[dict[str, Any]]
    best_epoch: int
    best_metrics: dict[str, Any]
    reason: Reason
    steps: int


class Observer:
    """Callbacks of a training run; a subclass overrides those it needs."""

    def on_start(self, total_steps: int, step: int, epochs: int) -> None:
        """Training starts at `step` (above 0 after a resume) of at most `total_steps`."""

    def on_step(self, step: int, epoch: int, loss: float, texts: int) -> None:
        """A step, counted from 1, was taken on `texts` texts, in `epoch`, counted from 1."""

    def on_evaluate(self, done: int, total: int) -> None:
        """`done` of `total` validation texts were predicted."""

    def on_epoch(self, record: dict[str, Any]) -> None:
        """An epoch was validated; `record` is its line of the history."""

    def on_best(self, epoch: int, figure: str, value: float) -> None:
        """An epoch, counted from 1, is the best so far by a figure of validation."""

    def on_checkpoint(self, path: Path) -> None:
        """A checkpoint was written."""

    def on_stop(self, result: TrainResult) -> None:
        """The run ended."""

    def on_close(self) -> None:
        """The run is over, by an error too; called last."""


def together(*observers: Observer) -> Observer:
    """Return an observer that calls several, one after the other."""
    several = Observer()
    for name in filter(lambda name: name.startswith("on_"), dir(Observer)):
        calls = [getattr(each, name) for each in observers]
        setattr(several, name, lambda *values, calls=calls: [call(*values) for call in calls])
    return several


class ProgressObserver(Observer):
    """Shows the steps of a training on `current_screen`; its epochs are logged by the library."""

    def __init__(self) -> None:
        self._display = Display("steps", screen=Screen())  # shown nowhere, until training starts
        self._epochs = self._texts = 0
        self._began = self._loss = 0.0

    def on_start(self, total_steps: int, step: int, epochs: int) -> None:
        """Show how many steps there will be."""
        self._epochs, self._texts, self._began = epochs, 0, time.monotonic()
        begun = f", beginning at step {step:,}" if step else ""
        opening = f"training: at most {epochs} epochs, {total_steps:,} steps{begun}"
        now = min(epochs, step * epochs // max(total_steps, 1) + 1)
        options: dict[str, Any] = {"title": f"epoch {now}/{epochs}", "opening": opening}
        self._display = Display("steps", total_steps, done=step, **options)

    def on_step(self, step: int, epoch: int, loss: float, texts: int) -> None:
        """Show the step with the mean loss and the speed."""
        self._texts += texts
        self._loss += (_SMOOTHING if self._texts > texts else 1.0) * (loss - self._loss)
        speed = self._texts / max(time.monotonic() - self._began, 1e-9)
        self._display.update(
            step,
            title=f"epoch {epoch}/{self._epochs}",
            rate=f"{speed:,.0f} texts/s",
            note=self._mean_loss(),
        )

    def on_evaluate(self, done: int, total: int) -> None:
        """Show how many validation texts are predicted."""
        self._display.update(self._display.done, note=f"validating {done:,}/{total:,} texts")

    def on_epoch(self, record: dict[str, Any]) -> None:
        """Wait some seconds for the next line, since the library logs the epoch."""
        self._display.shown = time.monotonic()
        self._display.note = self._mean_loss()

    def on_best(self, epoch: int, figure: str, value: float) -> None:
        """Show the best figure so far from now on."""
        self._display.best = f"{FIGURES.get(figure, figure)} {value:.4f}, epoch {epoch}"

    def on_stop(self, result: TrainResult) -> None:
        """Log that the training was interrupted, if it was."""
        self.on_close()
        if result.reason == "interrupted":
            logger.info("training was interrupted")

    def on_close(self) -> None:
        """End the display."""
        self._display.close()

    def _mean_loss(self) -> str:
        return f"loss {self._loss:.4f}"
