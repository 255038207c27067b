"""The training loop: steps, epochs, evaluation, checkpoints, and going on where it stopped.

Shapes: B batch, T time (tokens), N texts, C classes.
"""

from __future__ import annotations

import json
import logging
import math
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from textlstm.allocator import keep_freed_memory, release_excess
from textlstm.batching import collate, sorted_batches, train_batches
from textlstm.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimizer_tensors,
    random_states,
    require_same,
    restore_optimizer,
    restore_random_states,
    save_checkpoint,
    shapes_of,
)
from textlstm.config import TrainingConfig
from textlstm.encoded import LabelledTexts
from textlstm.errors import DataError, TrainingError
from textlstm.files import write_text
from textlstm.loss import make_loss
from textlstm.metrics import evaluate_probabilities
from textlstm.optimizer import clip_gradients, make_optimizer
from textlstm.predictor import to_probabilities
from textlstm.runtime import cpu_threads, pick_device, pick_precision, seed_everything
from textlstm.schedule import EarlyStopping, Schedule

logger = logging.getLogger(__name__)

Reason = Literal["finished", "early stopping", "max minutes", "interrupted"]

# Settings that a resumed run may change, since the course of the weights does not depend on them.
_FREE = {"patience", "max_minutes", "checkpoint_minutes", "threads", "device"}


@dataclass(frozen=True)
class TrainResult:
    """How a training run went.

    Args:
        history: one record per epoch, as in `history.jsonl`.
        best_epoch: the epoch, from 1, whose weights the model has now; 0 if none was judged.
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
    """What a training run tells while it goes on; a subclass takes what it wants."""

    def on_start(self, total_steps: int, step: int, epochs: int) -> None:
        """Training begins at `step` (above 0 after a resume) of at most `total_steps`."""

    def on_step(self, step: int, epoch: int, loss: float, texts: int) -> None:
        """A step, counted from 1, was taken on `texts` texts, in `epoch`, counted from 1."""

    def on_evaluate(self, done: int, total: int) -> None:
        """`done` of `total` validation texts were judged."""

    def on_epoch(self, record: dict[str, Any]) -> None:
        """An epoch was judged; `record` is its line of the history."""

    def on_checkpoint(self, path: Path) -> None:
        """A checkpoint was written."""

    def on_stop(self, result: TrainResult) -> None:
        """The run ended."""


@dataclass
class _Progress:
    """Where a run is."""

    epoch: int = 0  # epochs done
    batch: int = 0  # batches done of the epoch under way
    step: int = 0  # steps done in all
    loss: float = 0.0  # sum over the texts of the epoch under way
    texts: int = 0  # seen in the epoch under way
    seconds: float = 0.0  # spent on the steps of the epoch under way


@dataclass
class _Best:
    """The best epoch's weights (on the CPU) and validation figures."""

    weights: dict[str, Tensor] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


