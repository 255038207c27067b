"""Columns of probabilities are matched with labels, read from any format, and checked."""

import math

import datasets
import numpy as np
import pytest

from textlstm.config import DataConfig
from textlstm.data.corpus import load_corpus
from textlstm.data.sources import find_tables
from textlstm.data.teacher_columns import match_columns, read_probabilities
from textlstm.errors import ConfigError, DataError

CSV = "text,label,p_neg,p_pos\na,neg,0.9,0.1\nb,pos,0.2,0.8\nc,,0.3,0.7\nd,neg,,\ne,pos,0,1\n"
COLUMNS = ("p_pos", "p_neg")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize(
    ("given", "labels", "expected"),
    [
        (["p_neg", "p_pos"], ["pos", "neg"], ["p_pos", "p_neg"]),
        (["pos", "neg"], ["neg", "pos"], ["neg", "pos"]),
        (["P.POS", "P:Neg"], ["neg", "pos"], ["P:Neg", "P.POS"]),
        (["p_a", "p_A"], ["A", "a"], ["p_A", "p_a"]),
        (["probability_very_good", "probability_good"], ["good", "very_good"],
         ["probability_good", "probability_very_good"]),
        (["neg=x", "pos=y"], ["neg", "pos"], ["x", "y"]),
        (["neg=p_pos", "pos=p_neg"], ["neg", "pos"], ["p_pos", "p_neg"]),
        (["a=b=c", "p_a"], ["a=b", "a"], ["c", "p_a"]),
    ],
)  # fmt: skip
def test_columns_are_matched_by_the_end_of_their_name_or_as_named(given, labels, expected):
    assert match_columns(given, labels) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["p_neg"], "no column for 'pos': pass one for each label"),
        (["p_neg", "shipos"], "'shipos' ends in none of the labels 'neg', 'pos': pass LABEL=ship"),
        (["p_neg", "q_neg"], "'p_neg' and 'q_neg' are both for the label 'neg'"),
    ],
)
def test_what_does_not_match_is_named(given, message):
    with pytest.raises(ConfigError, match=message):
        match_columns(given, ["neg", "pos"])


def write(tmp_path, text, name="a.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def table_of(source):
    return find_tables(source, DataConfig()).split("train")


def test_probabilities_are_the_same_in_every_format(tmp_path):
    path = write(tmp_path, CSV)
    data = datasets.Dataset.from_csv(str(path), cache_dir=str(tmp_path / "c"))
    data.to_parquet(str(tmp_path / "a.parquet"))
    data.to_json(str(tmp_path / "a.jsonl"))
    expected = [[0.1, 0.9], [0.8, 0.2], [0.7, 0.3], [math.nan, math.nan], [1, 0]]
    for source in (path, data, tmp_path / "a.parquet", tmp_path / "a.jsonl", [path, path]):
        found = read_probabilities(table_of(source), COLUMNS, multi_label=False)
        assert found.dtype == np.float32
        rows = expected * (2 if isinstance(source, list) else 1)
        np.testing.assert_allclose(found, rows, rtol=1e-6)


@pytest.mark.parametrize("name", ["numpy", "pandas", "arrow", "columns", "transform"])
def test_stored_probabilities_count_and_nan_is_empty(tmp_path, name):
    rows = {"text": ["a", "b", "c"], "p_neg": [0.9, math.nan, None], "p_pos": [0.1, None, math.nan]}
    data = datasets.Dataset.from_dict(rows)
    data.to_parquet(str(tmp_path / "a.parquet"))
    if name == "transform":
        shown = data.with_transform(lambda batch: {"p_neg": [0.5], "p_pos": [0.5]})
    elif name == "columns":
        shown = data.with_format("numpy", columns=["text"])
    else:
        shown = data.with_format(name)
    for source in (shown, tmp_path / "a.parquet"):
        found = read_probabilities(table_of(source), COLUMNS, multi_label=False)
        np.testing.assert_allclose(found, [[0.1, 0.9], *[[math.nan] * 2] * 2], rtol=1e-6)


def test_rounded_probabilities_sum_to_one_unless_a_text_has_several_labels(tmp_path):
    path = write(tmp_path, "text,p_neg,p_pos\na,0.5,0.52\n")
    found = read_probabilities(table_of(path), COLUMNS, multi_label=False)
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-6)
    path = write(tmp_path, "text,p_neg,p_pos\na,0.9,0.95\n", "b.csv")
    np.testing.assert_allclose(
        read_probabilities(table_of(path), COLUMNS, multi_label=True), [[0.95, 0.9]]
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0.5,1.5", "row 2 of .*: column 'p_pos' is '1.5', not a probability"),
        ("0.5,high", "column 'p_pos' is 'high', not a probability from 0 to 1: correct it"),
        ("nan,0.5", "column 'p_neg' is 'nan', not a probability"),
        ("0.5,", "row 2 of .*'p_pos', 'p_neg': some are empty: a row has all or none"),
        ("0.5,0.3", "row 2 of .*: they sum to 0.8, not 1: a row has all or none"),
    ],
)
def test_what_is_no_probability_is_named(tmp_path, row, message):
    path = write(tmp_path, f"text,p_neg,p_pos\na,0.9,0.1\nb,{row}\n")
    with pytest.raises(DataError, match=message):
        read_probabilities(table_of(path), COLUMNS, multi_label=False)


