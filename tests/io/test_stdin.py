"""What comes from stdin is kept under the suffix of its format, and is read only once."""

import gzip
import io
import os
import sys
import time
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.config import DataConfig
from textlstm.errors import DataError
from textlstm.io.locate import locate
from textlstm.io.stdin import spool_stdin


class Terminal(io.BytesIO):
    def isatty(self):
        return True


@pytest.fixture
def spool(tmp_path, monkeypatch):
    """Put bytes into stdin and return the file that is made of them."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def put(data, kind=io.BytesIO):
        spool_stdin.cache_clear()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(kind(data)))
        return spool_stdin()

    yield put
    spool_stdin.cache_clear()


def parquet():
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"]}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (b'{"text": "a"}\n', ".jsonl"),
        (b'\xef\xbb\xbf{"text": "a"}\n', ".jsonl"),
        (b'[{"text": "a"}]\n', ".jsonl"),
        (b'[\n {"text": "a"}\n]\n', ".jsonl"),
        (b"[music] plays\n[applause]\n", ".txt"),
        (b"__label__good a film\n", ".txt"),
        (b"__label__good a film, and a plot\n__label__bad b, c\n", ".txt"),
        (b"text,label\na,b\n", ".csv"),
        (b"Review\nno label, a comma\n", ".csv"),
        (b"a;b\n1;2\n", ".csv"),
        (b"a\tb\n1\t2\n", ".csv"),
        (b"Well, yes.\nNo.\n", ".txt"),
        (b"a text\nanother\n", ".txt"),
        (b'"open\n', ".txt"),
        (gzip.compress(b"text,label\na,b\n", mtime=0), ".csv.gz"),
        (gzip.compress(b'{"text": "a"}\n', mtime=0), ".jsonl.gz"),
        (parquet(), ".parquet"),
    ],
)
def test_the_format_is_detected(spool, data, suffix):
    path = spool(data)
    assert "".join(path.suffixes) == suffix
    assert path.read_bytes() == data
    assert spool_stdin() == path
    assert spool(data) == path
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_nothing_and_a_terminal_are_refused(spool):
    for nothing in (b"", b"\n\n"):
        with pytest.raises(DataError, match="stdin is empty: pipe data in"):
            spool(nothing)
    with pytest.raises(DataError, match="stdin is a terminal: pipe data in"):
        spool(b"text,label\n", Terminal)


@pytest.mark.parametrize("data", [b"", b"\n\n", "text\na\n".encode("utf-16")])
def test_of_what_cannot_be_used_no_copy_stays_and_stdin_is_named(spool, tmp_path, data):
    with pytest.raises(DataError, match=r"stdin is (not plain text: it is UTF-16|empty)"):
        spool(data)
    assert list((tmp_path / "cache" / "textlstm").iterdir()) == []


def test_an_old_copy_that_another_process_removes_is_no_error(spool, monkeypatch):
    spool(b"text\na\n")
    gone = Path("stdin-gone.csv")
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: [folder / gone])
    assert spool(b"text\nb\n").exists()


def test_copies_are_kept_for_a_week(spool):
    old = spool(b"text\na\n")
    os.utime(old, (time.time() - 8 * 24 * 3600,) * 2)
    new = spool(b"text\nb\n")
    assert not old.exists()
    assert new.exists()


def test_the_copy_has_the_name_of_stdin(spool):
    path = spool(b"text\na\n")
    for name in ("-", path):
        found = locate(name, DataConfig())
        assert (found.name, found.splits, found.single) == ("stdin", {"train": (path,)}, True)
