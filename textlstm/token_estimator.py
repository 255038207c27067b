"""The same network for scikit-learn on rows of token ids instead of texts.

Shapes: N rows, T ids of a row, C classes, V ids known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from textlstm.classifier.model_bytes import pack, unpack
from textlstm.classifier.predictor import predict_probabilities
from textlstm.config import DataConfig, ModelConfig, TrainingConfig
from textlstm.data.encoded import EncodedTexts
from textlstm.estimator_base import LSTMEstimator, read_targets
from textlstm.nn.device import pick_device
from textlstm.nn.network import BiLSTMClassifier
from textlstm.text.vocabulary import PAD_ID, UNK_ID

_FIRST_ID = 2  # behind <pad> and <unk>


class TokenIdClassifier(LSTMEstimator):
    """A BiLSTM classifier for scikit-learn on texts that are numbers already.

    Each number is a token of its own; 0 fills up short rows and is passed over. Numbers that
    `fit` did not meet read as one unknown token, as does a row of zeros alone. The parameters
    are those of `TextLSTMClassifier`, without what concerns texts.

    Args:
        random_state: as for `TextLSTMClassifier`.
        validation_fraction: as for `TextLSTMClassifier`.

    Attributes:
        classes_: the classes in order, [C]; so are the columns of `predict_proba`.
        model_: the network.
        n_features_in_: T.
        n_iter_: epochs trained.
        tokens_: the numbers known, sorted, [V].
    """

    model_: BiLSTMClassifier
    tokens_: np.ndarray

    def __init__(
        self,
        *,
        validation_fraction: float = DataConfig.validation_fraction,
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
        class_weights: tuple[str, ...] = TrainingConfig.class_weights,
        calibrate: bool = TrainingConfig.calibrate,
        label_smoothing: float = TrainingConfig.label_smoothing,
        adversarial: float | None = TrainingConfig.adversarial,
        max_minutes: float | None = TrainingConfig.max_minutes,
        precision: str = TrainingConfig.precision,
        random_state: int | np.random.RandomState | None = TrainingConfig.seed,
        threads: int | None = TrainingConfig.threads,
        device: str = TrainingConfig.device,
    ) -> None:
        self.validation_fraction = validation_fraction
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
        self.class_weights = class_weights
        self.calibrate = calibrate
        self.label_smoothing = label_smoothing
        self.adversarial = adversarial
        self.max_minutes = max_minutes
        self.precision = precision
        self.random_state = random_state
        self.threads = threads
        self.device = device

    def fit(
        self,
        X: Any,  # noqa: N803
        y: Sequence[Any],
        sample_weight: Sequence[float] | None = None,
    ) -> TokenIdClassifier:
        """Learn from rows of ids.

        Args:
            X: numbers, [N, T].
            y: their classes, [N].
            sample_weight: as for `TextLSTMClassifier.fit`.

        Returns:
            The estimator itself.

        Raises:
            ConfigError: a parameter is no good.
            ValueError: X, y or sample_weight is no good.
        """
        settings = self._settings()
        rows = validate_data(self, X)  # [N, T]
        targets = read_targets(rows, y, sample_weight, settings)
        self.tokens_ = np.unique(rows[targets.train])
        self.tokens_ = self.tokens_[self.tokens_ != 0]
        encoded = {name: self._encode(rows[part]) for name, part in targets.parts().items()}
        vocab_size = len(self.tokens_) + _FIRST_ID
        self.model_ = self._train(targets, encoded, settings, vocab_size=vocab_size).model
        return self

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Give the probability of each class.

        Args:
            X: numbers, [N, T].

        Returns:
            float32 [N, C]; columns in the order of `classes_`, each row sums to 1.

        Raises:
            ValueError: X is no table of numbers, or one of another width.
        """
        check_is_fitted(self)
        return predict_probabilities(self.model_, self._encode(validate_data(self, X, reset=False)))

    def _encode(self, rows: np.ndarray) -> EncodedTexts:
        places = np.searchsorted(self.tokens_, rows)  # [N, T]
        known = np.isin(rows, self.tokens_)
        ids = np.where(known, places + _FIRST_ID, UNK_ID)
        ids[rows == 0] = PAD_ID
        ids[(rows == 0).all(axis=1), 0] = UNK_ID
        return EncodedTexts.from_batches([(ids[ids != PAD_ID], (ids != PAD_ID).sum(axis=1))])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = pack(self.model_)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            self.model_ = unpack(state["model_"]).to(pick_device(self._placed()))

    def _placed(self) -> str:
        """Where the network goes in another process: to the GPU only if there is one."""
        return "cpu" if self.device == "cpu" else "auto"
