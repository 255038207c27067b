"""Model folders written by earlier versions load and predict what they did.

`fixtures/model-0.1` was made by version 0.1.0, and `expected.csv` by the same program on the same
machine:

    textlstm train sample --out model-0.1 --hidden-size 8 --embedding-size 8 --vocab-size 400 \\
        --ngram-buckets 512 --epochs 2 --threads 1
    textlstm predict model-0.1 reviews.csv --out expected.csv --top-k 2
"""

import csv
from pathlib import Path

import pytest

from textlstm import TextClassifier
from textlstm.cli import main

FIXTURES = Path(__file__).parent / "fixtures"


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_model_of_0_1_predicts_the_labels_and_scores_that_it_did(tmp_path):
    out = tmp_path / "out.csv"
    words = ["predict", str(FIXTURES / "model-0.1"), str(FIXTURES / "reviews.csv")]
    assert main([*words, "--out", str(out), "--top-k", "2"]) == 0
    found, expected = read(out), read(FIXTURES / "expected.csv")
    assert len(found) == len(expected) == 40
    for row, wanted in zip(found, expected, strict=True):
        scores = [name for name in wanted if name.startswith("score")]
        # the last digits differ between CPUs
        assert [float(row.pop(name)) for name in scores] == [
            pytest.approx(float(wanted.pop(name)), abs=1e-5) for name in scores
        ]
        assert row == wanted


def test_a_model_of_0_1_keeps_its_facts_and_can_be_saved_again(tmp_path):
    classifier = TextClassifier.load(FIXTURES / "model-0.1", device="cpu")
    assert classifier.labels == ("negative", "positive")
    assert classifier.metrics["test"]["n"] == 1000
    classifier.save(tmp_path / "again")
    again = TextClassifier.load(tmp_path / "again", device="cpu")
    texts = ["A wonderful story.", "It is dull."]
    assert (again.predict_proba(texts) == classifier.predict_proba(texts)).all()
