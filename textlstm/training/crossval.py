"""Cross-validation: every text is predicted once, by a model that was trained without it.

Shapes: N texts.
"""

from __future__ import annotations

import dataclasses
import logging
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from textlstm.config import TRAIN_PARTS, CrossvalConfig, TrainingConfig, TrainOptions, TrainSettings
from textlstm.data.corpus import Corpus, Source, Whole, load_whole
from textlstm.data.stratify import fold_numbers, stratified_part
from textlstm.errors import ConfigError, DataError
from textlstm.evaluation.figures import FIGURES
from textlstm.evaluation.tables import Table
from textlstm.io.progress import Display
from textlstm.options import differences, documents, resumable_names
from textlstm.training.distributed import join
from textlstm.training.observer import Observer
from textlstm.training.resolve import for_texts, read_options
from textlstm.training.teacher import split_teachers
from textlstm.training.train import train_on

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from textlstm.classifier.classifier import TextClassifier

logger = logging.getLogger(__name__)

# Settings that may differ where folds are added to others, since no figure depends on them.
_FREE = resumable_names(TrainingConfig) - {"patience", "max_minutes"}
_SHOWN = ("accuracy", "macro_f1", "log_loss")  # of each fold, on a terminal


@dataclass(frozen=True)
class Fold:
    """The result of one fold.

    Args:
        number: from 1.
        rows: texts in 'train', 'validation' (which picks the best epoch) and 'test', the fold.
        training: how the run went, such as `best_epoch`, `epochs` and `minutes`.
        metrics: of the fold's texts, as `textlstm evaluate` gives them.
    """

    number: int
    rows: Mapping[str, int]
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class CrossValidation:
    """A cross-validation, complete or in progress.

    Args:
        source: the data.
        fingerprint: hash of the data.
        labels: label names.
        folds: how many are asked for.
        settings: of every training; its seed also decides which text is in which fold.
        results: the folds that are done, in their order.
    """

    source: str
    fingerprint: str
    labels: tuple[str, ...]
    folds: int
    settings: TrainSettings
    results: tuple[Fold, ...] = ()

    def __repr__(self) -> str:
        """Show the data, the folds done and the mean accuracy."""
        done = f"{len(self.results)} of {self.folds} folds"
        mean = self.summary().get("accuracy", {}).get("mean")
        figures = "" if mean is None else f", mean accuracy {mean:.4f}"
        return f"CrossValidation({self.source!r}, {len(self.labels)} labels, {done}{figures})"

    @property
    def is_whole(self) -> bool:
        """Whether all folds are done."""
        return len(self.results) == self.folds

    def summary(self) -> dict[str, dict[str, float]]:
        """Return mean, std, min and max over the folds of each figure that is one number.

        Returns:
            Figures by the name that they have in `Fold.metrics`; empty if no fold is done. `std`
            is the sample standard deviation, 0 for a single fold.
        """
        if not self.results:
            return {}
        names = [name for name, value in self.results[0].metrics.items() if type(value) is float]
        return {name: _spread([fold.metrics[name] for fold in self.results]) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        settings = self.settings.to_dict()
        return {**dataclasses.asdict(self), "settings": settings, "summary": self.summary()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> CrossValidation:
        """Make a cross-validation from what `to_dict` gave.

        Raises:
            ConfigError: it is something else.
        """
        try:
            return cls(
                source=record["source"],
                fingerprint=record["fingerprint"],
                labels=tuple(record["labels"]),
                folds=record["folds"],
                settings=TrainSettings.from_dict(record["settings"]),
                results=tuple(Fold(**fold) for fold in record["results"]),
            )
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f"this is not the record of a cross-validation ({error}): pass a file that "
                "crossval --json wrote"
            ) from error


@documents(*TRAIN_PARTS.values())
def cross_validate(
    source: Source,
    *,
    folds: int = CrossvalConfig.folds,
    done: CrossValidation | None = None,
    on_fold: Callable[[CrossValidation], None] | None = None,
    on_model: Callable[[TextClassifier, Whole, np.ndarray], None] | None = None,
    observer: Observer | None = None,
    **options: Unpack[TrainOptions],
) -> CrossValidation:
    """Train and evaluate one model per fold; no model is kept.

    The rows of train are split into folds, stratified by label. For each fold a model is trained
    on the others, of which a part is held out to pick the best epoch, and evaluated on the fold.

    Args:
        source: the data, as for `textlstm.train`; splits other than train are not used.
        folds: 2 or more.
        done: folds of an earlier call with the same arguments, which need not be trained again.
        on_fold: called before the first training and after each with what is done until then.
        on_model: called after each training with the model, all rows, and the row numbers of the
            fold, which the model has not seen.
        observer: callbacks for every step and epoch of every training; as for `train`.
        **options: settings by name, listed below, except `validation`, `test` and
            `test_fraction`; `preset` stands for several of them. `teacher` may also be a
            `TextClassifier` or a list of them.

    Returns:
        The figures of all folds, and their summary.

    Raises:
        TextLSTMError: something that the caller can fix, such as more folds than a label has
            texts.
        TrainingInterrupted: Ctrl-C or SIGTERM during a training; `on_fold` was called before.
    """
    folds = CrossvalConfig(folds=folds).folds
    given, teachers = split_teachers(dict(options))
    settings = read_options(given)
    _refuse_parts(settings)
    world = join()
    world.device(settings.training.device)
    whole = load_whole(source, settings.data)
    for note in whole.notes:
        logger.info("%s", note)
    _require_enough(whole, folds)
    share = (1 - 1 / folds) * (1 - settings.data.validation_fraction)
    settled = for_texts(settings, round(share * len(whole.rows)))
    if not whole.unlabeled:  # with them, the first model of each fold settles its own options
        settings = settled
    numbers = fold_numbers(whole.rows.labels, folds, settings.training.seed)  # [N]
    state = CrossValidation(whole.source, whole.fingerprint, whole.labels, folds, settled)
    if done is not None:
        _require_same(done, state)
        state = dataclasses.replace(state, results=done.results)
    if on_fold:
        on_fold(state)
    with Display("folds", folds, done=len(state.results)) as display:
        for number in range(len(state.results), folds):
            logger.info("fold %d of %d", number + 1, folds)
            corpus = _without(whole, numbers == number, settings)
            curves = settings.training.tensorboard
            own = settings.replace(tensorboard=curves and f"{curves}/fold-{number + 1}")
            classifier = train_on(
                corpus, own, teachers=teachers, observer=observer, reports=False, world=world
            )
            if on_model:
                on_model(classifier, whole, np.flatnonzero(numbers == number))
            record = classifier.record
            test = record.metrics["test"]
            fold = Fold(number + 1, dict(record.rows), dict(record.training), test)
            state = dataclasses.replace(state, results=(*state.results, fold))
            mean = state.summary()["macro_f1"]["mean"]
            display.update(number + 1, note=f"mean macro F1 {mean:.4f}")
            if on_fold:
                on_fold(state)
            logger.info(
                "fold %d of %d: accuracy %.4f, macro F1 %.4f on %s texts; %s",
                *(number + 1, folds, test["accuracy"], test["macro_f1"]),
                *(f"{test['n']:,}", display.times()),
            )
    return state


def _refuse_parts(settings: TrainSettings) -> None:
    """Raise a `ConfigError` if the settings name parts that the folds have instead."""
    for name in ("validation", "test", "test_fraction"):
        if value := getattr(settings.data, name):
            raise ConfigError(
                f"{name} = {value}: each fold holds out its own validation and test texts: leave "
                "it out"
            )


def _require_enough(whole: Whole, folds: int) -> None:
    """Check that every label is in every fold."""
    labels = whole.rows.labels
    several = labels.ndim == 2
    counts = labels.sum(0) if several else np.bincount(labels, minlength=len(whole.labels))  # [C]
    rarest = int(counts.argmin())
    if counts[rarest] < folds:
        raise ConfigError(
            f"folds = {folds}: must be at most {counts[rarest]:,}, the texts of the rarest label "
            f"{whole.labels[rarest]!r} in {whole.source}; take fewer folds, or leave the label out"
        )


def _require_same(done: CrossValidation, asked: CrossValidation) -> None:
    """Check that folds that are done belong to what is asked for."""
    if done.fingerprint != asked.fingerprint:
        raise DataError(
            f"the finished folds are of other data than {asked.source}: restore it, or start over"
        )
    old, new = ({"folds": each.folds, **each.settings.to_dict()} for each in (done, asked))
    found = differences(old, new, ignore=_FREE)
    if found:
        raise ConfigError(
            f"the finished folds were trained with other settings: {'; '.join(found)}: use the "
            "same, or start over"
        )


def _without(whole: Whole, held: np.ndarray, settings: TrainSettings) -> Corpus:
    """Return the splits of a fold: a stratified part of the other rows is held out for validation.

    Args:
        whole: all rows.
        held: those of the fold, bool [N]; they become the test split.
        settings: share of validation, and seed.

    Returns:
        The splits.
    """
    rest = np.flatnonzero(~held)
    share = settings.data.validation_fraction
    cut = stratified_part(whole.rows.labels[rest], share, settings.training.seed)
    if not len(cut):
        raise DataError(
            f"{whole.source} has {len(held)} texts: too few to hold out a validation part of what "
            "the folds leave for training; add texts"
        )
    return Corpus(
        labels=whole.labels,
        train=whole.rows.select(np.delete(rest, cut)),
        validation=whole.rows.select(rest[cut]),
        test=whole.rows.select(np.flatnonzero(held)),
        unlabeled=whole.unlabeled,
        source=whole.source,
        fingerprint=whole.fingerprint,
    )


def _spread(values: list[float]) -> dict[str, float]:
    std = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.mean(values), "std": std, "min": min(values), "max": max(values)}


def crossval_tables(result: CrossValidation) -> list[Table | str]:
    """Return a cross-validation as tables.

    Args:
        result: with a fold or more.

    Returns:
        A row for each fold, then one for each figure.
    """
    shown = [name for name in _SHOWN if name in result.results[0].metrics]
    folds = [["fold", "texts", *(FIGURES.get(name, name) for name in shown), "best epoch"]]
    for fold in result.results:
        figures = [f"{fold.metrics[name]:.4f}" for name in shown]
        best = f"{fold.training['best_epoch']} of {fold.training['epochs']}"
        folds.append([str(fold.number), f"{fold.rows['test']:,}", *figures, best])
    spread = [["", "mean", "±", "min", "max"]]
    for name, figure in result.summary().items():
        spread.append([FIGURES.get(name, name), *(f"{value:.4f}" for value in figure.values())])
    missing = result.folds - len(result.results)
    note = [f"{missing} of {result.folds} folds are not done"] if missing else []
    return [Table(folds, left=()), Table(spread), *note]
