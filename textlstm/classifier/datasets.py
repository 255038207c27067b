"""Labels as new columns of a dataset of the `datasets` library, whole or batch by batch.

Shapes: N texts, C classes (labels).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import datasets
import pyarrow as pa

from textlstm.classifier.labelling import ERROR_COLUMN, Labeller
from textlstm.classifier.predictor import predict_texts
from textlstm.config import PredictionConfig
from textlstm.data.encoded import EncodedTexts
from textlstm.errors import ConfigError, DataError
from textlstm.io.guess import TableColumns, class_names_of_features, kinds_of_rows, kinds_of_schema
from textlstm.io.hub_datasets import quiet
from textlstm.io.readers import Row
from textlstm.options import build, reject_unknown

if TYPE_CHECKING:
    from textlstm.classifier.classifier import TextClassifier
    from textlstm.evaluation.cascade import Shortcut

OPTIONS = (
    *("text_column", "output_column", "score_column"),
    *("top_k", "min_score", "probabilities", "cascade", "engine_column", "batch_size"),
)
_BATCH_ROWS = 4096  # texts that are sorted by length together


def label_dataset(
    dataset: datasets.Dataset, classifier: TextClassifier, options: Mapping[str, Any]
) -> datasets.Dataset:
    """Add the columns of `Labeller.added_columns` to a dataset.

    Args:
        dataset: the rows; a format that is set on it stays set.
        classifier: the model.
        options: any of `OPTIONS`, as in `PredictionConfig`.

    Returns:
        The dataset with the new columns, in its cache as others are. A row without a usable
        text has no label, and the reason in `error`.

    Raises:
        ConfigError: an option is bad, or an added column has the name of another.
        DataError: it is no dataset, or it is not clear which column holds the text.
    """
    if not isinstance(dataset, datasets.Dataset):
        raise DataError(
            f"dataset of type {type(dataset).__name__}: must be a datasets.Dataset (of a "
            "DatasetDict, one split)"
        )
    kinds = kinds_of_schema(dataset.features.arrow_schema)
    table = TableColumns("the dataset", kinds, class_names_of_features(dataset.features))
    labeller = Labeller.of_table(table, dataset.column_names, classifier, _config(options))
    added, texts = labeller.added_columns(), list(labeller.text_columns)
    shortcut = classifier.shortcut(labeller.config.cascade)

    def label(*columns: list[Any]) -> dict[str, list[Any]]:
        return _label(columns, labeller, classifier, shortcut, added)

    new = datasets.Features.from_arrow_schema(pa.schema(list(added.items())))
    features = datasets.Features({**dataset.features, **new})
    if not len(dataset):  # `map` would give it back without the columns
        return datasets.Dataset.from_dict({name: [] for name in features}, features=features)
    # `datasets` finds the result in its cache by this
    known = [dataset._fingerprint, classifier.fingerprint(), texts, labeller.config.to_dict()]
    with quiet():
        result: datasets.Dataset = dataset.with_format(None).map(
            label,
            batched=True,
            batch_size=_BATCH_ROWS,
            input_columns=texts,
            features=features,
            new_fingerprint=hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16],
        )
    form = dataset.format
    shown = [*form["columns"], *added]
    return result.with_format(
        form["type"], shown, form["output_all_columns"], **form["format_kwargs"]
    )


def label_batch(
    batch: Mapping[str, Sequence[Any]], classifier: TextClassifier, options: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """Return the columns that a function for `Dataset.map(..., batched=True)` adds to a batch.

    Args:
        batch: name -> values of a column.
        classifier: the model.
        options: as for `label_dataset`.

    Returns:
        The columns of `Labeller.added_columns` but for `error`, whose type `map` can't tell from
        a batch in which nothing is wrong. A row without a usable text has None in them.

    Raises:
        ConfigError: an option is bad, it is not such a batch, or an added column has the name of
            another.
        DataError: it is not clear which column holds the text.
    """
    config = _config(options)
    if not isinstance(batch, Mapping):
        raise ConfigError(
            f"batch of type {type(batch).__name__}: must be columns by name, as `map` passes them "
            "with batched=True, without input_columns and without a format like 'pandas'"
        )
    kinds = kinds_of_rows({name: value} for name, values in batch.items() for value in values[:100])
    table = TableColumns("the batch", {name: kinds.get(name, "null") for name in batch})
    names = [name for name in batch if name != ERROR_COLUMN]
    labeller = Labeller.of_table(table, names, classifier, config)
    for name in labeller.text_columns:
        if isinstance(batch[name], str):
            raise ConfigError(f"column {name!r} of the batch is one string: map with batched=True")
    columns = [batch[name] for name in labeller.text_columns]
    added = [name for name in labeller.added_columns() if name != ERROR_COLUMN]
    return _label(columns, labeller, classifier, classifier.shortcut(config.cascade), added)


def _config(options: Mapping[str, Any]) -> PredictionConfig:
    reject_unknown(options, OPTIONS)
    return build(PredictionConfig, options)


def _label(
    columns: Sequence[Sequence[Any]],
    labeller: Labeller,
    classifier: TextClassifier,
    shortcut: Shortcut | None,
    added: Iterable[str],
) -> dict[str, list[Any]]:
    """Return the added columns for the text columns."""
    names = labeller.text_columns
    values = zip(*columns, strict=True)
    rows = [Row(n, dict(zip(names, cells, strict=True))) for n, cells in enumerate(values, 1)]
    texts = EncodedTexts.of_texts(classifier.tokenizer, labeller.texts(rows))
    options: dict[str, Any] = {"batch_size": labeller.config.batch_size, "shortcut": shortcut}
    labelled = labeller.label(rows, *predict_texts(classifier.model, texts, **options))
    return {name: [row.get(name) for row in labelled] for name in added}
