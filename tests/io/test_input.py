"""Whatever a name stands for, its rows come in order, in chunks, and from any place on."""

import errno
import gzip
import os
import time
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, DataError
from textlstm.io import hub_datasets
from textlstm.io import input as row_input
from textlstm.io.formats import Meter
from textlstm.io.input import DatasetRows, FileRows, Place, chunks, find_input

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


def test_files_of_a_pattern_are_read_even_if_they_are_named_like_splits(tmp_path):
    write(tmp_path / "test.csv", ["1"])
    write(tmp_path / "train.csv", ["2"])
    assert texts(read(find(tmp_path / "*.csv"))) == ["1", "2"]
    assert texts(read(find(tmp_path / "*.csv", config=PredictionConfig(split="train")))) == ["2"]
    with pytest.raises(DataError, match="has the splits train, test: pass --split"):
        find(tmp_path)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_first_file_without_rows_does_not_count(tmp_path, kind):
    (tmp_path / f"a.{kind}.gz").write_bytes(gzip.compress(b""))
    (tmp_path / f"b.{kind}").write_bytes(b"")
    write(tmp_path / f"c.{kind}", ["x"])
    found = find(tmp_path)
    assert found.table.kinds == {"text": "text"}
    assert texts(read(found)) == ["x"]


def test_the_first_line_that_counts_is_looked_at(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"")
    (tmp_path / "b.csv").write_text("a film,3\na play,4\n")
    assert find(tmp_path).table.suspect == "3"


