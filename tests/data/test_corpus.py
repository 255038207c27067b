from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.config import DataConfig
from textlstm.data.corpus import Split, load_corpus, load_split, load_texts
from textlstm.errors import ConfigError, DataError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
ROWS = "text,label\n" + "".join(f"text {i},{'pos' if i % 3 else 'neg'}\n" for i in range(30))
CLASSES = datasets.Features(
    {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg", "odd"])}
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def texts(split: Split, batch_size: int = 1000) -> list[str]:
    return list(itertools.chain.from_iterable(split.texts(batch_size)))


def pairs(split: Split, labels: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(text, labels[i]) for text, i in zip(texts(split), split.labels, strict=True)]


def of(labels: list[Any], **more: tuple[list[str], list[Any]]) -> Any:
    return {"train": ([f"text {i}" for i in range(len(labels))], labels), **more}


def test_a_corpus_holds_every_row_with_its_label(tmp_path: Path) -> None:
    write(tmp_path / "d", train=ROWS, dev="text,label\nx,neg\n", test="text,label\ny,pos\n")
    corpus = load_corpus(tmp_path / "d")
    assert corpus.labels == ("neg", "pos")
    assert pairs(corpus.train, corpus.labels) == [
        (f"text {i}", "pos" if i % 3 else "neg") for i in range(30)
    ]
    assert corpus.test is not None
    assert pairs(corpus.validation, corpus.labels) == [("x", "neg")]
    assert pairs(corpus.test, corpus.labels) == [("y", "pos")]
    assert corpus.train.labels.dtype == np.int64
    assert corpus.source == str(tmp_path / "d")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["b", "a", "B", "é"], ("B", "a", "b", "é")),
        ([10, 9, -1], ("-1", "9", "10")),
        (["10", "9", "x"], ("10", "9", "x")),
        ([1.0, 0.0, float("nan")], ("0", "1")),
        ([True, False], ("false", "true")),
        ([1, "1", True, "x"], ("1", "true", "x")),
    ],
)
def test_labels_of_any_kind_have_a_fixed_order(labels: list[Any], names: tuple[str, ...]) -> None:
    for order in (labels, labels[::-1]):
        assert load_corpus(of(order * 2)).labels == names


def test_class_labels_keep_their_order_and_lose_what_train_does_not_have(tmp_path: Path) -> None:
    rows = {"text": ["a", "b"] * 5 + ["c"], "label": [0, 1] * 5 + [-1]}
    data = datasets.Dataset.from_dict(rows, CLASSES)
    pq.write_table(data.data.table, tmp_path / "a.parquet")
    for source in (data, tmp_path / "a.parquet"):
        corpus = load_corpus(source)
        assert corpus.labels == ("pos", "neg")
        assert any("odd" in note for note in corpus.notes)
        assert any("1 without a label" in note for note in corpus.notes)
        kept = pairs(corpus.train, corpus.labels) + pairs(corpus.validation, corpus.labels)
        assert set(kept) == {("a", "pos"), ("b", "neg")}


