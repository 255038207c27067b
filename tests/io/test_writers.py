"""What is written reads back equal, in every format, and chunks can stand behind each other."""

import datetime
import decimal
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.errors import OutputError
from textlstm.io.formats import COMPRESSIONS, file_format
from textlstm.io.readers import read_rows
from textlstm.io.schema import columns_of
from textlstm.io.writers import OutputRow, make_encoder

STRINGS = pa.schema([("a", pa.string()), ("b", pa.string())])
AWKWARD = [
    {"a": "plain", "b": ""},
    {"a": 'quote " comma , tab \t', "b": "line\nbreak"},
    {"a": "carriage\rreturn", "b": "both\r\nof them"},
    {"a": "  spaces  ", "b": "schön 映画 \u2028 😀"},
    {"a": "'", "b": "\\n # ="},
]


def written(path, rows, columns=STRINGS, at_once=1):
    """Write rows, some of them at a time."""
    compression = path.suffix if path.suffix in COMPRESSIONS else ""
    kind = file_format(path)
    encoder = make_encoder(kind, columns, compression)
    out = [OutputRow(row, {}) for row in rows]
    parts = [encoder.encode(out[at : at + at_once]) for at in range(0, len(out), at_once)]
    path.parent.mkdir(exist_ok=True)
    if kind == "parquet":
        tables = [pa.ipc.open_stream(part).read_all() for part in parts]
        pq.write_table(pa.concat_tables(tables), path)
    else:
        path.write_bytes(encoder.begin() + b"".join(parts))
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


def test_a_carriage_return_changes_only_how_its_own_row_is_quoted(tmp_path):
    rows = [{"a": "1", "b": "2"}, {"a": "x\ry", "b": "3"}, {"a": "4", "b": "5,"}]
    expected = b'a,b\n1,2\n"x\ry","3"\n4,"5,"\n'
    assert written(tmp_path / "x.csv", rows, at_once=3).read_bytes() == expected


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


@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
def test_a_nul_byte_that_csv_readers_refuse_is_marked(tmp_path, name):
    rows = [{"a": "nul \0 byte", "b": 'two\nlines\0 of "é"'}, {"a": "next", "b": "row"}]
    marked = [{"a": "nul \ufffd byte", "b": 'two\nlines\ufffd of "é"'}, rows[1]]
    assert values(written(tmp_path / name, rows)) == marked
    columns = pa.schema({"a\0": pa.string()})
    assert values(written(tmp_path / name, [{"a\0": "x"}], columns)) == [{"a\ufffd": "x"}]
    for kept in ("x.jsonl", "x.parquet"):
        assert values(written(tmp_path / kept, rows)) == rows


def test_parquet_keeps_the_types_of_a_parquet_input(tmp_path):
    table = pa.table(
        {
            "text": pa.array(["a", None]),
            "n": pa.array([1, None], pa.int16()),
            "day": pa.array([datetime.date(2024, 5, 1), None]),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "tags": pa.array([["p"], []], pa.list_(pa.string())),
            "clock": pa.array([1_001, 2_000], pa.time64("ns")),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    columns = columns_of([tmp_path / "in.parquet"], "parquet")[0]
    written(tmp_path / "out.parquet", values(tmp_path / "in.parquet"), columns)
    assert pq.read_table(tmp_path / "out.parquet").equals(table)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"a": 1.10, "b": 1E400}', '{"a": 1.10, "b": 1E400, "label": "good"}'),
        ('{ "a":"\\u00e9\\ud800" }', '{ "a":"\\u00e9\\ufffd", "label": "good"}'),
        ('{"a": "\\ud83d\\ude00 \\\\ud800"}', '{"a": "\\ud83d\\ude00 \\\\ud800", "label": "good"}'),
        ('{"a": 1.10, "b": NaN}', '{"a": 1.10, "b": null, "label": "good"}'),
        ("{}", '{"label": "good"}'),
        ("{ }", '{"label": "good"}'),
        ('{"a": NaN}', '{"a": null, "label": "good"}'),
        ('{"a": "NaN"}', '{"a": "NaN", "label": "good"}'),
        (
            '{"a":1.0,  "b": "to \\"Infinity\\" NaN"}',
            '{"a":1.0,  "b": "to \\"Infinity\\" NaN", "label": "good"}',
        ),
        ('{"a": "\\\\", "b": -Infinity}', '{"a": "\\\\", "b": null, "label": "good"}'),
    ],
)
def test_json_that_was_read_is_written_as_it_was(tmp_path, line, expected):
    (tmp_path / "in.jsonl").write_text(f"  {line} \n")
    (row,) = read_rows(tmp_path / "in.jsonl")
    data = make_encoder("jsonl", pa.schema([])).encode(
        [OutputRow(row.values, {"label": "good"}, row.raw)]
    )
    assert data.decode() == expected + "\n"


def test_a_cell_holds_the_json_that_was_read(tmp_path):
    line = '{"f": 1.10, "z": -0, "big": 1E400 ,"l" : [1,  2.50], "d":{"k":"\\u00e9"}, '
    line += '"n": NaN, "t": "x"}'
    (tmp_path / "in.jsonl").write_text(line)
    (row,) = read_rows(tmp_path / "in.jsonl")
    columns = pa.schema([(name, pa.string()) for name in row.values])
    encoder = make_encoder("tsv", columns)
    (tmp_path / "out.tsv").write_bytes(
        encoder.begin() + encoder.encode([OutputRow(row.values, {}, row.raw)])
    )
    cells = ["1.10", "-0", "1E400", "[1,  2.50]", '{"k":"\\u00e9"}', "", "x"]
    assert list(values(tmp_path / "out.tsv")[0].values()) == cells


