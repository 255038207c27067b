"""What is written reads back equal, in every format, and appears only when it is whole."""

import datetime
import decimal
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.errors import DataError, OutputError
from textlstm.row_writers import columns_of, open_writer
from textlstm.rows import read_rows

STRINGS = pa.schema([("a", pa.string()), ("b", pa.string())])
AWKWARD = [
    {"a": "plain", "b": ""},
    {"a": 'quote " comma , tab \t', "b": "line\nbreak"},
    {"a": "carriage\rreturn", "b": "both\r\nof them"},
    {"a": "  spaces  ", "b": "schön 映画 \u2028 😀"},
    {"a": "'", "b": "\\n # ="},
]


def written(path, rows, columns=STRINGS, **options):
    with open_writer(path, columns, **options) as writer:
        for row in rows:
            writer.write([row])
    return path


def values(path):
    rows = list(read_rows(path))
    assert [row.error for row in rows] == [None] * len(rows)
    return [row.values for row in rows]


@pytest.mark.parametrize(
    "name", ["x.csv", "x.tsv", "x.jsonl", "x.parquet", "x.csv.gz", "x.jsonl.gz", "x.tsv.zst"]
)
def test_awkward_strings_read_back_equal(tmp_path, name):
    assert values(written(tmp_path / name, AWKWARD)) == AWKWARD


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.jsonl.zst", "x.parquet"])
def test_equal_rows_give_equal_bytes(tmp_path, name):
    first = written(tmp_path / "1" / name, AWKWARD).read_bytes()
    assert written(tmp_path / "2" / name, AWKWARD).read_bytes() == first


def test_the_only_cell_of_a_row_may_be_empty(tmp_path):
    columns = pa.schema([("a", pa.string())])
    rows = [{"a": ""}, {"a": "x"}, {"a": ""}]
    assert values(written(tmp_path / "x.csv", rows, columns)) == rows


def test_lines_of_csv_end_in_a_line_feed(tmp_path):
    assert written(tmp_path / "x.csv", [{"a": "1", "b": "2"}]).read_bytes() == b"a,b\n1,2\n"


def test_in_csv_null_is_an_empty_cell_and_other_values_are_json(tmp_path):
    rows = [
        {"a": None, "b": 1},
        {"a": 0.5, "b": True},
        {"a": [1, "x"], "b": {"k": None}},
        {"a": math.nan, "b": datetime.date(2024, 5, 1)},
        {"b": "no a"},
    ]
    assert [list(row.values()) for row in values(written(tmp_path / "x.csv", rows))] == [
        ["", "1"],
        ["0.5", "true"],
        ['[1, "x"]', '{"k": null}'],
        ["", "2024-05-01"],
        ["", "no a"],
    ]


def test_json_lines_hold_json_and_nothing_else(tmp_path):
    rows = [
        {"a": math.nan, "b": [math.inf, 1.5]},
        {"a": decimal.Decimal("1.10"), "b": b"\xff"},
        {"a": datetime.datetime(2024, 5, 1, 12, 30), "b": None},
    ]
    lines = written(tmp_path / "x.jsonl", rows).read_text(encoding="utf-8").splitlines()

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    assert [json.loads(line, parse_constant=refuse) for line in lines] == [
        {"a": None, "b": [None, 1.5]},
        {"a": "1.10", "b": "/w=="},
        {"a": "2024-05-01T12:30:00", "b": None},
    ]


def test_bytes_that_are_no_utf8_stay_as_they_are_in_csv_and_are_marked_elsewhere(tmp_path):
    text = b"caf\xe9".decode("utf-8", "surrogateescape")
    rows = [{"a": text, "b": "\ud800 alone"}]
    assert b"caf\xe9,\xef\xbf\xbd alone" in written(tmp_path / "x.csv", rows).read_bytes()
    for name in ("x.jsonl", "x.parquet"):
        assert values(written(tmp_path / name, rows)) == [{"a": "caf\ufffd", "b": "\ufffd alone"}]


def test_parquet_keeps_the_types_of_a_parquet_input(tmp_path):
    table = pa.table(
        {
            "text": pa.array(["a", None]),
            "n": pa.array([1, None], pa.int16()),
            "day": pa.array([datetime.date(2024, 5, 1), None]),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "tags": pa.array([["p"], []], pa.list_(pa.string())),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    columns = columns_of(tmp_path / "in.parquet", "parquet")
    with open_writer(tmp_path / "out.parquet", columns) as writer:
        writer.write(values(tmp_path / "in.parquet"))
    assert pq.read_table(tmp_path / "out.parquet").equals(table)


def test_columns_of_json_lines_are_those_of_all_rows(tmp_path):
    path = tmp_path / "x.jsonl"
    lines = [{"a": 1}] * 1500 + [{"b": "x", "a": 2.5, "c": None}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert columns_of(path, "csv").names == ["a", "b", "c"]
    assert columns_of(path, "parquet") == pa.schema(
        [("a", pa.float64()), ("b", pa.string()), ("c", pa.string())]
    )


def test_a_column_of_mixed_json_values_is_refused_for_parquet_only(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n{"a": "x"}\n')
    with pytest.raises(DataError, match=r"column 'a'.*write json lines"):
        columns_of(path, "parquet")
    assert columns_of(path, "csv").names == ["a"]


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("old")
    with pytest.raises(OutputError, match=r"x\.csv exists: pass --overwrite"):
        written(path, AWKWARD)
    assert path.read_text() == "old"
    assert values(written(path, AWKWARD, overwrite=True)) == AWKWARD


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl.gz", "x.parquet", "x.tsv.zst"])
def test_a_failure_leaves_no_file(tmp_path, name):
    def fail():
        with open_writer(tmp_path / name, STRINGS) as writer:
            writer.write(AWKWARD)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_the_column_cannot_hold_is_an_error(tmp_path):
    with pytest.raises(OutputError, match=r"x\.parquet"):
        written(tmp_path / "x.parquet", [{"a": 1}], pa.schema([("a", pa.list_(pa.string()))]))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"x\.docx"):
        written(tmp_path / "x.docx", [])
