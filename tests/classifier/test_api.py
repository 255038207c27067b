"""What the Python interface takes beside texts, and what it shows of itself."""

import csv

import datasets
import numpy as np
import pytest
import torch
from tiny_classifier import LABELS, texts, tiny_classifier, tiny_tagger

from textlstm import TextClassifier
from textlstm.data.split import Split
from textlstm.errors import ConfigError, DataError

CLASSIFIER = tiny_classifier()
TEXTS = [f"{text} film" for text in texts(30)]
TRUE = [LABELS[i % 3] for i in range(30)]


@pytest.fixture(scope="module")
def expected():
    return CLASSIFIER.evaluate(TEXTS, TRUE)


def write_csv(path, rows=None, columns=("text", "label")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *(rows or zip(TEXTS, TRUE, strict=True))])
    return path


def test_a_file_or_folder_is_evaluated(tmp_path, expected):
    path = write_csv(tmp_path / "test.csv")
    assert CLASSIFIER.evaluate(path) == expected
    assert CLASSIFIER.evaluate(str(path)) == expected
    write_csv(tmp_path / "train.csv", [("a film", "bad"), ("the film", "good")])
    assert CLASSIFIER.evaluate(tmp_path) == expected
    assert CLASSIFIER.evaluate(tmp_path, split="train")["n"] == 2


def test_columns_are_passed_by_name(tmp_path, expected):
    path = write_csv(tmp_path / "in.csv", columns=("body", "verdict"))
    found = CLASSIFIER.evaluate(path, text_column="body", label_column="verdict")
    assert found == expected
    with pytest.raises(ConfigError, match="unknown option 'text_colum'"):
        CLASSIFIER.evaluate(path, text_colum="body")


def test_a_dataset_and_splits_in_python_are_evaluated(expected):
    dataset = datasets.Dataset.from_dict({"text": TEXTS, "label": TRUE})
    assert CLASSIFIER.evaluate(dataset) == expected
    assert CLASSIFIER.evaluate(datasets.DatasetDict(test=dataset)) == expected
    assert CLASSIFIER.evaluate({"test": (TEXTS, TRUE)}) == expected


def test_what_can_not_be_evaluated_is_named(tmp_path):
    path = write_csv(tmp_path / "in.csv")
    with pytest.raises(ConfigError, match=r"split = 'test': .*in\.csv is a single file"):
        CLASSIFIER.evaluate(path, split="test")
    with pytest.raises(DataError, match="nowhere"):
        CLASSIFIER.evaluate("nowhere.csv")
    with pytest.raises(ConfigError, match="labels are missing"):
        CLASSIFIER.evaluate(TEXTS)
    with pytest.raises(ConfigError, match="split: not with texts"):
        CLASSIFIER.evaluate(TEXTS, TRUE, split="test")


def test_a_split_shows_what_it_holds():
    data = datasets.Dataset.from_dict({"title": TEXTS, "body": TEXTS})
    split = Split(data, ["title", "body"], np.zeros(30, np.int64))
    assert repr(split) == "Split(30 rows of title + body, one label each)"


def test_only_the_best_labels_are_kept():
    full, best = CLASSIFIER.predict(TEXTS), CLASSIFIER.predict(TEXTS, top_k=2)
    for one, other in zip(full, best, strict=True):
        ranked = sorted(one.probabilities.items(), key=lambda item: -item[1])
        assert list(other.probabilities.items()) == ranked[:2]
        assert (one.label, one.score) == (other.label, other.score)
    for wrong in (0, 4):
        with pytest.raises(ConfigError, match=f"top_k = {wrong}: must be from 1 to the 3 labels"):
            CLASSIFIER.predict(TEXTS, top_k=wrong)


def test_below_the_threshold_there_is_no_label():
    for one, other in zip(
        CLASSIFIER.predict(TEXTS), CLASSIFIER.predict(TEXTS, threshold=0.8), strict=True
    ):
        assert other.label == (one.label if one.score >= 0.8 else "")
        assert other.labels == (one.labels if one.score >= 0.8 else ())
        assert other.score == one.score
    assert {bool(p.label) for p in CLASSIFIER.predict(TEXTS, threshold=0.8)} == {True, False}
    with pytest.raises(ConfigError, match=r"threshold = 1\.5: must be from 0 to 1"):
        CLASSIFIER.predict(TEXTS, threshold=1.5)


def test_of_several_labels_the_threshold_replaces_those_of_the_model():
    tagger = tiny_tagger()
    for prediction in tagger.predict(TEXTS, threshold=0.45):
        reached = {label for label, value in prediction.probabilities.items() if value >= 0.45}
        assert set(prediction.labels) == reached


def test_threads_are_set_on_loading(tmp_path):
    CLASSIFIER.save(tmp_path / "model")
    before = torch.get_num_threads()
    try:
        TextClassifier.load(tmp_path / "model", device="cpu", threads=2)
        assert torch.get_num_threads() == 2
        TextClassifier.from_pretrained(tmp_path / "model", device="cpu", threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    with pytest.raises(ConfigError, match="threads = 0: must be at least 1"):
        TextClassifier.load(tmp_path / "model", threads=0)


def test_forms_for_people_and_notebooks():
    assert repr(CLASSIFIER.tokenizer).startswith("TextTokenizer(word, ")
    page = CLASSIFIER._repr_html_()
    assert "&lt;b&gt;très" in page
    assert ">network</td>" in page
