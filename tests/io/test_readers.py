from __future__ import annotations

import csv
import datetime
import errno
import gzip
import io
import json
import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textlstm.errors import DataError
from textlstm.io.formats import Meter
from textlstm.io.readers import (
    MOST_NESTED,
    Row,
    bad_text,
    cell_of,
    csv_delimiter,
    read_columns,
    read_rows,
    row_text,
)


def read(tmp_path: Path, name: str, data: bytes | str) -> list[Row]:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return list(read_rows(path))


def texts(rows: list[Row]) -> list[Any]:
    return [row.values.get("text", row.error) for row in rows]


def test_csv_rows_are_numbered_from_one_without_the_header(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", "text,label\ngood,pos\nbad,neg\n")
    assert rows == [
        Row(1, {"text": "good", "label": "pos"}),
        Row(2, {"text": "bad", "label": "neg"}),
    ]


def test_a_quoted_field_holds_line_ends_commas_and_quotes(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", 'text,label\r\n"a\r\nb, ""c""\n",pos\r\nlast,neg')
    assert rows == [
        Row(1, {"text": 'a\r\nb, "c"\n', "label": "pos"}),
        Row(2, {"text": "last", "label": "neg"}),
    ]


def test_tsv_is_separated_by_tabs(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.tsv", "text\tlabel\nwell, yes\tpos\n")
    assert rows == [Row(1, {"text": "well, yes", "label": "pos"})]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path, name: str) -> None:
    data = {"a.csv": b"text\nx\n", "a.jsonl": b'{"text": "x"}\n'}[name]
    assert texts(read(tmp_path, name, b"\xef\xbb\xbf" + data)) == ["x"]


def test_blank_lines_are_no_rows_but_empty_fields_are(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", 'text,label\n\n,pos\n\n"",neg\n\n')
    assert rows == [
        Row(1, {"text": "", "label": "pos"}),
        Row(2, {"text": "", "label": "neg"}),
    ]


def test_a_wrong_number_of_fields_spoils_its_row_only(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", "text,label\na,b,c\nonly\nx,y\n")
    assert rows == [
        Row(1, {}, "3 fields instead of 2"),
        Row(2, {}, "1 field instead of 2"),
        Row(3, {"text": "x", "label": "y"}),
    ]


def test_a_quote_left_open_costs_one_line_and_not_the_rest_of_the_file(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", 'text,label\na,1\n"open,1\nb,2\nc,3\n')
    assert texts(rows) == ["a", "a quote is opened and never closed", "b", "c"]
    assert [row.number for row in rows] == [1, 2, 3, 4]


def test_a_quote_closed_by_a_later_stray_one_costs_the_first_line_only(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", 'text,label\n"open,1\nb,2\n"c"d,3\ne,4\n')
    assert [row.error is None for row in rows] == [False, True, False, True]
    assert rows[1].values == {"text": "b", "label": "2"}
    assert "closing quote" in str(rows[2].error)
    assert rows[3] == Row(4, {"text": "e", "label": "4"})


def test_a_nul_byte_spoils_its_row_only(tmp_path: Path) -> None:
    assert texts(read(tmp_path, "a.csv", "text,label\na\0b,1\nc,2\n")) == ["a NUL byte", "c"]


def test_bytes_that_are_not_utf8_are_seen_cell_by_cell(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", b"text,label\ncaf\xe9,1\ncaf\xc3\xa9,2\n")
    assert [bad_text(row.values["text"]) for row in rows] == ["not UTF-8", None]
    assert rows[1].values["text"] == "café"
    rows = read(tmp_path, "a.jsonl", b'{"text": "caf\xe9"}\n{"text": "caf\xc3\xa9"}\n')
    assert [bad_text(row.values["text"]) for row in rows] == ["not UTF-8", None]


def test_fields_of_megabytes_are_read(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.csv", f"text,label\n{'x' * 2_000_000},1\n")
    assert len(rows[0].values["text"]) == 2_000_000


@pytest.mark.slow
def test_a_quote_left_open_does_not_take_all_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textlstm.io.readers._LONGEST_FIELD", 1000)
    before = csv.field_size_limit(1000)
    try:
        rows = read(tmp_path, "a.csv", 'text,label\n"open,1\n' + "a,2\n" * 2000)
    finally:
        csv.field_size_limit(before)
    assert len(rows) == 2001
    assert "over 1,000 characters" in str(rows[0].error)
    assert {row.values["text"] for row in rows[1:]} == {"a"}


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.csv", ""), ("a.csv", "\n\n"), ("a.jsonl", ""), ("a.jsonl", "\n \n"), ("a.parquet", "")],
)
def test_a_file_without_anything_is_an_error(tmp_path: Path, name: str, data: str) -> None:
    with pytest.raises(DataError, match=r"a\.\w+ is empty"):
        read(tmp_path, name, data)


def test_a_csv_of_a_header_has_columns_and_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, "a.csv", "text,label") == []
    assert read_columns(tmp_path / "a.csv") == ["text", "label"]


@pytest.mark.parametrize(
    ("header", "what"),
    [
        (b"text,label,text\n", "two columns named 'text'"),
        (b"t\xe9xt,label\n", "column 1 is not UTF-8"),
        (b'"text,label\n', "first line does not parse"),
    ],
)
def test_a_bad_header_is_an_error_of_the_file(tmp_path: Path, header: bytes, what: str) -> None:
    with pytest.raises(DataError, match=what):
        read(tmp_path, "a.csv", header + b"x,y\n")
    with pytest.raises(DataError, match=what):
        read_columns(tmp_path / "a.csv")


def test_json_lines_keep_their_line_numbers_and_types(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.jsonl", '{"text": "a", "n": [1, null]}\n\n{"text": null}\r\n')
    assert rows == [Row(1, {"text": "a", "n": [1, None]}), Row(3, {"text": None})]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{oops", "not JSON: .* at character 2"),
        ("[1, 2]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"n": ' + "1" * 5000 + "}", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (b'{"caf\xe9": 1}', "column name is not UTF-8"),
    ],
)
def test_a_bad_json_line_spoils_its_row_only(
    tmp_path: Path, line: str | bytes, reason: str
) -> None:
    data = line if isinstance(line, bytes) else line.encode()
    rows = read(tmp_path, "a.jsonl", b'{"text": "a"}\n' + data + b'\n{"text": "b"}')
    assert [row.number for row in rows] == [1, 2, 3]
    assert rows[1].values == {}
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(rows[1].error)
    assert rows[2].values == {"text": "b"}


@pytest.mark.parametrize("indent", [None, 1])
def test_a_json_array_is_not_taken_for_json_lines(tmp_path: Path, indent: int | None) -> None:
    data = json.dumps([{"text": "a"}, {"text": "b"}], indent=indent)
    with pytest.raises(DataError, match="one JSON array"):
        read(tmp_path, "a.json", data)


@pytest.mark.parametrize("line", ["[broken", "[music] plays", "[]", "[1, 2]", '["a", {"b": 1}]'])
def test_a_first_json_line_that_begins_no_array_of_rows_is_a_bad_row(
    tmp_path: Path, line: str
) -> None:
    first, second = read(tmp_path, "a.jsonl", f'{line}\n{{"text": "a"}}\n')
    assert first.error is not None
    assert second.values == {"text": "a"}


def test_columns_of_json_lines_are_those_of_the_first_good_row(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('oops\n{"b": 1, "a": 2}\n{"c": 3}\n')
    assert read_columns(tmp_path / "a.jsonl") == ["b", "a"]
    (tmp_path / "b.jsonl").write_text("oops\n")
    assert read_columns(tmp_path / "b.jsonl") == []


def test_parquet_rows_keep_their_types_across_row_groups(tmp_path: Path) -> None:
    table = pa.table({"text": [f"t{i}" for i in range(25)], "n": [[i] for i in range(25)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10)
    rows = list(read_rows(tmp_path / "a.parquet"))
    assert rows[24] == Row(25, {"text": "t24", "n": [24]})
    assert [row.number for row in rows] == list(range(1, 26))
    assert read_columns(tmp_path / "a.parquet") == ["text", "n"]
    only = list(read_rows(tmp_path / "a.parquet", columns=["text"]))
    assert only[3] == Row(4, {"text": "t3"})


def test_bad_cells_of_parquet_spoil_their_rows_only(tmp_path: Path) -> None:
    raw = pa.array([b"ok", b"caf\xe9", None], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    days = pa.array([0, 1, 2**40], pa.timestamp("s"))
    pq.write_table(pa.table({"text": broken, "day": days}), tmp_path / "a.parquet")
    rows = list(read_rows(tmp_path / "a.parquet"))
    assert rows[0].values == {"text": "ok", "day": datetime.datetime(1970, 1, 1)}
    assert bad_text(rows[1].values["text"]) == "not UTF-8"
    assert rows[2].values == {}
    assert "column 'day' cannot be read" in str(rows[2].error)


def test_a_parquet_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="two columns named 'text'"):
        list(read_rows(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", None),
        ("naïve 😀", None),
        (None, "null"),
        (float("nan"), "null"),
        (3, "not a string"),
        (b"bytes", "not a string"),
        (["a"], "not a string"),
        ("\udce9", "not UTF-8"),
        ("half a pair \ud83d", "not UTF-8"),
    ],
)
def test_bad_text_tells_why_a_cell_is_no_text(value: object, reason: str | None) -> None:
    assert bad_text(value) == reason


def test_texts_of_several_columns_are_joined_by_a_space() -> None:
    columns = ("title", "body")
    assert row_text({"title": "a", "body": "b"}, columns) == ("a b", None)
    assert row_text({"title": None, "body": "b"}, columns) == (" b", None)
    assert row_text({"title": float("nan"), "body": "b"}, columns) == (" b", None)
    assert row_text({"body": ""}, columns) == (None, "blank")
    assert row_text({"title": None}, columns) == (None, "null")
    assert row_text({"title": 1, "body": "b"}, columns) == (None, "not a string (column 'title')")
    assert row_text({"title": "a"}, ("title",)) == ("a", None)
    assert row_text({"title": 1}, ("title",)) == (None, "not a string")
    for blank in ("", " ", "\t\n", "\u3000\xa0", "\x1c"):
        assert row_text({"title": blank}, ("title",)) == (None, "blank")


def test_a_column_may_lie_within_another() -> None:
    values = {"body": {"text": "a", "more": {"x": 3}}, "b.c": "d", "e": "f"}
    assert row_text(values, ("body.text", "b.c")) == ("a d", None)
    assert cell_of(values, "body.more.x") == 3
    for absent in ("body.no", "e.f", "no", "no.such", "body.text."):
        assert cell_of(values, absent) is None


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(path: Path) -> int:
        tracemalloc.start()
        for _ in read_rows(path):
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    line = "some words of a text " * 10
    (tmp_path / "small.csv").write_text("text,label\n" + f"{line},1\n" * 3000)
    (tmp_path / "large.csv").write_text("text,label\n" + f"{line},1\n" * 15000)
    assert peak(tmp_path / "large.csv") < peak(tmp_path / "small.csv") + 100_000


@pytest.mark.slow
def test_few_long_texts_of_parquet_are_held_at_a_time(tmp_path: Path) -> None:
    texts = [f"text {i} " * 20_000 for i in range(100)]  # 160 kB each
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    del texts
    tracemalloc.start()
    assert sum(1 for _ in read_rows(tmp_path / "a.parquet")) == 100
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert highest < 10e6


def records(data: bytes, suffix: str) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(data)
        yield from read_rows(path)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
@pytest.mark.slow
def test_what_the_csv_module_writes_reads_back_equal(pairs: list[tuple[str, str]]) -> None:
    pairs = [(a, b) for a, b in pairs if "\0" not in a + b]
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("x", "y"), *pairs])
    try:
        data = out.getvalue().encode()
    except UnicodeEncodeError:
        return
    rows = list(records(data, ".csv"))
    assert [(row.values["x"], row.values["y"]) for row in rows] == pairs


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"\0", b"\xe9", b"a", b'{"a":'])))
def test_no_bytes_stop_the_reading_of_rows(parts: list[bytes]) -> None:
    rows = list(records(b"text,label\n" + b"".join(parts), ".csv"))
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    rows = list(records(b'{"a":1}\n' + b"".join(parts), ".jsonl"))
    numbers = [row.number for row in rows]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "jsonl.zst", "parquet", "parquet.gz"])
def test_reading_from_a_later_row_gives_the_rest(tmp_path: Path, kind: str) -> None:
    texts = [f"t{number}" for number in range(23)]
    plain = tmp_path / f"plain.{kind.split('.')[0]}"
    if kind.startswith("parquet"):
        pq.write_table(pa.table({"text": texts}), plain, row_group_size=5)
    elif kind.startswith("csv"):
        plain.write_text("text\n" + "".join(f"{text}\n" for text in texts))
    else:
        plain.write_text("".join(f'{{"text": "{text}"}}\n\n' for text in texts))
    path = tmp_path / f"x.{kind}"
    data = plain.read_bytes()
    if kind.endswith("gz"):
        data = gzip.compress(data)
    elif kind.endswith("zst"):
        data = pa.Codec("zstd").compress(data, asbytes=True)
    path.write_bytes(data)
    whole = list(read_rows(path))
    assert [row.values["text"] for row in whole] == texts
    for skip in (0, 1, 4, 5, 6, 20, 22, 23, 99):
        assert list(read_rows(path, skip=skip)) == whole[skip:]


def test_bad_rows_are_passed_over_like_others(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1}\nnope\n{"a": 3}\n')
    assert [row.number for row in read_rows(tmp_path / "x.jsonl", skip=2)] == [3]
    (tmp_path / "x.csv").write_text("a,b\n1\n2,2\n3,3\n")
    assert [row.number for row in read_rows(tmp_path / "x.csv", skip=1)] == [2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl.zst"])
def test_a_meter_counts_the_bytes_as_they_lie_on_the_disk(tmp_path: Path, kind: str) -> None:
    line = "text\n" if kind.startswith("csv") else '{"text": "x"}\n'
    data = (line * 50_000).encode()
    if kind.endswith("gz"):
        data = gzip.compress(data)
    elif kind.endswith("zst"):
        data = pa.Codec("zstd").compress(data, asbytes=True)
    path = tmp_path / f"x.{kind}"
    path.write_bytes(data)
    meter = Meter()
    rows = read_rows(path, meter=meter)
    next(rows)
    assert 0 < meter.read <= len(data)
    list(rows)
    assert meter.read == len(data)


def test_a_row_of_json_lines_has_its_line_as_it_stood(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('\ufeff {"a": 1.50}  \r\nnope\n', encoding="utf-8")
    first, second = read_rows(tmp_path / "x.jsonl")
    assert first.raw == '{"a": 1.50}'
    assert second.raw is None


@pytest.mark.slow
def test_deep_nesting_fails_its_row_and_not_the_file(tmp_path: Path) -> None:
    deep = [f'{{"a": {"[" * n}{"]" * n}}}' for n in (MOST_NESTED - 1, MOST_NESTED, 900, 10**6)]
    wide = f'{{"a": "{"[" * 200}", "b": [{"[]," * 200}1]}}'
    (tmp_path / "a.jsonl").write_text("\n".join([*deep, wide]))
    reason = f"not JSON that can be read: nested more than {MOST_NESTED} deep"
    errors = [row.error for row in read_rows(tmp_path / "a.jsonl")]
    assert errors == [None, reason, reason, reason, None]


def test_a_column_name_with_half_a_surrogate_pair_fails_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"\\ud800": 1}\n{"\\ud83d\\ude00": 1}\n')
    errors = [row.error for row in read_rows(tmp_path / "a.jsonl")]
    assert errors == ["a column name is not UTF-8", None]


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("a.csv", "text;label\na, b;0\nc;1\n", ";"),
        ("a.csv", "text\tlabel\na\t0\n", "\t"),
        ("a.csv", "text|label\n", "|"),
        ("a.tsv", "text,label\na,0\n", ","),
        ("a.csv", 'text;label\n"a\n; b";0\n', ";"),
        ("a.csv", "text\na; b\n", ","),
        ("a.csv", "text;x,label\na;b,0\n", ","),
        ("a.csv", "text;label\na\n", ","),
        ("a.csv", "", ","),
    ],
)
def test_the_delimiter_of_a_csv_is_detected(
    tmp_path: Path, name: str, data: str, found: str
) -> None:
    (tmp_path / name).write_text(data)
    assert csv_delimiter(tmp_path / name, name[2:]) == found


