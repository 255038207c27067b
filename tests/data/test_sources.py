from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.config import DataConfig
from textlstm.data import sources
from textlstm.data.sources import find_tables
from textlstm.errors import DataError

CSV = "text,label\na,0\nb,1\n"


def find(source: Any) -> sources.Found:
    return find_tables(source, DataConfig())


def write(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".parquet"):
            pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1]}), path)
        elif name.endswith(".jsonl"):
            path.write_text('{"text": "a", "label": 0}\n')
        else:
            path.write_text(CSV)
    return folder


def files(found: sources.Found, folder: Path) -> dict[str, list[str]]:
    return {
        split: [file.relative_to(folder).as_posix() for file in table.files]
        for split, table in found.tables.items()
    }


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_hub(name: str, config: DataConfig) -> None:
        raise AssertionError(f"asked the Hub for {name}")

    monkeypatch.setattr(sources, "load_hub", load_hub)


def test_a_single_file_is_one_table(tmp_path: Path) -> None:
    found = find(write(tmp_path, "test.csv") / "test.csv")
    assert found.single
    assert files(found, tmp_path) == {"train": ["test.csv"]}


def test_a_folder_holds_a_file_of_any_format_per_split(tmp_path: Path) -> None:
    write(tmp_path, "Train.csv", "dev.parquet", "test.jsonl", "unlabeled.parquet", "README.md")
    found = find(str(tmp_path))
    assert files(found, tmp_path) == {
        "train": ["Train.csv"],
        "validation": ["dev.parquet"],
        "test": ["test.jsonl"],
    }
    assert found.notes == [f"not used in {tmp_path}: unlabeled.parquet"]


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
def test_validation_has_several_names(tmp_path: Path, name: str) -> None:
    found = find(write(tmp_path, f"{name}.csv", "train.csv"))
    assert set(found.tables) == {"train", "validation"}


def test_a_split_may_be_a_folder_or_numbered_files(tmp_path: Path) -> None:
    write(tmp_path, "train/b.csv", "train/a.csv", "train/.hidden.csv", "train/notes.md")
    write(tmp_path, "test-00001-of-00002.parquet", "test-00000-of-00002.parquet")
    found = find(tmp_path)
    assert files(found, tmp_path) == {
        "train": ["train/a.csv", "train/b.csv"],
        "test": ["test-00000-of-00002.parquet", "test-00001-of-00002.parquet"],
    }


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "train.jsonl"),
        ("dev.csv", "validation.csv"),
        ("test.csv", "test/a.csv"),
        ("train.csv", "train-1.csv"),
    ],
)
def test_two_sources_for_one_split_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    write(tmp_path, "train.csv", *names)
    with pytest.raises(DataError, match=f"several sources for .*{names[0]}"):
        find(tmp_path)


def test_a_folder_without_splits_names_what_was_found_and_what_is_expected(tmp_path: Path) -> None:
    write(tmp_path, "reviews.csv", "pos/1.txt")
    with pytest.raises(DataError, match=r"found: pos/, reviews\.csv.*train\.csv"):
        find(tmp_path)
    empty = tmp_path / "pos" / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="found: nothing"):
        find(empty)
    (empty / "train").mkdir()
    with pytest.raises(DataError, match="train holds no csv"):
        find(empty)


def test_saved_datasets_are_opened(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    data.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": data, "val": data}).save_to_disk(str(tmp_path / "dict"))
    one, many = find(tmp_path / "one"), find(tmp_path / "dict")
    assert one.single
    assert set(many.tables) == {"train", "validation"}
    assert not many.single


def test_a_damaged_saved_dataset_is_one_clear_error(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict({"text": ["a", "b"]})
    data.save_to_disk(str(tmp_path / "one"))
    next((tmp_path / "one").glob("*.arrow")).write_bytes(b"")
    with pytest.raises(DataError, match=r"saved dataset .*one cannot be read"):
        find(tmp_path / "one")


@pytest.mark.parametrize(
    "name", ["nothere.csv", "./reviews", "/no/such", "~/nosuch", "a/b/c", "reviews.csv.gz", "a.txt"]
)
def test_what_looks_local_never_goes_to_the_hub(name: str) -> None:
    with pytest.raises(DataError, match="no such file"):
        find(name)


@pytest.mark.parametrize("name", ["imdb", "owner/reviews", "owner/reviews-v1.5"])
def test_what_looks_like_a_hub_name_goes_there(name: str) -> None:
    with pytest.raises(AssertionError, match=name):
        find(name)


def test_a_local_folder_comes_before_a_hub_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "imdb", "train.csv")
    monkeypatch.chdir(tmp_path)
    assert set(find("imdb").tables) == {"train"}


def test_a_url_an_empty_name_and_a_foreign_type_are_refused() -> None:
    with pytest.raises(DataError, match=r"https://x\.de/a\.csv is a URL"):
        find("https://x.de/a.csv")
    with pytest.raises(DataError, match="empty"):
        find(" ")
    with pytest.raises(DataError, match="data of type int"):
        find(5)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a\.csv is a pipe"):
        find(tmp_path / "a.csv")


def test_hub_options_do_not_go_with_local_data(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    with pytest.raises(DataError, match=r"a\.csv is local"):
        find_tables(tmp_path / "a.csv", DataConfig(dataset_revision="main"))


def test_the_sample_is_a_folder_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "train.parquet", "validation.parquet", "test.parquet")
    monkeypatch.setattr(sources, "SAMPLE", tmp_path)
    found = find("sample")
    assert found.name == "sample"
    assert [table.name for table in found.tables.values()] == [
        f"{split} of sample" for split in ("train", "validation", "test")
    ]
    assert set(found.tables) == {"train", "validation", "test"}
    monkeypatch.setattr(sources, "SAMPLE", tmp_path / "gone")
    with pytest.raises(DataError, match=r"sample: the folder .*gone is missing"):
        find("sample")


def test_python_objects_are_taken(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    assert find(data).single
    assert set(find(datasets.DatasetDict({"train": data, "dev": data})).tables) == {
        "train",
        "validation",
    }
    assert set(find({"train": (["a"], [1]), "val": data}).tables) == {"train", "validation"}


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ({"train": (["a"], [1, 2])}, "1 texts and 2 labels"),
        ({"train": ["a", "b", "c"]}, "must be a pair"),
        ({"train": ("abc", [1, 2, 3])}, "not one string"),
        ({"train": (["a", 3], [1, 2])}, "row 2 of split 'train' .* not a string"),
        ({"train": (["a", "\ud800"], [1, 2])}, "row 2 .* not UTF-8"),
        ({"train": (["a", "b"], [[1], 2])}, "row 2 .* the label is 2 and no list"),
        ({"val": (["a"], [1]), "dev": (["a"], [1])}, "two splits for validation"),
        ({}, "no split"),
    ],
)
def test_bad_python_objects_are_named(source: Any, what: str) -> None:
    with pytest.raises(DataError, match=what):
        find(source)
