"""What is likely to be wrong is said once, with a remedy; sound data passes in silence."""

import numpy as np
import pytest
from tiny_corpus import rows

from textlstm.data import checks
from textlstm.data.corpus import load_corpus


def corpus(**splits):
    return load_corpus({name: tuple(zip(*part, strict=True)) for name, part in splits.items()})


def numbered(n, seed):
    return [
        (f"{text} {seed} {number}", label) for number, (text, label) in enumerate(rows(n, seed))
    ]


def test_sound_data_passes_in_silence():
    sound = corpus(train=numbered(100, 0), validation=numbered(50, 1), test=numbered(50, 2))
    assert checks.corpus_warnings(sound) == []


def test_every_finding_of_a_corpus_is_reported_the_most_serious_first():
    train = [*numbered(200, 0), ("both ways", "bad"), ("both ways ", "good"), ("odd", "rare")]
    part = numbered(9, 1)
    found = checks.corpus_warnings(corpus(train=train, validation=part, test=[*train[:3], *part]))
    begins = [
        "3 of 12 test texts are in train",
        "texts that occur in train with different labels: 1",
    ]
    begins += [
        "fewer than 5 rows in train: 'rare'",
        "label 'bad' has 101 rows",
        "validation has only 9",
    ]
    assert len(found) == len(begins)
    for sentence, begin in zip(found, begins, strict=True):
        assert sentence.startswith(begin)
    (alone,) = checks.corpus_warnings(corpus(train=numbered(200, 0), validation=numbered(50, 1)))
    assert alone == checks.NO_TEST


def test_rows_with_several_labels_are_checked_too():
    texts = ["one", "one", "two", "two"]
    labels = np.array([[1, 0], [1, 1], [0, 1], [0, 1]], bool)
    keys = np.array([hash(text) for text in texts])
    assert checks.contradictions(keys, labels).startswith(
        "texts that occur in train with different labels: 1"
    )
    assert checks.contradictions(keys[2:], labels[2:]) is None


@pytest.mark.parametrize(
    ("labels", "rows", "suspect"),
    [
        ([str(n) for n in range(5)], 20, False),  # stars
        ([str(n) for n in range(40)], 10_000, False),  # ids of many classes
        ([str(n) for n in range(40)], 100, True),
        ([f"{n}.5" for n in range(25)], 10_000, True),
        ([f"class {n}" for n in range(40)], 100, False),
    ],
)
def test_many_numbers_as_labels_look_like_a_measurement(labels, rows, suspect):
    assert (checks.measurement(labels, rows) is not None) == suspect


@pytest.mark.parametrize(("counts", "suspect"), [([20, 1], False), ([21, 1], True), ([3, 0], True)])
def test_imbalance_is_beyond_1_to_20(counts, suspect):
    found = checks.imbalance(np.array(counts), ["a", "b"])
    assert (found is not None) == suspect
    if suspect:
        assert found.endswith("try --class-weights balanced")


def test_the_limits_of_few_rows():
    assert checks.small_validation(50) is None
    assert "only 49 rows" in checks.small_validation(49)
    assert checks.rare_labels(np.array([5, 9]), ["a", "b"]) is None
    many = checks.rare_labels(np.array([4] * 7), list("abcdefg"))
    assert "'e' and 2 more;" in many


def test_texts_that_are_cut_are_counted():
    assert checks.cut_texts(np.array([400] * 5 + [9] * 95), 400) is None
    found = checks.cut_texts(np.array([400] * 6 + [9] * 94), 400)
    assert found.startswith("6 of 100 texts of train have 400 tokens or more")


def figures(**changes):
    per_label = {"a": {"support": 3, "precision": 0.5}, "b": {"support": 2, "precision": 0.0}}
    return {"per_label": per_label, **changes}


def test_labels_that_are_never_predicted_are_named():
    said = "never predicted on validation: 'b'; "
    assert checks.never_predicted(figures(confusion_matrix=[[3, 0], [2, 0]])).startswith(said)
    assert checks.never_predicted(figures(confusion_matrix=[[2, 1], [2, 0]])) is None
    assert checks.never_predicted(figures()).startswith(said)  # several labels a text


def test_an_lstm_that_counts_for_little_is_reported():
    scales = {"calibration": {"scales": {"lstm": 0.12, "ngrams": 1.06}}}
    (found,) = checks.result_warnings(figures(confusion_matrix=[[3, 0], [1, 1]], **scales))
    assert "scales 0.12 and 1.06" in found
    assert checks.quiet_lstm({"lstm": 0.5, "ngrams": 1.0}) is None
    assert checks.quiet_lstm({"lstm": 0.1}) is None
