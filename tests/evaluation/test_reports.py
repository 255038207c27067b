"""The report of scikit-learn and the flat dictionaries are those of the same predictions there."""

import numpy as np
import pytest
from sklearn import metrics as sk
from tiny_classifier import texts, tiny_classifier

from textlstm.errors import ConfigError
from textlstm.evaluation import metrics
from textlstm.evaluation.metrics import evaluate_probabilities
from textlstm.evaluation.reports import AVERAGES, classification_report, flat_metrics, report_text

NAMES = ("b", "a", "a label with a long name", "accuracy")


def judged(true, predicted, names=NAMES):
    probabilities = np.full((len(true), len(names)), 0.1)
    probabilities[np.arange(len(true)), predicted] = 0.9
    return evaluate_probabilities(np.array(true), probabilities, names)


def pairs(true, predicted, names=NAMES):
    return [names[i] for i in true], [names[i] for i in predicted]


RANDOM = np.random.default_rng(0)
CASES = [
    ([0, 1, 2, 0, 1], [0, 0, 2, 0, 1]),
    ([0, 1, 2], [1, 2, 0]),  # nothing is right
    ([0, 0, 0], [0, 0, 0]),
    ([0, 0, 1], [2, 2, 1]),  # a label that is predicted only
    (RANDOM.integers(3, size=400).tolist(), RANDOM.integers(3, size=400).tolist()),
]


def options(true, predicted):
    """The labels in the order of the model, which scikit-learn sorts if it is not told."""
    shown = sorted({*true, *predicted})
    return {"labels": [NAMES[i] for i in shown], "zero_division": 0}


@pytest.mark.parametrize(("true", "predicted"), CASES)
def test_the_report_is_that_of_scikit_learn(true, predicted):
    metrics = judged(true, predicted)
    found = classification_report(metrics)
    expected = sk.classification_report(
        *pairs(true, predicted), output_dict=True, **options(true, predicted)
    )
    assert list(found) == list(expected)
    for name, row in expected.items():
        assert found[name] == pytest.approx(row, rel=1e-12)
    assert found["macro avg"]["f1-score"] == pytest.approx(metrics["macro_f1"], rel=1e-12)
    assert found["weighted avg"]["f1-score"] == pytest.approx(metrics["weighted_f1"], rel=1e-12)


# where nothing is right, scikit-learn prints the numbers of texts as 3.0
IN_PRINT = [*(CASES[:1] + CASES[2:]), ([3, 0, 1], [3, 0, 0])]


@pytest.mark.slow
@pytest.mark.parametrize(("true", "predicted"), IN_PRINT)
@pytest.mark.parametrize("digits", [2, 4])
def test_the_text_is_that_of_scikit_learn(true, predicted, digits):
    expected = sk.classification_report(
        *pairs(true, predicted), digits=digits, **options(true, predicted)
    )
    assert report_text(judged(true, predicted), digits=digits) == expected


@pytest.mark.slow
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize(("true", "predicted"), CASES)
def test_flat_metrics_are_those_of_scikit_learn(true, predicted, average):
    found = flat_metrics(judged(true, predicted), average=average)
    values = sk.precision_recall_fscore_support(true, predicted, average=average, zero_division=0)
    expected = dict(zip(("precision", "recall", "f1"), values[:3], strict=True))
    expected["accuracy"] = sk.accuracy_score(true, predicted)
    assert found == pytest.approx(expected, rel=1e-12)
    assert list(found) == ["accuracy", "precision", "recall", "f1"]
    assert all(type(value) is float for value in found.values())


def test_of_two_labels_the_second_can_be_judged_alone():
    true, predicted = [0, 1, 1, 0, 1], [0, 1, 0, 1, 1]
    found = flat_metrics(judged(true, predicted, ("no", "yes")), average="binary")
    assert found["precision"] == sk.precision_score(true, predicted)
    assert found["recall"] == sk.recall_score(true, predicted)
    assert found["f1"] == sk.f1_score(true, predicted)


@pytest.mark.parametrize(
    ("average", "message"),
    [
        ("binary", "average = 'binary' with 4 labels: it needs two"),
        ("samples", f"average = 'samples': must be one of {', '.join(AVERAGES)}"),
    ],
)
def test_an_average_that_there_is_not(average, message):
    with pytest.raises(ConfigError, match=message):
        flat_metrics(judged([0, 1], [0, 1]), average=average)


def of_several(true, predicted):
    """What an evaluation gives where a text may have several labels, bool [N, C]."""
    names = NAMES[: true.shape[1]]
    probabilities = np.where(predicted, 0.9, 0.1)
    return evaluate_probabilities(true, probabilities, names, thresholds=[0.5] * len(names))


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.05, 0.0])
def test_where_a_text_may_have_several_labels_all_are_in_the_report(share):
    random = np.random.default_rng(1)
    true, predicted = random.random((60, 3)) < share, random.random((60, 3)) < share
    found = classification_report(of_several(true, predicted))
    expected = sk.classification_report(
        true, predicted, target_names=NAMES[:3], output_dict=True, zero_division=0
    )
    del expected["samples avg"]
    assert list(found) == list(expected)
    for name, row in expected.items():
        assert found[name] == pytest.approx(row, rel=1e-9)
    text = sk.classification_report(true, predicted, target_names=NAMES[:3], zero_division=0)
    lines = [line for line in text.splitlines() if "samples avg" not in line]
    assert report_text(of_several(true, predicted)).splitlines() == lines
    flat = flat_metrics(of_several(true, predicted), average="micro")
    recall = sk.recall_score(true, predicted, average="micro", zero_division=0)
    assert flat["recall"] == pytest.approx(recall)
    with pytest.raises(ConfigError, match="'binary' with 3 labels: it needs two, of which a text"):
        flat_metrics(of_several(true, predicted), average="binary")


def test_it_takes_what_a_classifier_gives():
    classifier = tiny_classifier()
    some = texts(30)
    truth = [classifier.labels[i % 3] for i in range(30)]
    metrics = classifier.evaluate(some, truth)
    said = [prediction.label for prediction in classifier.predict(some)]
    assert report_text(metrics) == sk.classification_report(
        truth, said, labels=list(classifier.labels), zero_division=0
    )
    assert flat_metrics(metrics)["f1"] == metrics["macro_f1"]


def test_of_many_labels_only_the_pairs_that_occur_are_kept(monkeypatch):
    random = np.random.default_rng(0)
    true, probabilities = random.integers(0, 5, 40), random.random((40, 5), np.float32)
    names = ["a", "b", "c", "d", "e"]
    few = evaluate_probabilities(true, probabilities, names)
    monkeypatch.setattr(metrics, "_MOST_IN_JSON", 4)
    monkeypatch.setattr(metrics, "_AT_ONCE", 35)  # 7 texts at once
    many = evaluate_probabilities(true, probabilities, names)
    matrix = np.zeros((5, 5), int)
    for one, other, count in many.pop("confusions"):
        matrix[one, other] = count
    assert matrix.tolist() == few["confusion_matrix"]
    assert {**many, "confusion_matrix": matrix.tolist()} == few
    many["confusions"] = [[0, 1, 2], [3, 3, 1]]
    report = classification_report({**many, "accuracy": 1 / 3})
    assert report["a"]["support"] == 2
    assert report["d"]["recall"] == 1.0
