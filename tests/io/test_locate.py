from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.config import DataConfig
from textlstm.errors import ConfigError, DataError
from textlstm.io import hub_datasets
from textlstm.io import locate as module
from textlstm.io.locate import Located, locate

CSV = "text,label\na,0\nb,1\n"


def find(source: Any, **options: str) -> Located[Any]:
    return locate(source, DataConfig(**options))


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


def files(found: Located[Any], folder: Path) -> dict[str, list[str]]:
    return {
        split: [file.relative_to(folder).as_posix() for file in files]
        for split, files in found.splits.items()
    }


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_hub(name: str, config: DataConfig) -> None:
        raise AssertionError(f"asked the Hub for {name}")

    monkeypatch.setattr(hub_datasets, "load_hub", load_hub)


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
    assert found.notes == [f"not a split of {tmp_path}: unlabeled.parquet"]


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
def test_validation_has_several_names(tmp_path: Path, name: str) -> None:
    found = find(write(tmp_path, f"{name}.csv", "train.csv"))
    assert set(found.splits) == {"train", "validation"}


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


def test_a_folder_of_other_names_holds_the_parts_of_one_table(tmp_path: Path) -> None:
    write(tmp_path, "b.csv", "a.csv.gz", ".hidden.csv", "README.md", "deeper/c.csv")
    found = find(tmp_path)
    assert files(found, tmp_path) == {"train": ["a.csv.gz", "b.csv"]}
    assert found.single


def test_files_can_be_named_one_by_one_or_by_a_pattern(tmp_path: Path) -> None:
    write(tmp_path, "b.csv", "a.csv", "c.tsv", "deep/d.csv", ".work/e.csv")
    assert files(find([tmp_path / "b.csv", str(tmp_path / "a.csv")]), tmp_path) == {
        "train": ["b.csv", "a.csv"]
    }
    for pattern, names in (("*.csv", ["a.csv", "b.csv"]), ("**/[d].csv", ["deep/d.csv"])):
        found = find(str(tmp_path / pattern))
        assert found.single
        assert files(found, tmp_path) == {"train": names}
    both = find([str(tmp_path / "*.csv"), str(tmp_path / "deep")])
    assert files(both, tmp_path) == {"train": ["a.csv", "b.csv", "deep/d.csv"]}
    write(tmp_path, "a[1].csv")
    assert files(find(str(tmp_path / "a[1].csv")), tmp_path) == {"train": ["a[1].csv"]}


