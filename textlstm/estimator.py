"""The text classifier for scikit-learn.

Shapes: N texts, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.model_folder import RunRecord
from textlstm.classifier.texts import checked_texts, in_batches
from textlstm.config import DataConfig, ModelConfig, TokenizerConfig, TrainingConfig
from textlstm.data.encoded import EncodedTexts
from textlstm.errors import ConfigError
from textlstm.estimator_base import LSTMEstimator, read_targets
from textlstm.text.tokenizer import TextTokenizer
from textlstm.training.pretrained import read_pretrained


class TextLSTMClassifier(LSTMEstimator):
    """A BiLSTM text classifier for scikit-learn: raw texts in, classes out.

    The parameters are the options of `textlstm train`, by name and with the same defaults
    (`textlstm train --help` tells what each does), without those of data files and checkpoints.
    These differ:

    Args:
        random_state: what elsewhere is `seed`. A whole number gives the same model every time;
            None takes a seed from numpy's global generator, a `RandomState` one from itself.
        validation_fraction: share of the rows, of each class alike, that is kept back to pick
            the best epoch and to stop early. Where that would be fewer than 20 rows, all rows
            are learned from, for all epochs.
        embedding_size: with `vectors` that of the file, unless it is set.

    Attributes:
        classes_: the classes in order, [C]; so are the columns of `predict_proba`.
        classifier_: the `TextClassifier`, which can be saved as a model folder.
        n_iter_: epochs trained.
    """

    classifier_: TextClassifier

    def __init__(
        self,
        *,
        validation_fraction: float = DataConfig.validation_fraction,
        tokenizer: str = TokenizerConfig.tokenizer,
        vocab: str | None = TokenizerConfig.vocab,
        vocab_size: int = TokenizerConfig.vocab_size,
        min_frequency: int = TokenizerConfig.min_frequency,
        extend_vocab: int | None = TokenizerConfig.extend_vocab,
        max_length: int = TokenizerConfig.max_length,
        truncation: str = TokenizerConfig.truncation,
        embedding_size: int = ModelConfig.embedding_size,
        hidden_size: int = ModelConfig.hidden_size,
        num_layers: int = ModelConfig.num_layers,
        bidirectional: bool = ModelConfig.bidirectional,
        pooling: str = ModelConfig.pooling,
        ngrams: int = ModelConfig.ngrams,
        ngram_buckets: int = ModelConfig.ngram_buckets,
        word_dropout: float = ModelConfig.word_dropout,
        embedding_dropout: float = ModelConfig.embedding_dropout,
        dropout: float = ModelConfig.dropout,
        output_dropout: float = ModelConfig.output_dropout,
        epochs: int | None = TrainingConfig.epochs,
        total_tokens: int = TrainingConfig.total_tokens,
        batch_size: int = TrainingConfig.batch_size,
        batch_tokens: int = TrainingConfig.batch_tokens,
        learning_rate: float = TrainingConfig.learning_rate,
        weight_decay: float = TrainingConfig.weight_decay,
        clip_norm: float = TrainingConfig.clip_norm,
        schedule: str = TrainingConfig.schedule,
        monitor: str = TrainingConfig.monitor,
        patience: int = TrainingConfig.patience,
        vectors: str | None = TrainingConfig.vectors,
        freeze_vectors: int = TrainingConfig.freeze_vectors,
        class_weights: tuple[str, ...] = TrainingConfig.class_weights,
        calibrate: bool = TrainingConfig.calibrate,
        label_smoothing: float = TrainingConfig.label_smoothing,
        adversarial: float | None = TrainingConfig.adversarial,
        vector_rate: float = TrainingConfig.vector_rate,
        max_minutes: float | None = TrainingConfig.max_minutes,
        precision: str = TrainingConfig.precision,
        random_state: int | np.random.RandomState | None = TrainingConfig.seed,
        threads: int | None = TrainingConfig.threads,
        device: str = TrainingConfig.device,
    ) -> None:
        self.validation_fraction = validation_fraction
        self.tokenizer = tokenizer
        self.vocab = vocab
        self.vocab_size = vocab_size
        self.min_frequency = min_frequency
        self.extend_vocab = extend_vocab
        self.max_length = max_length
        self.truncation = truncation
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.ngrams = ngrams
        self.ngram_buckets = ngram_buckets
        self.word_dropout = word_dropout
        self.embedding_dropout = embedding_dropout
        self.dropout = dropout
        self.output_dropout = output_dropout
        self.epochs = epochs
        self.total_tokens = total_tokens
        self.batch_size = batch_size
        self.batch_tokens = batch_tokens
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.schedule = schedule
        self.monitor = monitor
        self.patience = patience
        self.vectors = vectors
        self.freeze_vectors = freeze_vectors
        self.class_weights = class_weights
        self.calibrate = calibrate
        self.label_smoothing = label_smoothing
        self.adversarial = adversarial
        self.vector_rate = vector_rate
        self.max_minutes = max_minutes
        self.precision = precision
        self.random_state = random_state
        self.threads = threads
        self.device = device

    def fit(
        self,
        X: Iterable[str],  # noqa: N803
        y: Sequence[Any],
        sample_weight: Sequence[float] | None = None,
    ) -> TextLSTMClassifier:
        """Learn from texts.

        Args:
            X: the texts, N strings in a list, array, Series or table of one column.
            y: their classes, [N]: strings, whole numbers or booleans.
            sample_weight: how much each text counts, in the loss and in the figures that pick
                the best epoch, 0 or more, [N]; only the proportions matter. A text of weight 0
                is left out.

        Returns:
            The estimator itself.

        Raises:
            ConfigError: a parameter is no good, or X is not a list of strings.
            DataError: y or sample_weight is no good.
        """
        settings = self._settings()
        texts = read_texts(X)
        targets = read_targets(texts, y, sample_weight, settings)
        parts = {
            name: [texts[row] for row in rows.tolist()] for name, rows in targets.parts().items()
        }
        tokenizer = TextTokenizer.train(lambda: [parts["train"]], settings.tokenizer)
        tokenizer, pretrained = read_pretrained(settings, tokenizer, extend=True)
        encoded = {
            name: EncodedTexts.from_batches(map(tokenizer.encode_batch, in_batches(part)))
            for name, part in parts.items()
        }
        fitted = self._train(
            targets,
            encoded,
            settings,
            vocab_size=len(tokenizer.vocabulary),
            pretrained=pretrained,
        )
        record = RunRecord(
            rows={name: len(part) for name, part in parts.items()},
            training={**fitted.course(), **fitted.facts},
            metrics=fitted.metrics,
            history=tuple(fitted.result.history),
        )
        self.classifier_ = TextClassifier(
            fitted.model,
            tokenizer,
            targets.names,
            settings,
            record=record,
            device=settings.training.device,
        )
        return self

    def predict_proba(self, X: Iterable[str]) -> np.ndarray:  # noqa: N803
        """Give the probability of each class.

        Args:
            X: N texts.

        Returns:
            float32 [N, C]; columns in the order of `classes_`, each row sums to 1.

        Raises:
            ConfigError: X is not a list of strings.
        """
        check_is_fitted(self)
        return self.classifier_.predict_proba(read_texts(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags


def read_texts(texts: Any) -> list[str]:
    """Give the texts of a list, an array, a Series or a table of one column.

    Args:
        texts: N strings, [N] or [N, 1].

    Returns:
        A list of them.

    Raises:
        ConfigError: it is something else; the first item that is no string is named.
    """
    shape = getattr(texts, "shape", (0,))
    if len(shape) != 1 and shape[1:] != (1,):
        raise ConfigError(f"X has the shape {tuple(shape)}: must be one text a row")
    if hasattr(texts, "shape"):
        texts = np.asarray(texts).ravel().tolist()
    return checked_texts(texts)
