"""The search of a tuning: which settings are tried next, and what is known of those tried.

The only module that imports Optuna. Everything is in one SQLite file, committed after each epoch.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from textlstm.config import NGRAM_FITS, POOLINGS, PRESETS, TrainSettings
from textlstm.errors import ConfigError, MissingDependencyError, OutputError

try:
    import optuna
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )
    from optuna.exceptions import StorageInternalError
    from optuna.trial import FrozenTrial, Trial, TrialState
    from sqlalchemy.exc import SQLAlchemyError
except ImportError as error:
    raise MissingDependencyError(
        f"tuning needs the package optuna ({error}): pip install 'textlstm[tune]'"
    ) from error

Space = dict[str, tuple[BaseDistribution, Any]]
"""Option -> (its values, its default)."""

ENDS = {
    "finished": TrialState.COMPLETE,
    "cut off": TrialState.COMPLETE,  # by the end of the time
    "pruned": TrialState.PRUNED,
    "too large": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
    "stopped": TrialState.FAIL,  # by Ctrl-C or a kill: its settings are tried again
}
"""How a trial may end."""

_RANDOM = 10  # trials before the sampler learns from them
_CHANGED = 0.25  # of the options in a trial; the others are as in the best so far
_TRUSTED = (5, 3)  # trials that are done, and tenths of a training, before it may be pruned
_MOST_MARGINS = 20_000  # texts up to which both ways to fit n-grams are tried; margins need memory
_OF_A_BASE = ("embedding_size", "hidden_size", "num_layers", "min_frequency")


def search_space(settings: TrainSettings, fixed: Mapping[str, Any], texts: int) -> Space:
    """Return the options that are tuned, with the values that are tried.

    Args:
        settings: those without tuning, as `resolve` returns them for the data.
        fixed: the options that are not tuned.
        texts: number of texts to learn from.

    Raises:
        ConfigError: nothing is left to tune.
    """
    default = settings.to_options()
    epochs, buckets = default["epochs"], default["ngram_buckets"]
    strengths = {0.0, 0.05, 0.1, 0.15, 0.2, default["adversarial"]}
    small = (max(1, buckets // 16), max(1, buckets // 4), buckets)
    values: dict[str, BaseDistribution] = {
        "learning_rate": FloatDistribution(1e-3, 1e-2, log=True),
        "batch_size": CategoricalDistribution((16, 32, 64, 128)),
        "epochs": IntDistribution(max(1, epochs // 2), 2 * epochs, log=True),
        "hidden_size": CategoricalDistribution((64, 96, 128, 192, 256)),
        "num_layers": IntDistribution(1, 2),
        "embedding_size": CategoricalDistribution((50, 100, 150, 200)),
        "pooling": CategoricalDistribution(POOLINGS),
        "ngrams": IntDistribution(0, 4),
        "ngram_buckets": CategoricalDistribution(tuple(dict.fromkeys(small))),
        "min_frequency": IntDistribution(1, 3),
        "word_dropout": FloatDistribution(0.0, 0.2),
        "embedding_dropout": FloatDistribution(0.0, 0.6),
        "dropout": FloatDistribution(0.0, 0.6),
        "output_dropout": FloatDistribution(0.0, 0.6),
        "adversarial": CategoricalDistribution(tuple(sorted(strengths))),
        "label_smoothing": FloatDistribution(0.0, 0.2),
        "weight_decay": FloatDistribution(1e-3, 0.3, log=True),
    }
    taught = settings.training.teacher or settings.data.teacher_columns
    if texts <= _MOST_MARGINS and not taught:
        values["ngram_fit"] = CategoricalDistribution(NGRAM_FITS)
    left_out = {*fixed, *(_OF_A_BASE if settings.training.init_from else ())}
    left_out |= {"embedding_size"} if settings.training.vectors else set()
    left_out |= {"min_frequency"} if settings.tokenizer.vocab else set()
    left_out |= {"ngram_buckets"} if fixed.get("ngrams") in (0, 1) else set()
    left_out |= {"ngram_fit"} if fixed.get("ngrams") == 0 else set()
    left_out |= {"dropout"} if fixed.get("num_layers") == 1 else set()
    found = {name: (each, default[name]) for name, each in values.items() if name not in left_out}
    if not found:
        raise ConfigError(
            f"every option that is tuned has a value already: leave out one of {', '.join(values)}"
        )
    return found


@contextlib.contextmanager
def storage_errors(out: Path) -> Iterator[None]:
    """Raise an `OutputError` if the file of a tuning can't be read or written."""
    try:
        yield
    except (StorageInternalError, SQLAlchemyError, sqlite3.Error) as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        raise OutputError(
            f"the trials of the tuning of {out} can't be read or saved ({cause}): check the disk "
            "and pass --resume; if they are damaged, start over with --overwrite"
        ) from error


