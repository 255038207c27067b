"""Figures are those worked out by hand; what is printed lines up."""

import json
import math
import warnings
import weakref

import numpy as np
import pytest
from sklearn import metrics as sk

from textlstm.errors import ConfigError, DataError
from textlstm.evaluation.metrics import evaluate_parts, evaluate_probabilities, format_metrics

# true a a a a b b b c; predicted a a a b b b a c; 'd' never occurs
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2])
NAMES = ["a", "b", "c", "d"]
PROBABILITIES = np.array(
    [
        [0.7, 0.1, 0.1, 0.1],
        [0.7, 0.1, 0.1, 0.1],
        [0.7, 0.1, 0.1, 0.1],
        [0.2, 0.5, 0.2, 0.1],
        [0.2, 0.5, 0.2, 0.1],
        [0.2, 0.5, 0.2, 0.1],
        [0.6, 0.2, 0.1, 0.1],
        [0.05, 0.03, 0.9, 0.02],
    ],
    np.float32,
)


@pytest.fixture
def figures():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a label that is absent is no cause for one
        return evaluate_probabilities(LABELS, PROBABILITIES, NAMES)


def test_figures_worked_out_by_hand(figures):
    f1_a = 2 * 3 / (2 * 3 + 1 + 1)  # 3 found, 1 missed, 1 too many
    f1_b = 2 * 2 / (2 * 2 + 1 + 1)
    assert figures["n"] == 8
    assert figures["accuracy"] == pytest.approx(6 / 8)
    assert figures["micro_f1"] == pytest.approx(6 / 8)
    assert figures["balanced_accuracy"] == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)
    assert figures["macro_f1"] == pytest.approx((f1_a + f1_b + 1) / 3)
    assert figures["weighted_f1"] == pytest.approx((4 * f1_a + 3 * f1_b + 1) / 8)


def test_per_label_figures_worked_out_by_hand(figures):
    rows = figures["per_label"]
    assert rows["a"] == pytest.approx({"precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 4})
    assert rows["b"] == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "support": 3}
    )
    assert rows["d"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [1, 3, 40])
@pytest.mark.parametrize("several", [False, True])
def test_figures_are_those_of_scikit_learn(several, n, weighted):
    random = np.random.default_rng(n)
    names = [f"label {i}" for i in range(5)]  # of few texts some are neither there nor predicted
    probabilities = random.random((n, 5)) * [0.4, 0.5, 0.7, 0.8, 1]
    weights = random.integers(0, 3, n) + 0.5 if weighted else None
    if several:
        labels, predicted = random.random((n, 5)) < 0.4, probabilities >= 0.5
    else:
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        labels, predicted = random.integers(0, 5, n), probabilities.argmax(axis=1)
    thresholds = [0.5] * 5 if several else None
    found = evaluate_probabilities(labels, probabilities, names, weights, thresholds)
    options = {"zero_division": 0, "sample_weight": weights}
    for average in ("macro", "micro", "weighted"):
        expected = sk.f1_score(labels, predicted, average=average, **options)
        assert found[f"{average}_f1"] == pytest.approx(expected)
    accuracy = sk.accuracy_score(labels, predicted, sample_weight=weights)
    assert found["accuracy"] == pytest.approx(accuracy)
    rows = sk.precision_recall_fscore_support(labels, predicted, labels=range(5), **options)
    for key, row in zip(("precision", "recall", "f1"), rows, strict=False):
        assert [found["per_label"][name][key] for name in names] == pytest.approx(row)
    if several:
        options["zero_division"] = 1
        expected = sk.f1_score(labels, predicted, average="samples", **options)
        assert found["samples_f1"] == pytest.approx(expected)
    else:
        matrix = sk.confusion_matrix(labels, predicted, labels=range(5))
        assert found["confusion_matrix"] == matrix.tolist()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a label that is predicted and not there
            expected = sk.balanced_accuracy_score(labels, predicted, sample_weight=weights)
        assert found["balanced_accuracy"] == pytest.approx(expected)


