"""Label values of any kind → names, and the order that makes names ids."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from textlstm.errors import ConfigError, DataError
from textlstm.io.arrow import cells_of
from textlstm.io.readers import bad_text

_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_WHOLE_AS_FLOAT = re.compile(r"(-?(?:0|[1-9][0-9]*))(?:\.0+)?")
_BOOLEANS = {"true", "false"}


def label_name(value: Any) -> str | None:
    """Return the name of a label.

    Args:
        value: a string, number or boolean.

    Returns:
        The string itself, '3' (also for 3.0, which is how pandas writes whole numbers beside a
        missing one), '3.5', 'true' or 'false'; None for None, NaN and blank strings.

    Raises:
        DataError: the value can't be a label; the message says what it is.
    """
    if value is None:
        return None
    if isinstance(value, str):
        if bad_text(value):
            raise DataError("the label is not UTF-8")
        return value if value.strip() else None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if value != value:
            return None
        if math.isinf(value):
            raise DataError(f"label {value} is not allowed: a label is a string, number or boolean")
        return str(int(value)) if value.is_integer() else repr(value)
    if is_list(value):
        raise DataError(
            "the label is a list, but other rows have a single label: use one kind throughout"
        )
    kind = type(value).__name__
    raise DataError(f"the label is of type {kind}: a label is a string, number or boolean")


@dataclass(frozen=True)
class LabelCells:
    """How the cells of a label column are read.

    Args:
        lists: whether each holds a list of labels.
        separator: what stands between the labels of a cell of text, where it may hold several.
    """

    lists: bool = False
    separator: str | None = None

    @property
    def multi_label(self) -> bool:
        """Whether a row may have any number of labels."""
        return self.lists or self.separator is not None

    def read(self, value: Any) -> str | list[str] | None:
        """Return the name of a cell's label, or the names of its labels.

        Args:
            value: of the cell.

        Returns:
            What `label_name` gives; where a row may have several, a list of such, without those
            that are null or blank, and None where the cell is null.

        Raises:
            DataError: a value can't be a label.
        """
        if not self.multi_label:
            return label_name(value)
        if is_list(value):
            if any(is_list(item) for item in value):
                raise DataError("a list of labels has a list in it: it must hold labels only")
            return [name for item in value if (name := label_name(item)) is not None]
        if self.separator is None:
            if label_name(value) is None:
                return None
            raise DataError(f"the label is {value!r}, but other rows have lists: write {[value]!r}")
        if isinstance(value, str) and not value.strip():
            return []
        names = label_name(value)
        if names is None:
            return None
        return [name.strip() for name in names.split(self.separator) if name.strip()]


ONE_LABEL = LabelCells()


def order_names(names: Collection[str]) -> list[str]:
    """Return label names in order: by value if all are numbers, else by code point."""
    if all(_NUMBER.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (Decimal(name), name))
    return sorted(names)


def same_names(names: Collection[str]) -> dict[str, str]:
    """Return how label names are spelled, so that they mean the same in every format.

    Args:
        names: all names of a label column, as they stand in files.

    Returns:
        Name to spelling: where all are booleans, 'true' for 'True'; where all are numbers, '4'
        for '4.0', but not '1.1' for '1.10', which may be sections; else the names themselves.
    """
    lower = {name: name.lower() for name in names}
    if _BOOLEANS.issuperset(lower.values()):
        return lower
    if all(_NUMBER.fullmatch(name) for name in names):
        return {name: spelled(name) for name in names}
    return {name: name for name in names}


def names_like(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return names as others spell them.

    Args:
        names: all names of a split.
        known: the names of train or of a model.

    Returns:
        For each name: itself if it is known; else the known name with the same `spelled` form;
        else the known name that is the same number ('3.5' for '3.50'), unless two names are.
    """
    same = {spelled(name): name for name in known} | {name: name for name in known}
    found = [same.get(name) or same.get(spelled(name)) for name in names]
    numbers = Counter(map(_number, {*names}))
    numbers_known = Counter(map(_number, {*known}))
    by_number = {_number(name): name for name in known if numbers_known[_number(name)] == 1}
    return [
        as_known or (by_number.get(_number(name), name) if numbers[_number(name)] == 1 else name)
        for name, as_known in zip(names, found, strict=True)
    ]


def spelled(name: str) -> str:
    """Return '4' for '4.0', '0' for '-0', 'true' for 'True' and any other name as it is."""
    if name.lower() in _BOOLEANS:
        return name.lower()
    if whole := _WHOLE_AS_FLOAT.fullmatch(name):
        return "0" if whole[1] == "-0" else whole[1]
    return name


def _number(name: str) -> str:
    """Return '3.5' for '3.50', '4' for '4.0' and any other name as it is."""
    if "." in name and _NUMBER.fullmatch(name) and math.isfinite(float(name)):
        return str(label_name(float(name)))
    return name


