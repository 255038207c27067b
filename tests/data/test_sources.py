from __future__ import annotations

from typing import Any

import datasets
import pytest

from textlstm.config import DataConfig
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


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ({"train": (["a"], [1, 2])}, "1 texts and 2 labels"),
        ({"train": ["a", "b", "c"]}, "must be a pair"),
        ({"train": ("abc", [1, 2, 3])}, "not one string"),
        ({"train": (["a", 3], [1, 2])}, "row 2 of split 'train' .* not a string"),
        ({"train": (["a", "\ud800"], [1, 2])}, "row 2 .* not UTF-8"),
        ({"train": (["a", "b"], [[1], 2])}, "row 2 .* the label is 2 and no list"),
        ({"val": (["a"], [1]), "dev": (["a"], [1])}, "two splits for validation"),
        ({}, "no split"),
    ],
)
def test_bad_python_objects_are_named(source: Any, what: str) -> None:
    with pytest.raises(DataError, match=what):
        find(source)
