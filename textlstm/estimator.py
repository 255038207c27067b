"""The text classifier for scikit-learn.

Shapes: N texts, C classes.
"""

from __future__ import annotations

import dataclasses
import inspect
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_array, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from textlstm.classifier.base import Base
from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.model_folder import RunRecord
from textlstm.classifier.texts import checked_texts, in_batches
from textlstm.config import PRESETS, TRAIN_PARTS, DataConfig, TrainSettings
from textlstm.data.encoded import EncodedTexts, LabelledTexts
from textlstm.data.labels import is_list, label_name
from textlstm.data.stratify import stratified_part
from textlstm.errors import ConfigError, DataError
from textlstm.nn.device import pick_device
from textlstm.options import names_of
from textlstm.training.fit import Fitted, fit_model
from textlstm.training.pretrained import Pretrained, make_start
from textlstm.training.resolve import for_texts, read_options, resolve

_LEAST_VALIDATION = 20  # rows; fewer can't tell one epoch from another
_SEEDS = 2**31 - 1
_OF_FILES = {*names_of(DataConfig), "checkpoint_minutes", "report", "tensorboard"} - {
    "validation_fraction"
}
_OF_FILES |= {"teacher", "teacher_weight", "teacher_temperature"}

# The options of training that are parameters here, with their fields.
_OPTIONS = {
    "random_state" if field.name == "seed" else field.name: field
    for part in TRAIN_PARTS.values()
    for field in dataclasses.fields(part)  # type: ignore[arg-type]
    if field.name not in _OF_FILES
}
_OPEN = PRESETS["small"]  # None for what follows from the number of texts
_CLASS_WEIGHT = "class_weight"  # scikit-learn's spelling of class_weights
_SIGNATURE = inspect.Signature(
    [
        inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        *(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None if name in _OPEN else field.default,
                annotation=f"{field.type} | None" if name in _OPEN else field.type,
            )
            for name, field in _OPTIONS.items()
        ),
        inspect.Parameter(_CLASS_WEIGHT, inspect.Parameter.KEYWORD_ONLY, default=None),
    ]
)


