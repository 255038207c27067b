"""Figures of a report, each beside another way to compute it."""

import json
import tracemalloc

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from textlstm.report.figures import (
    EvaluatedTexts,
    bootstrap,
    by_groups,
    data_figures,
    majority_answer,
    mcnemar,
    report_figures,
    uncertain_texts,
)

RANDOM = np.random.default_rng(3)


def evaluated(n=200, classes=3, **more):
    labels = RANDOM.integers(0, classes - 1, n)  # the last label is never there
    whole = RANDOM.dirichlet(np.ones(classes), n).astype(np.float32)
    whole[np.arange(n), labels] += 0.5
    whole /= whole.sum(axis=1, keepdims=True)
    lengths = RANDOM.integers(1, 50, n)
    names = [f"label {i}" for i in range(classes)]
    return EvaluatedTexts(names, labels, whole, lengths, RANDOM.random(n), **more)


@pytest.mark.slow
def test_a_bootstrap_of_counts_is_one_of_texts():
    found = evaluated(n=150)
    predicted = found.whole.argmax(axis=1)
    result = bootstrap(found.labels, predicted, 3)
    rows = RANDOM.integers(0, 150, (2000, 150))
    ways = {
        "accuracy": lambda true, said: np.mean(true == said),
        "macro_f1": lambda true, said: f1_score(true, said, average="macro"),
    }
    for name, measure in ways.items():
        assert result[name]["value"] == pytest.approx(measure(found.labels, predicted))
        every = [measure(found.labels[row], predicted[row]) for row in rows[:400]]
        ends = [result[name]["low"], result[name]["high"]]
        assert ends == pytest.approx(np.percentile(every, (2.5, 97.5)), abs=0.03)
    assert bootstrap(found.labels, predicted, 3) == result


def test_nineteen_of_twenty_resamples_are_in_the_interval():
    right = np.arange(2000) < 1400
    found = bootstrap(np.ones(2000, int), right.astype(int), 2)["accuracy"]
    half = 1.96 * np.sqrt(0.7 * 0.3 / 2000)
    assert [found["low"], found["high"]] == pytest.approx([0.7 - half, 0.7 + half], abs=0.002)


def test_a_bootstrap_of_very_many_labels_takes_little_memory():
    labels = RANDOM.integers(0, 20_000, 300)
    predicted = np.where(RANDOM.random(300) < 0.5, labels, 0)
    tracemalloc.start()
    found = bootstrap(labels, predicted, 20_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # a matrix of labels by labels would be 400 MB
    macro = f1_score(labels, predicted, average="macro")
    assert found["macro_f1"]["value"] == pytest.approx(macro)


def test_a_bootstrap_of_several_labels_counts_exact_sets():
    labels, predicted = (RANDOM.random((80, 4)) < share for share in (0.3, 0.4))
    found = bootstrap(labels, predicted, 4)
    exact = (labels == predicted).all(axis=1).mean()
    assert found["accuracy"]["value"] == pytest.approx(exact)
    macro = f1_score(labels, predicted, average="macro", zero_division=0)
    assert found["macro_f1"]["value"] == pytest.approx(macro)
    assert found["accuracy"]["low"] <= exact <= found["accuracy"]["high"]


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (8, 2), (3, 20), (12, 12)])
def test_mcnemar_is_exact_where_few_texts_differ(first, second):
    one = np.array([1] * first + [0] * second + [1, 1, 0], bool)
    other = np.array([0] * first + [1] * second + [1, 1, 0], bool)
    found = mcnemar(one, other)
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert found["p_value"] == pytest.approx(expected)
    counts = [found[key] for key in ("both_right", "only_first", "only_second", "both_wrong")]
    assert counts == [2, first, second, 1]


def test_mcnemar_of_many_texts_is_near_the_exact_test():
    one = np.array([1] * 60 + [0] * 40, bool)
    assert mcnemar(one, ~one)["p_value"] == pytest.approx(binomtest(60, 100).pvalue, abs=0.002)