def test_an_inner_column_asked_for_is_sought_beyond_the_first_rows(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": null}\n' * 120 + '{"body": {"text": "a"}}\n')
    config = PredictionConfig(text_column=("body.text",))
    assert find(path, config=config).table.kinds["body.text"] == "text"


def test_files_of_several_formats_are_refused(tmp_path):
    write(tmp_path / "mixed" / "a.csv", ["1"])
    write(tmp_path / "mixed" / "b.jsonl", ["1"])
    with pytest.raises(DataError, match=r"has csv files \(a\.csv\) and jsonl files \(b\.jsonl\)"):
        find(tmp_path / "mixed")


def test_a_split_of_the_sample_is_an_input():
    with pytest.raises(DataError, match="sample has the splits train, validation, test: pass"):
        find("sample")
    found = find("sample", config=PredictionConfig(split="test"))
    assert found.total == sum(len(chunk.rows) for chunk in read(found, rows=1000))


def test_a_chunk_ends_when_it_has_rows_or_characters_enough(tmp_path):
    found = find(write(tmp_path / "a.jsonl", ["aaaa", "b", "cc", "dddddddd", "e"]))
    sizes = [len(chunk.rows) for chunk in read(found, rows=2)]
    assert sizes == [2, 2, 1]
    sizes = [len(chunk.rows) for chunk in read(found, rows=9, characters=5)]
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize("value", [{"b": {"c": "xxxx"}}, ["xx", "xx"], b"xxxx", "xxxx"])
def test_texts_within_others_count_among_the_characters_of_a_chunk(tmp_path, value):
    pq.write_table(pa.table({"a": [value] * 5}), tmp_path / "a.parquet")
    found = read(find(tmp_path), rows=9, characters=8)
    assert [len(chunk.rows) for chunk in found] == [2, 2, 1]


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
    found = FileRows("x", tuple(sizes), sizes, pa.schema([]), None, None)
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


def test_the_fingerprint_of_a_label_folder_is_that_of_its_texts(tmp_path):
    for name in ("pos/1.txt", "neg/1.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    found = [find(tmp_path).fingerprint()] * 2
    (tmp_path / "pos" / "1.txt").write_text("changed")
    found.append(find(tmp_path).fingerprint())
    (tmp_path / "pos" / "1.txt").rename(tmp_path / "neg" / "2.txt")
    found.append(find(tmp_path).fingerprint())
    assert [list(one) for one in found] == [[str(tmp_path.resolve())]] * 4
    assert [found[0] == one for one in found] == [True, True, False, False]
    assert found[2] != found[3]
    source, meter = find(tmp_path), Meter()
    assert len(list(source.rows(0, 0, meter))) == 2
    assert source.share(0, meter) == 1


def test_the_fingerprint_of_a_label_folder_stays_for_runs_begun_by_earlier_versions(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("pos/2.txt", "pos/10.txt", "neg/1.txt", "unsup/a b.txt", "pos-2/1.txt"):
        path = tmp_path / "lf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, ns=(0, 1_700_000_000_123456789))
    found = find("lf")
    assert found.sizes == (52,)
    assert list(found.fingerprint().values()) == ["texts a536070266ced48e"]


def test_what_is_no_text_or_a_bad_one_has_a_fingerprint(tmp_path):
    for name in ("pos/1.txt", "neg/1.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("dull")
    before = find(tmp_path).fingerprint()
    (tmp_path / "neg" / "7.txt").mkdir()
    (tmp_path / "neg" / "._1.txt").write_text("no")
    (tmp_path / "notes.txt").write_text("no")
    assert find(tmp_path).fingerprint() == before
    (tmp_path / "neg" / "8.txt").symlink_to("nowhere")
    found = find(tmp_path)
    assert found.fingerprint() == find(tmp_path).fingerprint() != before
    assert found.sizes == (8,)
    assert [row.error for row in found.rows(0, 0, Meter())][1:] == [
        "cannot be read: No such file or directory",
        None,
    ]


def test_texts_in_a_folder_that_is_not_open_to_us_have_a_fingerprint(tmp_path, monkeypatch):
    for name in ("pos/1.txt", "neg/1.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("dull")
    whole_stat = Path.stat

    def refuse(path, **options):
        if path.name == "1.txt" and path.parent.name == "neg":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole_stat(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    found = find(tmp_path)
    assert found.sizes == (4,)
    assert found.fingerprint() == find(tmp_path).fingerprint()


def test_a_group_tells_how_much_of_it_is_read(tmp_path):
    path = write(tmp_path / "a.csv.gz", ["x"] * 100)
    meter = Meter()
    assert len(list(find(path).rows(0, 0, meter))) == 100
    assert meter.read == path.stat().st_size


FEATURES = datasets.Features(
    {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
)


def dataset(n, first=0):
    data = {"text": [f"t{first + i}" for i in range(n)], "label": [i % 2 for i in range(n)]}
    return datasets.Dataset.from_dict(data, features=FEATURES)


def read_rows(rows, start=START):
    found = list(chunks(rows, start, rows=4, characters=10**9))
    return [row for chunk in found for row in chunk.rows]


def test_rows_have_all_columns_and_their_numbers(tmp_path):
    rows = DatasetRows("the Dataset", dataset(3))
    assert rows.total == 3
    assert rows.columns.names == ["text", "label"]
    assert [(row.number, row.values) for row in read_rows(rows)] == [
        (1, {"text": "t0", "label": 0}),
        (2, {"text": "t1", "label": 1}),
        (3, {"text": "t2", "label": 0}),
    ]


def test_reading_goes_on_at_any_chunk(monkeypatch):
    monkeypatch.setattr(row_input, "_DATASET_GROUP_ROWS", 5)
    monkeypatch.setattr(row_input, "_BATCH_ROWS", 2)
    rows = DatasetRows("the Dataset", dataset(23).select(range(1, 23)))
    whole = list(chunks(rows, Place(), rows=3, characters=10**9))
    assert rows.groups == 5
    assert [len(chunk.rows) for chunk in whole] == [3, 2] * 4 + [2]
    for number, chunk in enumerate(whole):
        rest = read_rows(rows, chunk.end)
        assert rest == [row for part in whole[number + 1 :] for row in part.rows]
    assert [row.values["text"] for row in read_rows(rows)] == [f"t{i}" for i in range(1, 23)]
    assert whole[-1].share == 1


def test_a_format_set_on_the_dataset_does_not_matter():
    rows = DatasetRows("the Dataset", dataset(2).with_format("numpy"))
    assert [row.values for row in read_rows(rows)] == [
        row.values for row in read_rows(DatasetRows("the Dataset", dataset(2)))
    ]


def test_an_empty_dataset_has_no_rows():
    assert read_rows(DatasetRows("the Dataset", dataset(0))) == []


def test_a_saved_dataset_is_found_by_its_folder(tmp_path):
    dataset(3).save_to_disk(str(tmp_path / "one"))
    rows = find_input(str(tmp_path / "one"), NONE, "csv")
    assert [row.values["text"] for row in read_rows(rows)] == ["t0", "t1", "t2"]
    again = find_input(str(tmp_path / "one"), NONE, "csv")
    assert rows.fingerprint() == again.fingerprint()
    with pytest.raises(ConfigError, match=r"split = 'test': .*has no splits"):
        find_input(str(tmp_path / "one"), PredictionConfig(split="test"), "csv")


def test_of_several_splits_one_must_be_named(tmp_path):
    splits = datasets.DatasetDict({"train": dataset(1), "validation": dataset(2, first=7)})
    splits.save_to_disk(str(tmp_path / "two"))
    with pytest.raises(DataError, match="has the splits train, validation: pass --split"):
        find_input(str(tmp_path / "two"), NONE, "csv")
    for name in ("validation", "dev"):
        rows = find_input(str(tmp_path / "two"), PredictionConfig(split=name), "csv")
        assert [row.values["text"] for row in read_rows(rows)] == ["t7", "t8"]
    with pytest.raises(DataError, match=r"split 'test' is not in .*two; its splits are train, val"):
        find_input(str(tmp_path / "two"), PredictionConfig(split="test"), "csv")
    with pytest.raises(ConfigError, match="only a Hub dataset has a configuration"):
        find_input(str(tmp_path / "two"), PredictionConfig(dataset_config="en"), "csv")


def test_a_name_of_the_hub_is_loaded_from_there(monkeypatch):
    asked = []

    def load(name, config):
        asked.append((name, config.dataset_config, config.dataset_revision))
        return {"test": dataset(2)}

    monkeypatch.setattr(hub_datasets, "load_hub", load)
    config = PredictionConfig(dataset_config="en", dataset_revision="v1")
    rows = find_input("owner/reviews", config, "csv")
    assert asked == [("owner/reviews", "en", "v1")]
    assert rows.name == "test of the Hub dataset owner/reviews"
    assert len(read_rows(rows)) == 2
