"""Labelled data to evaluate a classifier on."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from textlstm.classifier.texts import checked_texts, warn_of_blanks
from textlstm.config import DATA_OPTIONS, DataConfig, TrainSettings
from textlstm.data.labels import label_ids, label_matrix
from textlstm.errors import ConfigError, DataError
from textlstm.options import reject_unknown

if TYPE_CHECKING:
    from textlstm.classifier.classifier import TextClassifier
    from textlstm.data.corpus import Source, Split

logger = logging.getLogger(__name__)


class Trained(Protocol):
    """What a model knows of the data that it was trained on."""

    labels: tuple[str, ...]
    thresholds: tuple[float, ...] | None
    settings: TrainSettings


@runtime_checkable
class LabelledSplit(Protocol):
    """A split of a corpus as `evaluate` needs it (`textlstm.data.corpus.Split` is one).

    It may also have `names`, the label names of its ids.
    """

    @property
    def labels(self) -> np.ndarray:
        """Label ids, int64 [N]."""

    def texts(self) -> Iterator[list[str]]:
        """Return the texts in order, in lists."""


def labelled_texts(
    model: TextClassifier,
    data: Source | Iterable[str] | LabelledSplit,
    labels: Sequence[Any] | np.ndarray | None,
    *,
    split: str | None,
    options: Mapping[str, Any],
) -> tuple[np.ndarray, Iterable[str]]:
    """Return label ids, as in `LabelledSplit`, and texts; see `TextClassifier.evaluate`."""
    if labels is None and is_source(data):  # first: a table's columns may be texts and labels
        data = load_labelled(data, model, split=split, options=options)
    elif split is not None or options:
        name = "split" if split is not None else next(iter(options))
        raise ConfigError(f"{name}: not with texts or a split, which are evaluated as they are")
    if isinstance(data, LabelledSplit):
        if labels is not None:
            raise ConfigError("evaluate: a split has its labels with it: pass no labels")
        return model_ids(data, model), itertools.chain.from_iterable(data.texts())
    if labels is None:
        raise ConfigError("evaluate: labels are missing: pass one label for each text")
    ids = (label_matrix if model.multi_label else label_ids)(labels, model.labels)
    texts = checked_texts(data, blanks=True)  # type: ignore[arg-type]
    if len(ids) == len(texts):
        usable = [place for place, text in enumerate(texts) if text.strip()]
        warn_of_blanks(len(texts) - len(usable), len(texts), "left out")
        ids, texts = ids[usable], [texts[place] for place in usable]
    return ids, texts


def model_ids(split: LabelledSplit, model: Trained) -> np.ndarray:
    """Return the labels of a split as those of a model, whose order may be another.

    Args:
        split: its `names`, if it has any, are those of its ids; else its ids are the model's.
        model: gives a text one label or several.

    Returns:
        As `LabelledSplit.labels`.

    Raises:
        ConfigError: the split has labels of the other kind, or one that the model does not know.
    """
    ids, several = split.labels, model.thresholds is not None
    if (ids.ndim == 2) != several:
        kinds = ["one label", "any number of labels"]
        raise ConfigError(
            f"the split has {kinds[ids.ndim - 1]} a text, and the model gives {kinds[several]}: "
            f"load it with multi_label={several}"
        )
    names = tuple(getattr(split, "names", ())) or model.labels
    place = {name: number for number, name in enumerate(model.labels)}
    if unknown := [name for name in names if name not in place]:
        raise ConfigError(
            f"the split has the label {unknown[0]!r}, which the model does not know: its labels "
            f"are {', '.join(map(repr, model.labels[:10]))}"
        )
    count = ids.shape[1] if several else int(ids.max(initial=-1)) + 1
    if count > len(names) or (several and count != len(names)):
        raise ConfigError(
            f"the split has {count} labels, and the model {len(names)}: load it with the labels of "
            "the model"
        )
    places = np.array([place[name] for name in names], np.int64)
    if not several:
        found: np.ndarray = places[ids.astype(np.int64)]
        return found
    matrix = np.zeros((len(ids), len(place)), bool)  # [N, C]
    matrix[:, places] = ids
    return matrix


def is_source(data: Any) -> bool:
    """Whether data holds its labels itself: a name, a table, rows or a pair (texts, labels)."""
    return (
        isinstance(data, str | os.PathLike | Mapping)
        or hasattr(data, "column_names")  # a Dataset
        or hasattr(data, "iloc")  # a DataFrame; a split has columns, too
        or (isinstance(data, tuple) and len(data) == 2 and not isinstance(data[0], str))
        or (isinstance(data, list) and bool(data) and isinstance(data[0], Mapping))
    )


def load_labelled(
    source: Source,
    model: Trained,
    *,
    split: str | None = None,
    default: str = "test",
    options: Mapping[str, Any],
) -> Split:
    """Load a split, from the columns passed, else those of training, else detected.

    The log has notes on what was detected and left out.

    Args:
        source: as for `textlstm.load_corpus`; of a single file, all rows.
        model: its training found texts and labels in `settings.data`.
        split: its name; None for
        default: the split of data with several.
        options: any of `config.DATA_OPTIONS`.

    Returns:
        The split.

    Raises:
        ConfigError: an option is unknown, or a split is named and the source is a single file.
        DataError: the data can't be read, or has no such split, columns or labels.
    """
    from textlstm.data.corpus import load_split  # the library datasets is slow to import

    reject_unknown(options, DATA_OPTIONS)
    name = isinstance(source, str | os.PathLike)
    if split and name and Path(source).is_file():  # type: ignore[arg-type]
        raise ConfigError(
            f"split = {split!r}: {source} is a single file, which has no splits: leave split out "
            "to evaluate all its rows"
        )
    trained, record = model.settings.data, getattr(model, "record", None)
    if record is None or str(source) != record.source:  # the same columns in another place
        trained = dataclasses.replace(trained, dataset_config=None, dataset_revision=None)

    def load(config: DataConfig) -> Split:
        kind: dict[str, Any] = {"multi_label": model.thresholds is not None, "default": default}
        found, notes = load_split(source, split or default, config, model.labels, **kind)
        for note in notes:
            logger.info("%s", note)
        return found

    config = dataclasses.replace(trained, **options)
    detected = dataclasses.replace(DataConfig(), **options)
    try:
        return load(config)
    except DataError:
        if config != detected:
            with contextlib.suppress(DataError):
                return load(detected)
        raise