def test_the_majority_answer_is_the_most_frequent_label_or_set():
    assert majority_answer(np.array([0, 2, 2]), 3).tolist() == [2, 2, 2]
    rows = np.array([[1, 0], [1, 1], [1, 1]], bool)
    assert majority_answer(rows, 2).tolist() == [[True, True]] * 3


def test_groups_hold_all_texts_and_part_them_at_the_edges():
    values = np.array([5, 5, 5, 9, 80])
    groups = by_groups(np.array([1, 0, 1, 1, 0], bool), values, [5, 9])
    found = [(row["from"], row["to"], row["n"]) for row in groups]
    assert found == [(5, 5, 3), (9, 9, 1), (80, 80, 1)]
    assert groups[0]["accuracy"] == pytest.approx(2 / 3)


def test_one_very_long_text_is_a_group_of_its_own():
    found = evaluated(n=30)
    lengths = np.array([60] * 29 + [10_000])
    groups = report_figures(EvaluatedTexts(**{**vars(found), "lengths": lengths}))["by_length"]
    assert [(row["from"], row["to"]) for row in groups] == [(60, 60), (10_000, 10_000)]


def test_the_least_certain_text_has_the_two_most_probable_labels_side_by_side():
    found = evaluated(n=3)
    whole = np.array([[0.6, 0.3, 0.1], [0.41, 0.4, 0.19], [1, 0, 0]], np.float32)
    assert uncertain_texts(EvaluatedTexts(**{**vars(found), "whole": whole})).tolist() == [1, 0, 2]


def test_the_least_certain_text_of_several_labels_is_next_to_a_threshold():
    whole = np.array([[0.9, 0.1], [0.9, 0.32], [0.55, 0.9]], np.float32)
    found = EvaluatedTexts("ab", whole > 0.5, whole, *np.ones((2, 3)), thresholds=[0.5, 0.3])
    assert uncertain_texts(found).tolist() == [1, 2, 0]
    whole = np.array([[0.46, 0.001], [0.9, 0.0011]], np.float32)  # far below a low threshold
    found = EvaluatedTexts("ab", whole > 0.5, whole, *np.ones((2, 2)), thresholds=[0.5, 0.02])
    assert uncertain_texts(found).tolist() == [0, 1]


def test_confused_labels_are_counted_as_shares_of_the_label():
    whole = np.eye(3, dtype=np.float32)[[0, 1, 1, 2, 2, 2]]
    found = EvaluatedTexts("abc", np.array([0, 0, 0, 0, 2, 1]), whole, *np.ones((2, 6)))
    rows = report_figures(found)["confused"]
    assert [tuple(row.values()) for row in rows] == [
        ("a", "b", 2, 0.5),
        ("a", "c", 1, 0.25),
        ("b", "c", 1, 1.0),
    ]


def test_facts_of_the_texts_count_tokens_not_texts():
    lengths, unknown = np.array([1, 99]), np.array([1.0, 0.0])
    found = EvaluatedTexts("ab", np.array([1, 1]), np.eye(2, dtype=np.float32), lengths, unknown)
    facts = data_figures(found, {"source": "x"})
    assert facts["unknown_words"] == pytest.approx(0.01)
    assert facts["labels"] == {"a": 0, "b": 2}
    assert (facts["tokens"]["longest"], facts["texts"], facts["source"]) == (99, 2, "x")


def test_all_figures_are_plain_values():
    whole = evaluated().whole
    found = report_figures(evaluated(ngrams=whole, other=whole))
    assert json.loads(json.dumps(found)) == found
    assert list(found["scores"]) == ["model", "other", "ngrams", "majority"]
    assert set(found["tests"]) == {"ngrams", "other"}
    confused = found["confused"]
    assert [row["n"] for row in confused] == sorted((row["n"] for row in confused), reverse=True)
