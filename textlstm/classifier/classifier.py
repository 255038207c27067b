"""The classifier as a user meets it: texts in, labels and probabilities out, folder to folder.

Shapes: N texts, C classes (labels).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch

from textlstm.classifier.batched import BATCH_SIZE
from textlstm.classifier.explain import Explanation, explain_text
from textlstm.classifier.fingerprint import PackedModel, model_hash, pack, unpack
from textlstm.classifier.hub import find_model, upload_model
from textlstm.classifier.labelled import is_source, load_labelled
from textlstm.classifier.model_card import model_card
from textlstm.classifier.model_folder import (
    ModelFolder,
    RunRecord,
    check_compatible,
    read_folder,
    write_folder,
)
from textlstm.classifier.notebook import History, facts_table, probability_bars
from textlstm.classifier.predictor import stream_probabilities
from textlstm.classifier.texts import checked_texts, in_batches, iterate, warn_of_blanks
from textlstm.config import PredictionConfig, TrainSettings
from textlstm.data.labels import label_ids, label_matrix
from textlstm.errors import ConfigError
from textlstm.evaluation.cascade import Cascade
from textlstm.nn.device import pick_device, pick_precision
from textlstm.nn.network import BiLSTMClassifier
from textlstm.nn.probabilities import predicted_labels
from textlstm.options import build, reject_unknown
from textlstm.text.tokenizer import TextTokenizer
from textlstm.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from datasets import Dataset

    from textlstm.data.corpus import Source

logger = logging.getLogger(__name__)

DATASET_OPTIONS = (
    *("text_column", "output_column", "score_column"),
    *("top_k", "min_score", "probabilities", "batch_size"),
)


@runtime_checkable
class LabelledSplit(Protocol):
    """A split of a corpus as `evaluate` needs it (`textlstm.data.corpus.Split` is one)."""

    @property
    def labels(self) -> np.ndarray:
        """Label ids, int64 [N]."""

    def texts(self) -> Iterator[list[str]]:
        """Return the texts in order, in lists."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction for one text.

    Args:
        label: the most probable label; of several labels the most probable one of `labels`,
            '' where there is none; None for a blank text.
        score: the probability that the prediction is right: that of `label`; where a text may
            have several labels, that it has exactly `labels`, taken as independent. None for a
            blank text.
        probabilities: of every label, in the order of `TextClassifier.labels`; empty for a blank
            text.
        labels: where a text may have several, those that reach their thresholds, the most
            probable first; else `label` alone.
        error: why there is no prediction: 'blank', or None.
    """

    label: str | None
    score: float | None
    probabilities: dict[str, float]
    labels: tuple[str, ...]
    error: str | None = None

    def _repr_html_(self) -> str:
        """Return a bar for each probability; predicted labels are bold."""
        return probability_bars(self.probabilities, self.labels)


class TextClassifier:
    """A trained network with the tokenizer and the labels that belong to it.

    Predictions change nothing in it, so several threads may share one. The result for a text
    does not depend on the other texts in its batch.

    Args:
        model: the network; it is moved to `device` and put in evaluation mode.
        tokenizer: text to ids.
        labels: label names, index = id.
        settings: what the model was trained with; its `model` part must be the network's.
        thresholds: the decision threshold of each label, for a multi-label network.
        cascade: when the n-grams alone label a text; for a network with n-grams.
        record: the facts of the training run.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        precision: of the LSTM: 'fp32', 'bf16', or 'auto' (bf16 where native).

    Raises:
        ConfigError: labels, tokenizer and network do not fit, or there is no such device.
    """

    def __init__(
        self,
        model: BiLSTMClassifier,
        tokenizer: TextTokenizer,
        labels: Sequence[str],
        settings: TrainSettings,
        *,
        thresholds: Sequence[float] | None = None,
        cascade: Cascade | None = None,
        record: RunRecord | None = None,
        device: str = "auto",
        precision: str = "fp32",
    ) -> None:
        self.record = record or RunRecord()
        check_compatible(
            ModelFolder(labels, settings, tokenizer, model, self.record, thresholds, cascade)  # type: ignore[arg-type]
        )
        self.model = model.to(pick_device(device)).eval()
        self.model.compute_dtype = pick_precision(precision, self.device)
        self.tokenizer = tokenizer
        self.labels = tuple(labels)
        self.settings = settings
        self.thresholds = None if thresholds is None else tuple(thresholds)
        self.cascade = cascade

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str = "auto",
        precision: str = "fp32",
        threads: int | None = None,
    ) -> TextClassifier:
        """Load a model folder.

        Args:
            folder: written by `textlstm train` or `save`.
            device: 'auto' (a GPU if there is one), 'cpu', 'cuda' or 'cuda:N'.
            precision: of the LSTM: 'fp32', 'bf16', or 'auto' (bf16 where native).
            threads: CPU threads of torch, in the whole process; None leaves them as they are.

        Returns:
            The classifier.

        Raises:
            ModelFolderError: the folder or a file of it is missing, unfinished, damaged or
                foreign; the message names the file and the remedy.
            ConfigError: there is no such device, or `threads` is below 1.
        """
        if threads is not None:
            if threads < 1:
                raise ConfigError(f"threads = {threads}: must be at least 1")
            torch.set_num_threads(threads)
        pick_device(device)  # a wrong name is refused before the model is loaded
        contents = read_folder(folder)
        return cls(
            contents.model,
            contents.tokenizer,
            contents.labels,
            contents.settings,
            thresholds=contents.thresholds,
            cascade=contents.cascade,
            record=contents.record,
            device=device,
            precision=precision,
        )

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        device: str = "auto",
        precision: str = "fp32",
        threads: int | None = None,
    ) -> TextClassifier:
        """Load a model of the Hugging Face Hub, or a model folder.

        Args:
            name_or_folder: a folder; or, if none has this name, 'owner/name' on the Hub. Its
                files are kept in the Hub's cache, which is used when the Hub is out of reach.
                None of them is code.
            revision: branch, tag or commit on the Hub; its main branch if not given.
            token: of the Hub, for models that are not public; the one logged in with if not
                given.
            device: as for `load`.
            precision: as for `load`.
            threads: as for `load`.

        Returns:
            The classifier.

        Raises:
            ModelFolderError: as for `load`; or the Hub has no such model, or it is out of reach
                and there is no copy.
            ConfigError: there is no such device, or a folder is given with a revision.
        """
        folder = find_model(name_or_folder, revision=revision, token=token)
        return cls.load(folder, device=device, precision=precision, threads=threads)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        message: str | None = None,
    ) -> str:
        """Upload the model folder with its model card to the Hugging Face Hub.

        Args:
            repo_id: 'owner/name', or 'name' for one of the user's own; created if it is missing.
            private: whether a new repository is private; None for the default of the account.
            token: of the Hub, with write access; that of the login if not given.
            message: commit message.

        Returns:
            The address of the model.

        Raises:
            OutputError: the Hub is out of reach or refuses it.
        """

        def write(folder: Path, name: str) -> None:
            self._write(folder, model_card(name, self.describe(), on_hub=True))

        return upload_model(write, repo_id, private=private, token=token, message=message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as plain bytes and settings, so that no object of torch is inside."""
        state = (
            pack(self.model),
            self.tokenizer,
            self.labels,
            self.settings.to_dict(),
            self.thresholds,
            self.cascade,
            self.record,
            "cpu" if self.device.type == "cpu" else "auto",  # that GPU may not be there
            "fp32" if self.model.compute_dtype == torch.float32 else "bf16",
        )
        return _unpacked, state

    def save(self, folder: str | Path) -> None:
        """Write the model folder, its model card included.

        Args:
            folder: created if it is missing. A model in it is replaced as a whole; other files
                are kept.

        Raises:
            OutputError: the folder can't be written to; a model that was there is unchanged.
        """
        folder = Path(folder)
        self._write(folder, model_card(folder.resolve().name, self.describe()))

    def _write(self, folder: Path, card: str) -> None:
        contents = ModelFolder(
            self.labels,
            self.settings,
            self.tokenizer,
            self.model,
            self.record,
            self.thresholds,
            self.cascade,
        )
        write_folder(folder, contents, card=card)

    def predict(
        self,
        texts: Iterable[str],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> list[Prediction]:
        """Label texts.

        Args:
            texts: the texts. A blank one (white space alone) keeps its place, with None as
                label and score and 'blank' as `error`; the log has a warning with their number.
            top_k: keep only so many `probabilities`, the most probable first; None keeps all.
            threshold: the least probability of a label, 0 to 1; a text gets no label below it.
                Where a text may have several labels, it replaces the thresholds of the model.
            batch_size: texts per step; it does not change results.

        Returns:
            One prediction per text, in order.

        Raises:
            ConfigError: `texts` is one string, or an item is not a string (its place is named);
                or `top_k` or `threshold` is out of range.
        """
        return list(
            self.predict_iter(texts, top_k=top_k, threshold=threshold, batch_size=batch_size)
        )

    def predict_iter(
        self,
        texts: Iterable[str],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[Prediction]:
        """Label a stream of texts; like `predict`, but a few thousand are held at a time.

        Args:
            texts: the texts; they are read as the results are asked for.
            top_k: as for `predict`.
            threshold: as for `predict`.
            batch_size: texts per step.

        Returns:
            An iterator over one prediction per text, in order.

        Raises:
            ConfigError: as in `predict`.
        """
        if top_k is not None and not 1 <= top_k <= len(self.labels):
            raise ConfigError(f"top_k = {top_k}: must be from 1 to the {len(self.labels)} labels")
        if threshold is not None and not 0 <= threshold <= 1:
            raise ConfigError(f"threshold = {threshold}: must be from 0 to 1")
        batches = in_batches(texts, blanks=True)
        return self._predict_batches(batches, top_k, threshold, batch_size)

    def _predict_batches(
        self,
        batches: Iterable[list[str]],
        top_k: int | None,
        threshold: float | None,
        batch_size: int,
    ) -> Iterator[Prediction]:
        masks: deque[list[bool]] = deque()  # of batches that are read: whether a text is blank

        def usable() -> Iterator[list[str]]:
            for batch in batches:
                masks.append([not text.strip() for text in batch])
                yield [text for text in batch if text.strip()]

        rows = blank = 0
        for probabilities in self._probability_batches(usable(), batch_size):
            mask = masks.popleft()
            rows, blank = rows + len(mask), blank + sum(mask)
            predictions = self._predictions(probabilities, top_k, threshold)
            for is_blank in mask:
                yield _BLANK if is_blank else next(predictions)
        warn_of_blanks(blank, rows, "no label")

    def predict_proba(self, texts: Iterable[str], *, batch_size: int = BATCH_SIZE) -> np.ndarray:
        """Return the probability of every label.

        Args:
            texts: the texts; none may be blank.
            batch_size: texts per step.

        Returns:
            float32 [N, C]; columns in the order of `labels`. Each row sums to 1, unless a text
            may have several labels.

        Raises:
            ConfigError: as in `predict`, or a text is blank (its place is named).
        """
        return self._joined(self._probability_batches(in_batches(texts), batch_size))

    def predict_batches(
        self, batches: Iterable[Sequence[str]], *, batch_size: int = BATCH_SIZE
    ) -> Iterator[np.ndarray]:
        """Return the probabilities of a stream of lists of texts, holding a few thousand texts.

        Args:
            batches: lists of texts, of any sizes; they are read as the results are asked for.
            batch_size: texts per step.

        Returns:
            An iterator over float32 [n, C], one for each list in order.

        Raises:
            ConfigError: as in `predict_proba`.
        """
        return self._probability_batches(
            (checked_texts(batch) for batch in iterate(batches)), batch_size
        )

    def evaluate(
        self,
        data: Source | Iterable[str] | LabelledSplit,
        labels: Sequence[Any] | np.ndarray | None = None,
        *,
        split: str | None = None,
        batch_size: int = BATCH_SIZE,
        **options: Any,
    ) -> dict[str, Any]:
        """Compare predictions with known labels.

        Args:
            data: texts, with `labels`, where blank ones are left out; or anything that holds its
                labels: what `textlstm.load_corpus` takes (a file, a folder, a Hub name, a
                `Dataset`, ...) or a split of a corpus.
            labels: for texts, the true label of each: its name, or its id if no name is a
                number; of several labels a text, a list of such for each.
            split: of data with splits; test if not given.
            batch_size: texts per step.
            **options: text_column, label_column, label_separator, dataset_config and
                dataset_revision, as in `DataConfig`; by default those of training, if the data
                has such columns.

        Returns:
            The result of `textlstm.evaluation.metrics.evaluate_probabilities`, a dictionary that
            prints as tables.

        Raises:
            ConfigError: a label or option is unknown, or there are not as many labels as texts.
            DataError: there are no texts, or the data can't be read.
        """
        from textlstm.evaluation import metrics  # scikit-learn is slow to import

        if labels is None and not isinstance(data, LabelledSplit) and is_source(data):
            data, notes = load_labelled(
                data,
                self.labels,
                trained=self.settings.data,
                trained_source=self.record.source,
                multi_label=self.multi_label,
                split=split,
                options=options,
            )
            for note in notes:
                logger.info("%s", note)
        elif split is not None or options:
            name = "split" if split is not None else next(iter(options))
            raise ConfigError(f"{name}: not with texts or a split, which are evaluated as they are")
        if isinstance(data, LabelledSplit):
            if labels is not None:
                raise ConfigError("evaluate: a split has its labels with it: pass no labels")
            ids = data.labels
            if (ids.ndim == 2) != self.multi_label:
                kinds = ["one label", "any number of labels"]
                raise ConfigError(
                    f"the split has {kinds[ids.ndim - 1]} a text, and the model gives "
                    f"{kinds[self.multi_label]}: load it with multi_label={self.multi_label}"
                )
            probabilities = self._joined(self.predict_batches(data.texts(), batch_size=batch_size))
        else:
            if labels is None:
                raise ConfigError("evaluate: labels are missing: pass one label for each text")
            read = label_matrix if self.multi_label else label_ids
            ids = read(labels, self.labels)
            texts = checked_texts(data, blanks=True)  # type: ignore[arg-type]
            if len(ids) == len(texts):
                usable = [place for place, text in enumerate(texts) if text.strip()]
                warn_of_blanks(len(texts) - len(usable), len(texts), "left out")
                ids, texts = ids[usable], [texts[place] for place in usable]
            probabilities = self.predict_proba(texts, batch_size=batch_size)
        if len(ids) != len(probabilities):
            raise ConfigError(f"{len(probabilities)} texts and {len(ids)} labels: must be as many")
        return metrics.Metrics(
            metrics.evaluate_probabilities(
                ids, probabilities, self.labels, thresholds=self.thresholds
            )
        )

    def explain(
        self, text: str, *, label: str | None = None, method: str = "gradients"
    ) -> Explanation:
        """Return the contribution of each word of a text to the logit of a label.

        Args:
            text: the text.
            label: the label; that with the highest probability if not given.
            method: 'gradients' (exact for the n-grams, integrated gradients for the LSTM) or
                'occlusion' (the change of the logit when a word becomes unknown).

        Returns:
            The words with their contributions; notebooks show it in colours.

        Raises:
            ConfigError: the text is not a string, or label or method is unknown.
        """
        (text,) = checked_texts([text])
        probabilities = self.predict_proba([text])[0]  # [C]
        return explain_text(
            self.model, self.tokenizer, self.labels, probabilities, text, label=label, method=method
        )

    def classify_dataset(self, dataset: Dataset, **options: Any) -> Dataset:
        """Label a dataset of the `datasets` library.

        Args:
            dataset: its rows.
            **options: any of `DATASET_OPTIONS`, as in `PredictionConfig`; without `text_column`,
                that of the training or the one good guess is read.

        Returns:
            The dataset with the columns `label`, `score` and `error` too, and more with some
            options (see `labelling.added_columns`). A row without a usable text has no
            label, and the reason in `error`.

        Raises:
            ConfigError: an option is bad, or a new column has the name of another.
            DataError: it is no dataset, or it is not clear which column holds the text.
        """
        from textlstm.classifier.datasets import label_dataset  # the library is slow to import

        reject_unknown(options, DATASET_OPTIONS)
        config = build(PredictionConfig, options)
        return label_dataset(
            dataset,
            lambda texts: self.predict_proba(texts, batch_size=config.batch_size),
            self.labels,
            config,
            thresholds=self.thresholds,
            trained_columns=self.settings.data.text_column,
            model_hash=self.fingerprint(),
        )

    def classify_batch(
        self, batch: Mapping[str, Sequence[Any]], **options: Any
    ) -> dict[str, list[Any]]:
        """Label a batch of columns: a function for `map` of the `datasets` library.

        For streamed datasets, and dictionaries of datasets, which `classify_dataset` does not
        take: `dataset.map(classifier.classify_batch, batched=True)`, with options in `fn_kwargs`.

        Args:
            batch: name -> values of a column.
            **options: as for `classify_dataset`.

        Returns:
            The columns `label` and `score`, and more with some options. A row without a usable
            text has None in them.

        Raises:
            ConfigError: an option is bad, a new column has the name of another, or it is no batch.
            DataError: it is not clear which column holds the text.
        """
        from textlstm.classifier.datasets import label_batch  # the library is slow to import

        reject_unknown(options, DATASET_OPTIONS)
        config = build(PredictionConfig, options)
        return label_batch(
            batch,
            lambda texts: self.predict_proba(texts, batch_size=config.batch_size),
            self.labels,
            config,
            thresholds=self.thresholds,
            trained_columns=self.settings.data.text_column,
        )

    def fingerprint(self) -> str:
        """Return a hash of all that results depend on: weights, tokenizer, labels, settings."""
        parts = (self.model, self.tokenizer, self.labels, self.settings, self.thresholds)
        return model_hash(*parts, self.cascade)

    def describe(self) -> dict[str, Any]:
        """Return the facts of the classifier, ready for JSON.

        Returns:
            labels, multi_label, thresholds, sizes, settings, data, training, metrics (per split)
            and versions.
        """
        record = self.record
        return {
            "labels": list(self.labels),
            "multi_label": self.multi_label,
            "thresholds": None if self.thresholds is None else list(self.thresholds),
            "sizes": {
                "vocabulary": len(self.vocabulary),
                "parameters": sum(tensor.numel() for tensor in self.model.state_dict().values()),
            },
            "settings": self.settings.to_dict(),
            "data": {
                "source": record.source,
                "fingerprint": record.fingerprint,
                "dataset_id": record.dataset_id,
                "rows": dict(record.rows),
                "notes": list(record.notes),
            },
            "training": dict(record.training),
            "metrics": {split: dict(metrics) for split, metrics in record.metrics.items()},
            "versions": dict(record.versions),
        }

    @property
    def multi_label(self) -> bool:
        """Whether a text may have any number of labels."""
        return self.model.multi_label

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens that the network knows, with their counts."""
        return self.tokenizer.vocabulary

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """Results of the training run, per split."""
        return self.record.metrics

    @property
    def history(self) -> tuple[Mapping[str, Any], ...]:
        """One record per epoch of the training run, such as its `validation_accuracy`."""
        return History(self.record.history)

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.model.linear.weight.device

    def __repr__(self) -> str:
        shape = self.model.config
        names = ", ".join(self.labels[:5]) + (", …" if len(self.labels) > 5 else "")
        return (
            f"TextClassifier({len(self.labels)} labels: {names}; {self.tokenizer.kind} tokenizer, "
            f"{len(self.vocabulary):,} entries; {shape.num_layers} x {shape.hidden_size} "
            f"{'BiLSTM' if shape.bidirectional else 'LSTM'}, {shape.pooling} pooling; "
            f"on {self.device})"
        )

    def _repr_html_(self) -> str:
        """Return the facts of the model as a table."""
        return facts_table(self.describe())

    def _probability_batches(
        self, batches: Iterable[Sequence[str]], batch_size: int
    ) -> Iterator[np.ndarray]:
        encoded = (self.tokenizer.encode_batch(batch) for batch in batches)
        return stream_probabilities(self.model, encoded, batch_size=batch_size)

    def _joined(self, batches: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.zeros((0, len(self.labels)), np.float32), *batches])  # [N, C]

    def _predictions(
        self, probabilities: np.ndarray, top_k: int | None, threshold: float | None
    ) -> Iterator[Prediction]:
        """Yield the predictions for probabilities, float32 [n, C]."""
        thresholds = self.thresholds
        if threshold is not None and thresholds is not None:
            thresholds = (threshold,) * len(thresholds)
        predicted = predicted_labels(probabilities, self.labels, thresholds)
        for (labels, score), row in zip(predicted, probabilities.tolist(), strict=True):
            named = dict(zip(self.labels, row, strict=True))
            if top_k is not None:
                best = sorted(named, key=named.__getitem__, reverse=True)[:top_k]
                named = {label: named[label] for label in best}
            if threshold is not None and thresholds is None and score < threshold:
                labels = ()
            yield Prediction(labels[0] if labels else "", score, named, labels)


_BLANK = Prediction(None, None, {}, (), "blank")


def _unpacked(
    model: PackedModel,
    tokenizer: TextTokenizer,
    labels: Sequence[str],
    settings: dict[str, dict[str, Any]],
    thresholds: tuple[float, ...] | None,
    cascade: Cascade | None,
    record: RunRecord,
    device: str,
    precision: str,
) -> TextClassifier:
    return TextClassifier(
        unpack(model),
        tokenizer,
        labels,
        TrainSettings.from_dict(settings),
        thresholds=thresholds,
        cascade=cascade,
        record=record,
        device=device,
        precision=precision,
    )