def test_several_files_that_are_named_by_split_are_splits(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", "test.csv", "other.csv")
    found = find([tmp_path / "train.csv", tmp_path / "test.csv"])
    assert files(found, tmp_path) == {"train": ["train.csv"], "test": ["test.csv"]}
    assert found.listed == (tmp_path / "train.csv", tmp_path / "test.csv")
    assert find(str(tmp_path / "*.csv")).single


def test_files_of_one_name_in_several_folders_are_the_parts_of_one_table(tmp_path: Path) -> None:
    write(tmp_path, "en/test.csv", "de/test.csv")
    found = find(str(tmp_path / "*" / "test.csv"))
    assert found.single
    assert files(found, tmp_path) == {"train": ["de/test.csv", "en/test.csv"]}
    write(tmp_path, "de/train.csv")
    with pytest.raises(
        DataError, match=r"several sources for test \(\S+de/test\.csv, .*: pass one"
    ):
        find(str(tmp_path / "*" / "*.csv"))


def test_names_in_a_list_must_be_there(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    with pytest.raises(DataError, match=r"no such file: .*b\.csv"):
        find([tmp_path / "a.csv", tmp_path / "b.csv"])
    with pytest.raises(DataError, match=r"no file matches .*x\*"):
        find(str(tmp_path / "x*.csv"))
    with pytest.raises(DataError, match="data of type int in a list"):
        find([3])


def test_one_split_is_taken_by_name_or_because_it_is_the_only_one(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", "dev.csv", "one/test.csv", "mixed/test.csv", "mixed/a.csv")
    found = find(tmp_path)
    assert found.only("validation") == (f"validation of {tmp_path}", (tmp_path / "dev.csv",))
    assert found.only("dev") == found.only("validation")
    assert find(tmp_path / "one").only(None)[1] == (tmp_path / "one" / "test.csv",)
    for folder, splits in ((tmp_path, "train, validation"), (tmp_path / "mixed", "test")):
        with pytest.raises(DataError, match=f"has the splits {splits}: pass --split, or a pattern"):
            find(folder).only(None)
    with pytest.raises(DataError, match=r"split 'test' is not in .*its splits are train, valid"):
        found.only("test")
    with pytest.raises(ConfigError, match=r"split = 'test': .*train\.csv has no splits"):
        find(tmp_path / "train.csv").only("test")


def test_a_folder_of_folders_of_texts_is_one_table_or_one_per_split(tmp_path: Path) -> None:
    write(tmp_path / "one", "pos/1.txt", "neg/1.txt", "README")
    found = find(tmp_path / "one")
    assert found.single
    assert files(found, tmp_path) == {"train": ["one"]}
    write(tmp_path / "two", "train/pos/1.txt", "train/neg/1.txt", "test/pos/1.txt", "vocab.txt")
    assert files(find(tmp_path / "two"), tmp_path) == {"train": ["two/train"], "test": ["two/test"]}


@pytest.mark.parametrize("labels", [("valid", "invalid"), ("dev", "ops"), ("dev", "test", "val")])
def test_labels_that_are_named_like_splits_make_a_label_folder(tmp_path, labels):
    write(tmp_path / "one", *(f"{label}/1.txt" for label in (*labels, "other")))
    write(tmp_path / "one", *(f"{label}/.DS_Store" for label in labels))
    assert files(find(tmp_path / "one"), tmp_path) == {"train": ["one"]}


@pytest.mark.parametrize(
    "names",
    [
        ("train/1.txt", "test/1.txt"),
        ("train/1.txt", "docs/1.txt"),
        ("dev/1.txt", "docs/1.pdf"),
        ("dev/1.txt", "dev/1.pdf", "ops/1.txt"),
    ],
)
def test_folders_of_texts_named_like_splits_alone_are_no_labels(tmp_path, names):
    write(tmp_path / "one", *names)
    with pytest.raises(DataError, match="holds no csv, tsv, json lines or parquet file: put one"):
        find(tmp_path / "one")


def test_a_folder_of_folders_of_texts_may_stand_in_a_list(tmp_path: Path) -> None:
    write(tmp_path, "one/pos/1.txt", "one/neg/1.txt", "a.csv")
    assert files(find([tmp_path / "one"]), tmp_path) == {"train": ["one"]}


def test_the_case_of_suffixes_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path, "train.CSV.GZ", "Test.csv.Zst")
    assert files(find(tmp_path), tmp_path) == {"train": ["train.CSV.GZ"], "test": ["Test.csv.Zst"]}


def test_txt_files_count_only_if_they_are_named(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "LICENSE.txt")
    assert files(find(tmp_path), tmp_path) == {"train": ["a.csv"]}
    assert files(find(tmp_path / "LICENSE.txt"), tmp_path) == {"train": ["LICENSE.txt"]}
    write(tmp_path / "ft", "train.txt", "valid.txt.gz", "notes.txt")
    assert files(find(tmp_path / "ft"), tmp_path / "ft") == {
        "train": ["train.txt"],
        "validation": ["valid.txt.gz"],
    }


def test_a_folder_without_data_names_what_was_found_and_what_is_expected(tmp_path: Path) -> None:
    write(tmp_path, "notes.md", "pos/1.md")
    with pytest.raises(DataError, match=r"found: notes\.md, pos/.*train\.csv"):
        find(tmp_path)
    empty = tmp_path / "pos" / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="found: nothing"):
        find(empty)
    (empty / "train").mkdir()
    with pytest.raises(DataError, match=r"train holds no csv.*: put one into it"):
        find(empty)


def test_saved_datasets_are_opened(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    data.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": data, "val": data}).save_to_disk(str(tmp_path / "dict"))
    one, many = find(tmp_path / "one"), find(tmp_path / "dict")
    assert one.single
    assert set(many.splits) == {"train", "validation"}
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
    assert set(find("imdb").splits) == {"train"}


def test_a_url_an_empty_name_and_a_foreign_type_are_refused() -> None:
    with pytest.raises(DataError, match=r"https://x\.de/a\.csv is a URL"):
        find("https://x.de/a.csv")
    with pytest.raises(DataError, match="empty"):
        find(" ")
    with pytest.raises(DataError, match="data of type int"):
        find(5)


def test_a_tilde_that_names_no_user_is_part_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "~data.csv")
    monkeypatch.chdir(tmp_path)
    for source in ("~data.csv", ["~data.csv"], "~d*.csv"):
        assert find(source).splits == {"train": (Path("~data.csv"),)}
    with pytest.raises(DataError, match="no such file: ~nosuchuser/data"):
        find("~nosuchuser/data.csv")


@pytest.mark.parametrize("name", ["x" * 300 + ".csv", "x" * 300 + "*/a.csv"])
def test_a_name_that_the_system_refuses_is_one_clear_error(name: str) -> None:
    for source in (name, [name]):
        with pytest.raises(DataError, match=r"cannot read x+\S+: File name too long|no file match"):
            find(source)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a\.csv is a pipe"):
        find(tmp_path / "a.csv")


def test_hub_options_do_not_go_with_local_data(tmp_path: Path) -> None:
    write(tmp_path, "a.csv")
    with pytest.raises(ConfigError, match=r"a\.csv is local"):
        find(tmp_path / "a.csv", dataset_revision="main")


def test_the_sample_is_a_folder_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "train.parquet", "validation.parquet", "test.parquet")
    monkeypatch.setattr(module, "SAMPLE", tmp_path)
    found = find("sample")
    assert found.name == "sample"
    assert set(found.splits) == {"train", "validation", "test"}
    monkeypatch.setattr(module, "SAMPLE", tmp_path / "gone")
    with pytest.raises(DataError, match=r"sample: the folder .*gone is missing"):
        find("sample")


def test_datasets_are_taken() -> None:
    data = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    assert find(data).single
    assert set(find(datasets.DatasetDict({"train": data, "dev": data})).splits) == {
        "train",
        "validation",
    }
    with pytest.raises(DataError, match="two splits for validation: val, dev: rename one"):
        find(datasets.DatasetDict({"val": data, "dev": data}))