def test_json_with_bytes_that_are_no_utf8_is_marked(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(b'{"a": "caf\xe9"}\n')
    (row,) = read_rows(tmp_path / "in.jsonl")
    data = make_encoder("jsonl", pa.schema([])).encode([OutputRow(row.values, {"l": 1}, row.raw)])
    assert json.loads(data) == {"a": "caf\ufffd", "l": 1}


def test_what_is_added_stands_behind_what_was_there(tmp_path):
    rows = [OutputRow({"a": "x"}, {"label": None, "b": "y"})]
    columns = pa.schema([("a", pa.string()), ("b", pa.string()), ("label", pa.string())])
    assert make_encoder("csv", columns).encode(rows) == b"x,y,\n"
    assert make_encoder("jsonl", columns).encode(rows) == b'{"a": "x", "label": null, "b": "y"}\n'
    table = pa.ipc.open_stream(make_encoder("parquet", columns).encode(rows)).read_all()
    assert table.to_pylist() == [{"a": "x", "b": "y", "label": None}]


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.jsonl.zst", "x.tsv.gz", "x.parquet"])
def test_rows_may_be_written_in_any_portions(tmp_path, name):
    one_by_one = written(tmp_path / "1" / name, AWKWARD, at_once=1)
    together = written(tmp_path / "2" / name, AWKWARD, at_once=3)
    assert values(one_by_one) == values(together) == AWKWARD


@pytest.mark.parametrize("name", ["x.csv.gz", "x.jsonl.gz", "x.tsv.zst", "x.jsonl.zst"])
def test_a_compressed_file_without_rows_is_whole(tmp_path, name):
    written(tmp_path / name, [])
    if name.startswith("x.jsonl"):
        assert (tmp_path / name).stat().st_size > 0
    else:
        assert values(tmp_path / name) == []


def as_texts(tmp_path, lines):
    """Write json lines as parquet, by the columns found in them."""
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    encoder = make_encoder("parquet", columns_of([tmp_path / "in.jsonl"], "parquet")[0])
    rows = [OutputRow(row.values, {}, row.raw) for row in read_rows(tmp_path / "in.jsonl")]
    return pa.ipc.open_stream(encoder.encode(rows)).read_all()


def restored(text):
    """Read a text of a column of mixed values."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_a_column_of_mixed_values_is_text_that_tells_what_was_what(tmp_path, caplog):
    values = ["x", "5", 5, 2.5, True, "true", None, {"k": "é"}, [1], "[1]", "", '"q"', "a film"]
    values += [2**70, "null", " 1 ", "[1"]
    lines = [json.dumps({"id": i, "a": value}) for i, value in enumerate(values)]
    lines[3] = '{"id": 3, "a": 2.50}'
    table = as_texts(tmp_path, lines)
    assert table.schema.types == [pa.int64(), pa.string()]
    found = table["a"].to_pylist()
    assert found[:4] == ["x", '"5"', "5", "2.50"]
    assert (found[6], found[12]) == (None, "a film")
    read = [None if text is None else restored(text) for text in found]
    assert read == values
    assert list(map(type, read)) == list(map(type, values))
    (message,) = caplog.messages
    assert message.startswith("parquet can't hold the values of 'a': written as text, with JSON")


@pytest.mark.parametrize(
    "values",
    [
        [{}, {}],
        [{}, "x"],
        [{"a": {}}, {"a": {}}],
        [{"k": 1}, {"k": "x"}],
        [[1], ["x"]],
        [1.5, True],
        [2**60 + 1, 0.5],
        [2**63],
        *([[first] * 1000 + [last] for first, last in ((2**60 + 1, 0.5), (1, True), (0.5, True))]),
        [1] * 1000 + [{"k": 1}] * 1000 + ["x"],
        [{"k": 2**60 + 1}] * 1000 + [{"k": 0.5}],
    ],
    ids=repr,
)
def test_what_no_parquet_type_holds_comes_back_from_the_text(tmp_path, values):
    table = as_texts(tmp_path, [json.dumps({"a": value}) for value in values])
    assert table.schema.types == [pa.string()]
    found = [restored(text) for text in table["a"].to_pylist()]
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


def test_dictionaries_within_lists_are_plain_values_in_parquet(tmp_path):
    kind = pa.list_(pa.dictionary(pa.int32(), pa.string()))
    table = pa.ipc.open_stream(
        make_encoder("parquet", pa.schema([("a", kind)])).encode([OutputRow({"a": ["x"]}, {})])
    ).read_all()
    pq.write_table(table, tmp_path / "x.parquet")
    assert values(tmp_path / "x.parquet") == [{"a": ["x"]}]


@pytest.mark.parametrize("at_once", [100, 200])
def test_dictionaries_may_have_more_values_than_their_index_has_room_for(tmp_path, at_once):
    kind = pa.dictionary(pa.int8(), pa.string(), ordered=True)
    rows = [{"a": f"value {number}"} for number in range(200)]
    path = written(tmp_path / "x.parquet", rows, pa.schema([("a", kind)]), at_once)
    assert values(path) == rows
    assert pq.read_schema(path).field("a").type.ordered


def test_a_value_that_the_column_cannot_hold_is_an_error(tmp_path):
    with pytest.raises(OutputError, match=r"column 'a' does not fit type list"):
        written(tmp_path / "x.parquet", [{"a": 1}], pa.schema([("a", pa.list_(pa.string()))]))
