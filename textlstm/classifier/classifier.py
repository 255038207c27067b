"""The classifier as a user meets it: texts in, labels and probabilities out.

Shapes: N texts, C classes (labels).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from textlstm.classifier.explain import Explanation, explain_text
from textlstm.classifier.labelled import LabelledSplit, labelled_texts
from textlstm.classifier.labelling import ENGINES
from textlstm.classifier.notebook import Metrics, Predictions, prediction_html
from textlstm.classifier.predictor import BATCH_SIZE, stream_predictions
from textlstm.classifier.saved_model import SavedModel
from textlstm.classifier.texts import checked_texts, in_batches, iterate, warn_of_blanks
from textlstm.errors import ConfigError
from textlstm.evaluation.metrics import evaluate_parts
from textlstm.nn.probabilities import best_labels, predicted_labels

if TYPE_CHECKING:
    from datasets import Dataset

    from textlstm.data.corpus import Source
    from textlstm.evaluation.cascade import Shortcut


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
        engine: which part of the model predicted it, 'ngrams' (with a cascade) or 'lstm'; None
            for a blank text.
        text: the text; it is not compared.
    """

    label: str | None
    score: float | None
    probabilities: dict[str, float]
    labels: tuple[str, ...]
    error: str | None = None
    engine: str | None = None
    text: str = field(default="", compare=False, repr=False)

    def _repr_html_(self) -> str:
        """Return a bar for each probability; predicted labels are bold."""
        return prediction_html(self)


