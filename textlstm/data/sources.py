"""Where data for training comes from: what `locate` finds by name, or Python objects."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import datasets
import pyarrow as pa

from textlstm.config import DataConfig
from textlstm.data.columns import Table
from textlstm.data.labels import LabelCells, is_list
from textlstm.errors import DataError
from textlstm.io.formats import first_line
from textlstm.io.locate import STDIN_NAME, Located, Name, locate
from textlstm.io.readers import bad_text


class Frame(Protocol):
    """A pandas `DataFrame` or a pyarrow `Table`."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""


Texts: TypeAlias = tuple[Sequence[str], Sequence[Any]]  # and their labels
Rows: TypeAlias = datasets.Dataset | Frame | Sequence[Mapping[str, Any]] | Texts
Source: TypeAlias = Name | Rows | Mapping[str, Rows]


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
    separator = config.label_separator
    if isinstance(source, Mapping) and not isinstance(source, datasets.DatasetDict):
        made = {split: _make_dataset(split, rows, separator) for split, rows in source.items()}
        found = locate(datasets.DatasetDict(made), config, name="texts and labels")
    elif hasattr(source, "columns") or (
        isinstance(source, tuple | list)
        and not (source and all(isinstance(item, str | os.PathLike) for item in source))
    ):
        found = locate(_make_dataset("train", source, separator), config)
    else:
        found = locate(source, config)
    tables = {}
    for split, rows in found.splits.items():
        name = found.name if found.single else f"{split} of {found.name}"
        if isinstance(rows, datasets.Dataset):
            tables[split] = Table.of_dataset(name, rows)
        else:  # where the sample lies is nobody's business in a model card
            tables[split] = Table.of_files(
                rows, name if found.name in ("sample", STDIN_NAME) else "", config
            )
    return Located(found.name, tables, found.single, found.notes, found.dataset_id)


def _make_dataset(split: str, rows: Rows, separator: str | None) -> datasets.Dataset:
    """Make a dataset of what a Python user passes for a split."""
    if isinstance(rows, datasets.Dataset):
        return rows
    if isinstance(rows, tuple | list) and len(rows) == 2 and not isinstance(rows[0], Mapping):
        return _from_texts(split, rows, separator)
    if isinstance(rows, pa.Table) and len({*rows.column_names}) < rows.num_columns:
        raise DataError(
            f"split {split!r} has two columns of one name ({', '.join(rows.column_names)}): each "
            "needs a name of its own"
        )
    try:
        if isinstance(rows, pa.Table):
            return datasets.Dataset(rows)
        if hasattr(rows, "iloc"):
            return datasets.Dataset.from_pandas(rows, preserve_index=False)
        if isinstance(rows, list) and rows and all(isinstance(row, Mapping) for row in rows):
            return datasets.Dataset.from_list(rows)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise DataError(
            f"split {split!r}: a column cannot be read ({first_line(error)}): each needs a name of "
            "its own and values of one type, such as strings or 64-bit numbers"
        ) from error
    raise DataError(
        f"split {split!r} is a {type(rows).__name__}: pass a pair (texts, labels), a DataFrame, a "
        "pyarrow Table, a list of one dict or more, or a Dataset"
    )


def _from_texts(split: str, pair: Sequence[Any], separator: str | None) -> datasets.Dataset:
    shape = getattr(pair[1], "shape", (0,))
    if len(shape) != 1:
        raise DataError(
            f"split {split!r}: labels have the shape {shape}: pass a label, or a list of labels, "
            "for each text"
        )
    if any(isinstance(part, str) or not isinstance(part, Iterable) for part in pair):
        raise DataError(f"split {split!r}: texts and labels must be lists, not one string or value")
    texts, labels = map(list, pair)
    if len(texts) != len(labels):
        raise DataError(
            f"split {split!r} has {len(texts)} texts and {len(labels)} labels: pass one label for "
            "each text"
        )
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
    return datasets.Dataset(pa.table(columns))
