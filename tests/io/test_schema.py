"""The columns of files are known, with types that hold all values, before any row is used."""

import gzip
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.errors import DataError
from textlstm.io.schema import columns_of
from textlstm.io.writers import MIXED


def json_file(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_columns_of_json_lines_are_those_of_all_rows(tmp_path):
    rows = [{"a": 1}] * 1500 + [{"b": "x", "a": 2.5, "c": None}]
    path = json_file(tmp_path / "x.jsonl", rows)
    found, rows = columns_of([path], "csv")
    assert found.names == ["a", "b", "c"]
    assert rows == 1501
    assert columns_of([path], "parquet")[0] == pa.schema(
        [("a", pa.float64()), ("b", pa.string()), ("c", pa.string())]
    )


def test_types_of_json_lines_fit_all_files(tmp_path):
    first = json_file(tmp_path / "1.jsonl", [{"a": None, "b": 1}])
    second = json_file(tmp_path / "2.jsonl", [{"a": 7, "c": "x"}])
    found, rows = columns_of([first, second], "parquet")
    assert rows == 2
    assert found == pa.schema([("a", pa.int64()), ("b", pa.int64()), ("c", pa.string())])


def test_a_column_of_mixed_json_values_has_a_mark_for_parquet_only(tmp_path):
    path = json_file(tmp_path / "x.jsonl", [{"a": 1}, {"a": "x"}])
    assert columns_of([path], "parquet")[0] == pa.schema([("a", MIXED)])
    assert columns_of([path], "csv")[0] == pa.schema([("a", pa.string())])


@pytest.mark.parametrize("values", [({"y": 1.5}, {"y": True}), ([[1.5, True]],), ([1.5], [True])])
def test_booleans_beside_fractions_have_no_type_at_any_depth(tmp_path, values):
    path = json_file(tmp_path / "x.jsonl", [{"a": None}, *({"a": value} for value in values)])
    assert columns_of([path], "parquet")[0] == pa.schema([("a", MIXED)])


def test_whole_numbers_before_fractions_are_numbers_if_nothing_is_lost(tmp_path):
    path = json_file(tmp_path / "x.jsonl", [{"a": 2**53}] * 1000 + [{"a": 0.5}])
    assert columns_of([path], "parquet")[0] == pa.schema([("a", pa.float64())])


@pytest.mark.parametrize("rows", [1, 1000])
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [{"b": value}]])
def test_numbers_of_which_a_float_loses_some_have_no_type(tmp_path, rows, wrap):
    values = [0.5] * rows + [2**53 + 1]
    path = json_file(tmp_path / "x.jsonl", [{"a": wrap(value)} for value in values])
    assert columns_of([path], "parquet")[0] == pa.schema([("a", MIXED)])


@pytest.mark.parametrize(
    ("arrays", "kind"),
    [
        ([pa.array([1.5]), pa.array([2**53])], pa.float64()),
        ([pa.array([1.5]), pa.array([2**53 + 1])], MIXED),
        ([pa.array([2**53 + 1]), pa.array([1.5])], MIXED),
        ([pa.array([[1.5]]), pa.array([[2**53 + 1]])], MIXED),
        ([pa.array([2], pa.uint64()), pa.array([-1])], pa.int64()),
        ([pa.array([2**64 - 1], pa.uint64()), pa.array([-1])], MIXED),
        ([pa.array([Decimal("0.1")]), pa.array([0.1])], MIXED),
        ([pa.array([Decimal("1.5")]), pa.array([Decimal("1.25")])], pa.decimal128(3, 2)),
        ([pa.array([10**11], pa.timestamp("s")), pa.array([1], pa.timestamp("ns"))], MIXED),
        ([pa.array(["x"]), pa.array(["y"], pa.large_string())], pa.large_string()),
    ],
)
def test_a_column_of_parquet_files_has_a_type_that_holds_the_values_of_all(tmp_path, arrays, kind):
    paths = [tmp_path / f"{number}.parquet" for number in range(len(arrays))]
    for path, array in zip(paths, arrays, strict=True):
        pq.write_table(pa.table({"a": array}), path)
    assert columns_of(paths, "parquet")[0].field("a").type == kind
    assert columns_of(paths, "csv")[0].field("a").type != MIXED  # which has no types


def test_rows_of_parquet_are_counted_and_those_of_csv_are_not(tmp_path):
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    pq.write_table(pa.table({"a": pa.array([1, 2], pa.int8())}), paths[0])
    pq.write_table(pa.table({"a": pa.array([300], pa.int16())}), paths[1])
    found, rows = columns_of(paths, "parquet")
    assert rows == 3
    assert found.field("a").type == pa.int16()
    (tmp_path / "x.csv").write_text("a\n1\n")
    assert columns_of([tmp_path / "x.csv"], "csv")[1] is None


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_files_with_different_columns_are_refused(tmp_path, order):
    paths = [tmp_path / "1.csv", tmp_path / "2.csv"]
    paths[0].write_text("a,b\n1,2\n")
    paths[1].write_text("a\n1\n")
    with pytest.raises(DataError, match=r"1\.csv has a column 'b' and .*2\.csv has none"):
        columns_of([paths[number] for number in order], "csv")


def test_columns_may_stand_in_another_order(tmp_path):
    paths = [tmp_path / "1.csv", tmp_path / "2.csv"]
    paths[0].write_text("a,b\n")
    paths[1].write_text("b,a\n")
    assert columns_of(paths, "csv")[0].names == ["a", "b"]


def test_parquet_columns_of_types_that_do_not_go_together_are_refused(tmp_path):
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    pq.write_table(pa.table({"a": [1]}), paths[0])
    pq.write_table(pa.table({"a": ["x"]}), paths[1])
    with pytest.raises(DataError, match="columns of different types"):
        columns_of(paths, "csv")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "jsonl.gz"])
def test_empty_files_count_among_others_and_not_alone(tmp_path, kind):
    paths = [tmp_path / f"{number}.{kind}" for number in (1, 2)]
    line = b"a\n" if kind == "csv" else b'{"a": 1}\n'
    for path, data in zip(paths, (b"", line), strict=True):
        path.write_bytes(gzip.compress(data) if kind.endswith("gz") else data)
    assert columns_of(paths, "csv")[0].names == ["a"]
    if kind == "csv":
        paths[1].write_bytes(b"")
        with pytest.raises(DataError, match=r"1\.csv.* are empty"):
            columns_of(paths, "csv")
        with pytest.raises(DataError, match=r"1\.csv is empty"):
            columns_of(paths[:1], "csv")