class TextClassifier(SavedModel):
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

    def predict(
        self,
        texts: Iterable[str],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        cascade: float | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Predictions:
        """Label texts.

        Args:
            texts: the texts. A blank one (white space alone) keeps its place, with None as
                label and score and 'blank' as `error`; the log has a warning with their number.
            top_k: keep only so many `probabilities`, the most probable first; None keeps all.
            threshold: the least probability of a label, 0 to 1; a text gets no label below it.
                Where a text may have several labels, it replaces the thresholds of the model.
            cascade: one of `textlstm.config.CASCADES`: let the n-grams alone label the texts that
                they are certain of, so that at most this share of all labels differs (see
                `textlstm.evaluation.cascade`).
            batch_size: texts per step; it does not change results.

        Returns:
            One prediction per text, in order: a list that notebooks show as a table.

        Raises:
            ConfigError: `texts` is one string, or an item is not a string (its place is named);
                or `top_k` or `threshold` is out of range, or the model has no such cascade.
        """
        options: dict[str, Any] = {"top_k": top_k, "threshold": threshold, "cascade": cascade}
        return Predictions(self.predict_iter(texts, **options, batch_size=batch_size))

    def predict_iter(
        self,
        texts: Iterable[str],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        cascade: float | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[Prediction]:
        """Label a stream of texts; like `predict`, but a few thousand are held at a time.

        Args:
            texts: the texts; they are read as the results are asked for.
            top_k: as for `predict`.
            threshold: as for `predict`.
            cascade: as for `predict`.
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
        if cascade is not None and threshold is not None and self.multi_label:
            raise ConfigError(
                f"cascade = {cascade:g} and threshold = {threshold:g}: the cascade was fitted with "
                "the model's own thresholds; leave one of them out"
            )
        shortcut, batches = self.shortcut(cascade), in_batches(texts, blanks=True)
        return self._predict_batches(batches, top_k, threshold, batch_size, shortcut)

    def _predict_batches(
        self,
        batches: Iterable[list[str]],
        top_k: int | None,
        threshold: float | None,
        batch_size: int,
        shortcut: Shortcut | None,
    ) -> Iterator[Prediction]:
        read: deque[tuple[list[str], list[str]]] = deque()  # all texts of a batch, those not blank

        def usable() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for batch in batches:
                read.append((batch, [text for text in batch if text.strip()]))
                yield self.tokenizer.encode_batch(read[-1][1])

        rows = blank = 0
        options: dict[str, Any] = {"batch_size": batch_size, "shortcut": shortcut}
        for predicted in stream_predictions(self.model, usable(), **options):
            every, texts = read.popleft()
            rows, blank = rows + len(every), blank + len(every) - len(texts)
            predictions = self._predictions(texts, *predicted, top_k, threshold)
            for text in every:
                yield next(predictions) if text.strip() else _blank(text)
        warn_of_blanks(blank, rows, "no label")

    def predict_proba(
        self,
        texts: Iterable[str],
        *,
        cascade: float | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> np.ndarray:
        """Return the probability of every label.

        Args:
            texts: the texts; none may be blank.
            cascade: as for `predict`; the n-grams' own probabilities where they are certain.
            batch_size: texts per step.

        Returns:
            float32 [N, C]; columns in the order of `labels`. Each row sums to 1, unless a text
            may have several labels.

        Raises:
            ConfigError: as in `predict`, or a text is blank (its place is named).
        """
        batches = self._probability_batches(in_batches(texts), batch_size, cascade)
        return np.concatenate([np.zeros((0, len(self.labels)), np.float32), *batches])  # [N, C]

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
        return self._probability_batches(map(checked_texts, iterate(batches)), batch_size)

    def evaluate(
        self,
        data: Source | Iterable[str] | LabelledSplit,
        labels: Sequence[Any] | np.ndarray | None = None,
        *,
        split: str | None = None,
        cascade: float | None = None,
        batch_size: int = BATCH_SIZE,
        **options: Any,
    ) -> Metrics:
        """Compare predictions with known labels.

        Args:
            data: texts, with `labels`, where blank ones are left out; or anything that holds its
                labels: what `textlstm.load_corpus` takes (a file, a folder, a Hub name, a
                `Dataset`, ...) or a split of a corpus.
            labels: for texts, the true label of each: its name, or its id if no name is a
                number; of several labels a text, a list of such for each.
            split: of data with splits; test if not given.
            cascade: as for `predict`.
            batch_size: texts per step.
            **options: text_column, label_column, label_separator, dataset_config and
                dataset_revision, as in `DataConfig`; by default those of training, if the data
                has such columns.

        Returns:
            The result of `textlstm.evaluation.metrics.evaluate_probabilities`, a dictionary that
            prints as tables and has `plot_confusion` and `plot_reliability`. The functions of
            `textlstm.evaluation.reports` turn it into the reports of scikit-learn and `evaluate`.

        Raises:
            ConfigError: a label or option is unknown, or there are not as many labels as texts.
            DataError: there are no texts, or the data can't be read.
        """
        ids, texts = labelled_texts(self, data, labels, split=split, options=options)
        parts = self._probability_batches(in_batches(texts), batch_size, cascade)
        return Metrics(evaluate_parts(ids, parts, self.labels, thresholds=self.thresholds))

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
        return explain_text(self, text, label=label, method=method)

    def classify_dataset(self, dataset: Dataset, **options: Any) -> Dataset:
        """Label a dataset of the `datasets` library.

        Args:
            dataset: its rows.
            **options: any of `datasets.OPTIONS`, as in `PredictionConfig`; without `text_column`,
                that of the training or the one good guess is read.

        Returns:
            The dataset with the columns `label`, `score` and `error` too, and more with some
            options (see `Labeller.added_columns`). A row without a usable text has no
            label, and the reason in `error`.

        Raises:
            ConfigError: an option is bad, or a new column has the name of another.
            DataError: it is no dataset, or it is not clear which column holds the text.
        """
        from textlstm.classifier.datasets import label_dataset  # the library is slow to import

        return label_dataset(dataset, self, options)

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

        return label_batch(batch, self, options)

    def _probability_batches(
        self, batches: Iterable[Sequence[str]], batch_size: int, cascade: float | None = None
    ) -> Iterator[np.ndarray]:
        encoded = map(self.tokenizer.encode_batch, batches)
        options: dict[str, Any] = {"batch_size": batch_size, "shortcut": self.shortcut(cascade)}
        return (found for found, _ in stream_predictions(self.model, encoded, **options))

    def _predictions(
        self,
        texts: list[str],
        probabilities: np.ndarray,
        skipped: np.ndarray,
        top_k: int | None,
        threshold: float | None,
    ) -> Iterator[Prediction]:
        """Yield the predictions for texts and what `stream_predictions` yields for them."""
        thresholds = self.thresholds
        if threshold is not None and thresholds is not None:
            thresholds = (threshold,) * len(thresholds)
        predicted = predicted_labels(probabilities, self.labels, thresholds)
        names = [self.labels] * len(probabilities)
        if top_k is not None:
            best = best_labels(probabilities, top_k)
            probabilities = np.take_along_axis(probabilities, best, 1)
            names = [tuple(self.labels[label] for label in row) for row in best.tolist()]
        rows = zip(texts, predicted, names, probabilities, skipped.tolist(), strict=True)
        for text, (labels, score), own, row, by_ngrams in rows:
            named = dict(zip(own, row.tolist(), strict=True))
            if threshold is not None and thresholds is None and score < threshold:
                labels = ()
            label, engine = labels[0] if labels else "", ENGINES[by_ngrams]
            yield Prediction(label, score, named, labels, engine=engine, text=text)


def _blank(text: str) -> Prediction:
    return Prediction(None, None, {}, (), "blank", text=text)
