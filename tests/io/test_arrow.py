"""Arrow cells become Python values; one bad cell costs its row and nothing else."""

import datetime
import json
import pickle

import pyarrow as pa

from textlstm.io.arrow import batch_values
from textlstm.io.writers import CsvEncoder, JsonEncoder, OutputRow

LATE = 10**12  # seconds: after the year 9999


def test_values_come_row_by_row():
    batch = pa.record_batch({"a": [1, None], "b": ["x", "y"]})
    assert list(batch_values(batch)) == [({"a": 1, "b": "x"}, None), ({"a": None, "b": "y"}, None)]


def test_a_table_may_have_many_pieces_and_none():
    table = pa.concat_tables([pa.table({"a": ["x"]}), pa.table({"a": ["y", None]})])
    values = [values for values, _ in batch_values(table)]
    assert values == [{"a": "x"}, {"a": "y"}, {"a": None}]
    assert list(batch_values(table.slice(0, 0))) == []


def test_a_cell_without_a_python_value_costs_its_row_only():
    batch = pa.record_batch({"a": pa.array([0, LATE], pa.timestamp("s")), "b": ["x", "y"]})
    (first, no_error), (second, error) = batch_values(batch)
    assert first["b"] == "x"
    assert no_error is None
    assert second == {}
    assert error.startswith("column 'a' cannot be read")


def test_bytes_that_are_no_utf8_become_surrogates():
    bad = pa.array([b"caf\xe9", b"ok", None], pa.binary())
    strings = pa.StringArray.from_buffers(3, *bad.buffers()[1:], bad.buffers()[0])
    codes = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), strings.slice(0, 2))
    for column in (strings, codes, pa.chunked_array([codes])):
        values = [row["a"] for row, _ in batch_values(pa.table({"a": column}))]
        assert values == ["caf\udce9", "ok", None]


def test_rows_without_columns_are_rows():
    batch = pa.record_batch({"a": [1, 2]}).select([])
    assert list(batch_values(batch)) == [({}, None)] * 2


def test_a_time_of_day_keeps_its_nanoseconds():
    clock = pa.array([2_000, 1_001, None], pa.time64("ns"))
    for column in (clock, pa.chunked_array([clock])):
        rows = [values for values, _ in batch_values(pa.table({"a": column}))]
        assert rows[0] == {"a": datetime.time(microsecond=2)}
        for kept in (rows, pickle.loads(pickle.dumps(rows))):
            assert pa.array([row["a"] for row in kept], clock.type).equals(clock)
    written = [OutputRow(row, {}) for row in rows]
    times = ["00:00:00.000002", "00:00:00.000001001", None]
    lines = JsonEncoder().encode(written).splitlines()
    assert [json.loads(line)["a"] for line in lines] == times
    assert CsvEncoder("csv", ("a",)).encode(written[1:2]) == b"00:00:00.000001001\n"