def test_floats_of_csv_files_are_the_same_labels_however_they_are_spelled(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    write(folder, train="text,label\na,1.0\nb,0.0\nc,\n", dev="text,label\nd,1\n")
    assert load_corpus(folder).labels == ("0", "1")
    write(folder, train="text,label\na,1.0\nb,0.5\n", dev="text,label\nd,1.0\n")
    corpus = load_corpus(folder)
    assert corpus.labels == ("0.5", "1")
    assert pairs(corpus.validation, corpus.labels) == [("d", "1")]


def test_labels_of_sections_stay_apart(tmp_path: Path) -> None:
    write(tmp_path, a="text,label\n" + "a,1.1\nb,1.10\nc,1.9\n" * 2)
    assert load_corpus(tmp_path / "a.csv").labels == ("1.1", "1.10", "1.9")
    with pytest.raises(DataError, match=r"label '1\.10' of .*a\.csv.* is not one of the model's"):
        load_split(tmp_path / "a.csv", None, DataConfig(), ("1.1", "1.9"))


@pytest.mark.parametrize("names", [("False", "True"), ("2.0", "1.0"), ("2", "1"), ("0.5", "1.5")])
def test_splits_without_class_names_are_spelled_as_those_with_them(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=list(names))}
    )
    rows = {"text": ["a", "b"] * 4, "label": [0, 1] * 4}
    data = datasets.Dataset.from_dict(rows, features)
    data.to_parquet(str(tmp_path / "a.parquet"))
    write(tmp_path, b=f"text,label\na,{names[0]}\nb,{names[1]}\n")
    config = DataConfig(test=str(tmp_path / "b.csv"))
    pair = {"train": data, "test": (["a", "b"], list(names))}
    for corpus in (load_corpus(tmp_path / "a.parquet", config), load_corpus(pair)):
        assert corpus.labels == names
        assert corpus.test is not None
        assert corpus.test.labels.tolist() == [0, 1]
    corpus = load_corpus({"train": (["a", "b"] * 4, list(names) * 4), "test": data})
    assert corpus.test is not None
    assert pairs(corpus.test, corpus.labels)[:2] == pairs(corpus.train, corpus.labels)[:2]


LABELS_OF_FORMATS = {
    "booleans": ([True, False], ["True", "False"], ["true", "false"], ("false", "true")),
    "whole": ([4.0, 5.0], ["4", "5"], [4, 5], ("4", "5")),
    "halves": ([3.5, 4.0], ["3.50", "4.0"], [3.5, 4], ("3.5", "4")),
    "single": (pa.array([3.3, 4.0], pa.float32()), ["3.3", "4"], [3.3, 4], ("3.3", "4")),
}


@pytest.mark.parametrize("kind", LABELS_OF_FORMATS)
def test_labels_mean_the_same_in_every_format(tmp_path: Path, kind: str) -> None:
    column, cells, values, names = LABELS_OF_FORMATS[kind]
    table = pa.table({"text": ["a", "b"], "label": column})
    pq.write_table(table, tmp_path / "train.parquet")
    write(tmp_path, test=f"text,label\nc,{cells[0]}\nd,{cells[1]}\n")
    lines = [{"text": "e", "label": values[0]}, {"text": "f", "label": values[1]}]
    (tmp_path / "dev.jsonl").write_text("\n".join(map(json.dumps, lines)))
    corpus = load_corpus(tmp_path)
    assert corpus.test is not None
    assert corpus.labels == names
    expected = corpus.train.labels.tolist()
    assert corpus.validation.labels.tolist() == corpus.test.labels.tolist() == expected
    (tmp_path / "ds").mkdir()
    data = datasets.Dataset(table)
    for source in (data, tmp_path / "test.csv", tmp_path / "dev.jsonl", tmp_path / "train.parquet"):
        split, _ = load_split(source, None, DataConfig(), names)
        assert split.labels.tolist() == expected
    old = tuple(cells)  # a model whose labels were taken as they stand in a csv
    split, _ = load_split(data, None, DataConfig(), old)
    assert split.labels.tolist() == [0, 1]


def test_labels_that_differ_only_in_case_or_spaces_are_reported() -> None:
    corpus = load_corpus(of(["good", "Good", "bad", "bad ", "fine"] * 2))
    assert (
        "train of texts and labels: labels that differ only in case or outer spaces: "
        "'Good' and 'good'; 'bad' and 'bad '"
    ) in corpus.notes
    assert len(corpus.labels) == 5


