"""What a training run reports, during it and at its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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

    def on_checkpoint(self, path: Path) -> None:
        """A checkpoint was written."""

    def on_stop(self, result: TrainResult) -> None:
        """The run ended."""
