"""How a training is begun, resumed and ended."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textlstm.classifier.classifier import TextClassifier
from textlstm.config import TRAIN_PARTS, TrainOptions, TrainSettings
from textlstm.data.corpus import Corpus, Source, load_corpus
from textlstm.errors import ConfigError, OutputError
from textlstm.options import documents
from textlstm.training.distributed import ALONE, World, join
from textlstm.training.observer import Observer
from textlstm.training.resolve import read_options
from textlstm.training.run import Run, log_metrics
from textlstm.training.run_folder import RunFolder, RunRequest
from textlstm.training.self_training import complete
from textlstm.training.teacher import split_teachers

if TYPE_CHECKING:
    from typing_extensions import Unpack

logger = logging.getLogger(__name__)


@documents(*TRAIN_PARTS.values())
def train(
    source: Source | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    finish: bool = False,
    observer: Observer | None = None,
    **options: Unpack[TrainOptions],
) -> TextClassifier:
    """Train a classifier, from the data to the model folder.

    On Linux, `textlstm.nn.memory.keep_freed_memory()` makes training on a CPU faster; the
    command line calls it, this function leaves the process as it is.

    Args:
        source: the data: 'sample', a file, a folder or a Hub dataset name; or Python objects: a
            pair (texts, labels), a pandas `DataFrame`, a pyarrow `Table` or a list of dicts with
            the columns `text_column` and `label_column`, a `Dataset`, or a dict of split to one of
            these. Not needed to resume a run, unless its data was Python objects.
        out: the model folder, new or empty; None keeps the model in memory only.
        resume: resume the unfinished run in `out`; start one if `out` is empty; return its
            classifier if the run has ended.
        overwrite: replace the model or run in `out`. The old model stays until the new one is
            saved.
        finish: end the unfinished run in `out` with the best epoch so far, without another step.
        observer: callbacks for steps and epochs; if not given, a notebook shows a bar.
        **options: settings by name, listed below; `preset` stands for several of them. `teacher`
            may also be a `TextClassifier` or a list of them.

    Returns:
        The classifier with the weights of the best epoch.

    Raises:
        TextLSTMError: something that the caller can fix; see `textlstm.errors`.
        TrainingInterrupted: Ctrl-C or SIGTERM; a run with `out` can be resumed.
    """
    world = join()
    given, teachers = split_teachers(dict(options))
    if out is None:
        if resume or overwrite or finish:
            raise ConfigError("resume, overwrite and finish need a model folder: pass out")
        if source is None:
            raise ConfigError("source is missing: name the data to train on, for example 'sample'")
        settings = read_options(given)
        world.device(settings.training.device)
        corpus = load_corpus(source, settings.data, seed=settings.training.seed)
        return train_on(corpus, settings, teachers=teachers, observer=observer, world=world)
    folder, resume = RunFolder(out), resume or finish
    if finish and folder.is_empty():
        source = None  # there is nothing to finish, and no run is started
    with contextlib.ExitStack() as stack:
        with world.main_first():
            if world.is_main:
                stack.enter_context(folder.held())
                request = folder.open(source, given, resume=resume, overwrite=overwrite)
            else:
                request = request_of_main(folder, source, world)
            if resume and folder.is_finished():
                logger.info("the run in %s has ended: there is nothing to resume", folder.path)
                device = request.settings.training.device
                classifier = TextClassifier.load(folder.path, device=device)
                log_metrics(classifier.metrics)
                return classifier
            run = Run(
                request.settings,
                world,
                folder.work,
                folder,
                teachers,
                observer=observer,
                finish=finish,
            )
            run.read(request, resume=resume)
        return complete(run)


def train_on(
    corpus: Corpus,
    settings: TrainSettings,
    *,
    teachers: Sequence[TextClassifier] = (),
    observer: Observer | None = None,
    reports: bool = True,
    world: World = ALONE,
) -> TextClassifier:
    """Train in memory on a corpus that is loaded; of several processes each encodes it.

    Args:
        corpus: the splits.
        settings: of tokenizer, model and training, as `read_options` returns them.
        teachers: classifiers to learn from beside the labels.
        observer: callbacks for steps and epochs; if not given, a notebook shows a bar.
        reports: whether to log warnings about the data and the results.
        world: the processes that train it together.

    Returns:
        The classifier with the weights of the best epoch, evaluated on validation and test.

    Raises:
        TextLSTMError: a setting is invalid, or training can't continue.
        TrainingInterrupted: Ctrl-C or SIGTERM.
    """
    # on Windows a file that is still mapped can't be removed
    with tempfile.TemporaryDirectory(prefix="textlstm-", ignore_cleanup_errors=True) as work:
        run = Run(
            settings, world, Path(work), teachers=teachers, observer=observer, reports=reports
        )
        run.prepare(corpus)
        return complete(run)


def request_of_main(folder: RunFolder, source: Source | None, world: World) -> RunRequest:
    """Read the run that the first process has begun or found in a folder."""
    if not (folder.is_unfinished() or folder.is_finished()):
        raise OutputError(
            f"process {world.rank} finds no run in {folder.path}, where the first process has "
            "one: all need the same folder, on a disk that they share"
        )
    request = folder.read_request()
    return request if request.source else dataclasses.replace(request, source=source)