def test_null_and_blank_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    lines = '{"text": null, "label": "a"}\n{"text": "", "label": "a"}\n{"text": "x", "label": ""}\n'
    (tmp_path / "d").mkdir()
    lines += '{"text": "v", "label": "a"}\n'
    (tmp_path / "d" / "train.jsonl").write_text(lines + '{"text": "y", "label": "b"}\n')
    write(tmp_path / "d", dev="text,label\n  ,a\nw,a\nz,\n")
    corpus = load_corpus(tmp_path / "d")
    assert pairs(corpus.train, corpus.labels) == [("v", "a"), ("y", "b")]
    assert pairs(corpus.validation, corpus.labels) == [("w", "a")]
    assert "2 without a text, 1 without a label (of 5)" in " ".join(corpus.notes)
    assert "1 without a text, 1 without a label (of 3)" in " ".join(corpus.notes)


def test_several_text_columns_are_joined_by_a_space(tmp_path: Path) -> None:
    write(tmp_path, a="title,body,label\nA,b c,1\n,d,0\nE,,1\nF,g,0\n")
    config = DataConfig(text_column=("title", "body"))
    corpus = load_corpus(tmp_path / "a.csv", config)
    assert sorted(texts(corpus.train) + texts(corpus.validation)) == [" d", "A b c", "E ", "F g"]


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.3, 0.9])
def test_a_cut_takes_its_share_of_each_label_once(fraction: float) -> None:
    labels = ["a"] * 100 + ["b"] * 10 + ["c"] * 2 + ["d"]
    corpus = load_corpus(of(labels), DataConfig(validation_fraction=fraction))
    found = texts(corpus.train) + texts(corpus.validation)
    assert sorted(found) == sorted(f"text {i}" for i in range(113))
    counts = np.bincount(corpus.validation.labels, minlength=4)
    assert counts.tolist() == [max(1, round(100 * fraction)), max(1, round(10 * fraction)), 1, 0]
    for split in (corpus.train, corpus.validation):
        for text, label in pairs(split, corpus.labels):
            assert label == labels[int(text.split()[1])]
    note = f"validation: {counts.sum()} of 113 rows held out from train (stratified, seed 1)"
    assert note in corpus.notes


def test_a_cut_depends_on_the_seed_and_on_nothing_else() -> None:
    source = of(["a", "b"] * 50)
    cuts = [texts(load_corpus(source, seed=seed).validation) for seed in (1, 1, 2)]
    assert cuts[0] == cuts[1] != cuts[2]
    # A fixed point: a library's other random numbers must not change old runs.
    assert cuts[0][:4] == ["text 2", "text 9", "text 16", "text 36"]


def test_the_fingerprint_follows_the_data_and_not_the_file(tmp_path: Path) -> None:
    one = load_corpus(write(tmp_path / "a", train=ROWS)).fingerprint
    assert load_corpus(write(tmp_path / "b", train=ROWS)).fingerprint == one
    assert load_corpus(tmp_path / "a", seed=2).fingerprint == one
    changed = [
        ROWS.replace("text 7", "text x"),
        ROWS.replace("text 7,pos", "text 7,neg"),
        ROWS + "more,pos\n",
        ROWS.replace("pos", "yes"),
    ]
    for text in changed:
        assert load_corpus(write(tmp_path / "a", train=text)).fingerprint != one
    write(tmp_path / "b", test="text,label\nx,pos\n")
    assert load_corpus(tmp_path / "b").fingerprint != one


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (of(["a", "a"]), "has only the label 'a': training needs at least two"),
        (of([None, None]), r"no row with a text and a label \(2 rows\)"),
        (of([]), r"no row with a text and a label \(0 rows\)"),
        (of(["a", "b"]), "one row per label: too few to cut"),
        (
            of(["a", "b"], dev=(["x", "y"], ["c", "d"])),
            "label 'c' and 1 other labels of valid",
        ),
        (of(["a", "b"], dev=(["x"], ["a"]), test=(["x"], ["z"])), "label 'z' of test of .* a, b"),
        ({"test": (["a"], [1])}, "split 'train' is not in .* splits are test: name"),
    ],
)
def test_data_that_cannot_be_learned_from_is_refused(source: Any, what: str) -> None:
    with pytest.raises(DataError, match=what):
        load_corpus(source)


