"""Arrow cells become Python values; one bad cell costs its row and nothing else."""

import pyarrow as pa

from textlstm.io.arrow import batch_values

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