@pytest.mark.parametrize(
    ("rows", "found"), [([40_000, 40_000], ";"), ([9, 9, 9, 70_000], ";"), ([70_000], ",")]
)
def test_a_record_that_is_not_wholly_seen_does_not_count(
    tmp_path: Path, rows: list[int], found: str
) -> None:
    lines = ["text;label", *("w" * length + ";a" for length in rows)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    assert csv_delimiter(tmp_path / "a.csv", "csv") == found


def test_cells_are_cut_at_the_delimiter_that_is_given_or_detected(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text;label\na, b;0\n")
    assert [row.values for row in read_rows(path)] == [{"text": "a, b", "label": "0"}]
    path.write_text("text:label\na:0\n")
    assert read_columns(path) == ["text:label"]
    assert read_columns(path, delimiter=":") == ["text", "label"]
    assert [row.values for row in read_rows(path, delimiter=":")] == [{"text": "a", "label": "0"}]


def test_a_txt_file_has_a_text_a_line(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.txt", b"one, two\r\n\nx __label__y\n\xff")
    assert [row.values for row in rows] == [
        {"text": text} for text in ("one, two", "", "x __label__y", "\udcff")
    ]
    assert read_columns(tmp_path / "a.txt") == ["text"]


def test_lines_of_fasttext_begin_with_their_labels(tmp_path: Path) -> None:
    rows = read(tmp_path, "a.txt", "__label__a one two\n__label__a __label__b x\nno label\n")
    assert [row.values for row in rows] == [
        {"text": "one two", "label": "a"},
        {"text": "x", "label": "a b"},
        {"text": "no label", "label": None},
    ]
    rows = read(
        tmp_path, "a.txt", "__label__a\tone  two\n__label__a  __label__b\t x\n__label__c\xa0d\n"
    )
    assert [row.values for row in rows] == [
        {"text": "one  two", "label": "a"},
        {"text": "x", "label": "a b"},
        {"text": "", "label": "c\xa0d"},
    ]
    assert read_columns(tmp_path / "a.txt") == ["text", "label"]


def test_a_folder_of_folders_has_a_row_a_file(tmp_path: Path) -> None:
    for name, text in (("pos/2.txt", "b\nc"), ("pos/1.txt", "a"), ("neg/1.txt", "d")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "unsup").mkdir()
    (tmp_path / "unsup" / "1.txt").write_text("e")
    (tmp_path / "pos" / "notes.md").write_text("no")
    assert [tuple(row.values.values()) for row in read_rows(tmp_path)] == [
        ("d", "neg", "neg/1.txt"),
        ("a", "pos", "pos/1.txt"),
        ("b\nc", "pos", "pos/2.txt"),
        ("e", None, "unsup/1.txt"),
    ]
    assert [row.number for row in read_rows(tmp_path, skip=2)] == [3, 4]
    assert read_columns(tmp_path) == ["text", "label", "file"]


def test_a_text_that_cannot_be_read_is_a_bad_row_among_those_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"1": b"a", "2": b"\xff\xfea\0", "4": b"caf\xe9", "5": b"", "6": b"d"}
    (tmp_path / "pos").mkdir()
    for name, data in texts.items():
        (tmp_path / "pos" / f"{name}.txt").write_bytes(data)
    (tmp_path / "pos" / "3.txt").symlink_to("nowhere")
    (tmp_path / "pos" / "._1.txt").write_bytes(b"\0\5\x16\7\xff")
    (tmp_path / "pos" / "7.txt").mkdir()
    whole_open = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "6.txt":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole_open(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert list(read_rows(tmp_path)) == [
        Row(number, {"text": text, "label": "pos", "file": f"pos/{number}.txt"}, error)
        for number, text, error in (
            (1, "a", None),
            (2, None, "not plain text: it is UTF-16: save it as UTF-8"),
            (3, None, "cannot be read: No such file or directory"),
            (4, "caf\udce9", None),  # `row_text` refuses it
            (5, "", None),
            (6, None, "cannot be read: Permission denied"),
        )
    ]
    assert [row.number for row in read_rows(tmp_path, skip=2)] == [3, 4, 5, 6]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ESTALE])
def test_an_error_of_the_machine_or_the_network_is_not_taken_for_one_of_a_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "pos").mkdir()
    (tmp_path / "pos" / "1.txt").write_text("a")

    def fail(path: Path, *arguments: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    rows = read_rows(tmp_path)
    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(DataError, match=rf"cannot read .*1\.txt: {os.strerror(number)}"):
        next(rows)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('{"text": "a", "text": "b"}', "'text'"),
        ('{"text": "a", "text": "a"}', "'text'"),
        ('{"text": "a", "n": 1, "\\u006e": 2}', "'n'"),
        ('{"n": {"k": 1, "k": 2}, "n": 3}', "'n'"),
        ('{"é": 1, "é": 2, "text": "x"}', "'é'"),
    ],
)
def test_a_row_with_two_values_for_a_key_is_an_error(tmp_path: Path, line: str, key: str) -> None:
    _, row, last = read(tmp_path, "a.jsonl", f'{{"text": "a"}}\n{line}\n{{"text": "b"}}')
    assert (row.values, row.error) == ({}, f"two values for the key {key}")
    assert last.values == {"text": "b"}


@pytest.mark.parametrize(
    ("column", "key"),
    [
        ('{"k": 1, "k": 2}', "k"),
        ('[0, {"a": {"k": 1, "b": 2, "k": {}}}]', "k"),
        ('{"\\ud800": 1, "\\ud801": 2}', "\ufffd"),  # they would be written alike
        ('{"k": 1, "K": 2, "l": {"k": 3}}', None),
    ],
)
def test_two_values_for_a_key_within_a_column_are_noted(
    tmp_path: Path, column: str, key: str | None
) -> None:
    (row,) = read(tmp_path, "a.jsonl", f'{{"text": "a", "m": {column}}}')
    assert row.error is None
    assert row.values["text"] == "a"
    assert row.lossy == (key and f"two values for the key {key!r}")
