"""Training a network on encoded texts and judging it: the part of a run that knows ids only."""

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
from typing import Any, NoReturn

import torch

from textlstm.classifier.model_folder import FILES
from textlstm.config import TrainSettings
from textlstm.data.encoded import LabelledTexts
from textlstm.nn.device import cpu_threads, seed_everything
from textlstm.nn.loss import make_loss, prior_logits
from textlstm.nn.network import BiLSTMClassifier
from textlstm.training.distributed import ALONE, World
from textlstm.training.fit_ngrams import fit_ngrams
from textlstm.training.pretrained import Pretrained, begin_with
from textlstm.training.run_folder import RunFolder
from textlstm.training.trainer import Observer, Trainer, TrainResult

logger = logging.getLogger(__name__)


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C or SIGTERM, after the step under way and in good order.

    Args:
        signal_number: which signal it was.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"training was stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


def end_in_order(number: int, frame: FrameType | None) -> NoReturn:
    """Raise `TrainingInterrupted`: a signal handler for the time in which no step is under way."""
    raise TrainingInterrupted(number)


@dataclass(frozen=True)
class Fitted:
    """A network that was trained.

    Args:
        model: it has the weights of the best epoch.
        result: how training went.
        metrics: what `evaluate_probabilities` gave, per split that was judged.
        thresholds: the least probability of each label, where a text may have several: those
            that were best on validation.
        facts: of the vectors it began with, for the record of the run.
    """

    model: BiLSTMClassifier
    result: TrainResult
    metrics: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any]
    thresholds: tuple[float, ...] | None = None

    def course(self) -> dict[str, Any]:
        """Tell how training went, for the record of the run."""
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
    cache: Path,
    pretrained: Pretrained | None = None,
    folder: RunFolder | None = None,
    observer: Observer | None = None,
    world: World = ALONE,
) -> Fitted:
    """Train and judge a network on encoded texts: the part of a run that knows ids only.

    Args:
        texts: 'train' and 'validation', and 'test' if there is one.
        labels: label names.
        settings: of model and training.
        vocab_size: ids go from 0 to below this.
        cache: folder for what is needed during the run.
        pretrained: vectors to begin with.
        folder: where the run can be resumed from; None for nowhere.
        observer: told of every step and epoch.
        world: the processes that train it together.

    Returns:
        The network and how it came about.

    Raises:
        TextLSTMError: a setting is no good, or training can't go on.
        TrainingInterrupted: Ctrl-C or SIGTERM.
    """
    with cpu_threads(settings.training.threads):
        seed_everything(settings.training.seed)
        model = BiLSTMClassifier(
            settings.model,
            vocab_size=vocab_size,
            num_classes=len(labels),
            multi_label=texts["train"].multi_label,
        )
        if model.multi_label:
            prior = prior_logits(settings.training, texts["train"].labels, labels)
            model.linear.bias.data.copy_(torch.from_numpy(prior))
        facts = begin_with(pretrained, model.embedding, texts["train"].texts, cache)
        resumed = world.any(folder is not None and folder.checkpoint.is_file())[0]
        if model.ngrams is not None and world.is_main and not resumed:
            logger.info("finding the n-gram weights")
            training = dataclasses.replace(settings.training, label_smoothing=0.0)
            loss = make_loss(training, texts["train"].labels, labels)
            fit_ngrams(model.ngrams, texts["train"], loss, cache)  # the others get them from here
        trainer = Trainer(
            model,
            texts["train"],
            texts["validation"],
            settings.training,
            labels=labels,
            checkpoint=folder.checkpoint if folder else None,
            history=folder.path / FILES.history if folder else None,
            observer=observer,
            world=world,
        )
        if resumed:
            with world.main_first():
                trainer.resume()
        with _stop_on_signals(trainer.stop) as caught:
            result = trainer.run()
        if result.reason == "interrupted":
            raise TrainingInterrupted(caught[0] if caught else signal.SIGINT)
        validation = result.best_metrics or trainer.evaluate(texts["validation"])
        thresholds = _thresholds(validation) if model.multi_label else None
        metrics = {"validation": validation}
        if "test" in texts:
            metrics["test"] = trainer.evaluate(texts["test"], thresholds)
        return Fitted(model, result, metrics, facts, thresholds)


def _thresholds(metrics: Mapping[str, Any]) -> tuple[float, ...]:
    """Give the thresholds that figures were made with."""
    return tuple(row["threshold"] for row in metrics["per_label"].values())


@contextlib.contextmanager
def _stop_on_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Have the first Ctrl-C or SIGTERM call `stop`; a second one ends the process at once.

    Yields:
        A list that gets the number of the signal. Signals that the caller handles itself are
        left to it, as are all where this is not the main thread.
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
            if signal.getsignal(number) in (handler, end_in_order, signal.SIG_DFL, signal.SIG_IGN):
                before[number] = signal.signal(number, handle)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
