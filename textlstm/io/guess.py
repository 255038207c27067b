"""The columns of a table: the kind of each, and which one holds the texts or the labels."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from textlstm.errors import DataError
from textlstm.io.formats import DELIMITERS, clear_errors, file_format, open_parquet
from textlstm.io.readers import Row, bad_text, cell_of, csv_delimiter, read_columns, read_rows

logger = logging.getLogger(__name__)

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
LISTS_AND_TEXT = "lists and text"  # of labels, or of texts with bad rows among them
TEXT_KINDS = ("text", "digits", "mixed", "null", LISTS_AND_TEXT)
LABEL_KINDS = (*TEXT_KINDS, "number", "boolean", "list")

_SAMPLE_ROWS = 100
_MOST_WORDS = 5  # of a column's name
_PLAIN_FORMATS = ("txt", "folder")


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table.

    Args:
        name: how messages call the table, such as 'reviews.csv' or 'train of imdb'.
        kinds: column to 'text', 'number', 'boolean', 'list', 'null', 'mixed', `LISTS_AND_TEXT` or
            an Arrow type; a csv column of numbers is 'digits'.
        class_names: column to the names of its labels, where they are stored as whole numbers.
        suspect: the name of a column that looks like the cell of a row.
    """

    name: str
    kinds: dict[str, str]
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    suspect: str = ""

    def guess_label(self, taken: Sequence[str] = ()) -> str | None:
        """Return the only column with a label's name, else the only one of named classes.

        Args:
            taken: columns that hold something else.
        """
        named = self._named(LABEL_NAMES, taken)
        named = named or [column for column in self._free(taken) if column in self.class_names]
        return named[0] if len(named) == 1 else None

    def guess_text(self, label: str | None) -> tuple[str, ...]:
        """Return the only column with a text's name, else the only one of strings, else none.

        Args:
            label: the column of the labels.
        """
        found = self._named(TEXT_NAMES, (label,))
        if len(found) != 1:
            found = [column for column in self._free((label,)) if self.kinds[column] == "text"]
        if not found and len(self.kinds) == 1:
            found = list(self.kinds)
        return tuple(found) if len(found) == 1 else ()

    def choose_texts(
        self, asked: Sequence[str], label: str | None = None
    ) -> tuple[tuple[str, ...], list[str]]:
        """Return the columns with the texts and notes on what was guessed.

        Args:
            asked: the columns asked for; if there are none, the one good guess is taken.
            label: the column of the labels, if it is known.

        Raises:
            DataError: a column is missing, can't be guessed or holds something else.
        """
        text = tuple(asked) or self.guess_text(label or self.guess_label())
        if not text:
            raise self.unclear("text")
        self.require_texts(text)
        return text, self.guess_notes(*[] if asked else [f"text {text[0]!r}"])

    def guess_notes(self, *guessed: str) -> list[str]:
        """Return the note on guessed columns, each given as "text 'review'".

        Raises:
            DataError: the table seems to have no line of column names.
        """
        if guessed and self.suspect:
            raise DataError(
                f"the first line of {self.name} looks like a row, not like the names of columns "
                f"({self.suspect!r:.60}): add a line such as text,label above it, or pass "
                "--text-column and --label-column if it does name them"
            )
        return [f"columns detected in {self.name}: {', '.join(guessed)}"] if guessed else []

    def require_texts(self, columns: Sequence[str], label: str | None = None) -> None:
        """Raise a `DataError` if a column isn't there, is named twice or can't hold texts."""
        for column in columns:
            self.require(column, "--text-column")
            if [*columns, label].count(column) > 1:
                raise DataError(f"column {column!r} is asked for twice: name each column once")
            kind = "class label" if column in self.class_names else self.kinds[column]
            if kind not in TEXT_KINDS:
                raise DataError(
                    f"column {column!r} of {self.name} holds {kind} values, not text: "
                    "pass --text-column"
                )

    def require_label(self, column: str) -> None:
        """Raise a `DataError` if a column isn't there or can't hold labels."""
        self.require(column, "--label-column")
        if self.kinds[column] not in LABEL_KINDS:
            raise DataError(
                f"label column {column!r} of {self.name} holds {self.kinds[column]} values: each "
                "row needs a label, a string, whole number or boolean, or a list of labels"
            )

    def require(self, column: str, flag: str) -> None:
        """Raise a `DataError` with the flag that mends it if a column isn't there."""
        if column not in self.kinds:
            raise DataError(
                f"column {column!r} is not in {self.name}; its columns are {self._listing()}: "
                f"pass {flag}{delimiter_hint(self.kinds)}"
            )

    def unclear(self, *parts: str) -> DataError:
        """Return the error for what can't be guessed: 'text', 'label' or both."""
        self.guess_notes(*parts)
        flags = " and ".join(f"--{part}-column" for part in parts)
        return DataError(
            f"cannot tell which column of {self.name} is the {' and the '.join(parts)}; its "
            f"columns are {self._listing()}: pass {flags}{delimiter_hint(self.kinds)}"
        )

    def _named(self, names: Sequence[str], taken: Sequence[str | None]) -> list[str]:
        return [column for column in self._free(taken) if column.strip().lower() in names]

    def _free(self, taken: Sequence[str | None]) -> list[str]:
        """Return the columns that are not taken and do not lie within others."""
        free = [column for column in self.kinds if column not in taken]
        return [column for column in free if column.rpartition(".")[0] not in self.kinds]

    def _listing(self) -> str:
        names = list(self.kinds)
        return ", ".join(names[:30]) + (f" and {len(names) - 30} more" if names[30:] else "")


