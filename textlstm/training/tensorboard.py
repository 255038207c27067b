"""The curves of a training in the files that TensorBoard reads (extra `tensorboard`).

`DIR/steps` has loss and learning rate by step, at most a thousand points; `DIR/epochs` has loss,
the figures of validation and the learning rate by epoch. `tensorboard --logdir DIR` shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from textlstm.errors import MissingDependencyError, OutputError, system_errors
from textlstm.training.observer import Observer

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError as error:
    raise MissingDependencyError(
        f"tensorboard needs the package tensorboard ({error}): pip install 'textlstm[tensorboard]'"
    ) from error

_POINTS = 1000


class TensorBoard(Observer):
    """Writes the curves of a training; a resumed one continues them without double points.

    Args:
        folder: for the files.
        epochs: done by earlier runs.
        rate: a step, from 1, to its learning rate.

    Raises:
        OutputError: the files can't be written.
    """

    def __init__(self, folder: str, epochs: int, rate: Callable[[int], float]) -> None:
        self._folder, self._done, self._rate = Path(folder), epochs, rate
        self._writers: list[Any] = []
        self._losses: list[float] = []  # since the last point
        self._every = 1

    def on_start(self, total_steps: int, step: int, epochs: int) -> None:
        """Begin files, in which what an earlier run wrote of later steps and epochs is void."""
        self._every = max(1, total_steps // _POINTS)
        with system_errors(OutputError, f"cannot write the curves into {self._folder}"):
            self._writers = [
                SummaryWriter(str(self._folder / name), purge_step=first)
                for name, first in (("steps", step + 1), ("epochs", self._done + 1))
            ]

    def on_step(self, step: int, epoch: int, loss: float, texts: int) -> None:
        """Write the mean loss since the last point, and the learning rate."""
        self._losses.append(loss)
        if step % self._every == 0:
            mean = sum(self._losses) / len(self._losses)
            self._losses.clear()
            self._write(0, step, {"step/train_loss": mean, "step/learning_rate": self._rate(step)})

    def on_epoch(self, record: dict[str, Any]) -> None:
        """Write the figures of an epoch."""
        names = [n for n in record if n.startswith("validation_")]
        names += ["train_loss", "learning_rate"]
        self._write(1, record["epoch"], {f"epoch/{name}": record[name] for name in names})

    def on_checkpoint(self, path: Path) -> None:
        """Write to disk what a run that is resumed from here will not write again."""
        with system_errors(OutputError, f"cannot write the curves into {self._folder}"):
            for writer in self._writers:
                writer.flush()

    def on_close(self) -> None:
        """Close the files."""
        for writer in self._writers:
            writer.close()

    def _write(self, writer: int, step: int, scalars: dict[str, float]) -> None:
        with system_errors(OutputError, f"cannot write the curves into {self._folder}"):
            for name, value in scalars.items():
                self._writers[writer].add_scalar(name, value, step)
