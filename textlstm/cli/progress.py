"""The progress of training: loss, texts per second and the time left, on stderr."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from textlstm.cli.console import SECONDS_BETWEEN_LINES, clock, draws_bars, say
from textlstm.training.observer import Observer, TrainResult

_SMOOTHING = 0.05  # weight of the newest loss in the mean that is shown


class Progress(Observer):
    """Shows the steps of a training by a bar or by lines; epochs are logged by the library.

    Args:
        bar: whether to draw a bar; if not, a line appears every few seconds.
    """

    def __init__(self, *, bar: bool | None = None) -> None:
        self._draws = draws_bars() if bar is None else bar
        self._bar: Any = None
        self._total = self._first = self._epochs = 0
        self._loss = 0.0
        self._texts = 0  # since the start or resume
        self._began = self._shown = 0.0

    def on_start(self, total_steps: int, step: int, epochs: int) -> None:
        """Begin the bar, or say how many steps there will be."""
        self._total, self._first, self._epochs = total_steps, step, epochs
        self._loss, self._texts = 0.0, 0
        self._began = self._shown = time.monotonic()
        if self._draws:
            self._bar = tqdm(
                total=total_steps,
                initial=step,
                unit=" steps",
                file=sys.stderr,
                dynamic_ncols=True,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} "
                "[{elapsed} elapsed, {remaining} remaining{postfix}]",
            )
        else:
            begun = f", beginning at step {step:,}" if step else ""
            say(f"training: at most {epochs} epochs, {total_steps:,} steps{begun}")

    def on_step(self, step: int, epoch: int, loss: float, texts: int) -> None:
        """Move the bar; without one, say something if it was quiet for some seconds."""
        self._texts += texts
        weight = _SMOOTHING if self._texts > texts else 1.0
        self._loss += weight * (loss - self._loss)
        now = time.monotonic()
        speed = self._texts / max(now - self._began, 1e-9)
        if self._bar is not None:
            self._bar.set_description_str(f"epoch {epoch}/{self._epochs}", refresh=False)
            self._bar.set_postfix_str(f"loss {self._loss:.4f}, {speed:,.0f} texts/s", refresh=False)
            self._bar.update(1)
        elif now - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = now
            left = (now - self._began) / (step - self._first) * (self._total - step)
            say(
                f"epoch {epoch}/{self._epochs}, step {step:,}/{self._total:,}: "
                f"loss {self._loss:.4f}, {speed:,.0f} texts/s, at most {clock(left)} left"
            )

    def on_epoch(self, record: dict[str, Any]) -> None:
        """Wait some seconds for the next line, since the library logs the epoch."""
        self._shown = time.monotonic()

    def on_stop(self, result: TrainResult) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
        if result.reason == "interrupted":
            say("training was interrupted")