def test_a_test_split_without_labels_counts_as_none(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict({"text": ["a", "b"] * 5, "label": [0, 1] * 5}, CLASSES)
    unlabelled = datasets.Dataset.from_dict({"text": ["c"], "label": [-1]}, CLASSES)
    corpus = load_corpus(datasets.DatasetDict({"train": data, "test": unlabelled}))
    assert corpus.test is None
    assert any(note.startswith("test left out") for note in corpus.notes)
    write(tmp_path / "d", train=ROWS, test="id,text\n1,a\n")
    corpus = load_corpus(tmp_path / "d")
    assert corpus.test is None
    assert any("has no column 'label'" in note for note in corpus.notes)


def test_a_validation_split_without_labels_is_replaced_by_a_cut() -> None:
    corpus = load_corpus(of(["a", "b"] * 10, validation=(["x"], [None])))
    assert len(corpus.validation) == 2
    assert any(note.startswith("validation left out") for note in corpus.notes)


def test_a_column_missing_in_validation_is_named_there(tmp_path: Path) -> None:
    write(tmp_path / "d", train=ROWS, dev="text,lable\nx,pos\n")
    with pytest.raises(
        DataError, match=r"'label' is not in .*dev\.csv; its columns are text, lable"
    ):
        load_corpus(tmp_path / "d")


def test_a_dataset_with_its_own_order_and_format_reads_the_same() -> None:
    data = datasets.Dataset.from_dict({"text": [f"t{i}" for i in range(20)], "label": [0, 1] * 10})
    shuffled = data.select(list(range(19, -1, -1))).with_format("numpy")
    corpus = load_corpus(datasets.DatasetDict({"train": shuffled, "validation": shuffled}))
    assert texts(corpus.train) == [f"t{i}" for i in range(19, -1, -1)]
    assert corpus.train.labels.tolist() == [1, 0] * 10


def test_a_single_file_is_judged_whole(tmp_path: Path) -> None:
    write(tmp_path, some="text,label\na,pos\nb,neg\nc,\n")
    split, notes = load_split(tmp_path / "some.csv", "test", DataConfig(), ["pos", "neg"])
    assert pairs(split, ("pos", "neg")) == [("a", "pos"), ("b", "neg")]
    assert "1 without a label" in " ".join(notes)


def test_a_split_is_taken_by_any_of_its_names(tmp_path: Path) -> None:
    write(tmp_path / "d", train=ROWS, dev="text,label\nx,pos\n", test="text,label\ny,pos\n")
    for name, text in (("val", "x"), ("validation", "x"), ("test", "y"), (None, "y")):
        split, _ = load_split(tmp_path / "d", name, DataConfig(), ["neg", "pos"])
        assert texts(split) == [text]
    with pytest.raises(DataError, match="split 'extra' is not in"):
        load_split(tmp_path / "d", "extra", DataConfig(), ["neg", "pos"])


def test_labels_that_the_model_does_not_have_are_named(tmp_path: Path) -> None:
    write(tmp_path, a="text,label\na,pos\nb,odd\nc,odd\n")
    with pytest.raises(DataError, match=r"'odd' of .*a\.csv \(2 rows\) is not one of the model's"):
        load_split(tmp_path / "a.csv", None, DataConfig(), ["neg", "pos"])
    write(tmp_path, a="text,label\na,\n")
    with pytest.raises(DataError, match=r"a\.csv has no row with a text and a label"):
        load_split(tmp_path / "a.csv", None, DataConfig(), ["neg", "pos"])


def test_numbers_spelled_as_floats_find_the_model_labels(tmp_path: Path) -> None:
    write(tmp_path, a="text,label\na,1.0\nb,0.0\n")
    for labels in (("0", "1"), ("0.0", "1.0")):
        split, _ = load_split(tmp_path / "a.csv", None, DataConfig(), labels)
        assert split.labels.tolist() == [1, 0]
    split, _ = load_split(tmp_path / "a.csv", None, DataConfig(), ("0", "1", "1.0"))
    assert split.labels.tolist() == [2, 0]


def test_texts_are_read_without_labels_as_often_as_wanted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": null}\n{"text": "c"}\n')
    read, notes, _ = load_texts(tmp_path / "a.jsonl")
    assert [list(read()), list(read())] == [[["a", "c"]], [["a", "c"]]]
    assert "1 without a text" in " ".join(notes)
    (tmp_path / "a.jsonl").write_text('{"text": null}\n')
    with pytest.raises(DataError, match="no row with a text"):
        load_texts(tmp_path / "a.jsonl", DataConfig(text_column=("text",)))


def test_the_texts_of_a_file_stay_on_disk(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n' * 9)
    allocated = pa.total_allocated_bytes()
    corpus = load_corpus(tmp_path / "a.jsonl")
    assert len(corpus.train) == 16
    assert pa.total_allocated_bytes() - allocated < 10_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "labels", "train", "validation"),
    [
        ("sst2", ("negative", "positive"), 6920, 872),
        (
            "trec",
            ("description", "entity", "abbreviation", "human", "location", "numeric"),
            4907,
            545,
        ),
        ("imdb", ("neg", "pos"), 22500, 2500),
    ],
)
def test_real_corpora_load_whole(
    name: str, labels: tuple[str, ...], train: int, validation: int
) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"{SHARED / name} is not there")
    corpus = load_corpus(SHARED / name)
    assert corpus.labels == labels
    assert (len(corpus.train), len(corpus.validation), corpus.test) == (train, validation, None)
    assert sum(len(batch) for batch in corpus.train.texts()) == train
    whole = load_corpus(SHARED / name / "train.parquet")
    assert len(whole.train) + len(whole.validation) == train


