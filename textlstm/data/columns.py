"""A split before its texts and labels are taken: its columns, which of them to use, its rows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from textlstm.config import DataConfig
from textlstm.data.cache import import_files
from textlstm.data.labels import ONE_LABEL, LabelCells, is_list_type
from textlstm.errors import DataError
from textlstm.io.formats import clear_errors, file_format, open_parquet
from textlstm.io.readers import bad_text, read_columns, read_rows

# fmt: off
TEXT_NAMES = (
    "text", "texts", "sentence", "review", "content", "document", "comment", "message", "tweet",
    "question", "utterance", "body", "article", "post", "query", "sms",
)
LABEL_NAMES = (
    "label", "labels", "class", "category", "sentiment", "target", "y", "topic", "intent",
    "emotion", "polarity", "stars", "rating",
)
# fmt: on

_SAMPLE_ROWS = 100


@dataclass(frozen=True)
class Table:
    """One split as it was found: files of rows, or a dataset.

    Args:
        name: how messages call it, such as 'reviews.csv' or 'train of imdb'.
        kinds: column to 'text', 'number', 'boolean', 'list', 'null', 'mixed' or an Arrow type;
            a csv column of numbers is 'digits'.
        class_names: column to the names of its labels, where they are stored as whole numbers.
        files: the files that hold the rows, in order, or
        dataset: the dataset that does.
        spelled: whether all values are spelled out as strings (csv, tsv).
    """

    name: str
    kinds: dict[str, str]
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    dataset: datasets.Dataset | None = None
    spelled: bool = False

    @classmethod
    def of_dataset(cls, name: str, dataset: datasets.Dataset) -> Table:
        """Describe a dataset."""
        schema = dataset.features.arrow_schema
        return cls(
            name,
            {column.name: _kind_of_type(column.type) for column in schema},
            {
                column: tuple(names.names)
                for column, feature in dataset.features.items()
                if isinstance(names := _item(feature), datasets.ClassLabel)
            },
            dataset=dataset,
        )

    @classmethod
    def of_files(cls, files: Sequence[Path]) -> Table:
        """Describe files of rows, which shall have the columns of the first one.

        Raises:
            DataError: the first file can't be read, or two files name the same labels in
                different orders.
        """
        first = files[0]
        name = str(first) if len(files) == 1 else f"{first} and {len(files) - 1} more"
        kinds = _kinds_of_file(first)
        class_names = _class_names_of_file(first)
        for other in files[1:]:
            if _class_names_of_file(other) != class_names:
                raise DataError(f"{first} and {other} name their labels differently")
        spelled = all(file_format(file) in ("csv", "tsv") for file in files)
        return cls(name, kinds, class_names, tuple(files), spelled=spelled)

    def cells(self, label_column: str, separator: str | None) -> LabelCells:
        """Say how the cells of the label column are read.

        Args:
            label_column: its name.
            separator: what stands between several labels in a cell of text, if it was given.
        """
        if self.kinds[label_column] == "list":
            return LabelCells(lists=True)
        return LabelCells(separator=separator)

    def open(
        self,
        text_columns: Sequence[str],
        label_column: str | None,
        cells: LabelCells = ONE_LABEL,
    ) -> datasets.Dataset:
        """Give the rows with only the columns asked for, memory-mapped.

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
            return self.dataset.select_columns(columns)
        for file in self.files[1:]:
            if file_format(file) != "jsonl":  # there, what a row does not have is null
                table = Table(str(file), dict.fromkeys(read_columns(file), ""))
                for column in columns:
                    flag = "--label-column" if column == label_column else "--text-column"
                    _check_there(table, column, flag)
        return import_files(self.files, text_columns, label_column, cells)


def choose_columns(table: Table, config: DataConfig) -> tuple[tuple[str, ...], str, list[str]]:
    """Decide which columns hold the texts and the label.

    Args:
        table: a split.
        config: the columns asked for; what isn't given is guessed if there is one good guess.

    Returns:
        (text columns, label column, notes on what was guessed).

    Raises:
        DataError: a column is missing, can't be guessed or holds something else.
    """
    label = config.label_column or _guess_label(table, config)
    text = config.text_column or _guess_text(table, label)
    if not text or label is None:
        raise _cannot_tell(table, [] if text else ["text"], [] if label else ["label"])
    check_columns(table, text, label)
    guessed = [] if config.text_column else [f"text {text[0]!r}"]
    guessed += [] if config.label_column else [f"label {label!r}"]
    return text, label, _guess_notes(table, guessed)


def choose_text_columns(table: Table, config: DataConfig) -> tuple[tuple[str, ...], list[str]]:
    """Decide which columns hold the texts, where no label is wanted (see `choose_columns`)."""
    label = config.label_column or _guess_label(table, config)
    text = config.text_column or _guess_text(table, label)
    if not text:
        raise _cannot_tell(table, ["text"], [])
    check_columns(table, text, None)
    return text, _guess_notes(table, [] if config.text_column else [f"text {text[0]!r}"])


def check_columns(table: Table, text_columns: Sequence[str], label_column: str | None) -> None:
    """Raise a `DataError` if a column isn't there or can't hold what it is wanted for."""
    wanted = [*text_columns, label_column]
    for column in text_columns:
        _check_there(table, column, "--text-column")
        if wanted.count(column) > 1:
            raise DataError(f"column {column!r} is asked for twice: name each column once")
        kind = "class label" if column in table.class_names else table.kinds[column]
        if kind not in ("text", "digits", "mixed", "null"):
            raise DataError(
                f"column {column!r} of {table.name} holds {kind} values, not text: "
                "pass --text-column"
            )
    if label_column is None:
        return
    _check_there(table, label_column, "--label-column")
    kind = table.kinds[label_column]
    if kind not in ("text", "digits", "number", "boolean", "list", "mixed", "null"):
        raise DataError(
            f"label column {label_column!r} of {table.name} holds {kind} values: each row needs a "
            "label, a string, whole number or boolean, or a list of labels"
        )