def test_a_missing_column_is_named(tmp_path):
    path = write(tmp_path, "text,p_neg\na,0.9\n")
    with pytest.raises(DataError, match=r"column 'p_pos' is not in .*pass --teacher-columns"):
        read_probabilities(table_of(path), COLUMNS, multi_label=False)


def split(split):
    """(text, probability of the second label) of each row."""
    texts = [text for batch in split.texts() for text in batch]
    return [(a, round(b, 2)) for a, b in zip(texts, split.taught[:, 1].tolist(), strict=True)]


def test_rows_keep_their_probabilities_and_those_without_a_label_count(tmp_path):
    rows = [f"t{i},{['neg', 'pos', ''][i % 3]},{1 - i / 100},{i / 100}" for i in range(40)]
    text = "\n".join(["text,label,p_neg,p_pos", *rows, "x,neg,,", "y,,,"])
    config = DataConfig(teacher_columns=COLUMNS)
    corpus = load_corpus(write(tmp_path, text), config)
    found = split(corpus.train)
    assert found.pop() == ("x", pytest.approx(math.nan, nan_ok=True))
    assert all(float(text[1:]) / 100 == value for text, value in found)
    [more] = corpus.unlabeled
    assert split(more) == [(f"t{i}", i / 100) for i in range(2, 40, 3)]
    assert corpus.notes[1].endswith(
        "13 of 14 rows without a label have a teacher's probabilities and are kept"
    )
    assert not any("left out" in note for note in corpus.notes)
    for old, new in (("0.9,0.1\n", "0.8,0.2\n"), ("t5,", "T5,"), ("0.99,0.01", "0.98,0.02")):
        other = load_corpus(write(tmp_path, text.replace(old, new), "b.csv"), config)
        assert other.fingerprint != corpus.fingerprint, old


def test_data_without_labels_is_loaded_with_its_texts(tmp_path):
    source = {"train": (["a good film", "a bad film"] * 10, ["pos", "neg"] * 10)}
    plain = load_corpus(source)
    assert plain.unlabeled == ()
    one = write(tmp_path, "text,id\nu,1\n,2\nv,3\n", "u.csv")
    two = write(tmp_path, "review\nw\n", "v.csv")
    corpus = load_corpus(source, DataConfig(unlabeled=(str(one), str(two))))
    texts = [[text for batch in part.texts() for text in batch] for part in corpus.unlabeled]
    assert texts == [["u", "v"], ["w"]]
    assert [part.labels.tolist() for part in corpus.unlabeled] == [[0, 0], [0]]
    assert any(note == f"without labels: 2 texts of {one}" for note in corpus.notes)
    assert len({plain.fingerprint, corpus.fingerprint}) == 2
    one.write_text("text,id\nu,1\n,2\nx,3\n")
    changed = load_corpus(source, DataConfig(unlabeled=(str(one), str(two))))
    assert changed.fingerprint != corpus.fingerprint


def test_data_without_a_text_is_refused(tmp_path):
    path = write(tmp_path, "text,id\n,1\n", "u.csv")
    with pytest.raises(DataError, match=r"u.csv has no row with a text \(1 rows\)"):
        load_corpus({"train": (["a", "b"] * 5, [0, 1] * 5)}, DataConfig(unlabeled=(str(path),)))


def test_unlabeled_data_can_have_probabilities_of_its_own(tmp_path):
    path = write(tmp_path, CSV)
    more = write(tmp_path, "text,p_neg,p_pos\nu,0.4,0.6\nv,,\n", "u.csv")
    config = DataConfig(teacher_columns=COLUMNS, unlabeled=(str(more),))
    corpus = load_corpus(path, config)
    assert [split(part) for part in corpus.unlabeled] == [[("c", 0.7)], [("u", 0.6)]]
