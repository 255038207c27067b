"""What the estimators for scikit-learn share: classes, weights, the validation part, training.

Shapes: N rows, C classes.
"""

from __future__ import annotations

import dataclasses
import inspect
import tempfile
from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_array, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from textlstm.config import TrainSettings
from textlstm.data.encoded import EncodedTexts, LabelledTexts
from textlstm.data.labels import is_list, label_name
from textlstm.data.stratify import stratified_part
from textlstm.errors import DataError
from textlstm.nn.device import pick_device
from textlstm.training.fit import Fitted, fit_model
from textlstm.training.pretrained import Pretrained, settings_with_vectors
from textlstm.training.schedule import MOST_EPOCHS

_LEAST_VALIDATION = 20  # rows; fewer can't tell one epoch from another
_SEEDS = 2**31 - 1


@dataclass(frozen=True)
class Targets:
    """What is to be learned, row by row.

    Args:
        classes: the classes, sorted, [C].
        ids: index into `classes`, int64 [N].
        weights: how much each row counts, float64 [N]; None where all count the same.
        train: rows to learn from, int64; none of them has weight 0.
        validation: rows that pick the best epoch, int64; empty where there are too few.
    """

    classes: np.ndarray
    ids: np.ndarray
    weights: np.ndarray | None
    train: np.ndarray
    validation: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """The classes as label names."""
        return tuple(label_name(value) or str(value) for value in self.classes.tolist())

    def parts(self) -> dict[str, np.ndarray]:
        """Give the rows of train and, if there are any, of validation."""
        parts = {"train": self.train, "validation": self.validation}
        return {name: rows for name, rows in parts.items() if len(rows)}


# scikit-learn has no types, so its classes are Any to mypy
class LSTMEstimator(ClassifierMixin, BaseEstimator, metaclass=ABCMeta):  # type: ignore[misc]
    """A classifier on a BiLSTM; a subclass reads X and keeps the network."""

    classes_: np.ndarray
    n_iter_: int

    @abstractmethod
    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Give the probability of each class, [N, C]."""

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Give the most probable class of each row.

        Args:
            X: N rows, as for `fit`.

        Returns:
            Values of `classes_`, [N].
        """
        check_is_fitted(self)
        best: np.ndarray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return best

    def _settings(self) -> TrainSettings:
        """Make settings of the parameters; those at their defaults count as not given."""
        defaults = inspect.signature(type(self).__init__).parameters
        options = {}
        for name, value in self.get_params(deep=False).items():
            plain = value.item() if isinstance(value, np.generic) else value  # of a search's grid
            if name == "random_state":
                options["seed"] = _seed(plain)
            elif plain != defaults[name].default:
                options[name] = plain
        return settings_with_vectors(options)

    def _train(
        self,
        targets: Targets,
        encoded: Mapping[str, EncodedTexts],
        settings: TrainSettings,
        *,
        vocab_size: int,
        pretrained: Pretrained | None = None,
    ) -> Fitted:
        """Train on encoded rows and take note of the result."""
        weights = targets.weights
        texts = {
            name: LabelledTexts(
                encoded[name], targets.ids[rows], None if weights is None else weights[rows]
            )
            for name, rows in targets.parts().items()
        }
        training = settings.training
        judged = "validation" in texts
        if not judged:
            # nothing tells when to stop: all epochs count, the loss on train which was best,
            texts["validation"] = texts["train"]
            # and no scales, which would take the certainty about train for certainty
            patience = training.epochs or MOST_EPOCHS
            training = dataclasses.replace(
                training, monitor="loss", patience=patience, calibrate=False
            )
        device = pick_device(training.device)
        with (
            tempfile.TemporaryDirectory(prefix="textlstm-") as cache,
            # the random numbers of the caller go on as they were
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        ):
            fitted = fit_model(
                texts,
                targets.names,
                dataclasses.replace(settings, training=training),
                vocab_size=vocab_size,
                cache=Path(cache),
                pretrained=pretrained,
            )
        self.classes_ = targets.classes
        self.n_iter_ = len(fitted.result.history)
        return fitted if judged else dataclasses.replace(fitted, metrics={})


def read_targets(X: Any, y: Any, sample_weight: Any, settings: TrainSettings) -> Targets:  # noqa: N803
    """Check classes and weights, and cut a validation part off, of each class alike.

    Args:
        X: N rows.
        y: their classes, [N].
        sample_weight: how much each counts, 0 or more, [N]; None for all the same. A row of
            weight 0 is left out, as if it had not been passed.
        settings: share of validation, and seed.

    Returns:
        What to learn.

    Raises:
        DataError: fewer than two classes have a row, a row has several, or a weight is no good.
        ValueError: y has another length, is not one-dimensional, or has values that are no
            classes; in scikit-learn's words.
    """
    if y is None:
        raise DataError("requires y to be passed, but the target y is None: pass the classes")
    _refuse_several(y)
    y = column_or_1d(check_array(y, ensure_2d=False, dtype=None, input_name="y"), warn=True)
    check_consistent_length(X, y)
    check_classification_targets(y)
    classes, ids = np.unique(y, return_inverse=True)
    weights = _read_weights(sample_weight, len(y))
    rows = np.arange(len(y)) if weights is None else np.flatnonzero(weights)
    present = np.unique(ids[rows])
    if len(present) < 2:
        where = "" if weights is None else " where sample_weight is above 0,"
        raise DataError(
            f"y has only 1 class, {classes.tolist()[present[0]]!r},{where} fit needs 2 or more"
        )
    share = settings.data.validation_fraction
    held = np.zeros(0, np.int64)
    if round(share * len(rows)) >= _LEAST_VALIDATION:
        held = stratified_part(ids[rows], share, settings.training.seed)
    return Targets(classes, ids.astype(np.int64), weights, np.delete(rows, held), rows[held])


def _refuse_several(y: Any) -> None:
    """Raise a `DataError` if rows have several classes, as a table of 0 and 1 or as lists."""
    shape: tuple[int, ...] = getattr(y, "shape", ())
    table = len(shape) == 2 and shape[1] > 1
    lists = isinstance(y, list | tuple) and any(is_list(row) and len(row) != 1 for row in y)
    if table or lists:
        found = f"has the shape {tuple(shape)}" if table else "holds lists"
        raise DataError(
            f"y {found}: y should be a 1d array, one class for each row, here; texts with several "
            "labels are learned by textlstm.train({'train': (texts, lists)}), and by these "
            "estimators inside sklearn.multiclass.OneVsRestClassifier"
        )


def _read_weights(sample_weight: Any, count: int) -> np.ndarray | None:
    if sample_weight is None:
        return None
    weights: np.ndarray = check_array(
        sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
    )
    if weights.shape != (count,):
        raise DataError(f"sample_weight has the shape {weights.shape}: must be ({count},), as y")
    if weights.min() < 0:
        raise DataError(f"sample_weight = {weights.min():g}: must be 0 or more")
    if not weights.any():
        raise DataError("sample_weight is zero for every row: at least one weight must be above 0")
    return None if (weights == weights[0]).all() else weights


def _seed(random_state: Any) -> Any:
    if isinstance(random_state, int):
        return random_state
    return int(check_random_state(random_state).randint(_SEEDS))
