from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from textlstm.data.labels import (
    LabelCodes,
    label_ids,
    label_matrix,
    label_name,
    names_like,
    order_names,
    same_names,
)
from textlstm.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("pos", "pos"),
        (" pos", " pos"),
        (3, "3"),
        (-1, "-1"),
        (3.0, "3"),
        (3.5, "3.5"),
        (-0.0, "0"),
        (True, "true"),
        (False, "false"),
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        (10**40, "1" + "0" * 40),
        (None, None),
        (float("nan"), None),
        ("", None),
        (" \t", None),
    ],
)
def test_a_label_has_a_name(value: object, name: str | None) -> None:
    assert label_name(value) == name


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (float("inf"), "inf is not allowed"),
        ([1], "label is a list, but other rows have a single label: use one kind"),
        ({"a": 1}, "of type dict"),
        ("caf\udce9", "not UTF-8"),
    ],
)
def test_what_cannot_be_a_label_is_named(value: object, what: str) -> None:
    with pytest.raises(DataError, match=what):
        label_name(value)


def test_whole_numbers_are_ordered_by_value_and_strings_by_code_point() -> None:
    assert order_names({"10", "9", "-2", "0"}) == ["-2", "0", "9", "10"]
    assert order_names({"10", "9.5", "-2"}) == ["-2", "9.5", "10"]
    assert order_names({"10", "9", "b"}) == ["10", "9", "b"]
    assert order_names({"é", "z", "Z"}) == ["Z", "z", "é"]
    assert order_names({"007", "1", "10"}) == ["007", "1", "10"]
    long = ["99999999999999999999", "100000000000000000000", "100000000000000000001"]
    assert order_names(set(long)) == long
    assert order_names({"1.0", "1.00", "1"}) == ["1", "1.0", "1.00"]
    assert order_names({"true", "false"}) == ["false", "true"]


@pytest.mark.parametrize(
    ("names", "spelled"),
    [
        (["1.0", "-0.0", "-0", "12.00", "1.50", "3"], ["1", "0", "0", "12", "1.50", "3"]),
        (["1.1", "1.10", "1.0"], ["1.1", "1.10", "1"]),
        (["12345678901234567890.0", "12345678901234567891.0"],
         ["12345678901234567890", "12345678901234567891"]),
        (["True", "FALSE", "true"], ["true", "false", "true"]),
        (["1.0", "v1.0"], ["1.0", "v1.0"]),
        (["True", "maybe"], ["True", "maybe"]),
        (["007", "4.0"], ["007", "4.0"]),
        ([], []),
    ],
)  # fmt: skip
def test_booleans_and_numbers_are_spelled_alike_if_all_labels_are(
    names: list[str], spelled: list[str]
) -> None:
    found = same_names(names)
    assert [found[name] for name in names] == spelled


@pytest.mark.parametrize(
    ("names", "known", "expected"),
    [
        (["True", "no"], ["true", "false"], ["true", "no"]),
        (["True", "TRUE"], ["True", "true"], ["True", "true"]),
        (["1.0", "-0"], ["0.0", "1"], ["1", "0.0"]),
        (["1.00"], ["1", "1.0"], ["1"]),
        (["3.50", "9" * 400 + ".5"], ["3.5"], ["3.5", "9" * 400 + ".5"]),
        (["3.5"], ["3.50"], ["3.50"]),
        (["1.10"], ["1.1", "1.10"], ["1.10"]),
        (["1.1", "1.10"], ["1.1", "1.2"], ["1.1", "1.10"]),
        (["1.10"], ["1.1", "1.100"], ["1.10"]),
    ],
)
def test_names_are_spelled_as_those_known_are_unless_two_are_the_same_number(
    names: list[str], known: list[str], expected: list[str]
) -> None:
    assert names_like(names, known) == expected


def codes_of(labels: LabelCodes, array: Any) -> list[int]:
    """Return the code of each row, -1 where it has no label."""
    codes, rows, labelled = labels.encode(array)
    assert rows.tolist() == np.flatnonzero(labelled).tolist()
    assert codes.min(initial=0) == 0
    found = np.full(len(array), -1)
    found[rows] = codes
    return found.tolist()