class Study:
    """The trials of one tuning, in a file that is whole after a kill at any moment.

    Args:
        path: the SQLite file; a new one is made if it is missing.
        space: of `search_space`.
        seed: the same seed and the same figures give the same trials, resumed or not.
        minimize: whether a lower figure is better.
    """

    def __init__(self, path: Path, space: Space, seed: int, *, minimize: bool) -> None:
        self.space = space
        self.defaults = {name: default for name, (_, default) in space.items()}
        self._seed = seed
        self._sign = -1 if minimize else 1
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            # a creator, since a path may hold what has a meaning in a URL
            creator = {"creator": lambda: sqlite3.connect(path, timeout=60)}
            self._storage = optuna.storages.RDBStorage("sqlite:///study.sqlite", creator)
            self._study = optuna.create_study(
                storage=self._storage,
                study_name="tune",
                direction="minimize" if minimize else "maximize",
                pruner=optuna.pruners.MedianPruner(*_TRUSTED),
                load_if_exists=True,
            )
        finally:
            optuna.logging.set_verbosity(before)
        for trial in self._trials(TrialState.RUNNING):  # of a process that was killed
            self._study.tell(trial.number, state=TrialState.FAIL)

    @property
    def minutes(self) -> float:
        """The time spent so far; kept in the file."""
        return float(self._study.user_attrs.get("minutes", 0.0))

    @minutes.setter
    def minutes(self, value: float) -> None:
        self._study.set_user_attr("minutes", value)

    def ask(self) -> tuple[Trial, dict[str, Any]]:
        """Begin a trial; return it and its settings, which are its defaults in the first."""
        number = self.count()
        if not self._trials(TrialState.WAITING):
            self._study.enqueue_trial(self._kept(number))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of arguments that may change
            # a new one, so that a resumed tuning draws what it would have drawn without the stop
            seed = (self._seed * 100_003 + number) % 2**32
            self._study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=_RANDOM, multivariate=True, seed=seed
            )
            trial = self._study.ask({name: values for name, (values, _) in self.space.items()})
        settings = {
            name: float(f"{value:.3g}") if type(value) is float and value != default else value
            for name, (_, default) in self.space.items()
            for value in [trial.params[name]]
        }
        trial.set_user_attr("settings", settings)
        return trial, settings

    def _kept(self, number: int) -> dict[str, Any]:
        """Return the options of a trial that are given; the others are drawn.

        The first trial has the defaults. Where texts are few, the second has the preset that is
        for even fewer. All others keep most of the best so far: a search in minutes has some
        dozen trials, too few to move everything at once.
        """
        defaults = self.defaults
        small = {name: PRESETS["small"].get(name, default) for name, default in defaults.items()}
        if not number:
            return defaults
        if number == 1 and "ngram_fit" in defaults and small != defaults:
            return small
        draw, best = random.Random(f"{self._seed} {number}"), self.best()
        start = best["settings"] if best else defaults
        changed = draw.sample(list(start), max(1, round(_CHANGED * len(start))))
        return {name: value for name, value in start.items() if name not in changed}

    def should_prune(self, trial: Trial, value: float, tenths: int) -> bool:
        """Record the best figure so far; whether it is worse than that of half of the others.

        Args:
            trial: one that runs.
            value: its figure.
            tenths: of its epochs that are done, since trainings of different lengths are compared
                after the same share of them; more than at the last call.
        """
        trial.report(value, tenths)
        return trial.should_prune()

    def tell(
        self, trial: Trial, ended: str, value: float | None = None, **facts: Any
    ) -> dict[str, Any]:
        """Record the end of a trial.

        Args:
            trial: one that runs.
            ended: one of `ENDS`.
            value: the figure of one that is not pruned.
            **facts: more of it for the table, fit for JSON.

        Returns:
            Its row.
        """
        trial.set_user_attr("facts", {"ended": ended, **facts})
        state = ENDS[ended]
        value = value if state == TrialState.COMPLETE else None
        return self._row(self._study.tell(trial, value, state=state))

    def count(self) -> int:
        """Return the number of trials that have ended, those that were killed not counted."""
        return len(self._trials(TrialState.COMPLETE, TrialState.PRUNED))

    def best(self) -> dict[str, Any] | None:
        """Return the row of the best trial, the first of equal ones; None before the first."""
        done = self._trials(TrialState.COMPLETE)
        found = max(done, key=lambda trial: self._sign * (trial.value or 0.0), default=None)
        return None if found is None else self._row(found)

    def is_better(self, value: float) -> bool:
        """Whether a figure is better than that of any trial that has ended."""
        return all(
            self._sign * (value - (trial.value or 0.0)) > 0
            for trial in self._trials(TrialState.COMPLETE)
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return a row of each trial: its number from 1, how it ended, figures and settings."""
        return [self._row(trial) for trial in self._study.trials if trial.state.is_finished()]

    def _row(self, trial: FrozenTrial) -> dict[str, Any]:
        known = trial.user_attrs
        row = {"trial": trial.number + 1, **known.get("facts", {})}
        row |= {"ended": "stopped"} if trial.state == TrialState.FAIL else {}
        return {**row, "settings": known.get("settings", trial.params)}

    def importances(self) -> dict[str, float]:
        """Return the share of each option in the differences between trials; {} for too few."""
        if len(self._trials(TrialState.COMPLETE)) < _RANDOM:
            return {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
                return optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        except (ValueError, RuntimeError):  # all have the same figure
            return {}

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states)

    def close(self) -> None:
        """Close the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()
