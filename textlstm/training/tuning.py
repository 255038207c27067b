"""A tuning that has begun: trials one after the other, and the folder of the best.

Until its end it lives in a work folder: `study.sqlite`, the encoded texts, and the model of the
best trial so far.
"""

from __future__ import annotations

import copy
import csv
import dataclasses
import hashlib
import io
import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.json_files import FILES, REPORT
from textlstm.config import PRESETS, TrainingConfig, TrainSettings, TuneConfig
from textlstm.data.corpus import Corpus
from textlstm.errors import ConfigError, TrainingError
from textlstm.evaluation.figures import FIGURES
from textlstm.io.atomic import atomic_folder, write_text
from textlstm.nn.network import parameter_shapes
from textlstm.training.distributed import ALONE
from textlstm.training.observer import Observer, ProgressObserver, together
from textlstm.training.resolve import for_texts, read_options
from textlstm.training.run import Run, log_metrics, page_errors
from textlstm.training.validation import add_test
from textlstm.version import __version__

if TYPE_CHECKING:
    from optuna.trial import Trial

logger = logging.getLogger(__name__)

TABLE, PAGE, SETTINGS = "trials.csv", "tune.html", "settings.toml"
TUNED = {*dataclasses.asdict(FILES).values(), *REPORT, TABLE, PAGE, SETTINGS}
_RESOLVED = ("epochs", "adversarial", "ngram_buckets", "ngram_rank")
_FIGURES = {"accuracy": "accuracy", "macro_f1": "macro_f1", "loss": "log_loss"}
_MOST_TOO_LARGE = 200  # trials one after the other
_LEAST_MINUTES = 1e-3  # of a trial
_MB = 1e6  # bytes

OnTrial = Callable[[Mapping[str, Any], "Mapping[str, Any] | None"], None]


