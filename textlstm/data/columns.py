"""A split before its texts and labels are read: its columns, which of them to use, its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets

from textlstm.config import DataConfig
from textlstm.data.cache import import_files
from textlstm.data.labels import ONE_LABEL, LabelCells
from textlstm.errors import DataError
from textlstm.io.formats import file_format
from textlstm.io.guess import (
    LISTS_AND_TEXT,
    TableColumns,
    class_names_of_features,
    class_names_of_file,
    kinds_of_schema,
    look_at_file,
)
from textlstm.io.readers import read_columns, read_rows

_DEFAULTS = DataConfig()


@dataclass(frozen=True)
class Table(TableColumns):
    """One split as it was found: files of rows, or a dataset.

    Args:
        files: the files that hold the rows, in order, or
        dataset: the dataset that does.
        delimiter: separates the cells of csv and tsv; detected if None.
        separator: what stands between several labels, where the format says so (fastText).
    """

    files: tuple[Path, ...] = ()
    dataset: datasets.Dataset | None = None
    delimiter: str | None = None
    separator: str | None = None

    @classmethod
    def of_dataset(cls, name: str, dataset: datasets.Dataset) -> Table:
        """Describe a dataset."""
        kinds = kinds_of_schema(dataset.features.arrow_schema)
        return cls(name, kinds, class_names_of_features(dataset.features), dataset=dataset)

    @classmethod
    def of_files(
        cls, files: Sequence[Path], name: str = "", config: DataConfig = _DEFAULTS
    ) -> Table:
        """Describe files of rows, which must have the columns of the first one.

        Args:
            files: the files.
            name: how messages call them; the path of the first if not given.
            config: which columns to take, and the delimiter.

        Raises:
            DataError: the first file can't be read, or two files name the same labels in
                different orders.
        """
        first = files[0]
        name = name or (str(first) if len(files) == 1 else f"{first} and {len(files) - 1} more")
        class_names = class_names_of_file(first)
        for other in files[1:]:
            if class_names_of_file(other) != class_names:
                raise DataError(
                    f"{first} and {other} name their labels differently: save them with one list "
                    "of names"
                )
        delimiter = config.delimiter
        wanted = [*config.text_column, *(c.rpartition("=")[2] for c in config.teacher_columns)]
        wanted += [config.label_column] if config.label_column else []
        kinds, suspect = look_at_file(first, delimiter=delimiter, wanted=wanted)
        if not config.label_column:
            label = TableColumns(name, kinds, class_names).guess_label(config.text_column)
            if label and kinds[label] == "null":  # rows without a label may come first
                more, _ = look_at_file(first, delimiter=delimiter, wanted=[label])
                kinds[label] = more[label]
        several = "label" in kinds and any(map(_has_several_labels, files))
        return cls(
            name,
            kinds,
            class_names,
            suspect,
            tuple(files),
            delimiter=delimiter,
            separator=" " if several else None,
        )

    def cells(self, label_column: str, separator: str | None) -> LabelCells:
        """Return how the cells of the label column are read.

        Args:
            label_column: its name.
            separator: what stands between several labels in a cell of text, if it was given.
        """
        if self.kinds[label_column] in ("list", LISTS_AND_TEXT):
            return LabelCells(lists=True)
        return LabelCells(separator=separator or self.separator)

    def open(
        self,
        text_columns: Sequence[str],
        label_column: str | None,
        cells: LabelCells = ONE_LABEL,
    ) -> datasets.Dataset:
        """Return the rows with only the columns asked for, memory-mapped.

        Rows of files go through an Arrow file in the cache folder of `datasets`, made again
        when a file has changed; labels are then strings or lists of strings.

        Args:
            text_columns: columns that hold texts.
            label_column: the column that holds the label, if it is wanted.
            cells: how that is read.

        Returns:
            A dataset of these columns.

        Raises:
            DataError: a row doesn't parse or can't be used; names file and row.
        """
        columns = [*text_columns, *([] if label_column is None else [label_column])]
        if self.dataset is not None:
            inner = set(columns) - set(self.dataset.column_names)
            dataset = self.dataset.flatten() if inner else self.dataset
            return dataset.select_columns(columns)
        for file in self.files[1:]:
            if file_format(file) != "jsonl":  # there, what a row does not have is null
                names = read_columns(file, delimiter=self.delimiter)
                table = TableColumns(str(file), dict.fromkeys(names, ""))
                for column in columns:
                    flag = "--label-column" if column == label_column else "--text-column"
                    table.require(column, flag)
        return import_files(self.files, text_columns, label_column, cells, self.delimiter)


def _has_several_labels(file: Path) -> bool:
    """Whether a line of a fastText file has more than one label."""
    if file_format(file) != "txt":
        return False
    return any(" " in (row.values.get("label") or "") for row in read_rows(file))


def choose_columns(
    table: TableColumns, config: DataConfig
) -> tuple[tuple[str, ...], str, list[str]]:
    """Decide which columns hold the texts and the label.

    Args:
        table: a split.
        config: the columns asked for; what isn't given is guessed if there is one good guess.

    Returns:
        (text columns, label column, notes on what was guessed).

    Raises:
        DataError: a column is missing, can't be guessed or holds something else.
    """
    label = config.label_column or table.guess_label(config.text_column)
    text = config.text_column or table.guess_text(label)
    if not text or label is None:
        raise table.unclear(*[] if text else ["text"], *[] if label else ["label"])
    check_columns(table, text, label)
    guessed = [] if config.text_column else [f"text {text[0]!r}"]
    guessed += [] if config.label_column else [f"label {label!r}"]
    return text, label, table.guess_notes(*guessed)


def check_columns(table: TableColumns, text_columns: Sequence[str], label_column: str) -> None:
    """Raise a `DataError` if a column isn't there or can't hold what it is wanted for."""
    table.require_texts(text_columns, label_column)
    table.require_label(label_column)


def cells_like(
    table: Table, label: str, config: DataConfig, multi_label: bool, other: str
) -> LabelCells:
    """Return how labels are read; raise a `DataError` if they are not of the kind of others.

    Args:
        table: a split.
        label: the column of the labels.
        config: the separator asked for.
        multi_label: whether a row of the others may have several labels.
        other: how messages call the others, with a verb: 'train has'.
    """
    cells = table.cells(label, config.label_separator)
    if table.kinds[label] == "null":  # nothing in it that could be of a kind
        return LabelCells(lists=multi_label)
    if cells.multi_label and not multi_label:
        raise DataError(
            f"label column {label!r} of {table.name} holds several labels a row, and {other} one: "
            "give data with one label a row"
        )
    if multi_label and table.files and file_format(table.files[0]) == "txt":
        return LabelCells(separator=" ")
    if multi_label and not cells.multi_label:
        raise DataError(
            f"label column {label!r} of {table.name} holds one label a row, and {other} lists of "
            "them: write lists, or pass --label-separator for cells of text"
        )
    return cells
