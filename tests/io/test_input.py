"""Whatever a name stands for, its rows come in order, in chunks, and from any place on."""

import gzip
import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, DataError
from textlstm.io import input as row_input
from textlstm.io.formats import Meter
from textlstm.io.input import FileRows, Place, chunks, find_input

NONE = PredictionConfig()
START = Place()


def write(path, texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".parquet"):
        pq.write_table(pa.table({"text": texts}), path, row_group_size=3)
    elif path.name.endswith(".jsonl"):
        path.write_text("".join(f'{{"text": "{text}"}}\n' for text in texts))
    else:
        data = "text\n" + "".join(f"{text}\n" for text in texts)
        path.write_bytes(gzip.compress(data.encode()) if path.suffix == ".gz" else data.encode())
    return path


def read(source, start=START, rows=4, characters=10**9):
    return list(chunks(source, start, rows=rows, characters=characters))


def texts(found):
    return [row.values.get("text") for chunk in found for row in chunk.rows]


def find(path, kind="csv", config=NONE):
    return find_input(str(path), config, kind)


def test_the_files_of_a_folder_come_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "b.csv", ["3"])
    write(tmp_path / "a.csv.gz", ["1", "2"])
    write(tmp_path / ".hidden.csv", ["no"])
    (tmp_path / "README.md").write_text("no")
    (tmp_path / "deeper").mkdir()
    found = find(tmp_path)
    assert texts(read(found)) == ["1", "2", "3"]
    assert found.columns.names == ["text"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("*.csv", ["1", "3"]), ("[b].csv", ["3"]), ("**/?.csv", ["1", "3", "4"])],
)
def test_a_pattern_names_files(tmp_path, pattern, expected):
    write(tmp_path / "a.csv", ["1"])
    write(tmp_path / "b.csv", ["3"])
    write(tmp_path / "deep" / "c.csv", ["4"])
    write(tmp_path / ".work" / "d.csv", ["no"])
    assert texts(read(find(tmp_path / pattern))) == expected


def test_a_file_whose_name_has_a_mark_of_patterns_is_that_file(tmp_path):
    write(tmp_path / "a[1].csv", ["1"])
    write(tmp_path / "a1.csv", ["no"])
    assert texts(read(find(tmp_path / "a[1].csv"))) == ["1"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-such.csv", r"no such file: .*no-such\.csv"),
        ("x*.csv", r"no file matches .*x\*\.csv"),
        ("empty", r"empty holds no csv.*\*\*/\*\.csv"),
        ("mixed", r"has csv files \(a\.csv\) and jsonl files \(b\.jsonl\)"),
        ("https://example.org/a.csv", "is a URL: download it"),
    ],
)
def test_what_is_not_there_or_not_alike_is_refused(tmp_path, name, said):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "mixed" / "a.csv", ["1"])
    write(tmp_path / "mixed" / "b.jsonl", ["1"])
    with pytest.raises(DataError, match=said):
        find(name if "://" in name else tmp_path / name)


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a\.csv is a pipe"):
        find(tmp_path / "a.csv")


def test_files_have_no_split(tmp_path):
    write(tmp_path / "a.csv", ["1"])
    with pytest.raises(ConfigError, match="split = 'test'"):
        find(tmp_path / "a.csv", config=PredictionConfig(split="test"))


def test_a_split_of_the_sample_is_an_input():
    with pytest.raises(DataError, match="sample has the splits test, train, validation: pass"):
        find("sample")
    found = find("sample", config=PredictionConfig(split="test"))
    assert found.total == sum(len(chunk.rows) for chunk in read(found, rows=1000))


def test_a_chunk_ends_when_it_has_rows_or_characters_enough(tmp_path):
    found = find(write(tmp_path / "a.jsonl", ["aaaa", "b", "cc", "dddddddd", "e"]))
    sizes = [len(chunk.rows) for chunk in read(found, rows=2)]
    assert sizes == [2, 2, 1]
    sizes = [len(chunk.rows) for chunk in read(found, rows=9, characters=5)]
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet"])
@pytest.mark.parametrize("group_bytes", [1, 2**24])
def test_reading_goes_on_at_the_end_of_any_chunk(tmp_path, monkeypatch, kind, group_bytes):
    monkeypatch.setattr(row_input, "_GROUP_BYTES", group_bytes)
    for file, count in enumerate((7, 0 if kind == "jsonl" else 1, 5)):
        write(tmp_path / f"{file}.{kind}", [f"{file}-{row}" for row in range(count)])
    found = find(tmp_path)
    whole = read(found)
    assert len(texts(whole)) in (12, 13)
    assert found.groups == (3 if group_bytes == 1 else 1)
    for number, chunk in enumerate(whole):
        rest = read(found, start=chunk.end)
        assert texts(rest) == texts(whole[number + 1 :])
        assert [part.end for part in rest] == [part.end for part in whole[number + 1 :]]
        numbers = [row.number for part in rest for row in part.rows]
        assert numbers == [row.number for part in whole[number + 1 :] for row in part.rows]


def test_large_files_are_groups_of_their_own_and_small_ones_lie_together():
    sizes = (10, 2**24, 5, 5, 2**25, 1)
    found = FileRows("x", tuple(sizes), sizes, pa.schema([]), None)
    assert found._groups == [range(0, 1), range(1, 2), range(2, 4), range(4, 5), range(5, 6)]


def test_a_bad_row_names_its_file_where_there_are_several(tmp_path):
    (tmp_path / "a.csv").write_text("text,n\nx,1\n")
    (tmp_path / "b.csv").write_text("text,n\nx,1\nx\n")
    (bad,) = [row for chunk in read(find(tmp_path)) for row in chunk.rows if row.error]
    assert (bad.file, bad.number) == ("b.csv", 2)
    (bad,) = [row for chunk in read(find(tmp_path / "b.csv")) for row in chunk.rows if row.error]
    assert bad.file == ""


def test_the_share_grows_from_chunk_to_chunk_to_all(tmp_path):
    for name in "ab":
        write(tmp_path / f"{name}.csv", [f"{name} {number} " + "x" * 99 for number in range(9000)])
    found = find(tmp_path)
    assert found.total is None
    shares = [chunk.share for chunk in read(found, rows=1000)]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.4
    assert 0.3 < shares[8] < 0.7
    assert shares[-1] == 1


def test_the_total_is_known_of_parquet_and_json_lines(tmp_path):
    assert find(write(tmp_path / "a.parquet", ["1", "2"])).total == 2
    assert find(write(tmp_path / "a.jsonl", ["1", "2"])).total == 2


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="time zones cannot be set here")
def test_the_fingerprint_is_the_same_in_every_time_zone(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("text\na\n")
    os.utime(path, ns=(0, 1_700_000_000_123456789))
    found = []
    try:
        for zone in ("UTC", "Asia/Tokyo", "XYZ+5"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            found += find(path).fingerprint().values()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert set(found) == {"7 bytes, 2023-11-14 22:13:20.123456789 UTC"}


def test_the_fingerprint_tells_a_changed_file(tmp_path):
    path = write(tmp_path / "a.csv", ["1"])
    before = find(path).fingerprint()
    assert list(before) == [str(path.resolve())]
    assert find(path).fingerprint() == before
    write(path, ["2"])
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    assert find(path).fingerprint() != before


def test_a_group_tells_how_much_of_it_is_read(tmp_path):
    path = write(tmp_path / "a.csv.gz", ["x"] * 100)
    meter = Meter()
    assert len(list(find(path).rows(0, 0, meter))) == 100
    assert meter.read == path.stat().st_size
