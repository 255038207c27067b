"""Labelled data to evaluate a classifier on."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textlstm.config import DataConfig
from textlstm.errors import ConfigError, DataError
from textlstm.options import reject_unknown

if TYPE_CHECKING:
    from textlstm.data.corpus import Source, Split

DATA_OPTIONS = (
    *("text_column", "label_column", "label_separator", "delimiter"),
    *("dataset_config", "dataset_revision"),
)


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
    labels: tuple[str, ...],
    *,
    trained: DataConfig,
    trained_source: str = "",
    multi_label: bool = False,
    split: str | None = None,
    options: Mapping[str, Any],
) -> tuple[Split, list[str]]:
    """Load a split, from the columns passed, else those of training, else detected.

    Args:
        source: as for `textlstm.load_corpus`; of a single file, all rows.
        labels: label names of the model.
        trained: where the model's training found texts and labels.
        trained_source: the data of that training.
        multi_label: whether a text may have several labels.
        split: its name; test if None.
        options: any of `DATA_OPTIONS`.

    Returns:
        The split, and notes on what was detected and left out.

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
    if str(source) != trained_source:  # the same columns in another place
        trained = dataclasses.replace(trained, dataset_config=None, dataset_revision=None)
    load = partial(load_split, source, split or "test", labels=labels, multi_label=multi_label)
    config = dataclasses.replace(trained, **options)
    detected = dataclasses.replace(DataConfig(), **options)
    try:
        return load(config)
    except DataError:
        if config != detected:
            with contextlib.suppress(DataError):
                return load(detected)
        raise
