"""Learning rate schedule and early stopping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_WARM_UP = 0.3  # share of all steps in which one-cycle climbs
_PLATEAU_FACTOR = 0.5


class Schedule:
    """The learning rate of each step.

    'one-cycle' climbs linearly over the first three tenths of all steps and falls as a cosine to
    nearly 0 (after Smith & Topin 2018); 'cosine' only falls (Loshchilov & Hutter 2017);
    'constant' stays; 'plateau' is halved after each epoch without a better figure. All but
    'plateau' are pure functions of the step.

    Args:
        kind: one of these names.
        peak: the largest learning rate.
        total_steps: steps of the whole training.
    """

    def __init__(self, kind: str, peak: float, total_steps: int) -> None:
        self.kind = kind
        self.peak = peak
        self.total_steps = total_steps
        self._scale = 1.0

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0; above 0 for each of `total_steps`."""
        done = min(1.0, (step + 1) / (self.total_steps + 1))
        if self.kind == "one-cycle":
            if done < _WARM_UP:
                return self.peak * done / _WARM_UP
            return self.peak * _cosine((done - _WARM_UP) / (1 - _WARM_UP))
        if self.kind == "cosine":
            return self.peak * _cosine(done)
        assert self.kind in ("constant", "plateau")
        return self.peak * self._scale

    def observe(self, improved: bool) -> None:
        """Record whether an epoch gave a better figure."""
        if self.kind == "plateau" and not improved:
            self._scale *= _PLATEAU_FACTOR

    def state_dict(self) -> dict[str, Any]:
        """Return what the step does not determine."""
        return {"scale": self._scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._scale = state["scale"]


def _cosine(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2


@dataclass
class EarlyStopping:
    """The best epoch so far, and whether to wait for a better one.

    Args:
        monitor: the figure compared: 'macro_f1', 'accuracy' (more is better) or 'loss'.
        patience: epochs without a better figure before stopping.
        best: the best figure so far.
        best_epoch: the epoch that it is of, from 1; 0 if there is none.
        waited: epochs since then.
    """

    monitor: str
    patience: int
    best: float | None = None
    best_epoch: int = 0
    waited: int = 0

    def update(self, epoch: int, figures: dict[str, float]) -> bool:
        """Record an epoch.

        Args:
            epoch: its number, from 1.
            figures: its validation figures; `monitor` is one of the keys.

        Returns:
            Whether it is the best so far; an equal figure is not better.
        """
        value = figures[self.monitor]
        if self.best is not None and not self._better(value, self.best):
            self.waited += 1
            return False
        self.best, self.best_epoch, self.waited = value, epoch, 0
        return True

    @property
    def should_stop(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience

    def _better(self, value: float, best: float) -> bool:
        return value < best if self.monitor == "loss" else value > best

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen so far."""
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; the patience stays as set here."""
        vars(self).update(state)
