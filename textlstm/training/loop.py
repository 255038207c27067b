"""The loop of a training: steps, epochs, checkpoints and resume.

What a step learns and how an epoch is validated is up to the subclass.
"""

from __future__ import annotations

import abc
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from textlstm.config import TrainingConfig
from textlstm.data.encoded import LabelledTexts, train_batches
from textlstm.errors import DataError, PeerError, TrainingError
from textlstm.evaluation.figures import FIGURES
from textlstm.io.atomic import write_text
from textlstm.nn.device import cpu_threads, pick_precision, seed_everything
from textlstm.nn.memory import release_excess
from textlstm.options import differences
from textlstm.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimizer_tensors,
    random_states,
    restore_optimizer,
    restore_random_states,
    run_signature,
    save_checkpoint,
)
from textlstm.training.distributed import ALONE, World
from textlstm.training.observer import Observer, ProgressObserver, Reason, TrainResult, together
from textlstm.training.optimizer import clip_gradients, make_optimizer, set_rate, update_threads
from textlstm.training.schedule import EarlyStopping, Schedule

logger = logging.getLogger(__name__)

_STREAM = 1_000_003  # from one process's random seed to the next one's


@dataclass
class _Progress:
    """The position in a run."""

    epoch: int = 0  # epochs done
    batch: int = 0  # batches done of the current epoch
    step: int = 0  # steps done in all
    loss: float = 0.0  # sum over the texts of the current epoch
    texts: int = 0  # seen in the current epoch
    seconds: float = 0.0  # spent on the steps of the current epoch


@dataclass
class _Best:
    """The best epoch's weights (on the CPU) and validation figures."""

    weights: dict[str, Tensor] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