class Tuning:
    """A tuning that has begun: `search`, then `save`.

    Args:
        given: the options that are not tuned.
        corpus: the splits.
        folder: the work folder.
        limits: time, trials and size.
        teachers: classifiers to learn from; those that the options name if there are none.
        observer: callbacks for every step and epoch.
        began: when this process began it, on the clock of time.monotonic.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        corpus: Corpus,
        folder: Path,
        limits: TuneConfig,
        teachers: Sequence[TextClassifier],
        observer: Observer | None,
        began: float,
    ) -> None:
        from textlstm.training.study import Study, search_space

        self._corpus, self._folder, self._teachers = corpus, folder, teachers
        self._limits = limits
        self._observer = observer or ProgressObserver()
        self._runs: dict[str, Run] = {}  # by their tokenizer: read and encoded once
        settings = self._run(given).settings
        resolved = settings.to_options()
        names = _RESOLVED if settings.training.init_from else (*_RESOLVED, *PRESETS["small"])
        # with a preset, nothing follows from the number of texts any more
        found = {name: resolved[name] for name in names}
        self._options = {"preset": "default", **given, **found}
        self.monitor, seed = settings.training.monitor, settings.training.seed
        space = search_space(settings, given, len(self._corpus.train))
        path = folder / "study.sqlite"
        self.study = Study(path, space, seed, minimize=self.monitor == "loss")
        self._began = began - 60 * self.study.minutes

    def search(self, on_trial: OnTrial) -> None:
        """Train trial after trial, until the time or the number of trials is over."""
        too_large = 0
        while self._has_more(too_large):
            trial, settings = self.study.ask()
            row = self._try(trial, settings)
            too_large = too_large + 1 if row["ended"] == "too large" else 0
            best = self.study.best()
            self._remove_models(best)
            self._log(row, best)
            metric = {"metric": self.monitor}
            on_trial(row | metric, best and best | metric)

    def _has_more(self, too_large: int) -> bool:
        if not self.study.count():
            return True
        skipped = ("too large", "stopped")
        trained = sum(row["ended"] not in skipped for row in self.study.rows())
        enough = self._limits.trials is not None and trained >= self._limits.trials
        return not enough and self.left() > 0 and too_large < _MOST_TOO_LARGE

    def left(self) -> float:
        """Return the minutes left, after those spent are saved."""
        self.study.minutes = (time.monotonic() - self._began) / 60
        return self._limits.minutes - self.study.minutes

    def _run(self, options: Mapping[str, Any]) -> Run:
        """Return a run whose texts are encoded, with settings of its own."""
        settings = for_texts(read_options(options), len(self._corpus.train))
        key = hashlib.sha256(json.dumps(settings.tokenizer.to_dict()).encode()).hexdigest()[:16]
        if key not in self._runs:
            work = self._folder / f"texts-{key}"
            first = not self._runs
            run = Run(settings, ALONE, work, teachers=self._teachers, reports=first)
            run.prepare(self._corpus, begun=(work / FILES.tokenizer).is_file())
            run.encode()
            run.reports = False
            self._runs[key] = run
            return copy.copy(run)
        run = copy.copy(self._runs[key])
        run.settings = settings
        return run

    def _try(self, trial: Trial, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Train with some settings; keep the model if it is the best so far; return the row."""
        began = time.monotonic()
        run = self._run({**self._options, **settings})
        facts: dict[str, Any] = {"megabytes": round(_megabytes(run), 3)}
        if self._limits.max_mb is not None and facts["megabytes"] > self._limits.max_mb:
            return self.study.tell(trial, "too large", **facts)
        watch = _Watch(self, trial, run.settings.training)
        fitted, wanted = None, run.settings
        run.settings = _limited(wanted, self.left(), trial.number + 1)
        run.observer = together(self._observer, watch)
        run.texts = {name: texts for name, texts in run.texts.items() if name != "test"}
        try:
            run.fit()
            fitted, ended = run.fitted, "finished"
        except _PrunedError:
            ended = "pruned"
        except TrainingError as error:
            logger.warning("trial %d: %s", trial.number + 1, error)
            ended = "diverged"
        facts |= watch.facts()
        if fitted is not None:
            ended = "cut off" if fitted.result.reason == "max minutes" else ended
            found = fitted.metrics["validation"]
            facts |= {name: found[key] for name, key in _FIGURES.items()}
            facts["epoch"] = fitted.result.best_epoch
            if self.study.is_better(facts[self.monitor]):
                run.settings = wanted
                run.save().save(self._model(trial.number + 1))
        facts["minutes"] = round((time.monotonic() - began) / 60, 2)
        return self.study.tell(trial, ended, facts.get(self.monitor), **facts)

    def _log(self, row: Mapping[str, Any], best: Mapping[str, Any] | None) -> None:
        defaults = self.study.defaults
        other = [f"{k} {v}" for k, v in row["settings"].items() if v != defaults[k]]
        figure = f", {self.describe(row)}" if self.monitor in row else ""
        known = f"; best: trial {best['trial']}, {self.describe(best)}" if best else ""
        logger.info(
            "trial %d (%s): %s%s%s",
            *(row["trial"], ", ".join(other) or "the defaults", row["ended"], figure, known),
        )

    def describe(self, row: Mapping[str, Any]) -> str:
        """Return the figure of a trial with its name, such as 'macro F1 0.9123'."""
        return f"{FIGURES.get(self.monitor, self.monitor)} {row[self.monitor]:.4f}"

    def _model(self, number: int) -> Path:
        return self._folder / f"model-{number}"

    def _remove_models(self, best: Mapping[str, Any] | None) -> None:
        """Remove the models that are no longer the best."""
        for path in self._folder.glob("model-*"):
            if best is None or path != self._model(best["trial"]):
                shutil.rmtree(path)

    def save(self, out: Path) -> TextClassifier:
        """Make the model folder of the best trial, with what the tuning found.

        Raises:
            ConfigError: no trial has a model.
            OutputError: the folder can't be written.
        """
        best = self.study.best()
        if best is None:
            sizes = [row["megabytes"] for row in self.study.rows() if "megabytes" in row]
            raise ConfigError(
                f"no trial has ended with a model; the smallest had {min(sizes, default=0):g} MB: "
                "raise --max-mb, lower --learning-rate, or resume with --resume and more --minutes"
            )
        options = {**self._options, **best["settings"]}
        run = self._run(options)
        classifier = TextClassifier.load(
            self._model(best["trial"]), device=run.settings.training.device
        )
        add_test(classifier, run.texts, ALONE)
        stage = self._folder / "result" / out.resolve().name  # the card and the pages name it
        shutil.rmtree(stage.parent, ignore_errors=True)
        classifier.save(stage)
        run.write_report(classifier, stage)
        write_text(stage / TABLE, self._table())
        write_text(stage / SETTINGS, _toml(options, best))
        self._write_page(stage, classifier, best)
        with atomic_folder(out, replaceable=TUNED.__contains__) as new:
            shutil.copytree(stage, new, dirs_exist_ok=True)
        log_metrics(classifier.metrics)
        return classifier

    def _table(self) -> str:
        figures = ("minutes", "epochs", "epoch", *_FIGURES, "megabytes")
        file = io.StringIO()
        columns = ["trial", "ended", *figures, *self.study.space]
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **row["settings"]} for row in self.study.rows())
        return file.getvalue()

    def _write_page(
        self, folder: Path, classifier: TextClassifier, best: Mapping[str, Any]
    ) -> None:
        """Write the page, if it is wanted."""
        if not classifier.settings.training.report:
            return
        with page_errors(PAGE):
            from textlstm.report.page import render_tuning

            found = {
                "model": folder.name,
                "data": self._corpus.source,
                "version": __version__,
                "figure": self.monitor,
                "words": FIGURES.get(self.monitor, self.monitor),
                "minimize": self.monitor == "loss",
                "rows": self.study.rows(),
                "best": best,
                "defaults": self.study.defaults,
                "importances": self.study.importances(),
                "metrics": classifier.metrics,
            }
            page = render_tuning(found)
            write_text(folder / PAGE, page.encode("utf-8", "replace").decode())