@functools.cache  # once for each file
def _log_delimiter(path: Path, mark: str) -> None:
    logger.info("%s: cells are separated by %r (detected; --delimiter sets it)", path, mark)


def _suspect_header(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of a csv column that looks like the cell of a row, or ''.

    A name that texts or labels often have speaks for a line of names. Otherwise a name is suspect
    that is a number, has five words or more, or is also a value in its column.
    """
    if any(column.strip().lower() in TEXT_NAMES + LABEL_NAMES for column in columns):
        return ""
    for column in columns:
        number = _kind_of_value(column, spelled=True) == "digits"
        repeated = column.strip() and any(row.get(column) == column for row in rows)
        if number or repeated or len(column.split()) >= _MOST_WORDS:
            return column
    return ""


def delimiter_hint(columns: Iterable[str]) -> str:
    """Return a remark for a csv that seems to be separated by something else than commas."""
    names = list(columns)
    if len(names) == 1:
        for mark in (";", "\t", "|", ","):
            if mark in names[0]:
                return f" (its columns seem to be separated by {mark!r}: pass it as --delimiter)"
    return ""


def kinds_of_schema(schema: pa.Schema, head: str = "") -> dict[str, str]:
    """Return the kind of each column of an Arrow schema (see `TableColumns`), after `head`."""
    kinds: dict[str, str] = {}
    for column in schema:
        kinds[head + column.name] = _kind_of_type(column.type)
        if pa.types.is_struct(column.type):
            kinds |= kinds_of_schema(column.type, f"{head}{column.name}.")
    return kinds


def look_at_file(
    path: Path, *, strict: bool = True, delimiter: str | None = None, wanted: Sequence[str] = ()
) -> tuple[dict[str, str], str]:
    """Find the columns of a file, from its schema or its first 100 rows.

    Json lines are read on until each wanted column has a value, at most to the end. The
    delimiter of a csv or tsv is logged if it is detected and not the usual one.

    Args:
        path: a file that `read_rows` reads.
        strict: whether a row that can't be read is an error.
        delimiter: as for `read_rows`.
        wanted: columns that are asked for.

    Returns:
        (`kinds` and `suspect` of `TableColumns`).

    Raises:
        DataError: the file can't be read; if `strict`, also if one of these rows can't.
    """
    format = file_format(path)
    if format == "parquet":
        with clear_errors(path), open_parquet(path) as parquet:
            return kinds_of_schema(parquet.schema_arrow), ""
    if format in DELIMITERS and delimiter is None:
        delimiter = csv_delimiter(path, format)
        if delimiter != DELIMITERS[format]:
            _log_delimiter(path, delimiter)
    columns = read_columns(path, delimiter=delimiter) if format != "jsonl" else []
    if format in _PLAIN_FORMATS:
        return dict.fromkeys(columns, "text"), ""
    rows = []
    for row in _sample(read_rows(path, delimiter=delimiter), wanted if format == "jsonl" else ()):
        if row.error and strict:
            hint = delimiter_hint(columns)
            raise DataError(f"row {row.number} of {path} does not parse: {row.error}{hint}")
        rows.append(row.values)
    return kinds_of_rows(rows, columns, spelled=format != "jsonl"), _suspect_header(columns, rows)


def _sample(rows: Iterator[Row], wanted: Sequence[str]) -> Iterator[Row]:
    """Yield the first 100 rows; then, for each wanted column that is null in all of them, 100 more.

    These begin with its first value.
    """
    missing = list(wanted)

    def is_null(row: Row, column: str) -> bool:
        return bad_text(cell_of(row.values, column)) == "null"

    def adds_nothing(row: Row) -> bool:
        return all(is_null(row, column) for column in missing)

    later = rows
    while part := list(itertools.islice(later, _SAMPLE_ROWS)):
        yield from part
        missing = [column for column in missing if all(is_null(row, column) for row in part)]
        if not missing:
            return
        later = itertools.dropwhile(adds_nothing, rows)


def kinds_of_rows(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = (), *, spelled: bool = False
) -> dict[str, str]:
    """Return the kind of each column of some rows.

    Args:
        rows: column to value.
        columns: columns that are there even if no row has them.
        spelled: whether all values are spelled out as strings (csv, tsv).
    """
    seen: dict[str, set[str]] = {column: set() for column in columns}
    for row in rows:
        for column, value in _flat(row):
            seen.setdefault(column, set()).add(_kind_of_value(value, spelled=spelled))
    return {column: _common_kind(kinds - {"null"}, spelled) for column, kinds in seen.items()}


def _flat(values: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    """Yield columns with their values, those within others after them as `body.text`."""
    for name, value in values.items():
        yield head + name, value
        if isinstance(value, Mapping):
            yield from _flat(value, f"{head}{name}.")


def _common_kind(kinds: set[str], spelled: bool) -> str:
    if len(kinds) == 1:
        return kinds.pop()
    if spelled:
        return "text"
    if "list" in kinds:
        return LISTS_AND_TEXT if "text" in kinds else "list"
    return "mixed" if kinds else "null"


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
    kinds = {str: "text", int | float: "number", list: "list", dict: "object"}
    found = (kind for type_, kind in kinds.items() if isinstance(value, type_))
    return next(found, type(value).__name__)


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
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        return "list"
    return str(type_)


def class_names_of_file(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the label names of columns, which `datasets` writes into the metadata of parquet."""
    if file_format(path) != "parquet":
        return {}
    import datasets  # takes a second

    with clear_errors(path), open_parquet(path) as parquet:
        schema = parquet.schema_arrow
    try:
        features = datasets.Features.from_arrow_schema(schema)
    except Exception:  # the metadata were not written by `datasets`
        return {}
    return class_names_of_features(features)


def class_names_of_features(
    features: Mapping[str, Any], head: str = ""
) -> dict[str, tuple[str, ...]]:
    """Return the names of the columns of a `datasets.Dataset` that are a `ClassLabel`.

    Args:
        features: column to feature.
        head: as for `kinds_of_schema`.
    """
    names: dict[str, tuple[str, ...]] = {}
    for column, feature in features.items():
        item = getattr(feature, "feature", feature)  # of a list of labels, those of its items
        if isinstance(feature, Mapping):
            names |= class_names_of_features(feature, f"{head}{column}.")
        elif hasattr(item, "names"):
            names[head + column] = tuple(item.names)
    return names
