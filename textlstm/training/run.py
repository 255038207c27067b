"""The steps of a training run: `read`, `encode`, `fit`, `save`."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textlstm.classifier.base import Base
from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.json_files import REPORT
from textlstm.classifier.model_folder import RunRecord
from textlstm.classifier.report import report_training
from textlstm.config import TrainSettings
from textlstm.data.checks import (
    corpus_warnings,
    cut_texts,
    measurement,
    result_warnings,
    unknown_words,
)
from textlstm.data.corpus import Corpus, Split, load_corpus
from textlstm.data.encoded import EncodedTexts, LabelledTexts
from textlstm.errors import DataError, MissingDependencyError
from textlstm.nn.device import cpu_threads
from textlstm.nn.loss import make_loss
from textlstm.text.tokenizer import TextTokenizer
from textlstm.training.distributed import World
from textlstm.training.fit import Fitted, fit_model
from textlstm.training.observer import Observer
from textlstm.training.pretrained import (
    Pretrained,
    can_skip_reading,
    load_tokenizer,
    make_start,
    save_tokenizer,
)
from textlstm.training.resolve import for_texts, resolve
from textlstm.training.run_folder import RunFolder, RunRequest
from textlstm.training.teacher import (
    learn_from,
    load_teachers,
    require_same_labels,
    require_same_teachers,
    teacher_fingerprint,
    who_teaches,
    write_probabilities,
)

logger = logging.getLogger(__name__)

_MOST_WARNINGS = 5
_FIRST_WARNINGS = 3  # of those before the first step


def log_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """Log one line of figures per split."""
    for split, row in metrics.items():
        if "accuracy" in row:  # texts that a cascade was calibrated on may have no labels
            logger.info(
                "%s: accuracy %.4f, macro F1 %.4f on %s texts",
                *(split, row["accuracy"], row["macro_f1"], f"{row['n']:,}"),
            )


@contextlib.contextmanager
def page_errors(name: str) -> Iterator[None]:
    """Log an error in the block, which costs nothing but a page beside the model."""
    try:
        yield
    except MissingDependencyError:
        logger.info("no %s: pip install 'textlstm[report]' for it", name)
    except Exception as error:
        logger.warning("%s can't be written (%s); the model is complete", name, error)


def encoded_once(
    work: Path,
    name: str,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    count: int | None = None,
) -> EncodedTexts:
    """Open the encoded texts of the run that is resumed, or encode them.

    Args:
        work: folder of the run.
        name: of the split.
        batches: ids and lengths of texts; read only if they are needed.
        count: number of the texts; None if that is not known.
    """
    with contextlib.suppress(DataError):
        found = EncodedTexts.open(work, name)
        if count in (None, len(found)):
            return found
    logger.info("encoding %s", name)
    return EncodedTexts.write(work, name, batches)


@dataclasses.dataclass
class Run:
    """A training run: `read` or `prepare`, then `train`: `encode` and `fit`, then `save`.

    `complete` in `textlstm.training.self_training` does all that follows `prepare`.

    Args:
        settings: of the run; `encode` settles what they leave open.
        world: the processes that take part, each with a `Run` of its own.
        work: folder of what is needed until the end of the run.
        folder: where the run can be resumed and the model is saved; None for nowhere.
        teachers: classifiers to learn from; those that the settings name if there are none.
        observer: callbacks for steps and epochs; if not given, a notebook shows a bar.
        finish: end with the best epoch so far, without another step.
        reports: whether to log warnings about the data and the results.
    """

    settings: TrainSettings
    world: World
    work: Path
    folder: RunFolder | None = None
    teachers: Sequence[TextClassifier] = ()
    observer: Observer | None = None
    finish: bool = False
    reports: bool = True
    corpus: Corpus = dataclasses.field(init=False)
    tokenizer: TextTokenizer = dataclasses.field(init=False)
    start: Pretrained | Base | None = dataclasses.field(init=False)
    texts: dict[str, LabelledTexts] = dataclasses.field(init=False, default_factory=dict)
    fitted: Fitted = dataclasses.field(init=False)
    given: frozenset[str] | None = dataclasses.field(init=False, default=None)  # by the user
    minutes: float = dataclasses.field(init=False, default=0.0)  # spent on a first model
    _warned: int = dataclasses.field(init=False, default=0)

    def read(self, request: RunRequest, *, resume: bool) -> None:
        """Read and check all that can be wrong, then make the folder this run's own."""
        assert self.folder is not None
        assert request.source is not None
        self.world.device(self.settings.training.device)
        corpus = load_corpus(request.source, self.settings.data, seed=self.settings.training.seed)
        if not self.world.is_main and corpus.fingerprint != request.fingerprint:
            raise DataError(
                f"process {self.world.rank} reads other data from {corpus.source} than the first "
                "process: all need the same"
            )
        begun = (resume or not self.world.is_main) and self.folder.has_begun()
        self.prepare(corpus, begun=begun)
        if self.world.is_main:
            if begun:  # before other names of them replace those of the run
                self.teachers = load_teachers(self.settings, self.teachers)
                require_same_teachers(self.work, self.teachers)
            request = dataclasses.replace(request, fingerprint=corpus.fingerprint)
            self.folder.claim(request, resume=resume)

    def prepare(self, corpus: Corpus, *, begun: bool = False) -> None:
        """Check the corpus, and make the tokenizer and the initial vectors for it.

        Args:
            corpus: the splits.
            begun: whether the files in the work folder, where there are any, are of this run.
        """
        self.corpus = corpus
        self.given = self.settings.given
        self.settings = for_texts(self.settings, len(corpus.train))
        for note in corpus.notes:
            logger.info("%s", note)
        sentence = measurement(corpus.labels, len(corpus.train))
        if sentence and not (begun or self.settings.data.numeric_labels):
            raise DataError(sentence)
        make_loss(self.settings.training, corpus.train.labels, corpus.labels)  # checks the weights
        counts = ", ".join(f"{count:,} {name}" for name, count in self._counts().items())
        labels = ", ".join(corpus.labels[:10]) + (", …" if len(corpus.labels) > 10 else "")
        logger.info("texts: %s; %d labels: %s", counts, len(corpus.labels), labels)
        if self.checks:
            found = corpus_warnings(corpus)
            found.pop("measurement", None)  # which was asked for
            self._warn(list(found.values())[:_FIRST_WARNINGS])
        tokenizer = load_tokenizer(self.work, self.settings.tokenizer) if begun else None
        if tokenizer and self.folder and can_skip_reading(self.folder.checkpoint, self.work):
            self.tokenizer, self.start = tokenizer, None
            return
        splits = self._to_learn()
        self.tokenizer, self.start = make_start(
            self.settings,
            tokenizer,
            lambda: itertools.chain.from_iterable(split.texts() for split in splits),
        )

    def train(self, *, spare: bool = False) -> None:
        """Encode, train and evaluate, all processes together; `spare` is as for `fit_model`."""
        with self.world.main_first():
            self.encode()
        self.fit(spare=spare)

    def encode(self) -> None:
        """Encode all splits to disk, and settle what the settings leave open."""
        save_tokenizer(self.tokenizer, self.work)
        splits = self.corpus.splits
        self.texts = {
            name: LabelledTexts(self._encoded([split], name), split.labels)
            for name, split in splits.items()
            if name != "train"
        }
        self.texts["train"] = learn_from(
            self._encoded(self._to_learn(), "train"),
            self._to_learn(),
            self._taught(),
            self.settings.training.teacher_weight,
        )
        if self.teacher == "itself":
            others = self.corpus.unlabeled
            labels = np.concatenate([split.labels for split in others])
            count = f"{len(labels):,}"
            logger.info("the model teaches itself about %s texts without labels", count)
            self.texts["unlabeled"] = LabelledTexts(self._encoded(others, "unlabeled"), labels)
        self.settings = resolve(
            self.settings,
            len(self.texts["train"].texts.ids),
            vocab_size=len(self.tokenizer.vocabulary),
            classes=len(self.corpus.labels),
        )
        if self.folder is not None and self.world.is_main:
            request = self.folder.read_request()
            self.folder.write_request(dataclasses.replace(request, settings=self.settings))

    def fit(self, *, spare: bool = False) -> None:
        """Train the network and evaluate it; `spare` is as for `fit_model`."""
        lengths, longest = self.texts["train"].texts.lengths, self.settings.tokenizer.max_length
        if self.checks:
            found = cut_texts(lengths, longest), unknown_words(self._unknown_share())
            self._warn([sentence for sentence in found if sentence])
        if self.reports:
            logger.info(
                "vocabulary: %s entries; %.2f%% of the tokens in validation are unknown",
                f"{len(self.tokenizer.vocabulary):,}",
                100 * self._unknown_share(),
            )
        settings, limit = self.settings, self.settings.training.max_minutes
        if limit is not None:
            settings = settings.replace(max_minutes=limit - self.minutes)
        self.fitted = fit_model(
            self.texts,
            self.corpus.labels,
            settings,
            vocab_size=len(self.tokenizer.vocabulary),
            words=self.tokenizer.words,
            work=self.work,
            checkpoint=self.folder.checkpoint if self.folder else None,
            start=self.start,
            observer=self.observer,
            finish=self.finish,
            spare=spare,
            world=self.world,
        )

    def save(self) -> TextClassifier:
        """Make the classifier and write the model folder, if there is one."""
        corpus, fitted = self.corpus, self.fitted
        if self.checks:
            self._warn(result_warnings(fitted.metrics["validation"]))
        if self.reports:
            log_metrics(fitted.metrics)
        settings = self.settings.replace(
            text_column=corpus.train.columns,  # inferred here, used by prediction
            tensorboard=None,  # a folder of this machine, not for a training with these settings
        )
        unknown = {"unknown_tokens_in_validation": self._unknown_share()}
        record = RunRecord(
            source=corpus.source,
            fingerprint=corpus.fingerprint,
            dataset_id=corpus.dataset_id,
            rows=self._counts(),
            notes=tuple(corpus.notes),
            training={**fitted.summary(), **unknown, **fitted.facts, **self._teacher_facts()},
            metrics=fitted.metrics,
            history=tuple(fitted.result.history),
        )
        classifier = TextClassifier(
            fitted.model,
            self.tokenizer,
            corpus.labels,
            settings,
            thresholds=fitted.thresholds,
            cascade=fitted.cascade,
            record=record,
            device=self.settings.training.device,
        )
        return self.write(classifier, resumable=fitted.result.reason == "max minutes")

    def write(self, classifier: TextClassifier, *, resumable: bool) -> TextClassifier:
        """Write the model folder, if there is one, and return the classifier."""
        with self.world.main_first():  # the others wait until the folder is complete
            if self.folder is not None and self.world.is_main:
                classifier.save(self.folder.path)
                if page := self.write_report(classifier, self.folder.path):
                    logger.info("wrote %s", page)
                if not resumable:
                    self.folder.finish()
        return classifier

    def write_report(self, classifier: TextClassifier, folder: Path) -> Path | None:
        """Write the page beside the model and return it; None if that is off or has failed."""
        for name in REPORT:  # those of an earlier model
            (folder / name).unlink(missing_ok=True)
        if not (self.settings.training.report and self.texts):
            return None
        split, encoded = self.corpus.validation, self.texts["validation"].texts
        page = None
        with page_errors("report.html"), cpu_threads(self.settings.training.threads):
            page = report_training(folder, classifier, split, encoded)
        return page

    @property
    def checks(self) -> bool:
        """Whether this process logs warnings."""
        return self.reports and self.world.is_main

    def _warn(self, sentences: list[str]) -> None:
        """Log warnings, a few in all."""
        for sentence in sentences[: _MOST_WARNINGS - self._warned]:
            self._warned += 1
            logger.warning("%s", sentence)

    @property
    def teacher(self) -> str:
        """Who teaches, as `who_teaches` calls it."""
        return who_teaches(self.settings, self.corpus)

    def _to_learn(self) -> list[Split]:
        """Return the rows with a label or a teacher's: those with labels come first."""
        others = () if self.teacher == "itself" else self.corpus.unlabeled
        return [self.corpus.train, *others]

    def _counts(self) -> dict[str, int]:
        """Return the number of rows by the name of their split."""
        counts = {name: len(split) for name, split in self.corpus.splits.items()}
        more = sum(map(len, self.corpus.unlabeled))
        return {**counts, "unlabeled": more} if more else counts

    def _taught(self) -> np.ndarray | None:
        """Return a teacher's probabilities for the rows to learn from; None without a teacher."""
        splits, labels = self._to_learn(), self.corpus.labels
        if self.corpus.train.taught is not None:
            return np.concatenate([split.taught for split in splits if split.taught is not None])
        if self.teacher in ("", "itself"):
            return None
        training, models = self.settings.training, load_teachers(self.settings, self.teachers)
        require_same_labels(models, labels, multi_label=self.corpus.train.labels.ndim == 2)
        with cpu_threads(training.threads):
            return write_probabilities(self.work, models, splits, labels, training.precision)

    def _teacher_facts(self) -> dict[str, Any]:
        """Return which models have taught, for the record of the run."""
        if self.teacher == "itself":
            return {"teacher": "the model itself, for the texts without labels"}
        found = teacher_fingerprint(self.work)
        first = "a first model of the labels alone, " if self.teacher == "first" else ""
        return {"teacher": first + ", ".join(found)} if found else {}

    def _encoded(self, splits: Sequence[Split], name: str) -> EncodedTexts:
        """Encode splits to one file, or open what the resumed run has encoded."""
        texts = itertools.chain.from_iterable(split.texts() for split in splits)
        encoded = map(self.tokenizer.encode_batch, texts)
        return encoded_once(self.work, name, encoded, sum(map(len, splits)))

    def _unknown_share(self) -> float:
        return round(float(self.texts["validation"].texts.unknown_share()), 6)