def test_the_matrix_has_a_row_for_each_true_label(figures):
    assert figures["confusion_matrix"] == [[3, 1, 0, 0], [1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert figures["labels"] == NAMES
    always_b = evaluate_probabilities(np.array([0, 0, 1]), np.tile([0.1, 0.9], (3, 1)), ["a", "b"])
    assert always_b["confusion_matrix"] == [[0, 2], [0, 1]]


def test_log_loss_is_the_mean_of_minus_log_of_the_true_label(figures):
    losses = -np.log([0.7, 0.7, 0.7, 0.2, 0.5, 0.5, 0.2, 0.9])
    assert figures["log_loss"] == pytest.approx(losses.mean(), rel=1e-6)


def test_log_loss_stays_finite_where_a_probability_is_zero():
    figures = evaluate_probabilities(
        np.array([0]), np.array([[0.0, 1.0]], np.float32), ["no", "yes"]
    )
    assert figures["log_loss"] == pytest.approx(23 * math.log(2), rel=1e-6)


def test_calibration_error_worked_out_by_hand(figures):
    # bins of 1/15: 0.7 three times all right, 0.5 three times two right, 0.6 wrong, 0.9 right;
    # 0.6 is the upper end of (8/15, 9/15], so float32's 0.6000000238 falls into the next
    gaps = 3 * abs(1 - 0.7) + 3 * abs(2 / 3 - 0.5) + abs(0 - 0.6) + abs(1 - 0.9)
    assert figures["ece"] == pytest.approx(gaps / 8, abs=1e-6)


def test_confidence_that_is_right_as_often_as_it_says_has_no_calibration_error():
    labels = np.array([0, 0, 0, 1])
    probabilities = np.tile([0.75, 0.25], (4, 1))
    assert evaluate_probabilities(labels, probabilities, ["a", "b"])["ece"] == pytest.approx(0)


def test_errors_in_one_bin_cancel_and_in_two_do_not():
    labels = np.array([0, 1])
    apart = np.array([[0.99, 0.01], [0.55, 0.45]])
    figures = evaluate_probabilities(labels, apart, ["a", "b"])
    assert figures["ece"] == pytest.approx((abs(1 - 0.99) + abs(0 - 0.55)) / 2)
    together = np.array([[0.95, 0.05], [0.94, 0.06]])
    figures = evaluate_probabilities(labels, together, ["a", "b"])
    assert figures["ece"] == pytest.approx(abs((1 - 0.95 + 0 - 0.94) / 2))


def test_there_are_fifteen_bins_and_each_holds_its_upper_end():
    labels = np.array([0, 1])
    around_nine_fifteenths = np.array([[0.6, 0.4], [0.62, 0.38]])
    figures = evaluate_probabilities(labels, around_nine_fifteenths, ["a", "b"])
    assert figures["ece"] == pytest.approx((abs(1 - 0.6) + abs(0 - 0.62)) / 2)


def test_certainty_falls_into_the_last_bin():
    figures = evaluate_probabilities(np.array([0]), np.array([[1.0, 0.0]]), ["a", "b"])
    assert figures["ece"] == 0


def test_the_result_is_json(figures):
    assert json.loads(json.dumps(figures)) == figures
    assert list(figures) == [
        "n",
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "micro_f1",
        "weighted_f1",
        "log_loss",
        "ece",
        "reliability",
        "per_label",
        "confusion_matrix",
        "labels",
    ]


def test_nothing_to_judge_is_an_error():
    with pytest.raises(DataError, match="0 texts"):
        evaluate_probabilities(np.zeros(0, np.int64), np.zeros((0, 2), np.float32), ["a", "b"])


def test_probabilities_that_are_not_finite_are_an_error():
    with pytest.raises(DataError, match="not finite"):
        evaluate_probabilities(np.array([0]), np.array([[np.nan, 0.5]]), ["a", "b"])


def test_the_table_lines_up(figures):
    assert format_metrics(figures) == "\n".join(
        [
            "texts                   8",
            "accuracy           0.7500",
            "balanced accuracy  0.8056",
            "macro F1           0.8056",
            "micro F1           0.7500",
            "weighted F1        0.7500",
            f"log loss           {figures['log_loss']:.4f}",
            f"calibration error  {figures['ece']:.4f}",
            "",
            "label  precision  recall      F1  texts",
            "a         0.7500  0.7500  0.7500      4",
            "b         0.6667  0.6667  0.6667      3",
            "c         1.0000  1.0000  1.0000      1",
            "d         0.0000  0.0000  0.0000      0",
            "",
            "true \\ predicted  a  b  c  d",
            "a                 3  1  0  0",
            "b                 1  2  0  0",
            "c                 0  0  1  0",
            "d                 0  0  0  0",
        ]
    )


def table(names):
    count = len(names)
    labels = np.arange(count)
    return format_metrics(evaluate_probabilities(labels, np.eye(count), names)).splitlines()


def test_a_wide_matrix_has_numbered_columns():
    lines = table([f"a rather long label {i}" for i in range(20)])
    assert max(map(len, lines)) <= 100
    assert lines[-21].split() == ["true", "\\", "predicted", *map(str, range(1, 21))]
    assert lines[-1].startswith("20 a rather long label 19")


def test_of_many_labels_the_worst_come_first_and_the_matrix_is_left_out():
    names = [f"label {i}" for i in range(21)]
    labels = np.arange(21)
    probabilities = np.eye(21)
    probabilities[7] = np.eye(21)[3]  # label 7 is never found, and label 3 once too often
    lines = format_metrics(evaluate_probabilities(labels, probabilities, names)).splitlines()
    first = lines.index(next(line for line in lines if line.startswith("label  ")))
    assert [line[:8] for line in lines[first + 1 : first + 4]] == [
        "label 7 ",
        "label 3 ",
        "label 0 ",
    ]
    assert lines[-1].startswith("(labels by F1, worst first; the confusion matrix of 21 labels")


def test_a_label_that_is_long_or_has_line_ends_keeps_to_its_cell():
    lines = table(["x" * 50, "two\nlines"])
    assert any(line.startswith("x" * 29 + "…  ") for line in lines)
    assert any(line.startswith("two lines  ") for line in lines)


def test_weights_count_as_repetitions_do_but_not_in_numbers_of_texts():
    random = np.random.default_rng(3)
    labels = random.integers(0, 3, 40)
    probabilities = random.dirichlet(np.ones(3), 40).astype(np.float32)
    weights = random.integers(1, 5, 40)
    weighted = evaluate_probabilities(labels, probabilities, "abc", weights)
    repeated = evaluate_probabilities(
        labels.repeat(weights), probabilities.repeat(weights, axis=0), "abc"
    )
    plain = evaluate_probabilities(labels, probabilities, "abc")
    for key in ("accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "weighted_f1"):
        assert weighted[key] == pytest.approx(repeated[key])
        assert weighted[key] != pytest.approx(plain[key])
    assert weighted["log_loss"] == pytest.approx(repeated["log_loss"])
    assert weighted["ece"] == pytest.approx(repeated["ece"])
    assert (weighted["n"], weighted["confusion_matrix"]) == (40, plain["confusion_matrix"])
    for name in "abc":
        row = {**repeated["per_label"][name], "support": plain["per_label"][name]["support"]}
        assert weighted["per_label"][name] == pytest.approx(row)


# true ab, -, b, a; predicted a, -, b, bc; 'd' never occurs
SEVERAL = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]], bool)
EACH = np.array(
    [[0.9, 0.4, 0.2, 0.1], [0.1, 0.1, 0.1, 0.1], [0.2, 0.5, 0.1, 0.1], [0.4, 0.6, 0.3, 0.1]],
    np.float32,
)
THRESHOLDS = (0.5, 0.5, 0.3, 0.5)