# scikit-learn has no types, so its classes are Any to mypy
class TextLSTMClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A BiLSTM text classifier for scikit-learn: raw texts in, classes out.

    The parameters are the options of `textlstm train`, with the same names and defaults
    (`textlstm train --help` explains each), without those of data files, teachers and checkpoints.
    These differ:

    Args:
        min_frequency, hidden_size, num_layers, pooling, batch_size, total_tokens, ngram_fit,
            monitor: None (the default) follows from the number of texts: up to 4,500 it is the
            value of the preset 'small', for more the default of `textlstm train`; with
            `init_from`, the base has the sizes, and pooling is 'max'.
        random_state: called `seed` elsewhere. A whole number gives the same model every time;
            None draws a seed from numpy's global generator, a `RandomState` from itself.
        validation_fraction: share of the rows, stratified by class, that is held out to pick the
            best epoch and to stop early. Where that would be fewer than 20 rows, all rows are
            learned from, for all epochs.
        embedding_size: with `vectors` that of the file, unless it is set.
        class_weight: as in scikit-learn: 'balanced', or a dict of class to weight (above 0), where
            classes that are left out count 1; a class that no row has is an error unless all
            others have a weight. None leaves it to `class_weights`.

    Attributes:
        classes_: the classes in order, [C]; so are the columns of `predict_proba`.
        classifier_: the `TextClassifier`, which can be saved as a model folder.
        n_iter_: epochs trained.
    """

    classes_: np.ndarray
    classifier_: TextClassifier
    n_iter_: int

    def __init__(self, **parameters: Any) -> None:
        given = _SIGNATURE.bind(self, **parameters)
        given.apply_defaults()
        del given.arguments["self"]
        self.__dict__.update(given.arguments)

    __init__.__signature__ = _SIGNATURE  # type: ignore[attr-defined]

    def fit(
        self,
        X: Iterable[str],  # noqa: N803
        y: Sequence[Any],
        sample_weight: Sequence[float] | None = None,
    ) -> TextLSTMClassifier:
        """Learn from texts.

        Args:
            X: the texts, N strings in a list, array, Series or table of one column; none may be
                blank (white space alone).
            y: their classes, [N]: strings, whole numbers or booleans.
            sample_weight: how much each text counts, in the loss and in the figures that pick
                the best epoch, 0 or more, [N]; only the proportions matter. A text of weight 0
                is left out.

        Returns:
            The estimator itself.

        Raises:
            ConfigError: a parameter is invalid, X is not a list of strings, or a text is blank.
            DataError: y or sample_weight is invalid.
        """
        settings = self._settings()
        texts = read_texts(X)
        targets = read_targets(texts, y, sample_weight, settings)
        parts = {
            name: [texts[row] for row in rows.tolist()] for name, rows in targets.parts().items()
        }
        settings = for_texts(settings, len(parts["train"]))
        tokenizer, start = make_start(settings, None, lambda: [parts["train"]])
        encoded = {
            name: EncodedTexts.from_batches(map(tokenizer.encode_batch, in_batches(part)))
            for name, part in parts.items()
        }
        size, words = len(tokenizer.vocabulary), tokenizer.words
        fitted = self._train(targets, encoded, settings, vocab_size=size, words=words, start=start)
        record = RunRecord(
            rows={name: len(part) for name, part in parts.items()},
            training={**fitted.summary(), **fitted.facts},
            metrics=fitted.metrics,
            history=_history(fitted),
        )
        self.classifier_ = TextClassifier(
            fitted.model,
            tokenizer,
            targets.names,
            fitted.settings,
            cascade=fitted.cascade if fitted.metrics else None,
            record=record,
            device=settings.training.device,
        )
        return self

    def predict_proba(self, X: Iterable[str]) -> np.ndarray:  # noqa: N803
        """Return the probability of each class.

        Args:
            X: N texts.

        Returns:
            float32 [N, C]; columns in the order of `classes_`, each row sums to 1.

        Raises:
            ConfigError: X is not a list of strings, or a text is blank.
        """
        check_is_fitted(self)
        return self.classifier_.predict_proba(read_texts(X))

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the most probable class of each row.

        Args:
            X: N rows, as for `fit`.

        Returns:
            Values of `classes_`, [N].
        """
        check_is_fitted(self)
        best: np.ndarray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return best

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags

    def _settings(self) -> TrainSettings:
        """Make settings of the parameters; those at their defaults count as not given."""
        options = {}
        for name, value in self.get_params(deep=False).items():
            plain = value.item() if isinstance(value, np.generic) else value  # of a search's grid
            if name == "random_state":
                options["seed"] = _seed(plain)
            elif name == _CLASS_WEIGHT:
                if plain is not None:
                    options["class_weights"] = _class_weights(plain)
            elif plain != _SIGNATURE.parameters[name].default:
                options[name] = plain
        return read_options(options)

    def _train(
        self,
        targets: Targets,
        encoded: Mapping[str, EncodedTexts],
        settings: TrainSettings,
        *,
        vocab_size: int,
        words: Sequence[str] = (),
        start: Pretrained | Base | None = None,
    ) -> Fitted:
        """Train on encoded rows; set `classes_` and `n_iter_`."""
        if isinstance(self.class_weight, Mapping):
            asked = {each.rpartition("=")[0]: each for each in settings.training.class_weights}
            if asked.keys() >= {*targets.names}:  # the rows of a fold may lack a class
                known = [each for name, each in asked.items() if name in targets.names]
                settings = settings.replace(class_weights=known)
        weights = targets.weights
        texts = {
            name: LabelledTexts(
                encoded[name], targets.ids[rows], None if weights is None else weights[rows]
            )
            for name, rows in targets.parts().items()
        }
        settings = resolve(
            settings,
            len(encoded["train"].ids),
            vocab_size=vocab_size,
            classes=len(targets.classes),
        )
        validated = "validation" in texts
        if not validated:
            # nothing says when to stop: all epochs count, the best one by the loss on train,
            texts["validation"] = texts["train"]
            # and no scales, which would take the certainty about train for certainty
            epochs = settings.training.epochs
            settings = settings.replace(monitor="loss", patience=epochs, calibrate=False)
        device = pick_device(settings.training.device)
        with (
            tempfile.TemporaryDirectory(prefix="textlstm-") as work,
            # the caller's random state stays as it was
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        ):
            fitted = fit_model(
                texts,
                targets.names,
                settings,
                vocab_size=vocab_size,
                words=words,
                work=Path(work),
                start=start,
            )
        self.classes_ = targets.classes
        self.n_iter_ = len(fitted.result.history)
        return fitted if validated else dataclasses.replace(fitted, metrics={})


def _history(fitted: Fitted) -> tuple[dict[str, Any], ...]:
    """Return the history, without figures of a validation part that there is not."""
    skipped = () if fitted.metrics else ("validation",)
    return tuple(
        {name: value for name, value in record.items() if not name.startswith(skipped)}
        for record in fitted.result.history
    )


@dataclass(frozen=True)
class Targets:
    """The class and weight of each row, and the part it belongs to.

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
        return tuple(map(_name, self.classes.tolist()))

    def parts(self) -> dict[str, np.ndarray]:
        """Return the rows of train and, if there are any, of validation."""
        parts = {"train": self.train, "validation": self.validation}
        return {name: rows for name, rows in parts.items() if len(rows)}


def read_texts(texts: Any) -> list[str]:
    """Return the texts of a list, an array, a Series or a table of one column.

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


def _name(value: Any) -> str:
    """Return a class as a label name."""
    return label_name(value) or str(value)


def _class_weights(class_weight: Any) -> tuple[str, ...]:
    """Return the option `class_weights` for scikit-learn's `class_weight`."""
    if class_weight == "balanced":
        return ("balanced",)
    if not isinstance(class_weight, Mapping):
        raise ConfigError(
            f"class_weight = {class_weight!r}: must be 'balanced', None, or a dict of class to "
            "weight"
        )
    return tuple(f"{_name(key)}={weight}" for key, weight in class_weight.items())


def read_targets(X: Any, y: Any, sample_weight: Any, settings: TrainSettings) -> Targets:  # noqa: N803
    """Check classes and weights, and hold out a stratified validation part.

    Args:
        X: N rows.
        y: their classes, [N].
        sample_weight: how much each counts, 0 or more, [N]; None for all the same. A row of
            weight 0 is left out, as if it had not been passed.
        settings: share of validation, and seed.

    Returns:
        Classes, weights and the rows of train and validation.

    Raises:
        DataError: fewer than two classes have a row, a row has several, or a weight is invalid.
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
