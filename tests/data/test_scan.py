from __future__ import annotations

from typing import Any

import datasets
import pyarrow as pa
import pytest

from textlstm.data.columns import Table
from textlstm.data.scan import Scan, joined_texts, scan_table
from textlstm.errors import DataError


def scan(columns: dict[str, Any], *text: str, chunks: int = 1) -> Scan:
    table = pa.table(columns)
    step = max(1, -(-len(table) // chunks))
    parts = [table.slice(start, step) for start in range(0, len(table), step)]
    dataset = datasets.Dataset(pa.concat_tables(parts) if parts else table)
    return scan_table(Table.of_dataset("train", dataset), text or ("text",), "label")


def test_rows_without_text_or_label_are_found_and_counted() -> None:
    found = scan({"text": ["a", None, "", "d", None], "label": ["x", "y", "y", None, None]})
    assert found.rows.tolist() == [0]
    assert [found.names[code] for code in found.codes] == ["x"]
    assert found.notes() == [
        "train: rows left out: 3 without a text, 1 without a label (of 5)",
    ]


@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u3000\xa0", "\x1c"])
def test_white_space_alone_is_no_text(blank: str) -> None:
    found = scan({"text": ["a", blank, f"{blank}b"], "label": ["x", "y", "z"]})
    assert found.rows.tolist() == [0, 2]
    assert found.notes() == ["train: rows left out: 1 without a text (of 3)"]


def test_rows_are_found_beyond_the_first_batch() -> None:
    text: list[str | None] = ["a"] * 2500
    text[1200] = text[2400] = None
    found = scan({"text": text, "label": [0] * 2500}, chunks=3)
    assert found.rows.tolist() == [i for i in range(2500) if i not in (1200, 2400)]


def test_a_label_seen_only_without_a_text_is_no_label() -> None:
    assert scan({"text": ["a", None, "c"], "label": ["x", "lost", "y"]}).names == ["x", "y"]


def test_no_rows_and_no_usable_rows_are_both_fine() -> None:
    empty = scan({"text": pa.array([], pa.string()), "label": pa.array([], pa.int64())})
    assert (len(empty.rows), empty.names, empty.notes()) == (0, [], [])
    nulls = scan({"text": pa.nulls(3), "label": pa.nulls(3)})
    assert (len(nulls.rows), nulls.names) == (0, [])


def test_the_digest_knows_the_texts_and_where_they_end() -> None:
    label = ["x", "y", "x"]
    same = [
        scan({"text": ["ab", "c", "é"], "label": label}),
        scan({"text": ["ab", "c", "é"], "label": label}, chunks=3),
        scan({"text": pa.array(["ab", "c", "é"], pa.large_string()), "label": label}),
    ]
    assert len({found.digest for found in same}) == 1
    for other in (["a", "bc", "é"], ["ab", "c", "e"], ["c", "ab", "é"], ["ab", "cé", ""]):
        assert scan({"text": other, "label": label}).digest != same[0].digest


def test_texts_that_are_not_utf8_name_their_row() -> None:
    raw = pa.array([b"a"] * 1200 + [b"caf\xe9"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 1201, raw.buffers())
    with pytest.raises(DataError, match="row 1201 of train: the text is not UTF-8"):
        scan({"text": text, "label": [0] * 1201})


def test_labels_that_cannot_be_labels_name_their_rows() -> None:
    with pytest.raises(DataError, match=r"'label' in rows 1,001 to 1,500 of train: label inf"):
        scan({"text": ["a"] * 1500, "label": [1.0] * 1400 + [float("inf")] * 100})


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary("int8", "string")])
def test_texts_are_joined_by_a_space_and_null_only_if_all_are(kind: Any) -> None:
    batch = pa.record_batch(
        {
            "a": pa.array(["x", None, None, ""]).cast(kind),
            "b": pa.array(["y", "z", None, None], pa.string()),
        }
    )
    assert joined_texts(batch, ["a", "b"]).to_pylist() == ["x y", " z", None, " "]
    assert joined_texts(batch, ["a"]).to_pylist() == ["x", None, None, ""]
    assert joined_texts(batch, ["b", "a"]).to_pylist() == ["y x", "z ", None, " "]