@pytest.fixture
def several():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return evaluate_probabilities(SEVERAL, EACH, NAMES, thresholds=THRESHOLDS)


def test_figures_of_several_labels_worked_out_by_hand(several):
    assert several["n"] == 4
    assert several["accuracy"] == 2 / 4
    assert several["hamming_loss"] == pytest.approx((1 + 0 + 0 + 3) / 16)
    f1_a, f1_b = 2 / (1 + 2), 2 / (2 + 2)  # 2 found right / (chosen + true)
    assert several["macro_f1"] == pytest.approx((f1_a + f1_b) / 4)
    assert several["micro_f1"] == pytest.approx(2 * 2 / (4 + 4))
    assert several["weighted_f1"] == pytest.approx((2 * f1_a + 2 * f1_b) / 4)
    assert several["samples_f1"] == pytest.approx((2 / 3 + 1 + 1 + 0) / 4)
    right = np.where(SEVERAL, EACH, 1 - EACH)
    assert several["log_loss"] == pytest.approx(-np.log(right).mean(), rel=1e-6)
    assert several["labels"] == NAMES
    assert "confusion_matrix" not in several


def test_rows_of_several_labels_have_their_thresholds(several):
    rows = several["per_label"]
    expected = {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2}
    expected |= {"threshold": 0.5, "predicted": 1}
    assert rows["a"] == pytest.approx(expected)
    nothing = {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert rows["c"] == {**nothing, "threshold": 0.3, "predicted": 1}


def test_calibration_of_several_labels_is_that_of_all_answers():
    labels = np.array([[1, 0], [1, 0], [0, 0], [1, 1]], bool)
    found = np.array([[0.75, 0.25]] * 4)
    figures = evaluate_probabilities(labels, found, ["a", "b"], thresholds=(0.5, 0.5))
    assert figures["ece"] == pytest.approx(0)
    figures = evaluate_probabilities(labels, found[:, ::-1], ["a", "b"], thresholds=(0.5, 0.5))
    assert figures["ece"] == pytest.approx(0.5)


def test_a_single_label_that_texts_have_or_not_is_judged_as_one_of_several():
    labels, found = np.array([[1], [0], [1], [0]], bool), np.array([[0.9], [0.8], [0.1], [0.2]])
    figures = evaluate_probabilities(labels, found, ["a"], thresholds=(0.5,))
    assert figures["accuracy"] == 0.5
    assert figures["macro_f1"] == figures["micro_f1"] == pytest.approx(0.5)
    assert figures["samples_f1"] == pytest.approx((1 + 0 + 0 + 1) / 4)


def test_log_loss_of_several_labels_stays_finite():
    labels, found = np.array([[1, 0]], bool), np.array([[0.0, 1.0]], np.float32)
    figures = evaluate_probabilities(labels, found, ["a", "b"], thresholds=(0.5, 0.5))
    assert figures["log_loss"] == pytest.approx(23 * math.log(2), rel=1e-6)


def test_weights_of_texts_of_several_labels_count_as_repetitions():
    random = np.random.default_rng(3)
    labels = random.random((40, 3)) < 0.4
    found = random.random((40, 3)).astype(np.float32)
    weights = random.integers(1, 5, 40)
    options = {"thresholds": (0.5, 0.4, 0.6)}
    weighted = evaluate_probabilities(labels, found, "abc", weights, **options)
    again = (labels.repeat(weights, axis=0), found.repeat(weights, axis=0))
    repeated = evaluate_probabilities(*again, "abc", **options)
    plain = evaluate_probabilities(labels, found, "abc", **options)
    figures = set(plain) - {"n", "reliability", "per_label", "labels"}
    assert figures >= {"accuracy", "hamming_loss", "samples_f1", "ece", "log_loss"}
    for key in figures:
        assert weighted[key] == pytest.approx(repeated[key])
        assert weighted[key] != pytest.approx(plain[key])
    assert weighted["per_label"]["a"]["support"] == plain["per_label"]["a"]["support"]


def test_the_table_of_several_labels_lines_up(several):
    assert format_metrics(several) == "\n".join(
        [
            "texts                   4",
            "accuracy           0.5000",
            "hamming loss       0.2500",
            "macro F1           0.2917",
            "micro F1           0.5000",
            "weighted F1        0.5833",
            "samples F1         0.6667",
            f"log loss           {several['log_loss']:.4f}",
            f"calibration error  {several['ece']:.4f}",
            "",
            "label  precision  recall      F1  texts  threshold",
            "a         1.0000  0.5000  0.6667      2     0.5000",
            "b         0.5000  0.5000  0.5000      2     0.5000",
            "c         0.0000  0.0000  0.0000      0     0.3000",
            "d         0.0000  0.0000  0.0000      0     0.5000",
        ]
    )
    assert json.loads(json.dumps(several)) == several


def test_probabilities_in_parts_give_the_same_figures_and_are_not_kept():
    labels = np.array([0, 1, 2, 2, 1, 0, 0])
    whole = np.random.default_rng(1).dirichlet(np.ones(3), 7)
    alive = []

    def parts():
        for start in range(0, 7, 2):
            part = whole[start : start + 2].copy()
            alive.append(weakref.ref(part))
            yield part
            del part
            assert sum(each() is not None for each in alive) <= 1  # the one of the loop

    found = evaluate_parts(labels, parts(), ["a", "b", "c"])
    assert found == evaluate_probabilities(labels, whole, ["a", "b", "c"])


@pytest.mark.parametrize("count", [2, 6])
def test_as_many_labels_as_texts_are_evaluated(count):
    parts = iter([np.full((2, 2), 0.5)] * 2)
    with pytest.raises(ConfigError, match=f"4 texts and {count} labels: must be as many"):
        evaluate_parts(np.zeros(count, int), parts, ["a", "b"])
