"""Labels as new columns of a dataset of the `datasets` library, whole or batch by batch.

Shapes: N texts, C classes (labels).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from textlstm.classifier.labelling import (
    ERROR_COLUMN,
    Labeller,
    choose_texts,
    name_columns,
    require_new_names,
)
from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, DataError
from textlstm.io.guess import TableColumns, class_names_of_dataset, kinds_of_rows, kinds_of_schema
from textlstm.io.hub_datasets import quiet
from textlstm.io.readers import Row

_BATCH_ROWS = 4096  # texts that are sorted by length together

Predict = Callable[[Sequence[str]], np.ndarray]
"""Texts to probabilities, float32 [N, C]."""


def label_dataset(
    dataset: datasets.Dataset,
    predict: Predict,
    labels: tuple[str, ...],
    config: PredictionConfig,
    *,
    thresholds: tuple[float, ...] | None = None,
    trained_columns: Sequence[str],
    model_hash: str,
) -> datasets.Dataset:
    """Add the columns of `labelling.added_columns` to a dataset.

    Args:
        dataset: the rows; a format that is set on it stays set.
        predict: returns the probabilities of texts.
        labels: label names, index = id.
        config: names of columns, what is added.
        thresholds: the least probability of each label, where a text may have several.
        trained_columns: the text columns of the training.
        model_hash: changes when `predict` does; `datasets` finds a result in its cache
            by it.

    Returns:
        The dataset with the new columns, in its cache as others are. A row without a usable
        text has no label, and the reason in `error`.

    Raises:
        ConfigError: an added column has the name of another.
        DataError: it is no dataset, or it is not clear which column holds the text.
    """
    if not isinstance(dataset, datasets.Dataset):
        raise DataError(
            f"dataset of type {type(dataset).__name__}: must be a datasets.Dataset (of a "
            "DatasetDict, one split)"
        )
    kinds = kinds_of_schema(dataset.features.arrow_schema)
    columns = TableColumns("the dataset", kinds, class_names_of_dataset(dataset))
    texts = choose_texts(columns, config.text_column, trained_columns)
    config = name_columns(config, dataset.column_names)
    labeller = Labeller(labels, texts, config, thresholds=thresholds)
    added = labeller.added_columns()
    require_new_names(dataset.column_names, added, source="the dataset")

    def label(*columns: list[Any]) -> dict[str, list[Any]]:
        return _label(columns, labeller, predict, added)

    new = datasets.Features.from_arrow_schema(pa.schema(list(added.items())))
    features = datasets.Features({**dataset.features, **new})
    if not len(dataset):  # `map` would give it back without the columns
        return datasets.Dataset.from_dict({name: [] for name in features}, features=features)
    known = [dataset._fingerprint, model_hash, list(texts), config.to_dict()]
    with quiet():
        result: datasets.Dataset = dataset.with_format(None).map(
            label,
            batched=True,
            batch_size=_BATCH_ROWS,
            input_columns=list(texts),
            features=features,
            new_fingerprint=hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16],
        )
    form = dataset.format
    shown = [*form["columns"], *added]
    return result.with_format(
        form["type"], shown, form["output_all_columns"], **form["format_kwargs"]
    )


def label_batch(
    batch: Mapping[str, Sequence[Any]],
    predict: Predict,
    labels: tuple[str, ...],
    config: PredictionConfig,
    *,
    thresholds: tuple[float, ...] | None = None,
    trained_columns: Sequence[str],
) -> dict[str, list[Any]]:
    """Return the columns that a function for `Dataset.map(..., batched=True)` adds to a batch.

    Args:
        batch: name -> values of a column.
        predict: as for `label_dataset`.
        labels: as for `label_dataset`.
        config: as for `label_dataset`.
        thresholds: as for `label_dataset`.
        trained_columns: as for `label_dataset`.

    Returns:
        The columns of `labelling.added_columns` but for `error`, whose type `map` can't tell from
        a batch in which nothing is wrong. A row without a usable text has None in them.

    Raises:
        ConfigError: it is not such a batch, or an added column has the name of another.
        DataError: it is not clear which column holds the text.
    """
    if not isinstance(batch, Mapping):
        raise ConfigError(
            f"batch of type {type(batch).__name__}: must be columns by name, as `map` passes them "
            "with batched=True, without input_columns and without a format like 'pandas'"
        )
    kinds = kinds_of_rows({name: value} for name, values in batch.items() for value in values[:100])
    columns = TableColumns("the batch", {name: kinds.get(name, "null") for name in batch})
    texts = choose_texts(columns, config.text_column, trained_columns)
    single = [name for name in texts if isinstance(batch[name], str)]
    if single:
        raise ConfigError(f"column {single[0]!r} of the batch is one string: map with batched=True")
    config = name_columns(config, list(batch))
    labeller = Labeller(labels, texts, config, thresholds=thresholds)
    added = [name for name in labeller.added_columns() if name != ERROR_COLUMN]
    require_new_names(list(batch), added, source="the batch")
    return _label([batch[name] for name in texts], labeller, predict, added)


def _label(
    columns: Sequence[Sequence[Any]], labeller: Labeller, predict: Predict, added: Iterable[str]
) -> dict[str, list[Any]]:
    """Return the added columns for the text columns."""
    names = labeller.text_columns
    values = zip(*columns, strict=True)
    rows = [Row(n, dict(zip(names, cells, strict=True))) for n, cells in enumerate(values, 1)]
    labelled = labeller.label(rows, predict(labeller.texts(rows)))
    return {name: [row.get(name) for row in labelled] for name in added}
