"""A run to its end, and self-training: a first model labels the texts without labels for a second.

After `textlstm.training.run.Run.prepare`, `complete` does the rest of a run.
"""

from __future__ import annotations

import dataclasses
import logging
import time

from textlstm.classifier.classifier import TextClassifier
from textlstm.data.encoded import EncodedTexts, LabelledTexts
from textlstm.evaluation.figures import FIGURES
from textlstm.training.run import Run, log_metrics
from textlstm.training.run_folder import RunFolder, RunRequest
from textlstm.training.schedule import EarlyStopping
from textlstm.training.teacher import PROBABILITIES
from textlstm.training.trainer import Trainer
from textlstm.training.validation import add_test

logger = logging.getLogger(__name__)

_FIRST = "first"  # folder of a model that is trained on the labels alone


def complete(run: Run) -> TextClassifier:
    """Train, evaluate and save; all processes together.

    Texts without labels need a teacher. Where there is none, a model that starts from a base
    teaches itself; else a first model is trained on the labels alone and teaches a second one, with
    all texts (self-training). If the time is over or the run is finished before the second one has
    ended, the first model is the result, unless the second one has been validated and is at least
    as good.

    Args:
        run: prepared.

    Returns:
        The classifier with the weights of the best epoch.

    Raises:
        TextLSTMError: training can't continue.
        TrainingInterrupted: Ctrl-C or SIGTERM.
    """
    if run.teacher != "first":
        run.train()
        return run.save()
    if not (run.work / PROBABILITIES).is_file():
        began, limit = time.monotonic(), run.settings.training.max_minutes
        first, ended = _first_model(run)
        run.minutes = (time.monotonic() - began) / 60
        late = run.world.any(limit is not None and run.minutes >= limit)[0]
        if run.finish or late or not ended:
            why = "the texts without labels are not learned from yet"
            why = f"the time is over before the second begins; {why}" if late and ended else why
            return _end_with(run, first, why, resumable=not run.finish)
        run.teachers = [first]
    run.train(spare=True)
    reason = run.fitted.result.reason
    if reason in ("max minutes", "ended early"):
        first = run.teachers[0] if run.teachers else _first_model(run)[0]
        if why := _shortfall(run, first):
            return _end_with(run, first, why, resumable=reason == "max minutes")
    return run.save()


def _first_model(run: Run) -> tuple[TextClassifier, bool]:
    """Train a model on the labels alone; return it and whether its training has ended."""
    folder = RunFolder(run.work / _FIRST) if run.folder is not None else None
    if folder is not None and folder.is_finished():
        return TextClassifier.load(folder.path, device=run.settings.training.device), True
    logger.info("training a first model on the labels alone, which then labels the other texts")
    settings = run.settings.replace(unlabeled=(), report=False, tensorboard=None)
    settings = dataclasses.replace(settings, given=run.given)  # the labelled texts may be few
    corpus = dataclasses.replace(run.corpus, unlabeled=(), test=None, notes=[])
    first = Run(
        settings,
        run.world,
        folder.work if folder else run.work / _FIRST,
        folder,
        observer=run.observer,
        finish=run.finish,
        reports=False,
    )
    with run.world.main_first():
        begun = folder is not None and folder.is_unfinished()
        first.work.mkdir(parents=True, exist_ok=True)
        if folder is not None and run.world.is_main:
            folder.write_request(RunRequest(None, settings, corpus.fingerprint))
        first.prepare(corpus, begun=begun)
    return complete(first), first.fitted.result.reason != "max minutes"


def _shortfall(run: Run, first: TextClassifier) -> str:
    """Return why a second model that was cut off is no result; '' if it is one."""
    if not run.fitted.result.best_epoch:
        return "the second is not validated yet"
    monitor = run.settings.training.monitor
    key = Trainer.figures[monitor]
    old, new = first.metrics["validation"][key], run.fitted.metrics["validation"][key]
    worse = EarlyStopping(monitor, patience=1, best=new).update(1, {monitor: old})
    name = FIGURES.get(monitor, monitor)
    figures = f"on validation so far ({name} {new:.4f}, the first {old:.4f})"
    if run.world.any(run.world.is_main and worse)[0]:  # others may round otherwise
        return f"the second is worse {figures}"
    if run.checks:
        logger.info("kept the second model: it is no worse %s", figures)
    return ""


def _end_with(run: Run, first: TextClassifier, why: str, *, resumable: bool) -> TextClassifier:
    """Add to a first model what a run has, notes and test figures, and write its folder."""
    if run.checks:
        logger.warning("kept the first model, trained on the labels alone: %s", why)
    first.settings = first.settings.replace(report=run.settings.training.report)
    first.record = dataclasses.replace(first.record, notes=tuple(run.corpus.notes))
    encode = first.tokenizer.encode_batch
    run.texts = {
        name: LabelledTexts(EncodedTexts.from_batches(map(encode, split.texts())), split.labels)
        for name, split in run.corpus.splits.items()
        if name != "train"
    }
    add_test(first, run.texts, run.world)
    if run.reports:
        log_metrics(first.metrics)
    return run.write(first, resumable=resumable)