def test_a_folder_per_label_is_a_corpus_that_knows_when_a_text_changes(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for label in ("pos", "neg"):
            for number in range(3):
                path = tmp_path / split / label / f"{number}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{label} {number}")
    corpus = load_corpus(tmp_path)
    assert corpus.labels == ("neg", "pos")
    assert corpus.test is not None
    assert pairs(corpus.test, corpus.labels)[0] == ("neg 0", "neg")
    assert len(corpus.train) + len(corpus.validation) == 6
    (tmp_path / "test" / "neg" / "0.txt").write_text("changed")
    changed = load_corpus(tmp_path)
    assert changed.fingerprint != corpus.fingerprint
    (tmp_path / "test" / "neg").rename(tmp_path / "test" / "pos2")
    with pytest.raises(DataError, match=r"label 'pos2' of .*test"):
        load_corpus(tmp_path)


def test_lines_of_fasttext_are_a_corpus_with_one_label_or_several(tmp_path: Path) -> None:
    lines = "".join(f"__label__{'ab'[i % 2]} text {i}\n" for i in range(20))
    (tmp_path / "one.txt").write_text(lines)
    assert load_corpus(tmp_path / "one.txt").labels == ("a", "b")
    (tmp_path / "two.txt").write_text(lines + "__label__a __label__b both\n")
    corpus = load_corpus(tmp_path / "two.txt")
    assert corpus.train.labels.ndim == 2
    split, _ = load_split(tmp_path / "one.txt", None, DataConfig(), ("a", "b"), multi_label=True)
    assert split.labels.sum() == 20
    with pytest.raises(DataError, match="several labels a row"):
        load_split(tmp_path / "two.txt", None, DataConfig(), ("a", "b"))


