from __future__ import annotations

import json
import os
import re
from pathlib import Path

import datasets
import pytest

from textlstm.data import cache as arrow_cache
from textlstm.data.cache import import_files
from textlstm.errors import DataError, OutputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "textlstm"


def write(tmp_path: Path, data: str | bytes, name: str = "a.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_texts_and_label_names_are_memory_mapped_strings(tmp_path: Path) -> None:
    lines = [{"text": "a", "label": 1}, {"label": 2.0}, {"text": "c", "label": None}]
    path = write(tmp_path, "\n".join(map(json.dumps, lines)), "a.jsonl")
    data = import_files([path], ["text"], "label")
    assert data.to_dict() == {"text": ["a", None, "c"], "label": ["1", "2", None]}
    assert data.cache_files


def test_another_delimiter_is_another_reading(tmp_path: Path) -> None:
    path = write(tmp_path, "text\na;b\n")
    assert import_files([path], ["text"], None, delimiter=",")["text"][:] == ["a;b"]
    with pytest.raises(DataError, match=r"row 1 of .*: 2 fields instead of 1"):
        import_files([path], ["text"], None, delimiter=";")


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "text,label\na,b\n")
    before = import_files([path], ["text"], "label").to_dict()
    monkeypatch.setattr(arrow_cache, "read_rows", None)
    assert import_files([path], ["text"], "label").to_dict() == before


def test_a_changed_file_is_never_served_from_the_cache(tmp_path: Path, cache: Path) -> None:
    path = write(tmp_path, "text,label\na,b\n")
    first = import_files([path], ["text"], "label")
    stat = path.stat()
    write(tmp_path, "text,label\nX,b\n")  # as long as before, and with its old time
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = import_files([path], ["text"], "label")
    assert second["text"][0] == "X"
    assert first["text"][0] == "a"  # still open
    assert len(list(cache.iterdir())) == 1  # the import of the old state is gone


def test_other_columns_are_another_import(tmp_path: Path) -> None:
    path = write(tmp_path, "text,title,label\na,b,c\n")
    assert import_files([path], ["text"], "label").to_dict() == {"text": ["a"], "label": ["c"]}
    assert import_files([path], ["title"], "label").to_dict() == {"title": ["b"], "label": ["c"]}
    assert import_files([path], ["title"], None).to_dict() == {"title": ["b"]}


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("a.csv", "text,label\na,b\na,b,c\n", "row 2 of .*a.csv does not parse: 3 fields"),
        ("a.csv", b"text,label\na,b\ncaf\xe9,b\n", "row 2 of .*a.csv: .*'text' is not UTF-8"),
        ("a.csv", b"text,label\na,caf\xe9\n", "row 1 of .*a.csv: the label is not UTF-8"),
        ("a.jsonl", '{"text": 3}', "row 1 of .*a.jsonl: column 'text' is not a string"),
        ("a.jsonl", '{"text": "a", "label": [1]}', "row 1 of .*a.jsonl: the label is a list"),
    ],
)
def test_a_bad_row_is_named_and_leaves_nothing_behind(
    tmp_path: Path, cache: Path, name: str, data: str | bytes, what: str
) -> None:
    path = write(tmp_path, data, name)
    with pytest.raises(DataError, match=what):
        import_files([path], ["text"], "label")
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xff\xfea\0", "not plain text: it is UTF-16: save it as UTF-8"),
        (b"caf\xe9", "column 'text' is not UTF-8: save the file as UTF-8"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_bad_text_of_a_folder_of_labels_is_named(
    tmp_path: Path, data: bytes | None, what: str
) -> None:
    folder = tmp_path / "lf"
    for label in ("neg", "pos"):
        (folder / label).mkdir(parents=True)
        write(folder / label, "dull", "1.txt")
    if data is None:
        (folder / "neg" / "7.txt").symlink_to("nowhere")
    else:
        write(folder / "neg", data, "7.txt")
    with pytest.raises(DataError, match=f"^{re.escape(str(folder / 'neg' / '7.txt'))}: {what}$"):
        import_files([folder], ["text"], "label")


def test_a_folder_of_labels_is_read_anew_if_its_texts_change(tmp_path: Path) -> None:
    folder = tmp_path / "lf"
    for label in ("neg", "pos"):
        (folder / label).mkdir(parents=True)
        write(folder / label, "dull", "1.txt")
    (folder / "neg" / "7.txt").mkdir()
    assert import_files([folder], ["text"], "label")["label"][:] == ["neg", "pos"]
    write(folder / "pos", "bright", "2.txt")
    assert import_files([folder], ["text"], "label")["text"][:] == ["dull", "dull", "bright"]


def test_columns_that_are_not_wanted_may_hold_anything(tmp_path: Path) -> None:
    path = write(tmp_path, b"text,label,note\na,b,caf\xe9\n")
    assert import_files([path], ["text"], "label")["text"][:] == ["a"]


def test_rows_of_several_files_and_batches_stay_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_cache, "_BATCH_ROWS", 3)
    monkeypatch.setattr(arrow_cache, "_BATCH_CHARACTERS", 5)
    one = write(tmp_path, "text,label\n" + "".join(f"{'t' * i},{i}\n" for i in range(8)))
    two = write(tmp_path, "label,text\n8,last\n", "b.csv")
    data = import_files([one, two], ["text"], "label")
    assert data["label"][:] == [str(i) for i in range(9)]
    assert data["text"][:] == [*("t" * i for i in range(8)), "last"]


def test_what_a_killed_import_left_is_removed_after_a_day(tmp_path: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    for name in (".old.arrow", ".new.arrow"):
        (cache / name).write_text("half")
    os.utime(cache / ".old.arrow", (1, 1))
    import_files([write(tmp_path, "text,label\na,b\n")], ["text"], "label")
    assert sorted(path.name for path in cache.glob(".*")) == [".new.arrow"]


def test_a_cache_that_cannot_be_written_says_which_setting_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", write(tmp_path, "a file", "cache"))
    with pytest.raises(OutputError, match=r"cannot write .*: set HF_DATASETS_CACHE"):
        import_files([write(tmp_path, "text,label\na,b\n")], ["text"], "label")