class _PrunedError(Exception):
    """Raised by `_Watch` to end a trial that is worse than others."""


class _Watch(Observer):
    """Compares a trial with others after each epoch.

    Args:
        tuning: whose trial it is.
        trial: the trial.
        config: settings of its training.
    """

    def __init__(self, tuning: Tuning, trial: Trial, config: TrainingConfig) -> None:
        self._tuning, self._trial, self._config = tuning, trial, config
        self._sign = -1 if tuning.monitor == "loss" else 1
        self._best: dict[str, Any] = {}
        self._epochs = self._tenths = 0

    def on_epoch(self, record: dict[str, Any]) -> None:
        """Save the time that was spent, and end the trial if it is not worth more."""
        key, self._epochs = f"validation_{self._tuning.monitor}", record["epoch"]
        if not self._best or self._sign * (record[key] - self._best[key]) > 0:
            self._best = record
        self._tuning.left()
        tenths = 10 * self._epochs // (self._config.epochs or self._epochs)
        if tenths == self._tenths:
            return
        self._tenths = tenths
        if self._tuning.study.should_prune(self._trial, self._best[key], tenths):
            raise _PrunedError

    def facts(self) -> dict[str, Any]:
        """Return the epochs done and the figures of the best one."""
        best = {name: self._best[f"validation_{name}"] for name in _FIGURES if self._best}
        return {**best, "epochs": self._epochs, "epoch": self._best.get("epoch", 0)}


def _megabytes(run: Run) -> float:
    """Return the size that the model will have: weights, tokenizer and vocabulary."""
    sizes = {"vocab_size": len(run.tokenizer.vocabulary), "num_classes": len(run.corpus.labels)}
    shapes = parameter_shapes(run.settings.model, **sizes)
    files = [run.work / name for name in (FILES.tokenizer, FILES.vocabulary)]
    weights = 4 * sum(math.prod(shape) for _, shape in shapes)  # as float32
    return (weights + sum(path.stat().st_size for path in files)) / _MB


def _limited(settings: TrainSettings, minutes: float, number: int) -> TrainSettings:
    """Return the settings of a trial, which ends in time and has curves of its own."""
    training = settings.training
    limit = min(max(minutes, _LEAST_MINUTES), training.max_minutes or math.inf)
    curves = training.tensorboard and f"{training.tensorboard}/{number}"
    return settings.replace(max_minutes=limit, tensorboard=curves)


def _toml(options: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    """Return options as a file for `textlstm train --config`."""
    default = TrainSettings().to_options()
    if "init_from" in options:
        del default["pooling"]  # may be another there
    lines = [f"# Trial {best['trial']} of a tuning: textlstm train DATA --out DIR --config FILE"]
    if best["ended"] == "cut off":
        lines.append("# The end of its time cut it off: train takes longer, and may become better.")
    lines += [
        f"{name} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")
        for name, value in options.items()
        if value is not None and value != default.get(name)
    ]
    return "\n".join(lines) + "\n"