class Trainer:
    """Finds a model's weights.

    Args:
        model: (ids int64 [B, T], lengths int64 [B], both padded as `collate` does) -> logits
            [B, C]; moved to the device, its weights changed in place.
        train: texts to learn from; of their weights only the proportions matter.
        validation: texts that decide which epoch is best.
        config: settings.
        labels: label names, C of them.
        checkpoint: where to keep the state of the run; None keeps none.
        history: file for one JSON line per epoch; None writes none.
        observer: told what happens.

    Raises:
        ConfigError: the device or a class weight does not exist.
        DataError: there is nothing to train on or to validate with.
    """

    def __init__(
        self,
        model: nn.Module,
        train: LabelledTexts,
        validation: LabelledTexts,
        config: TrainingConfig,
        *,
        labels: Sequence[str],
        checkpoint: Path | None = None,
        history: Path | None = None,
        observer: Observer | None = None,
    ) -> None:
        for name, texts in (("train", train), ("validation", validation)):
            if not len(texts):
                raise DataError(f"{name} has 0 texts: training needs at least one")
        self.device = pick_device(config.device)
        self.model = model.to(self.device)
        self.train = train
        self.validation = validation
        self.config = config
        self.labels = list(labels)
        self.history: list[dict[str, Any]] = []
        self._checkpoint = checkpoint
        self._history_path = history
        self._observer = observer or Observer()
        self._loss = make_loss(config, train.labels, self.labels).to(self.device)
        self._weights = None if train.weights is None else _with_mean_one(train.weights)  # [N]
        self._optimizer = make_optimizer(model, config)
        self._total_steps = config.epochs * len(self._batches(epoch=0))
        self._schedule = Schedule(config.schedule, config.learning_rate, self._total_steps)
        self._early = EarlyStopping(config.monitor, config.patience)
        self._best = _Best()
        self._progress = _Progress()
        self._made_of = self._describe()
        self._random: dict[str, Tensor] | None = None  # states to go on with after a resume
        self._ran = False
        self._stop = False
        self._deadline = math.inf  # both on the clock of time.monotonic, in seconds
        self._saved_at = 0.0

    def stop(self) -> None:
        """Ask the run to end after the step under way; safe in a signal handler."""
        self._stop = True

    def resume(self) -> None:
        """Take over the state of the checkpoint, so that `run` goes on from there.

        On the same machine with as many threads, what follows is bit for bit what would have
        followed without the stop.

        Raises:
            ModelFolderError: the checkpoint is missing or damaged.
            TrainingError: it is of a run with other settings, data or model.
        """
        assert self._checkpoint is not None
        saved = load_checkpoint(self._checkpoint)
        require_same(self._checkpoint, saved.state["made_of"], self._made_of)
        self.model.load_state_dict(saved.tensors["model"])
        restore_optimizer(self._optimizer, saved.tensors["optimizer"])
        self._random = saved.tensors["random"]
        self._best = _Best(saved.tensors["best"], saved.state["best_metrics"])
        self._progress = _Progress(**saved.state["progress"])
        self._schedule.load_state_dict(saved.state["schedule"])
        self._early.load_state_dict(saved.state["early_stopping"])
        self.history = saved.state["history"]
        logger.info("resumed from %s at step %d", self._checkpoint, self._progress.step)

    def run(self) -> TrainResult:
        """Train until the epochs or the patience run out, the time is over or `stop` was called.

        Memory that the process frees stays with it from now on (see `textlstm.allocator`).
        `max_minutes` counts from this call. When it is over in the middle of an epoch, the
        weights are judged as they are; a resumed run trains the epoch to its end.

        Returns:
            How it went. The model has the weights of the best epoch (those it had last if none
            was judged) and is in eval mode.

        Raises:
            TrainingError: the loss is not finite, or the trainer has run already.
            OutputError: the checkpoint or the history can't be written.
        """
        if self._ran:
            raise TrainingError("this Trainer has run: make another, which may resume, to go on")
        self._ran = True
        if self.config.max_minutes is not None:
            self._deadline = time.monotonic() + 60 * self.config.max_minutes
        keep_freed_memory()
        with cpu_threads(self.config.threads):
            if self._random is None:
                seed_everything(self.config.seed)
                self._save()  # from here on the run can be resumed
            else:
                restore_random_states(self._random, self.device)
            self._write_history()
            self._observer.on_start(self._total_steps, self._progress.step, self.config.epochs)
            reason = self._done() or self._interruption()
            while reason is None:
                reason = self._epoch() or self._done()
            return self._end(reason)

    def _done(self) -> Reason | None:
        if self._progress.epoch >= self.config.epochs:
            return "finished"
        return "early stopping" if self._early.should_stop else None

    def _interruption(self) -> Reason | None:
        if self._stop:
            return "interrupted"
        return "max minutes" if time.monotonic() >= self._deadline else None

    def _epoch(self) -> Reason | None:
        """Train and judge one epoch, or what is left of it; give the reason if it was cut off."""
        progress = self._progress
        self.model.train()
        frozen = self.config.freeze_vectors
        self._tune_embedding(0 <= frozen <= progress.epoch)
        self._compute_in(pick_precision(self.config.precision, self.device))
        for rows in self._batches(progress.epoch)[progress.batch :]:
            if reason := self._interruption():
                return reason
            began = time.monotonic()
            loss = self._step(rows)
            progress.step += 1
            progress.batch += 1
            progress.loss += loss * len(rows)
            progress.texts += len(rows)
            progress.seconds += time.monotonic() - began
            self._observer.on_step(progress.step, progress.epoch + 1, loss, len(rows))
            if time.monotonic() - self._saved_at >= 60 * self.config.checkpoint_minutes:
                self._save()
        if not self._judge():
            return "interrupted"
        self._progress = _Progress(epoch=progress.epoch + 1, step=progress.step)
        self._save()
        release_excess()
        return None

    def _tune_embedding(self, tuned: bool) -> None:
        """Have embeddings learn or stay; the optimizer passes over weights without gradient."""
        for module in self.model.modules():
            if isinstance(module, nn.Embedding):
                module.requires_grad_(tuned)

    def _compute_in(self, dtype: torch.dtype) -> None:
        cast(Any, self.model).compute_dtype = dtype

    def _batches(self, epoch: int) -> list[np.ndarray]:
        return train_batches(
            self.train.texts.lengths,
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            epoch=epoch,
            batch_tokens=self.config.batch_tokens,
        )

    def _step(self, rows: np.ndarray) -> float:
        """Learn from some texts; give the loss before."""
        ids, lengths = collate(self.train.texts, rows, few_shapes=True)  # [B, T], [B]
        targets = torch.from_numpy(self.train.labels[rows]).to(self.device)  # [B]
        weights = None if self._weights is None else self._weights[rows].to(self.device)  # [B]
        for group in self._optimizer.param_groups:
            group["lr"] = self._schedule.rate(self._progress.step)
        self._optimizer.zero_grad(set_to_none=True)
        logits = self.model(ids.to(self.device), lengths)  # [B, C]
        loss = self._loss(logits, targets, weights)
        loss.backward()
        norm = clip_gradients(self.model.parameters(), self.config.clip_norm)
        value, size = torch.stack([loss.detach(), norm]).tolist()  # the step's one read-back
        if not (math.isfinite(value) and math.isfinite(size)):
            raise self._diverged(f"loss {value}, gradient norm {size}")
        self._optimizer.step()
        return float(value)

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"{what} at step {self._progress.step + 1} (epoch {self._progress.epoch + 1}): the "
            f"weights run away; train anew with a --learning-rate below {self.config.learning_rate}"
        )

    @torch.inference_mode()
    def _evaluate(self) -> dict[str, Any] | None:
        """Judge the model on validation; None if `stop` was called meanwhile."""
        self.model.eval()
        self._compute_in(torch.float32)  # as prediction does
        texts = self.validation.texts
        probabilities = np.empty((len(texts), len(self.labels)), np.float32)
        done = 0
        for rows in sorted_batches(texts.lengths, batch_size=self.config.batch_size):
            if self._stop:
                return None
            ids, lengths = collate(texts, rows, few_shapes=True)
            logits = self.model(ids.to(self.device), lengths)  # [B, C]
            probabilities[rows] = to_probabilities(logits)
            done += len(rows)
            self._observer.on_evaluate(done, len(texts))
        if not np.isfinite(probabilities).all():
            raise self._diverged("validation probabilities that are not finite")
        return evaluate_probabilities(self.validation.labels, probabilities, self.labels)

    def _judge(self) -> bool:
        """Evaluate the epoch under way and take note of it; False if `stop` cut it off."""
        began = time.monotonic()
        metrics = self._evaluate()
        if metrics is None:
            return False
        progress = self._progress
        figures = {
            "loss": metrics["log_loss"],
            "accuracy": metrics["accuracy"],
            "macro_f1": metrics["macro_f1"],
        }
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
        self._observer.on_epoch(record)
        return True

    def _end(self, reason: Reason) -> TrainResult:
        if reason in ("interrupted", "max minutes"):
            self._save()
        if reason == "max minutes" and self._progress.batch:
            self._judge()  # for this result only: a resumed run judges the whole epoch
        if self._best.weights:
            self.model.load_state_dict(self._best.weights)
        self.model.eval()
        self._tune_embedding(True)
        self._compute_in(torch.float32)
        result = TrainResult(
            self.history, self._early.best_epoch, self._best.metrics, reason, self._progress.step
        )
        self._observer.on_stop(result)
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
            "random": random_states(self.device),
        }
        state = {
            "made_of": self._made_of,
            "progress": asdict(self._progress),
            "history": self.history,
            "best_metrics": self._best.metrics,
            "schedule": self._schedule.state_dict(),
            "early_stopping": self._early.state_dict(),
        }
        save_checkpoint(self._checkpoint, Checkpoint(tensors, state))
        self._observer.on_checkpoint(self._checkpoint)

    def _describe(self) -> dict[str, Any]:
        """Give what the course of the weights depends on."""
        settings = self.config.to_dict()
        made_of = {name: value for name, value in settings.items() if name not in _FREE}
        for name, part in (("train", self.train), ("validation", self.validation)):
            made_of[f"{name} texts"] = len(part)
            made_of[f"{name} tokens"] = len(part.texts.ids)
            made_of[f"{name} labels (crc32)"] = zlib.crc32(part.labels.astype("<i8").tobytes())
        if self._weights is not None:
            made_of["weights (crc32)"] = zlib.crc32(self._weights.numpy().tobytes())
        return {**made_of, "labels": self.labels, **shapes_of(self.model)}

    def _write_history(self) -> None:
        """Write the whole history, so that file and checkpoint agree after a resume."""
        if self._history_path is not None:
            lines = (json.dumps(record) + "\n" for record in self.history)
            write_text(self._history_path, "".join(lines))


def _with_mean_one(weights: np.ndarray) -> Tensor:
    """Scale the weights of texts so that the learning rate means what it does without them."""
    return torch.from_numpy(weights / weights.mean()).float()


def _on_cpu(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}
