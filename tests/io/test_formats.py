from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.errors import DataError, OutputError
from textlstm.io.formats import file_format, is_label_folder, parts_of
from textlstm.io.output import RowOutput, Target
from textlstm.io.readers import read_rows
from textlstm.io.writers import OutputRow

CSV = b"text,label\n" + b"".join(b"text %d,a\n" % i for i in range(2000))


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return packed


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "csv"),
        ("a.b.TSV", "tsv"),
        ("a.jsonl.gz", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.json", "jsonl"),
        ("dir.csv/a.parquet.zst", "parquet"),
    ],
)
def test_the_format_is_told_from_the_name(name: str, expected: str) -> None:
    assert file_format(name) == expected


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.gz", "a.csv.bz2", ".csv.d/a"])
def test_an_unknown_suffix_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"\.csv, .*\.parquet, \.txt, each also with \.gz"):
        file_format(name)


def test_compressed_files_read_like_plain_ones(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CSV)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV[:900]) + gzip.compress(CSV[900:]))
    (tmp_path / "a.csv.zst").write_bytes(zstd(CSV[:900]) + zstd(CSV[900:]))
    plain = list(read_rows(tmp_path / "a.csv"))
    assert len(plain) == 2000
    assert list(read_rows(tmp_path / "a.csv.gz")) == plain
    assert list(read_rows(tmp_path / "a.csv.zst")) == plain


def test_compressed_parquet_reads_like_plain(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1]}), tmp_path / "a.parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(data))
    (tmp_path / "a.parquet.zst").write_bytes(zstd(data))
    plain = list(read_rows(tmp_path / "a.parquet"))
    assert [row.values["text"] for row in plain] == ["a", "b"]
    assert list(read_rows(tmp_path / "a.parquet.gz")) == plain
    assert list(read_rows(tmp_path / "a.parquet.zst")) == plain


@pytest.mark.parametrize(
    ("suffix", "kind"),  # zstd frames need not hold a checksum: a changed byte may go unseen
    [(".gz", "cut"), (".gz", "plain"), (".gz", "corrupt"), (".zst", "cut"), (".zst", "plain")],
)
def test_a_damaged_compressed_file_is_one_clear_error(
    tmp_path: Path, suffix: str, kind: str
) -> None:
    packed = gzip.compress(CSV) if suffix == ".gz" else zstd(CSV)
    half = len(packed) // 2
    broken = {
        "cut": packed[:half],
        "plain": CSV,
        "corrupt": packed[:half] + b"\xff" * 40 + packed[half + 40 :],
    }[kind]
    path = tmp_path / f"reviews.csv{suffix}"
    path.write_bytes(broken)
    with pytest.raises(DataError, match=r"reviews\.csv"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (gzip.compress(CSV), "gzip"),
        (zstd(CSV), "zstd"),
        (b"PAR1\x15\x04", "parquet"),
        (b"PK\x03\x04\x14", "Excel"),
        ("text,label\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_under_a_wrong_name_is_told_what_it_is(
    tmp_path: Path, data: bytes, what: str
) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=what):
        list(read_rows(path))


def test_a_plain_file_that_is_named_gz_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(CSV)
    with pytest.raises(DataError, match=r"a\.csv\.gz is not gzip: remove \.gz from its name"):
        read_rows(tmp_path / "a.csv.gz")


def test_what_is_no_file_is_refused_before_reading(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"no such file: .*missing\.csv"):
        read_rows(tmp_path / "missing.csv")
    with pytest.raises(DataError, match=r"folder\.csv is a folder: name a file in it"):
        read_rows(tmp_path / "folder.csv")


@pytest.mark.skipif(sys.platform != "linux", reason="names must be UTF-8 here")
@pytest.mark.parametrize("name", [b"caf\xe9.csv", b"caf\xe9.parquet", b"caf\xe9.parquet.gz"])
def test_the_name_of_a_file_need_not_be_utf8(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    with RowOutput(Target.of_path(path), pa.schema([("text", pa.string())])) as output:
        output.open({}, {}, overwrite=False, resume=False)
        output.commit(output.encoder.encode([OutputRow({"text": "a"}, {})]), 1, {})
        output.finish({}, overwrite=False)
    assert [row.values for row in read_rows(path)] == [{"text": "a"}]


def test_a_name_that_is_too_long_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 300}.csv"
    with pytest.raises(DataError, match=r"cannot read \S+x\.csv: File name too long"):
        read_rows(path)
    for name in (path, tmp_path / f"{'x' * 245}.csv"):  # that of its work folder is longer
        with pytest.raises(OutputError, match=r"cannot write \S+x\.csv: File name too long"):
            RowOutput(Target.of_path(name), pa.schema([])).__enter__()


def test_a_file_that_may_not_be_read_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret.csv"
    path.write_text("text\n")

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"secret\.csv: Permission denied"):
        list(read_rows(path))


@pytest.mark.parametrize("size", [0, 4, 100, -20])
def test_a_truncated_parquet_is_one_clear_error(tmp_path: Path, size: int) -> None:
    path = tmp_path / "reviews.parquet"
    pq.write_table(pa.table({"text": ["a", "b"] * 100}), path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"reviews\.parquet"):
        list(read_rows(path))


def test_a_foreign_and_a_corrupt_parquet_are_clear_errors(tmp_path: Path) -> None:
    path = tmp_path / "reviews.parquet"
    path.write_text("text,label\n" * 10)
    with pytest.raises(DataError, match=r"reviews\.parquet is not a whole parquet file"):
        list(read_rows(path))
    pq.write_table(pa.table({"text": [f"text {i}" for i in range(100)]}), path)
    data = bytearray(path.read_bytes())
    data[20:60] = b"\xff" * 40
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"reviews\.parquet"):
        list(read_rows(path))


def test_a_parquet_file_with_a_column_name_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), path)
    path.write_bytes(path.read_bytes().replace(b"text", b"te\x84t"))
    with pytest.raises(DataError, match=r"a\.parquet is not a whole parquet file"):
        list(read_rows(path))


def test_texts_are_files_and_links_that_are_not_hidden_and_lie_in_a_folder_of_a_label(
    tmp_path: Path,
) -> None:
    names = ("pos/b.txt", "pos/a c.txt", "neg/1.txt", "pos/._b.txt", "pos/deeper/1.txt")
    for name in (*names, "notes.txt", ".git/1.txt", "pos/1.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "neg" / "7.txt").mkdir()
    (tmp_path / "neg" / "8.txt").symlink_to("nowhere")
    (tmp_path / "neg" / "9.txt").symlink_to("1.txt")
    (tmp_path / "neg" / "10.txt").symlink_to("7.txt")  # a link to a folder
    os.mkfifo(tmp_path / "neg" / "11.txt")
    found = [part.relative_to(tmp_path).as_posix() for part in parts_of(tmp_path)]
    assert found == ["neg/1.txt", "neg/8.txt", "neg/9.txt", "pos/a c.txt", "pos/b.txt"]
    assert parts_of(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


def test_a_folder_with_nothing_but_hidden_texts_and_folders_is_no_label(tmp_path: Path) -> None:
    (tmp_path / "pos" / "1.txt").mkdir(parents=True)
    (tmp_path / "pos" / "._1.txt").touch()
    assert not is_label_folder(tmp_path)
    (tmp_path / "neg").mkdir()
    (tmp_path / "neg" / "1.txt").touch()
    assert is_label_folder(tmp_path)
    assert [part.parent.name for part in parts_of(tmp_path)] == ["neg"]