def test_several_files_and_a_pattern_are_one_corpus(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    (tmp_path / "b.csv").write_text(ROWS.replace("text ", "more "))
    for source in ([tmp_path / "a.csv", tmp_path / "b.csv"], str(tmp_path / "*.csv"), tmp_path):
        corpus = load_corpus(source)
        assert len(corpus.train) + len(corpus.validation) == 60


def test_validation_and_test_can_be_files_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    (tmp_path / "v.csv").write_text("text,label\nv,pos\n")
    write(tmp_path / "d", train=ROWS, test="text,label\nt,neg\n")
    config = DataConfig(validation=str(tmp_path / "v.csv"), test=str(tmp_path / "d"))
    corpus = load_corpus(tmp_path / "a.csv", config)
    assert corpus.test is not None
    assert len(corpus.train) == 30
    assert pairs(corpus.validation, corpus.labels) == [("v", "pos")]
    assert pairs(corpus.test, corpus.labels) == [("t", "neg")]
    with pytest.raises(DataError, match=r"no such file: .*x\.csv"):
        load_corpus(tmp_path / "a.csv", DataConfig(test=str(tmp_path / "x.csv")))


def test_a_share_of_train_can_be_held_out_for_the_test(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    corpus = load_corpus(tmp_path / "a.csv", DataConfig(test_fraction=0.2))
    assert corpus.test is not None
    assert (len(corpus.test), len(corpus.validation), len(corpus.train)) == (6, 3, 21)
    parts = (corpus.test, corpus.validation, corpus.train)
    assert sorted(text for part in parts for text in texts(part)) == sorted(
        f"text {i}" for i in range(30)
    )
    assert "test: 6 of 30 rows held out from train (stratified, seed 2)" in corpus.notes
    for config in (
        DataConfig(test_fraction=0.2, test=str(tmp_path / "a.csv")),
        DataConfig(test_fraction=0.2),
    ):
        write(tmp_path / "d", train=ROWS, test=ROWS)
        with pytest.raises(ConfigError, match=r"test_fraction = 0\.2: .* has the test rows"):
            load_corpus(tmp_path / "d", config)


def test_columns_within_others_can_be_named(tmp_path: Path) -> None:
    rows = [{"body": {"text": f"t{i}"}, "meta": {"mark": "ab"[i % 2]}} for i in range(6)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    config = DataConfig(text_column=("body.text",), label_column="meta.mark")
    for source in (tmp_path / "a.jsonl", tmp_path / "a.parquet", datasets.Dataset.from_list(rows)):
        corpus = load_corpus(source, config)
        assert corpus.labels == ("a", "b")
        assert set(texts(corpus.train)) < {f"t{i}" for i in range(6)}
    with pytest.raises(DataError, match=r"columns are body, body\.text, meta, meta\.mark: pass"):
        load_corpus(tmp_path / "a.jsonl", DataConfig(text_column=("body.txt",)))


@pytest.mark.parametrize(
    ("data", "cell"),
    [
        ("great film,pos\nbad film,neg\nso so,pos\n", "'pos'"),
        ("1,great film\n0,bad film\n", "'1'"),
        ("I have never seen a better film,x\nbad,y\n", "'I have never"),
    ],
)
def test_a_file_without_a_line_of_names_is_noticed(tmp_path: Path, data: str, cell: str) -> None:
    (tmp_path / "a.csv").write_text(data)
    with pytest.raises(DataError, match=f"first line of .*looks like a row.*{cell}.*text,label"):
        load_corpus(tmp_path / "a.csv")


def test_odd_names_that_are_asked_for_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0,1\n" + ROWS.partition("\n")[2])
    config = DataConfig(text_column=("0",), label_column="1")
    assert load_corpus(tmp_path / "a.csv", config).labels == ("neg", "pos")


def test_a_split_of_a_folder_without_splits_is_refused(tmp_path):
    for label in ("neg", "pos"):
        (tmp_path / "d" / label).mkdir(parents=True)
        (tmp_path / "d" / label / "1.txt").write_text("a film")
    with pytest.raises(ConfigError, match=r"split = 'tset': .*has no splits"):
        load_split(tmp_path / "d", "tset", DataConfig(), ["neg", "pos"])
