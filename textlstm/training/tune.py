"""A search for better settings: how it is begun, resumed and ended."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.json_files import FILES
from textlstm.config import (
    FEW_TEXTS,
    TRAIN_PARTS,
    TrainOptions,
    TrainSettings,
    TuneConfig,
    with_preset,
)
from textlstm.data.corpus import Source, load_corpus
from textlstm.errors import ConfigError, DataError, OutputError
from textlstm.io.atomic import require_replaceable
from textlstm.io.work_folder import WorkFolder
from textlstm.nn.device import cpu_threads
from textlstm.options import documents
from textlstm.training.distributed import join
from textlstm.training.observer import Observer
from textlstm.training.resolve import read_options
from textlstm.training.run_folder import RunRequest, resumed_settings
from textlstm.training.teacher import split_teachers, who_teaches
from textlstm.training.tuning import TUNED, OnTrial, Tuning

if TYPE_CHECKING:
    from typing_extensions import Unpack

logger = logging.getLogger(__name__)


@documents(*TRAIN_PARTS.values())
def tune(
    source: Source | None,
    out: str | os.PathLike[str],
    *,
    minutes: float = TuneConfig.minutes,
    trials: int | None = TuneConfig.trials,
    max_mb: float | None = TuneConfig.max_mb,
    resume: bool = False,
    overwrite: bool = False,
    finish: bool = False,
    observer: Observer | None = None,
    on_trial: OnTrial | None = None,
    **options: Unpack[TrainOptions],
) -> TextClassifier:
    """Search for settings that are better on validation, and keep the best model.

    The first trial has the default settings, so the result is at least as good on validation. The
    test split, if there is one, is evaluated once, by the best model. `out` becomes the model
    folder that `textlstm.train` would write with the best settings, with `trials.csv` (a row per
    trial), `tune.html` (a page to look at, with the extra `report`) and `settings.toml`.

    Args:
        source: the data, as for `textlstm.train`; may be None to resume.
        out: the model folder, new or empty.
        minutes: time for all trials together, those before a resume included.
        trials: maximum number of trials.
        max_mb: maximum size of the model in megabytes; larger ones are not trained.
        resume: resume the unfinished tuning of `out`; start one if there is none.
        overwrite: replace what is there. An old model stays until the new one is saved.
        finish: end the unfinished tuning of `out` with the best trial so far.
        observer: callbacks for every step and epoch of every trial.
        on_trial: called after each trial with its row of the table and that of the best so far;
            'metric' names the figure of theirs that is improved.
        **options: settings by name, listed below. Those that are passed are not tuned, nor is
            what `preset` stands for. `monitor` is the figure that is improved.

    Returns:
        The classifier of the best trial.

    Raises:
        TextLSTMError: something that the caller can fix, such as no trial within `max_mb`.
        TrainingInterrupted: Ctrl-C or SIGTERM; the tuning can be resumed.
    """
    from textlstm.training.study import storage_errors  # before all: its extra may be missing

    began = time.monotonic()
    limits = TuneConfig(minutes=minutes, trials=trials, max_mb=max_mb)
    if join().size > 1:
        raise ConfigError("tuning runs in one process: start it without torchrun")
    given, teachers = split_teachers(dict(options))
    folder, resume = Path(out), resume or finish
    with WorkFolder(folder) as work:
        if not work.is_begun() and resume and (folder / FILES.config).is_file():
            logger.info("the tuning of %s has ended: there is nothing to resume", folder)
            return TextClassifier.load(folder)
        _require_free(work, resume=resume, overwrite=overwrite)
        begun = work.job() if resume and work.is_begun() else None
        if begun is None and finish:
            raise ConfigError(f"there is no tuning of {folder} to finish: start one without finish")
        job = _job(folder, begun, source, given, limits)
        source = source if source is not None else job["source"]
        settings = read_options(job["options"])
        corpus = load_corpus(source, settings.data, seed=settings.training.seed)
        if who_teaches(settings, corpus) == "first":
            raise ConfigError(
                "tuning with unlabeled texts needs a model that labels them (pass teacher), or "
                f"more than {FEW_TEXTS:,} labelled texts and a base to start from (pass init_from)"
            )
        if begun is None:
            work.begin({**job, "fingerprint": corpus.fingerprint})
            work.write_state({})
        elif job["fingerprint"] != corpus.fingerprint:
            raise DataError(
                f"the data has changed since the tuning of {folder} began: restore it, or start "
                "over with --overwrite"
            )
        limits = dataclasses.replace(limits, max_mb=job["max_mb"])
        with contextlib.ExitStack() as stack:
            stack.enter_context(storage_errors(folder))
            stack.enter_context(cpu_threads(settings.training.threads))
            tuning = Tuning(job["options"], corpus, work.path, limits, teachers, observer, began)
            stack.callback(tuning.study.close)
            if not finish:
                tuning.search(on_trial or (lambda row, best: None))
            classifier = tuning.save(folder)
        work.remove()
        return classifier


def _require_free(work: WorkFolder, *, resume: bool, overwrite: bool) -> None:
    """Raise an `OutputError` if something would be lost."""
    out = work.target
    require_replaceable(out, TUNED.__contains__)
    if work.is_begun() and not (resume or overwrite):
        raise OutputError(
            f"a tuning of {out} is unfinished: pass --resume to continue it, --overwrite to start "
            "over, or choose another folder"
        )
    if out.is_dir() and any(out.iterdir()) and not (overwrite or work.is_begun()):
        raise OutputError(
            f"{out} already holds a model: pass --overwrite to replace it, or choose another folder"
        )


def _job(
    out: Path,
    begun: dict[str, Any] | None,
    source: Source | None,
    given: Mapping[str, Any],
    limits: TuneConfig,
) -> dict[str, Any]:
    """Return what a tuning is asked for: of a new one, or of the one that is resumed."""
    names = with_preset(given)
    if begun is None:
        if source is None:
            raise ConfigError("the data is missing: name what to train on, for example 'sample'")
        settings = TrainSettings.from_options(**given)
        begun = {"source": RunRequest(source, settings).to_dict()["source"], "options": {}}
        begun |= {"max_mb": limits.max_mb, "preset": given.get("preset", "")}
    else:
        settings = TrainSettings.from_options(**begun["options"])
        settings = resumed_settings(out, settings, given, begun.get("preset"))
        if limits.max_mb not in (None, begun["max_mb"]):
            raise ConfigError(
                f"max_mb = {limits.max_mb:g}, but the tuning of {out} began with "
                f"{begun['max_mb']}: leave it out, or start over with --overwrite"
            )
        if source is None and begun["source"] is None:
            raise ConfigError(
                f"the data of the tuning of {out} was passed as Python objects: pass them again"
            )
    options = {**settings.to_options(), "preset": "default"}  # what it stands for is in names
    names |= {"preset": None} if "preset" in given else {}
    return {**begun, "options": {**begun["options"], **{name: options[name] for name in names}}}
