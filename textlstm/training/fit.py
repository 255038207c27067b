"""Train a network on encoded texts and evaluate it: the part of a run that knows ids only."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from textlstm.classifier.base import Base
from textlstm.classifier.json_files import FILES
from textlstm.config import TrainSettings
from textlstm.data.encoded import LabelledTexts
from textlstm.errors import Interrupted, TrainingError, raise_interrupted
from textlstm.evaluation.cascade import Cascade
from textlstm.nn.device import cpu_threads, seed_everything
from textlstm.nn.loss import make_loss, prior_logits
from textlstm.nn.network import BiLSTMClassifier
from textlstm.training.distributed import ALONE, World
from textlstm.training.fit_ngrams import fit_ngrams
from textlstm.training.loop import Loop
from textlstm.training.observer import Observer, TrainResult
from textlstm.training.pretrained import Pretrained, load_start
from textlstm.training.trainer import Trainer

logger = logging.getLogger(__name__)


class TrainingInterrupted(Interrupted):
    """Training was stopped cleanly by Ctrl-C or SIGTERM, after the current step."""


@dataclass(frozen=True)
class Fitted:
    """A network that was trained.

    Args:
        model: it has the weights of the best epoch.
        settings: those that it was trained with.
        result: how training went.
        metrics: what `evaluate_probabilities` returned, per split.
        thresholds: the decision threshold of each label, best on validation, where a text may
            have several labels.
        facts: of the vectors it started from, for the record of the run.
        cascade: fitted on validation, for a model with n-grams.
    """

    model: BiLSTMClassifier
    settings: TrainSettings
    result: TrainResult
    metrics: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any]
    thresholds: tuple[float, ...] | None = None
    cascade: Cascade | None = None

    def summary(self) -> dict[str, Any]:
        """Return how training went, for the record of the run."""
        result = self.result
        seconds = sum(record["seconds"] for record in result.history)
        return {
            "ended": result.reason,
            "epochs": len(result.history),
            "best_epoch": result.best_epoch,
            "steps": result.steps,
            "minutes": round(seconds / 60, 2),
        }


def fit_model(
    texts: Mapping[str, LabelledTexts],
    labels: Sequence[str],
    settings: TrainSettings,
    *,
    vocab_size: int,
    words: Sequence[str] = (),
    work: Path,
    checkpoint: Path | None = None,
    start: Pretrained | Base | None = None,
    observer: Observer | None = None,
    finish: bool = False,
    spare: bool = False,
    world: World = ALONE,
) -> Fitted:
    """Train a network on encoded texts and evaluate it.

    Args:
        texts: 'train' and 'validation', and 'test' and 'unlabeled' if there are any.
        labels: label names.
        settings: of model and training, as `resolve` returns them.
        vocab_size: ids are from 0 to below this.
        words: the entries of the vocabulary, if they are whole words.
        work: folder for what is needed during the run.
        checkpoint: the file that the run is resumed from; None for none.
        start: vectors or a base to start from.
        observer: callbacks for steps and epochs; if not given, a notebook shows a bar.
        finish: take no more steps, and return the best epoch so far.
        spare: as for `run_loop`.
        world: the processes that train it together.

    Returns:
        The network and how it was trained.

    Raises:
        TextLSTMError: a setting is invalid, or training can't continue.
        TrainingInterrupted: Ctrl-C or SIGTERM.
    """
    train = texts["train"]
    with cpu_threads(settings.training.threads):
        seed_everything(settings.training.seed)
        model = BiLSTMClassifier(
            settings.model,
            vocab_size=vocab_size,
            num_classes=len(labels),
            multi_label=train.multi_label,
        )
        if model.multi_label:
            prior = prior_logits(settings.training, train.labels, labels)
            model.linear.bias.data.copy_(torch.from_numpy(prior))
        facts = load_start(start, model, train.texts.ids, work)
        resumed = world.any(checkpoint is not None and checkpoint.is_file())[0]
        if model.ngrams is not None and not resumed:
            with world.main_first():  # without a time limit; the trainer sends them to the others
                if world.is_main:
                    logger.info("fitting the n-gram weights")
                    plain = dataclasses.replace(
                        settings.training, label_smoothing=0.0, teacher_temperature=1.0
                    )
                    fit_ngrams(
                        model.ngrams,
                        train,
                        make_loss(plain, train.labels, labels),
                        work,
                        margins=settings.training.ngram_fit == "margins",
                        words=words,
                    )
        trainer = Trainer(
            model,
            {name: split for name, split in texts.items() if name != "test"},
            settings.training,
            labels=labels,
            checkpoint=checkpoint,
            history=work / FILES.history,
            observer=observer,
            world=world,
        )
        result = run_loop(trainer, world, resume=resumed, finish=finish, spare=spare)
        metrics = {"validation": result.best_metrics or trainer.evaluate(texts["validation"])}
        thresholds = None
        if model.multi_label:
            rows = metrics["validation"]["per_label"].values()
            thresholds = tuple(row["threshold"] for row in rows)
        cascade = Cascade.from_dict(metrics["validation"].get("cascade"))
        if "test" in texts:
            metrics["test"] = trainer.evaluate(texts["test"], thresholds, cascade)
        return Fitted(model, settings, result, metrics, facts, thresholds, cascade)


def run_loop(
    loop: Loop, world: World, *, resume: bool, finish: bool, spare: bool = False
) -> TrainResult:
    """Train until the end, or until a signal stops it.

    Args:
        loop: the training; its checkpoint is read if it is resumed.
        world: the processes that train.
        resume: whether to continue from the checkpoint.
        finish: whether to end with the best epoch so far, without another step.
        spare: whether the caller has another model to end with, so that no epoch is needed.

    Raises:
        TrainingError: training can't continue, or there is no epoch to end with.
        TrainingInterrupted: Ctrl-C or SIGTERM.
    """
    if resume:
        with world.main_first():
            loop.resume()
    if finish:
        loop.finish()
    with stop_on_signals(loop.stop) as caught:
        result = loop.run()
    if result.reason == "interrupted":
        raise TrainingInterrupted(caught[0] if caught else signal.SIGINT)
    if finish and not (result.best_epoch or spare):
        raise TrainingError("the run has not taken a step yet: resume it with --resume")
    return result


@contextlib.contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Call `stop` on the first Ctrl-C or SIGTERM; a second one ends the process at once.

    Yields:
        A list that gets the number of the signal. Signals that the caller handles itself are
        left to it, as are all signals outside the main thread.
    """
    caught: list[int] = []
    before: dict[int, Any] = {}
    plain: dict[int, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
    }

    def handle(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        for each in before:
            signal.signal(each, plain[each])
        stop()

    if threading.current_thread() is threading.main_thread():
        for number, handler in plain.items():
            # a job in the background of a script is told to ignore Ctrl-C, yet may be sent one
            if signal.getsignal(number) in (
                handler,
                raise_interrupted,
                signal.SIG_DFL,
                signal.SIG_IGN,
            ):
                before[number] = signal.signal(number, handle)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
