"""Where data for training comes from: what `locate` finds by name, or texts and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import datasets
import pyarrow as pa

from textlstm.config import DataConfig
from textlstm.data.columns import Table
from textlstm.data.labels import LabelCells, is_list
from textlstm.errors import DataError
from textlstm.io.locate import Located, Name, locate
from textlstm.io.readers import bad_text

Source: TypeAlias = Name | Mapping[str, tuple[Sequence[str], Sequence[Any]]]


def find_tables(source: Source, config: DataConfig) -> Located[Table]:
    """Find the splits of a source, without reading their rows.

    Args:
        source: see `textlstm.data.corpus.load_corpus`.
        config: the configuration and revision of a Hub dataset.

    Returns:
        The splits that are there.

    Raises:
        ConfigError: a configuration or revision is asked for of local data.
        DataError: there is no such source, it can't be read, or it has no splits.
    """
    if isinstance(source, Mapping) and not isinstance(source, datasets.DatasetDict):
        made = datasets.DatasetDict(_make_datasets(source, config.label_separator))
        found = locate(made, config, name="texts and labels")
    else:
        found = locate(source, config)
    tables = {}
    for split, rows in found.splits.items():
        name = found.name if found.single else f"{split} of {found.name}"
        if isinstance(rows, datasets.Dataset):
            tables[split] = Table.of_dataset(name, rows)
        else:  # where the sample lies is nobody's business in a model card
            tables[split] = Table.of_files(rows, name if found.name == "sample" else "")
    return Located(found.name, tables, found.single, found.notes, found.dataset_id)


def _make_datasets(
    source: Mapping[str, tuple[Sequence[str], Sequence[Any]] | datasets.Dataset],
    separator: str | None,
) -> dict[str, datasets.Dataset]:
    """Make datasets of the texts and labels that a Python user hands over."""
    made: dict[str, datasets.Dataset] = {}
    for split, value in source.items():
        if isinstance(value, datasets.Dataset):
            made[split] = value
            continue
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise DataError(f"split {split!r} must be a pair (texts, labels)")
        shape = getattr(value[1], "shape", (0,))
        if len(shape) != 1:
            raise DataError(
                f"split {split!r}: labels have the shape {shape}: pass a label, or a list of "
                "labels, for each text"
            )
        texts, labels = (list(part) if not isinstance(part, str) else part for part in value)
        if isinstance(texts, str) or isinstance(labels, str):
            raise DataError(f"split {split!r}: texts and labels must be lists, not one string")
        if len(texts) != len(labels):
            raise DataError(f"split {split!r} has {len(texts)} texts and {len(labels)} labels")
        cells = LabelCells(any(map(is_list, labels)), separator)
        names = []
        for number, (text, label) in enumerate(zip(texts, labels, strict=True), 1):
            reason = bad_text(text)
            try:
                names.append(cells.read(label))
            except DataError as error:
                reason = str(error)
            if reason not in (None, "null"):
                raise DataError(f"row {number} of split {split!r} cannot be used: {reason}")
        clean = [None if bad_text(text) else str(text) for text in texts]
        columns = {
            "text": pa.array(clean, pa.large_string()),
            "label": pa.array(names, pa.list_(pa.string()) if cells.multi_label else pa.string()),
        }
        made[split] = datasets.Dataset(pa.table(columns))
    return made