def near_names(labels: Sequence[str], name: str) -> list[str]:
    """Return a note on labels of a table that differ only in case or outer spaces, if any do."""
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(label.strip().casefold(), []).append(repr(label))
    pairs = [" and ".join(near) for near in alike.values() if len(near) > 1]
    if not pairs:
        return []
    return [f"{name}: labels that differ only in case or outer spaces: {'; '.join(pairs[:5])}"]


def label_ids(labels: Iterable[Any], names: Sequence[str]) -> np.ndarray:
    """Return the ids of labels that a caller passes.

    Args:
        labels: a name each, or an id if no name is a number, N of them.
        names: label names, index = id.

    Returns:
        int64 [N].

    Raises:
        ConfigError: a label is unknown.
    """
    by_name = _places(names)
    words = [_word(label) for label in labels]
    unknown = sorted({word for word in words if word not in by_name})
    if unknown:
        raise ConfigError(
            f"unknown label {', '.join(map(repr, unknown[:5]))}: "
            f"the model's labels are {', '.join(names)}"
        )
    return np.array([by_name[word] for word in words], np.int64)


def label_matrix(labels: Iterable[Any], names: Sequence[str]) -> np.ndarray:
    """Return which labels texts have; a text may have several.

    Args:
        labels: for each of N texts a list of labels as for `label_ids`, which may be empty.
        names: label names, index = id.

    Returns:
        bool [N, C].

    Raises:
        ConfigError: a label is unknown, or there is something else than a list.
    """
    rows = list(labels)
    for number, row in enumerate(rows, 1):
        if not is_list(row):
            raise ConfigError(
                f"the labels of text {number} are {row!r}: the model gives a text any number of "
                "labels, so pass a list for each"
            )
    matrix = np.zeros((len(rows), len(names)), bool)
    flat = label_ids([label for row in rows for label in row], names)
    matrix[np.repeat(np.arange(len(rows)), [len(row) for row in rows]), flat] = True
    return matrix


def is_list(value: Any) -> bool:
    """Whether a value is a list of labels, rather than one."""
    return isinstance(value, list | tuple | set | frozenset | np.ndarray)


def _places(names: Sequence[str]) -> dict[str, int]:
    """Return the ids of names, and of ids written as numbers if no name is one."""
    numbers = Counter(map(_number, names))
    by_name = {_number(n): i for i, n in enumerate(names) if numbers[_number(n)] == 1}
    by_name |= {spelled(name): i for i, name in enumerate(names)}
    by_name |= {name: i for i, name in enumerate(names)}
    if not any(name.lstrip("-").isdecimal() for name in names):
        by_name |= {str(i): i for i in range(len(names))}
    return by_name


def _word(label: Any) -> str:
    return str(label) if isinstance(label, str) else spelled(str(label))


class LabelCodes:
    """Codes for the label names of a split, in the order in which they turn up.

    Args:
        class_names: the names that whole-number labels stand for (a `ClassLabel`), or None.
    """

    def __init__(self, class_names: Sequence[str] | None) -> None:
        self.codes: dict[str, int] = {}
        """Name to code."""
        self._class_names = class_names

    def encode(
        self, array: Any, cells: LabelCells = ONE_LABEL
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the codes of the labels of some rows.

        Args:
            array: cells [N] of any Arrow type.
            cells: how they are read.

        Returns:
            (codes, int64 [M], values of `codes`; the row of each, int64 [M]; whether a row has
            a label or, where it may have several, is not null, bool [N]).

        Raises:
            DataError: a value can't be a label.
        """
        codes: list[int] = []
        rows: list[int] = []
        labelled = np.zeros(len(array), bool)
        for row, value in enumerate(cells_of(array)):
            if isinstance(value, UnicodeDecodeError):  # within a list
                raise DataError("a label is not UTF-8")
            names = cells.read(value)
            if names is not None:
                found = [
                    self._code(name) for name in ([names] if isinstance(names, str) else names)
                ]
                found = [code for code in found if code >= 0]
                codes += found
                rows += [row] * len(found)
                labelled[row] = bool(found) or cells.multi_label
        return np.array(codes, np.int64), np.array(rows, np.int64), labelled

    def _code(self, name: str) -> int:
        names = self._class_names
        if names is not None:
            if name == "-1":  # the mark of unlabelled rows in a ClassLabel column
                return -1
            # a name itself stays, unless it is a number too
            is_number = _WHOLE.fullmatch(name) is not None
            if is_number and 0 <= int(name) < len(names):
                name = names[int(name)]
            elif is_number or name not in names:
                raise DataError(f"label {name} has no name; the names are {', '.join(names[:20])}")
        return self.codes.setdefault(name, len(self.codes))