@pytest.mark.parametrize(
    ("array", "names", "codes"),
    [
        (pa.array(["b", "a", None, "b", ""]), ["b", "a"], [0, 1, -1, 0, -1]),
        (pa.array([2, 2, None, 0]), ["2", "0"], [0, 0, -1, 1]),
        (pa.array([1.0, float("nan"), None]), ["1"], [0, -1, -1]),
        (pa.array([True, False, None]), ["true", "false"], [0, 1, -1]),
        (pa.array(["x", None, "x"]).dictionary_encode(), ["x"], [0, -1, 0]),
        (pa.array([None, None]), [], [-1, -1]),
        (pa.array([], pa.string()), [], []),
    ],
)
def test_labels_of_any_type_get_codes(array: Any, names: list[str], codes: list[int]) -> None:
    labels = LabelCodes(None)
    assert codes_of(labels, array) == codes
    assert list(labels.codes) == names


def test_codes_stay_the_same_from_batch_to_batch() -> None:
    labels = LabelCodes(None)
    labels.encode(pa.array(["b", "a"]))
    assert codes_of(labels, pa.array(["c", "a", "b"])) == [2, 1, 0]


def test_class_labels_are_numbers_even_if_their_names_look_like_others() -> None:
    labels = LabelCodes(("1", "2", "0"))
    assert codes_of(labels, pa.array([1, 0, -1, 2])) == [0, 1, -1, 2]
    assert list(labels.codes) == ["2", "1", "0"]
    with pytest.raises(DataError, match="label 3 has no name"):
        labels.encode(pa.array([3]))


def test_labels_that_are_not_utf8_are_refused() -> None:
    raw = pa.array([b"caf\xe9"], pa.binary())
    with pytest.raises(DataError, match="not UTF-8"):
        LabelCodes(None).encode(pa.Array.from_buffers(pa.string(), 1, raw.buffers()))


def test_labels_of_a_caller_are_names_or_where_no_name_is_a_number_ids() -> None:
    assert label_ids(["b", "a", "b"], ["a", "b"]).tolist() == [1, 0, 1]
    assert label_ids(np.array([1, 0]), ["a", "b"]).tolist() == [1, 0]
    assert label_ids([True, False], ["false", "true"]).tolist() == [1, 0]
    assert label_ids([5, "3"], ["3", "5"]).tolist() == [1, 0]
    assert label_ids([1.5, 2.0, -0.0], ["0", "1.50", "2"]).tolist() == [1, 2, 0]
    assert label_ids(["1.10", 1.1], ["1.1", "1.10"]).tolist() == [1, 0]
    with pytest.raises(ConfigError, match=r"unknown label '1\.1'"):  # which of the two is it?
        label_ids(["1.1"], ["1.10", "1.100"])
    assert label_ids([], ["a", "b"]).dtype == np.int64


@pytest.mark.parametrize(("label", "names"), [("c", ["a", "b"]), (2, ["a", "b"]), (0, ["3", "5"])])
def test_an_unknown_label_of_a_caller_is_named_with_those_there_are(
    label: Any, names: list[str]
) -> None:
    with pytest.raises(ConfigError, match=f"unknown label '{label}': .* labels are {names[0]}, "):
        label_ids([label], names)


def test_lists_of_labels_of_a_caller_become_a_matrix() -> None:
    names = ["a", "b", "c"]
    given = [["c", "a"], [], ("b",), {"b"}, np.array([0, 2]), ["a", "a"]]
    expected = [[1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 1, 0], [1, 0, 1], [1, 0, 0]]
    found = label_matrix(given, names)
    assert found.dtype == bool
    assert found.astype(int).tolist() == expected
    assert label_matrix([], names).shape == (0, 3)
    with pytest.raises(ConfigError, match="unknown label 'd': the model's labels are a, b, c"):
        label_matrix([["a"], ["d"]], names)
    with pytest.raises(ConfigError, match=r"labels of text 2 are 'a': .* pass a list for each"):
        label_matrix([["a"], "a"], names)