class Loop(abc.ABC):
    """Trains a model step by step.

    Several processes, each with a loop of the same arguments, share the work: each takes its
    part of every batch, and all hold the same weights after each step. Without dropout these are
    those of one process but for rounding; for dropout each process draws its own numbers.

    Args:
        model: moved to the device, its weights changed in place; it has `compute_dtype`.
        splits: 'train', texts to learn from, and 'validation', those that decide which epoch is
            best.
        config: settings.
        labels: label names; none for texts without labels.
        checkpoint: where to keep the state of the run; None keeps none.
        history: file for one JSON line per epoch; None writes none.
        observer: callbacks.
        world: the processes that train; the first writes the files, and all must see them.

    Raises:
        ConfigError: the device does not exist.
        DataError: there is nothing to train on or to validate with.
    """

    figures: ClassVar[Mapping[str, str]]
    """Figures of an epoch -> key in what `validate` returns; `config.monitor` is among them."""

    def __init__(
        self,
        model: nn.Module,
        splits: Mapping[str, LabelledTexts],
        config: TrainingConfig,
        *,
        labels: Sequence[str],
        checkpoint: Path | None = None,
        history: Path | None = None,
        observer: Observer | None = None,
        world: World = ALONE,
    ) -> None:
        for name, texts in splits.items():
            if not len(texts):
                raise DataError(f"{name} has 0 texts: training needs at least one")
        assert config.epochs is not None  # see `resolve`
        self.device = world.device(config.device)
        self.model = model.to(self.device)
        self.splits = splits
        self.config = config
        self.labels = list(labels)
        self.history: list[dict[str, Any]] = []
        self._checkpoint = checkpoint
        self._history_path = history
        shown = ProgressObserver() if world.is_main else Observer()
        self._observer = observer or shown
        self._world = world
        self._optimizer = make_optimizer(model, config)
        self._epochs = config.epochs
        self._total_steps = self._epochs * len(self._batches(epoch=0))
        self._schedule = Schedule(config.schedule, config.learning_rate, self._total_steps)
        self._early = EarlyStopping(config.monitor, config.patience)
        self._best = _Best()
        self._progress = _Progress()
        self._signature = run_signature(config, self.labels, model, splits)
        self._random: dict[str, Tensor] | None = None  # states of all processes, after a resume
        self._stop = False
        self._deadline = math.inf  # both on the clock of time.monotonic, in seconds
        self._saved_at = 0.0

    @abc.abstractmethod
    def learn(self, rows: np.ndarray) -> Tensor:
        """Add the gradients of a batch to those of the model; return its loss, a scalar."""

    @abc.abstractmethod
    def validate(self) -> dict[str, Any] | None:
        """Evaluate the model as it is; None if `_on_batch` returned False.

        Returns:
            Figures, those that `figures` names among them.
        """

    def stop(self) -> None:
        """End the run after the current step; safe in a signal handler."""
        self._stop = True

    def finish(self) -> None:
        """Make `run` take no more steps, and end with the best epoch so far."""
        self._deadline = -math.inf

    def resume(self) -> None:
        """Restore the state of the checkpoint, so that `run` continues from there.

        On the same machine with as many threads and processes, what follows is bit for bit what
        would have followed without the stop. With another number of processes, dropout draws
        other numbers from here on.

        Raises:
            ModelFolderError: the checkpoint is missing or damaged.
            TrainingError: it is of a run with other settings, data or model.
        """
        assert self._checkpoint is not None
        saved = load_checkpoint(self._checkpoint)
        # a version without an option had what is its default now
        defaults = TrainingConfig().to_dict()
        begun = {k: v for k, v in defaults.items() if k in self._signature}
        begun |= saved.state["made_of"]
        # an older version kept None for what was left open
        begun |= {k: self._signature[k] for k in ("epochs", "adversarial") if begun.get(k) is None}
        # its probabilities are compared, wherever the teacher is now
        found = differences(begun, self._signature, ignore=("teacher",))
        if found:
            raise TrainingError(
                f"{self._checkpoint} can't be resumed: {'; '.join(found)}; use the same settings "
                "and data, or start over with --overwrite"
            )
        self.model.load_state_dict(saved.tensors["model"])
        restore_optimizer(self._optimizer, saved.tensors["optimizer"])
        if saved.state["processes"] == self._world.size:
            self._random = saved.tensors["random"]
        else:
            logger.warning(
                "the run was saved by %d processes and continues with %d: dropout will draw other "
                "numbers than without the stop",
                saved.state["processes"],
                self._world.size,
            )
        self._best = _Best(saved.tensors["best"], saved.state["best_metrics"])
        self._progress = _Progress(**saved.state["progress"])
        self._schedule.load_state_dict(saved.state["schedule"])
        self._early.load_state_dict(saved.state["early_stopping"])
        self.history = saved.state["history"]
        logger.info("resumed from %s at step %d", self._checkpoint, self._progress.step)

    def run(self) -> TrainResult:
        """Train until the epochs or the patience run out, the time is over or `stop` was called.

        To be called once. `max_minutes` counts from this call. When it is over in the middle of
        an epoch, the weights are validated as they are; a resumed run trains the epoch to its end.

        Returns:
            How it went. The model has the weights of the best epoch (those it had last if none
            was validated) and is in eval mode.

        Raises:
            TrainingError: the loss is not finite. A `PeerError` in all but the first process, or
                if another process has ended.
            OutputError: the checkpoint or the history can't be written.
        """
        if self.config.max_minutes is not None:
            limit = time.monotonic() + 60 * self.config.max_minutes
            self._deadline = min(self._deadline, limit)
        with cpu_threads(self.config.threads):
            self._world.broadcast_(self.model.state_dict().values())
            if self._random is None:
                seed_everything(self.config.seed + self._progress.step + _STREAM * self._world.rank)
                self._save()  # from here on the run can be resumed
            else:
                restore_random_states(self._random, self.device, self._world)
            self._write_history()
            self._write_curves()
            try:
                self._observer.on_start(self._total_steps, self._progress.step, self._epochs)
                self._report_best()
                reason = self._done()
                while reason is None:
                    reason = self._epoch() or self._done()
                return self._end(reason)
            finally:
                self._observer.on_close()

    def _write_curves(self) -> None:
        """Write the curves for TensorBoard too, if they are wanted."""
        if self.config.tensorboard is not None and self._world.is_main:
            from textlstm.training.tensorboard import TensorBoard

            curves = TensorBoard(
                self.config.tensorboard,
                self._progress.epoch,
                lambda step: self._schedule.rate(step - 1),
            )
            self._observer = together(curves, self._observer)

    def _report_best(self) -> None:
        if self._early.best is not None:
            self._observer.on_best(self._early.best_epoch, self._early.monitor, self._early.best)

    def _done(self) -> Reason | None:
        if self._progress.epoch >= self._epochs:
            return "finished"
        return "early stopping" if self._early.should_stop else None

    def _stop_reason(self) -> tuple[Reason | None, bool]:
        """Return why to stop now, if so, and whether a checkpoint is due; all processes agree."""
        now = time.monotonic()
        stop, late, due = self._world.any(
            self._stop,
            now >= self._deadline,
            now - self._saved_at >= 60 * self.config.checkpoint_minutes,
        )
        late_reason: Reason = "ended early" if self._deadline == -math.inf else "max minutes"
        return "interrupted" if stop else late_reason if late else None, due

    def _epoch(self) -> Reason | None:
        """Train and validate one epoch, or what is left of it; return why it was cut off, if so."""
        progress = self._progress
        self.model.train()
        frozen = self.config.freeze_vectors
        self._tune_embedding(0 <= frozen <= progress.epoch)
        self._compute_in(pick_precision(self.config.precision, self.device))
        reason, _ = self._stop_reason()
        for rows in self._batches(progress.epoch)[progress.batch :]:
            if reason:
                return reason
            began = time.monotonic()
            loss = self._step(rows)
            progress.step += 1
            progress.batch += 1
            progress.loss += loss * len(rows)
            progress.texts += len(rows)
            progress.seconds += time.monotonic() - began
            self._observer.on_step(progress.step, progress.epoch + 1, loss, len(rows))
            reason, due = self._stop_reason()
            if due:
                self._save()
        if not self._validate():
            return "interrupted"
        self._progress = _Progress(epoch=progress.epoch + 1, step=progress.step)
        self._save()
        release_excess()
        return None

    def _tune_embedding(self, tuned: bool) -> None:
        """Train or freeze embeddings; the optimizer skips weights without gradient."""
        for module in self.model.modules():
            if isinstance(module, nn.Embedding):
                module.requires_grad_(tuned)

    def _compute_in(self, dtype: torch.dtype) -> None:
        cast(Any, self.model).compute_dtype = dtype

    def _batches(self, epoch: int, split: str = "train") -> list[np.ndarray]:
        return train_batches(
            self.splits[split].texts.lengths,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            epoch=epoch,
            batch_tokens=self.config.batch_tokens,
        )

    def _step(self, rows: np.ndarray) -> float:
        """Learn from some texts, each process from its part; return the loss before."""
        set_rate(self._optimizer, self._schedule.rate(self._progress.step))
        self._optimizer.zero_grad(set_to_none=True)
        loss = self.learn(rows)
        with update_threads(self.model):
            norm = clip_gradients(self.model.parameters(), self.config.clip_norm)
            value, size = torch.stack([loss, norm]).tolist()  # the step's one read-back
            if not (math.isfinite(value) and math.isfinite(size)):
                raise self._diverged(f"loss {value}, gradient norm {size}")
            self._optimizer.step()
        return float(value)

    def _diverged(self, what: str) -> TrainingError:
        kind = TrainingError if self._world.is_main else PeerError
        return kind(
            f"{what} at step {self._progress.step + 1} (epoch {self._progress.epoch + 1}): "
            f"training diverged; retrain with a --learning-rate below {self.config.learning_rate}"
        )

    def _validate(self) -> bool:
        """Evaluate the current epoch and record it; False if `stop` cut it off."""
        began = time.monotonic()
        metrics = self.validate()
        if metrics is None:
            return False
        progress = self._progress
        figures = {name: metrics[key] for name, key in self.figures.items()}
        values = torch.tensor(list(figures.values()), dtype=torch.float64)
        self._world.broadcast_([values])  # other processors may round the last bit otherwise
        figures = dict(zip(figures, values.tolist(), strict=True))
        improved = self._early.update(progress.epoch + 1, figures)
        if improved:
            self._best = _Best(_on_cpu(self.model), metrics)
        record = {
            "epoch": progress.epoch + 1,
            "steps": progress.step,
            "train_loss": progress.loss / progress.texts,
            "learning_rate": self._schedule.rate(progress.step - 1),
            **{f"validation_{name}": value for name, value in figures.items()},
            "seconds": progress.seconds + time.monotonic() - began,
            "texts_per_second": progress.texts / max(progress.seconds, 1e-9),
        }
        self._schedule.observe(improved)
        self.history.append(record)
        self._write_history()
        if improved:
            self._report_best()
        self._observer.on_epoch(record)
        logger.info(
            "epoch %d/%d: train loss %.4f; validation %s; %s texts/s, %.1f s",
            record["epoch"],
            self._epochs,
            record["train_loss"],
            ", ".join(f"{FIGURES.get(name, name)} {value:.4f}" for name, value in figures.items()),
            f"{record['texts_per_second']:,.0f}",
            record["seconds"],
        )
        return True

    def _end(self, reason: Reason) -> TrainResult:
        late = reason in ("max minutes", "ended early")
        if late or reason == "interrupted":
            self._save()
        if late and self._progress.batch:
            self._validate()  # for this result only: a resumed run validates the whole epoch
        if self._best.weights:
            self.model.load_state_dict(self._best.weights)
        self.model.eval()
        self._tune_embedding(True)
        self._compute_in(torch.float32)
        result = TrainResult(
            self.history, self._early.best_epoch, self._best.metrics, reason, self._progress.step
        )
        self._observer.on_stop(result)
        if result.best_epoch and reason != "interrupted":
            logger.info(
                "%s after %s; kept epoch %d (best %s)",
                reason,
                "1 epoch" if len(self.history) == 1 else f"{len(self.history)} epochs",
                result.best_epoch,
                FIGURES.get(self.config.monitor, self.config.monitor),
            )
        return result

    def _save(self) -> None:
        """Write the checkpoint, if one is wanted."""
        self._saved_at = time.monotonic()
        if self._checkpoint is None:
            return
        tensors = {
            "model": self.model.state_dict(),
            "best": self._best.weights,
            "optimizer": optimizer_tensors(self._optimizer),
            "random": random_states(self.device, self._world),
        }
        state = {
            "made_of": self._signature,
            "processes": self._world.size,
            "progress": asdict(self._progress),
            "history": self.history,
            "best_metrics": self._best.metrics,
            "schedule": self._schedule.state_dict(),
            "early_stopping": self._early.state_dict(),
        }
        with self._world.main_first():  # the others wait until the file is there
            if self._world.is_main:
                save_checkpoint(self._checkpoint, Checkpoint(tensors, state))
        self._observer.on_checkpoint(self._checkpoint)

    def _write_history(self) -> None:
        """Write the whole history, so that file and checkpoint agree after a resume."""
        if self._history_path is not None and self._world.is_main:
            lines = (json.dumps(record) + "\n" for record in self.history)
            write_text(self._history_path, "".join(lines))


def _on_cpu(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}
