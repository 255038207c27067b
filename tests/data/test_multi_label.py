"""Rows with any number of labels: lists in all kinds of data, or text cut at a mark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.config import DataConfig
from textlstm.data.corpus import Corpus, Split, load_corpus, load_split
from textlstm.errors import ConfigError, DataError

TEXTS = [f"text {i}" for i in range(6)]
LISTS = [["b", "a"], [], ["a"], None, ["a", "a", None, " "], ["c"]]
EXPECTED = [{"a", "b"}, set(), {"a"}, {"a"}, {"c"}]  # the null is left out
SEPARATED = DataConfig(label_separator=";")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def named(split: Split, names: tuple[str, ...]) -> list[set[str]]:
    assert split.labels.dtype == bool
    return [{names[i] for i in np.flatnonzero(row)} for row in split.labels]


def kept(corpus: Corpus) -> list[set[str]]:
    return named(corpus.train, corpus.labels)


def with_validation(train: Any) -> dict[str, Any]:
    return {"train": train, "validation": (["x"], [["a"]])}


def as_jsonl(folder: Path, labels: list[Any]) -> Path:
    folder.mkdir(exist_ok=True)
    rows = [{"text": t, "label": x} for t, x in zip(TEXTS, labels, strict=True)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "dev.jsonl").write_text('{"text": "x", "label": ["a"]}')
    return folder


def as_parquet(folder: Path, labels: list[Any]) -> Path:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"text": TEXTS, "label": labels}), folder / "train.parquet")
    pq.write_table(pa.table({"text": ["x"], "label": [["a"]]}), folder / "dev.parquet")
    return folder


def as_saved(folder: Path, labels: list[Any]) -> Path:
    splits = {
        "train": datasets.Dataset.from_dict({"text": TEXTS, "label": labels}),
        "validation": datasets.Dataset.from_dict({"text": ["x"], "label": [["a"]]}),
    }
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return folder


def as_objects(folder: Path, labels: list[Any]) -> Any:
    return with_validation((TEXTS, labels))


@pytest.mark.parametrize("make", [as_jsonl, as_parquet, as_saved, as_objects])
def test_lists_give_each_row_its_labels(make: Any, tmp_path: Path) -> None:
    corpus = load_corpus(make(tmp_path / "d", LISTS))
    assert corpus.labels == ("a", "b", "c")
    assert kept(corpus) == EXPECTED
    assert named(corpus.validation, corpus.labels) == [{"a"}]
    notes = " ".join(corpus.notes)
    assert "rows left out: 1 without a label (of 6)" in notes
    assert "rows with no label in their list: 1 (kept)" in notes


@pytest.mark.parametrize("make", [as_jsonl, as_parquet, as_objects])
def test_labels_in_lists_may_be_numbers_in_the_order_of_their_value(
    make: Any, tmp_path: Path
) -> None:
    source = make(tmp_path / "d", [[10, 9], [2], [], [10], [9], None])
    if isinstance(source, dict):
        source["validation"] = (["x"], [[2]])
    else:
        dev = next(source.glob("dev.*"))
        dev.unlink()
    corpus = load_corpus(source, DataConfig(validation_fraction=0.3))
    assert corpus.labels == ("2", "9", "10")


@pytest.mark.parametrize("form", ["dataset", "parquet", "saved"])
def test_class_labels_in_lists_keep_names_and_order(form: str, tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["z", "y", "unused"])
    features = datasets.Features({"text": datasets.Value("string"), "tags": [names]})
    rows = {"text": TEXTS, "tags": [[0, 1], [1], [], None, [0], [-1]]}
    data: Any = datasets.Dataset.from_dict(rows, features)
    if form == "parquet":
        data.to_parquet(tmp_path / "a.parquet")
        data = tmp_path / "a.parquet"
    elif form == "saved":
        data.save_to_disk(str(tmp_path / "a"))
        data = tmp_path / "a"
    config = DataConfig(label_column="tags")
    corpus = load_corpus(data, config)
    assert corpus.labels == ("z", "y")
    assert any("unused" in note for note in corpus.notes)
    split, _ = load_split(data, None, config, corpus.labels, multi_label=True)
    assert named(split, corpus.labels) == [{"z", "y"}, {"y"}, set(), {"z"}, set()]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_cells_of_text_are_cut_at_the_mark_and_an_empty_one_has_no_label(
    suffix: str, tmp_path: Path
) -> None:
    mark = {"csv": ",", "tsv": "\t"}[suffix]
    rows = ["a; b", "", "a", "a;;a", "c "]
    lines = [f"{text}{mark}{row}" for text, row in zip(TEXTS[:5], rows, strict=True)]
    path = tmp_path / f"a.{suffix}"
    path.write_text("\n".join([f"text{mark}label", *lines]))
    split, notes = load_split(path, None, SEPARATED, ("a", "b", "c"), multi_label=True)
    assert named(split, ("a", "b", "c")) == [{"a", "b"}, set(), {"a"}, {"a"}, {"c"}]
    assert any("no label in their list: 1 (kept)" in note for note in notes)


def test_text_that_is_cut_is_null_or_empty_where_the_format_has_both(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    labels = ["a;b", "", None, 3]
    path.write_text("\n".join(json.dumps({"text": "x", "label": label}) for label in labels))
    data = datasets.Dataset.from_dict({"text": ["x"] * 4, "label": ["a;b", "", None, "3"]})
    for source in (path, data, {"train": (["x"] * 4, labels)}):
        split, _ = load_split(source, "train", SEPARATED, ("a", "b", "3"), multi_label=True)
        assert named(split, ("a", "b", "3")) == [{"a", "b"}, set(), {"3"}]


def test_spelled_numbers_of_csv_files_are_read_as_whole_ones(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "a,1.0;2\nb,2.0\nc,\nd,1\n" * 3)
    corpus = load_corpus(tmp_path / "a.csv", SEPARATED)
    assert corpus.labels == ("1", "2")
    assert kept(corpus).count({"1", "2"}) + kept(corpus).count({"2"}) >= 4


def test_the_mark_is_no_matter_for_lists_and_both_may_stand_together(tmp_path: Path) -> None:
    folder = as_parquet(tmp_path / "d", LISTS)
    (folder / "dev.parquet").unlink()
    (folder / "dev.csv").write_text("text,label\nx,b;a\n")
    corpus = load_corpus(folder, SEPARATED)
    assert kept(corpus) == EXPECTED
    assert named(corpus.validation, corpus.labels) == [{"a", "b"}]


def test_rows_are_found_beyond_the_first_batch() -> None:
    random = np.random.default_rng(4)
    labels = [[str(i) for i in range(3) if random.random() < 0.3] for _ in range(2500)]
    texts: list[Any] = ["x"] * 2500
    texts[1100] = None
    data = datasets.Dataset.from_dict({"text": texts, "label": labels})
    split, _ = load_split(data, None, DataConfig(), ("0", "1", "2"), multi_label=True)
    expected = [set(row) for i, row in enumerate(labels) if i != 1100]
    assert named(split, ("0", "1", "2")) == expected
    chosen = split.select(np.array([2400, 3]))
    assert named(chosen, ("0", "1", "2")) == [expected[2400], expected[3]]


def test_fixed_and_large_lists_are_lists_too() -> None:
    for kind in (pa.list_(pa.string(), 2), pa.large_list(pa.large_string())):
        labels = pa.array([["a", "b"], None, ["b", "b"]], kind)
        data = datasets.Dataset(pa.table({"text": ["x", "y", "z"], "label": labels}))
        split, _ = load_split(data, None, DataConfig(), ("a", "b"), multi_label=True)
        assert named(split, ("a", "b")) == [{"a", "b"}, {"b"}]


def test_a_cut_for_validation_keeps_the_shares_of_labels() -> None:
    random = np.random.default_rng(7)
    shares = {"often": 0.6, "half": 0.5, "seldom": 0.04, "rare": 0.01}
    labels = [[n for n, s in shares.items() if random.random() < s] for _ in range(2000)]
    source = {"train": ([f"t{i}" for i in range(2000)], labels)}
    corpus = load_corpus(source)
    assert len(corpus.train) + len(corpus.validation) == 2000
    assert len(corpus.validation) == pytest.approx(200, abs=10)
    whole = corpus.train.labels.sum(axis=0) + corpus.validation.labels.sum(axis=0)
    held = corpus.validation.labels.sum(axis=0)
    np.testing.assert_allclose(held / whole, 0.1, atol=0.03)
    again = load_corpus(source)
    assert list(again.validation.texts()) == list(corpus.validation.texts())
    other = load_corpus(source, seed=2)
    assert list(other.validation.texts()) != list(corpus.validation.texts())


def test_one_label_that_rows_have_or_not_is_enough() -> None:
    corpus = load_corpus({"train": (TEXTS, [["spam"], [], ["spam"], [], [], ["spam"]])})
    assert corpus.labels == ("spam",)
    with pytest.raises(DataError, match="no row with a label in its list"):
        load_corpus({"train": (TEXTS, [[]] * 6)})


def test_other_labels_are_another_fingerprint() -> None:
    def fingerprint(*lists: list[str]) -> str:
        return load_corpus(
            {"train": (TEXTS[:2], list(lists)), "validation": (["x"], [[]])}
        ).fingerprint

    first = fingerprint(["a", "b"], ["a"])
    assert first == fingerprint(["a", "b"], ["a"])
    assert first != fingerprint(["a"], ["b", "a"])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            [["a"], "b", ["c"]],
            "row 2 of split 'train' .*the label is 'b', but other rows have lists: write ",
        ),
        ([["a"], [["b"]], ["c"]], "a list of labels has a list in it"),
        ([["a"], [{"b": 1}], ["c"]], "of type dict"),
        (np.zeros((3, 2)), r"labels have the shape \(3, 2\): pass a label, or a list"),
    ],
)
def test_what_can_be_no_list_of_labels_is_named(labels: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load_corpus({"train": (TEXTS[:3], labels)})


def test_a_row_without_a_list_is_named_in_files(tmp_path: Path) -> None:
    folder = as_jsonl(tmp_path / "d", [["a"], [], "b", ["b"], [], []])
    with pytest.raises(
        DataError, match=r"row 3 of .*jsonl: the label is 'b', but other rows have lists: write "
    ):
        load_corpus(folder)


def test_labels_of_lists_that_are_not_utf8_are_refused() -> None:
    raw = pa.array([[b"caf\xe9"]], pa.list_(pa.binary()))
    inner = pa.Array.from_buffers(pa.string(), 1, raw.values.buffers())
    labels = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), inner)
    data = datasets.Dataset(pa.table({"text": ["x"], "label": labels}))
    with pytest.raises(DataError, match="not UTF-8"):
        load_split(data, None, DataConfig(), ("a",), multi_label=True)


def test_splits_of_different_kinds_do_not_go_together() -> None:
    with pytest.raises(DataError, match=r"validation .* one label a row, and train has lists"):
        load_corpus({"train": (TEXTS, [["a"], ["b"]] * 3), "validation": (["x"], ["a"])})
    with pytest.raises(DataError, match=r"validation .* several labels a row, and train has one"):
        load_corpus({"train": (TEXTS, ["a", "b"] * 3), "validation": (["x"], [["a"]])})


def test_data_of_the_other_kind_than_the_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nx,a\n")
    with pytest.raises(DataError, match=r"the model gives lists .*pass --label-separator"):
        load_split(tmp_path / "a.csv", None, DataConfig(), ("a", "b"), multi_label=True)
    with pytest.raises(DataError, match="several labels a row, and the model gives one"):
        load_split(tmp_path / "a.csv", None, SEPARATED, ("a", "b"))


def test_a_test_split_without_any_label_is_left_out(tmp_path: Path) -> None:
    folder = as_jsonl(tmp_path / "d", LISTS)
    (folder / "test.jsonl").write_text('{"text": "x", "label": null}\n')
    corpus = load_corpus(folder)
    assert corpus.test is None
    assert any("test left out" in note for note in corpus.notes)


@pytest.mark.parametrize("mark", ["", "\n", ";\r"])
def test_a_mark_that_can_be_none_is_refused(mark: str) -> None:
    with pytest.raises(ConfigError, match=r"label_separator = .*must be at least one character"):
        DataConfig(label_separator=mark)


def test_a_file_is_read_anew_for_another_mark(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nx,a;b|c\n")
    found = [
        load_split(
            tmp_path / "a.csv", None, DataConfig(label_separator=mark), names, multi_label=True
        )
        for mark, names in ((";", ("a", "b|c")), ("|", ("a;b", "c")))
    ]
    assert [split.labels.tolist() for split, _ in found] == [[[True, True]], [[True, True]]]