def _check_there(table: Table, column: str, flag: str) -> None:
    if column not in table.kinds:
        raise DataError(
            f"column {column!r} is not in {table.name}; its columns are {_listing(table)}: "
            f"pass {flag}{_delimiter_hint(list(table.kinds))}"
        )


def _listing(table: Table) -> str:
    names = list(table.kinds)
    more = f" and {len(names) - 30} more" if len(names) > 30 else ""
    return ", ".join(names[:30]) + more


def _delimiter_hint(columns: Sequence[str]) -> str:
    """Say so if a csv seems to be separated by something else than commas."""
    if len(columns) == 1:
        for mark in (";", "\t", "|", ","):
            if mark in columns[0]:
                return f" (its columns seem to be separated by {mark!r}: csv has ',', tsv tabs)"
    return ""


def _cannot_tell(table: Table, *unknown: list[str]) -> DataError:
    parts = [part for group in unknown for part in group]
    flags = " and ".join(f"--{part}-column" for part in parts)
    return DataError(
        f"cannot tell which column of {table.name} is the {' and the '.join(parts)}; "
        f"its columns are {_listing(table)}: pass {flags}{_delimiter_hint(list(table.kinds))}"
    )


def _guess_notes(table: Table, guessed: Sequence[str]) -> list[str]:
    return [f"columns guessed in {table.name}: {', '.join(guessed)}"] if guessed else []


def _guess_label(table: Table, config: DataConfig) -> str | None:
    """Give the only column with a label's name, else the only one of named classes."""
    named = _named(table, LABEL_NAMES, config.text_column)
    if not named:
        named = [column for column in table.class_names if column not in config.text_column]
    return named[0] if len(named) == 1 else None


def _guess_text(table: Table, label: str | None) -> tuple[str, ...]:
    """Give the only column with a text's name, else the only one of strings; or nothing."""
    found = _named(table, TEXT_NAMES, (label,))
    if len(found) != 1:
        found = [column for column, kind in table.kinds.items() if kind == "text"]
        found = [column for column in found if column != label]
    return tuple(found) if len(found) == 1 else ()


def _named(table: Table, names: Sequence[str], taken: Sequence[str | None]) -> list[str]:
    """Give the free columns with one of `names`."""
    free = [column for column in table.kinds if column not in taken]
    return [column for column in free if column.strip().lower() in names]


def _kind_of_type(type_: Any) -> str:
    types = pa.types
    if types.is_dictionary(type_):
        type_ = type_.value_type
    if types.is_string(type_) or types.is_large_string(type_):
        return "text"
    if types.is_integer(type_) or types.is_floating(type_):
        return "number"
    if types.is_boolean(type_):
        return "boolean"
    if types.is_null(type_):
        return "null"
    if is_list_type(type_):
        return "list"
    return str(type_)


def _kinds_of_file(file: Path) -> dict[str, str]:
    kind = file_format(file)
    if kind == "parquet":
        with clear_errors(file), open_parquet(file) as parquet:
            return {column.name: _kind_of_type(column.type) for column in parquet.schema_arrow}
    columns = read_columns(file) if kind != "jsonl" else []
    seen: dict[str, set[str]] = {column: set() for column in columns}
    for row in itertools.islice(read_rows(file), _SAMPLE_ROWS):
        if row.error:
            hint = _delimiter_hint(columns) if kind != "jsonl" else ""
            raise DataError(f"row {row.number} of {file} does not parse: {row.error}{hint}")
        for column, value in row.values.items():
            seen.setdefault(column, set()).add(_kind_of_value(value, spelled=kind != "jsonl"))
    return {column: _common_kind(kinds - {"null"}, kind) for column, kinds in seen.items()}


def _common_kind(kinds: set[str], format: str) -> str:
    if len(kinds) == 1:
        return kinds.pop()
    if format == "jsonl":
        return "list" if "list" in kinds else "mixed" if kinds else "null"
    return "text"


def _kind_of_value(value: Any, *, spelled: bool) -> str:
    if spelled:
        if not value:
            return "null"
        try:
            float(value)
        except ValueError:
            return "text"
        return "digits"
    if isinstance(value, bool):
        return "boolean"
    if bad_text(value) == "null":
        return "null"
    names = {str: "text", int: "number", float: "number", list: "list", dict: "object"}
    return names[type(value)]


def _item(feature: Any) -> Any:
    """Give what a feature of lists holds in its lists, and any other feature itself."""
    if isinstance(feature, list) and len(feature) == 1:
        return feature[0]
    if isinstance(feature, dict):  # as JSON
        return feature.get("feature", feature)
    return getattr(feature, "feature", feature)


def _class_names_of_file(file: Path) -> dict[str, tuple[str, ...]]:
    """Read the names of label columns from the metadata that `datasets` writes into parquet."""
    if file_format(file) != "parquet":
        return {}
    with clear_errors(file), open_parquet(file) as parquet:
        metadata = parquet.schema_arrow.metadata or {}
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        items = {column: _item(feature) for column, feature in features.items()}
        return {
            column: tuple(str(name) for name in item["names"])
            for column, item in items.items()
            if isinstance(item, dict) and item.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError):  # not written by `datasets`
        return {}
