from __future__ import annotations

from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pytest

from textlstm.config import DataConfig
from textlstm.data.corpus import load_whole
from textlstm.data.sources import find_tables
from textlstm.errors import DataError


def find(source: Any) -> Any:
    return find_tables(source, DataConfig())


def test_tables_of_the_sample_do_not_say_where_it_lies() -> None:
    found = find("sample")
    assert {split: table.name for split, table in found.splits.items()} == {
        split: f"{split} of sample" for split in ("train", "validation", "test")
    }


def test_texts_and_labels_are_taken() -> None:
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    found = find({"train": (["a"], [1]), "val": data})
    assert set(found.splits) == {"train", "validation"}
    assert found.splits["train"].kinds == {"text": "text", "label": "text"}


ROWS = [{"review": f"a {word} film", "stars": n} for n, word in enumerate(["dull", "fine"])]
FRAME = pd.DataFrame(ROWS, index=[7, 9])
ARROW = pa.table({"review": [row["review"] for row in ROWS], "stars": [0, 1]})
CATEGORIES = FRAME.assign(stars=FRAME["stars"].astype("category"))
NAMED = DataConfig(text_column=("review",), label_column="stars")


@pytest.mark.parametrize("rows", [ROWS, FRAME, CATEGORIES, ARROW])
@pytest.mark.parametrize("split", [True, False])
def test_rows_of_python_have_named_columns(rows: Any, split: bool) -> None:
    corpus = load_whole({"train": rows} if split else rows, NAMED)
    assert corpus.labels == ("0", "1")
    assert list(corpus.rows.texts()) == [["a dull film", "a fine film"]]


@pytest.mark.parametrize("pair", [(["a", "b"], [1, 2]), [["a", "b"], [1, 2]]])
def test_a_pair_of_texts_and_labels_is_one_table(pair: Any) -> None:
    assert find(pair).single
    assert list(load_whole(pair).rows.texts()) == [["a", "b"]]


def test_a_text_that_is_missing_in_a_table_is_left_out() -> None:
    frame = pd.DataFrame({"text": ["a", None, "b"], "label": ["x", "x", "y"]})
    assert list(load_whole(frame).rows.texts()) == [["a", "b"]]


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ({"train": (["a"], [1, 2])}, "1 texts and 2 labels: pass one label for each text"),
        ({"train": (["a"], None)}, "texts and labels must be lists, not one string or value"),
        ((3, 4), "texts and labels must be lists, not one string or value"),
        (pd.concat([FRAME, FRAME], axis=1), "a column cannot be read .*Duplicate column names"),
        (
            FRAME.assign(stars=pd.period_range("2020", periods=2)),
            "a column cannot be read .*period",
        ),
        (FRAME.assign(stars=1j), "a column cannot be read .*: each needs .* values of one type"),
        ({"train": ["a", "b", "c"]}, "split 'train' is a list: pass a pair"),
        ({"train": ("abc", [1, 2, 3])}, "not one string"),
        ([], "split 'train' is a list: pass a pair"),
        (["a", "b", "c"], "no such file: a"),
        ([{"text": "a"}, {"text": 3}], "a column cannot be read .*: each"),
        ([{"text": "a", "label": 2**63}], "a column cannot be read .*too .*: each"),
        (
            pa.table([["a"], ["b"]], ["text", "text"]),
            r"two columns of one name \(text, text\): each",
        ),
        (ARROW.to_batches()[0], "split 'train' is a RecordBatch: pass a pair"),
        ({"train": (["a", 3], [1, 2])}, "row 2 of split 'train' .* not a string"),
        ({"train": (["a", "\ud800"], [1, 2])}, "row 2 .* not UTF-8"),
        (
            {"train": (["a", "b"], [[1], 2])},
            "row 2 .* the label is 2, but other rows have lists: write ",
        ),
        ({"val": (["a"], [1]), "dev": (["a"], [1])}, "two splits for validation"),
        ({}, "no split"),
    ],
)
def test_bad_python_objects_are_named(source: Any, what: str) -> None:
    with pytest.raises(DataError, match=what):
        find(source)
