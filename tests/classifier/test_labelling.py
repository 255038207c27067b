"""What is read of rows, and what is added to them."""

import numpy as np
import pytest

from textlstm.classifier.labelling import Labeller, choose_texts, shortest
from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, DataError
from textlstm.io.guess import TableColumns
from textlstm.io.readers import Row

LABELS = ("bad", "good", "so so")


def labeller(*columns, sparse=False, **options):
    return Labeller(LABELS, columns or ("text",), PredictionConfig(**options), sparse=sparse)


def test_added_columns_are_named_with_their_types():
    columns = labeller(top_k=2).added_columns()
    assert {name: str(kind) for name, kind in columns.items()} == {
        "label": "string",
        "score": "double",
        "label_2": "string",
        "score_2": "double",
        "error": "string",
    }


def test_labels_go_to_the_rows_that_had_a_text():
    rows = [
        Row(1, {"text": "a"}),
        Row(2, {"text": None}),
        Row(3, {}, "torn"),
        Row(4, {"text": " "}),
        Row(5, {"text": "e"}),
    ]
    assert labeller().texts(rows) == ["a", "e"]
    probabilities = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]], np.float32)
    out = labeller().label(rows, probabilities)
    assert [row.failure for row in out] == [None, "null", "torn", "blank", None]
    assert [row.values for row in out] == [row.values for row in rows]
    assert [row.added for row in out] == [
        {"label": "good", "score": 0.7, "error": None},
        {"label": None, "score": None, "error": "null"},
        {"label": None, "score": None, "error": "row 3: torn"},
        {"label": None, "score": None, "error": "blank"},
        {"label": "bad", "score": 0.5, "error": None},
    ]


def test_a_row_of_several_files_names_its_own():
    rows = [Row(3, {}, "torn", file="b.csv")]
    (out,) = labeller(sparse=True).label(rows, np.zeros((0, 3), np.float32))
    assert out.added["error"] == "b.csv row 3: torn"
    assert out.failure == "torn"


def test_ranks_and_probabilities_are_added_as_asked_and_equals_keep_their_order():
    (out,) = labeller(sparse=True, top_k=3, probabilities=True, output_column="l").label(
        [Row(1, {"text": "a"})], np.array([[0.25, 0.5, 0.25]], np.float32)
    )
    assert out.added == {
        "l": "good",
        "score": 0.5,
        "l_2": "bad",
        "score_2": 0.25,
        "l_3": "so so",
        "score_3": 0.25,
        "probability_bad": 0.25,
        "probability_good": 0.5,
        "probability_so so": 0.25,
    }


def test_numbers_have_as_few_digits_as_read_back_equal():
    numbers = np.array([0.1, 1 / 3, 1e-12, 1.0], np.float32)
    assert shortest(numbers) == [0.1, 0.33333334, 1e-12, 1.0]
    assert (np.array(shortest(numbers), np.float32) == numbers).all()


@pytest.mark.parametrize(
    ("kinds", "asked", "trained", "expected"),
    [
        ({"a": "text", "b": "text"}, ("b",), ("a",), ("b",)),
        ({"a": "text", "b": "text"}, (), ("a",), ("a",)),
        ({"a": "text", "text": "text"}, (), ("c",), ("text",)),
        ({"id": "digits", "sentence": "text"}, (), ("review",), ("sentence",)),
        ({"id": "digits", "blurb": "text", "label": "text"}, (), ("review",), ("blurb",)),
        ({"a": "digits"}, (), (), ("a",)),
        ({"a": "text", "b": "text", "text": "text"}, (), ("b", "a"), ("b", "a")),
    ],
)
def test_the_text_columns_are_as_asked_else_trained_else_guessed(kinds, asked, trained, expected):
    assert choose_texts(TableColumns("in.csv", kinds), asked, trained) == expected


def test_another_column_than_in_training_is_logged(caplog):
    caplog.set_level("INFO", "textlstm")
    choose_texts(TableColumns("in.csv", {"id": "digits", "sentence": "text"}), (), ("review",))
    choose_texts(TableColumns("in.csv", {"text": "text"}), (), ())
    assert caplog.messages == ["columns detected in in.csv: text 'sentence'"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("c",), "column 'c' is not in in.csv"),
        ((), "cannot tell which column of in.csv is the text.* a, b: pass --text-column"),
    ],
)
def test_a_missing_or_unclear_text_column_is_an_error(asked, said):
    with pytest.raises(DataError, match=said):
        choose_texts(TableColumns("in.csv", {"a": "text", "b": "text"}), asked, ("c",))


def tagger(*, thresholds=(0.5, 0.3, 0.6), separator=None, **options):
    config = PredictionConfig(**options)
    return Labeller(
        LABELS, ("text",), config, sparse=True, thresholds=thresholds, separator=separator
    )


SEVERAL = np.array([[0.6, 0.8, 0.1], [0.1, 0.2, 0.3]], np.float32)


def test_several_labels_are_a_list_or_joined_with_the_probability_of_just_these():
    rows = [Row(1, {"text": "a"}), Row(2, {"text": None}), Row(3, {"text": "b"})]
    scores = [np.float32(0.6 * 0.8 * 0.9), np.float32(0.9 * 0.8 * 0.7)]
    for separator, first, none in ((None, ["good", "bad"], []), ("; ", "good; bad", "")):
        labeller = tagger(separator=separator)
        one, failed, two = (row.added for row in labeller.label(rows, SEVERAL))
        assert one == {"label": first, "score": pytest.approx(scores[0], rel=1e-6)}
        assert two == {"label": none, "score": pytest.approx(scores[1], rel=1e-6)}
        assert failed == {"label": None, "score": None, "error": "null"}


def test_the_columns_of_several_labels_have_the_types_of_their_form():
    kinds = {name: str(kind) for name, kind in tagger().added_columns().items()}
    assert kinds == {"label": "list<item: string>", "score": "double", "error": "string"}
    joined = tagger(separator=";", top_k=2, probabilities=True).added_columns()
    assert str(joined["label"]) == "string"
    assert list(joined) == [
        *("label", "score", "label_1", "score_1", "label_2", "score_2"),
        *(f"probability_{label}" for label in LABELS),
        "error",
    ]


def test_ranks_beside_several_labels_are_the_most_probable_whether_they_reach_or_not():
    labeller = tagger(top_k=2, probabilities=True)
    (out,) = labeller.label([Row(1, {"text": "a"})], SEVERAL[1:])
    assert out.added == {
        "label": [],
        "score": pytest.approx(0.9 * 0.8 * 0.7, rel=1e-6),
        "label_1": "so so",
        "score_1": 0.3,
        "label_2": "good",
        "score_2": 0.2,
        "probability_bad": 0.1,
        "probability_good": 0.2,
        "probability_so so": 0.3,
    }
    assert list(out.added) == list(labeller.added_columns())[:-1]


def test_a_label_with_the_mark_in_it_is_refused_where_labels_are_joined():
    with pytest.raises(ConfigError, match=r"label 'so so' has ' ' in it.* --label-separator"):
        tagger(separator=" ").added_columns()
    assert tagger(separator=None).added_columns()
    with pytest.raises(ConfigError, match="top_k = 4: the model has 3 labels"):
        tagger(top_k=4).added_columns()


@pytest.mark.parametrize("sparse", [False, True])
def test_a_score_below_the_least_one_leaves_the_label_empty(sparse):
    rows = [Row(n, {"text": text}) for n, text in enumerate(["a", None, "b", "c"], 1)]
    probabilities = np.array([[0.1, 0.7, 0.2], [0.1, 0.69, 0.21], [0.9, 0.1, 0.0]], np.float32)
    out = labeller(sparse=sparse, min_score=0.7, top_k=2).label(rows, probabilities)
    assert [row.added["label"] for row in out] == ["good", None, None, "bad"]
    assert [row.added["score"] for row in out] == [0.7, None, 0.69, 0.9]
    reasons = [None, "null", "score below 0.7", None]
    assert [row.added.get("error") for row in out] == [row.failure for row in out] == reasons
    assert out[2].added["label_2"] == "so so"  # asked for, whatever its score
    assert list(out[2].added)[-1] == "error"


def test_several_labels_have_one_score_to_pass():
    labeller = Labeller(
        LABELS, ("text",), PredictionConfig(min_score=0.5), thresholds=(0.5, 0.5, 0.5)
    )
    probabilities = np.array([[0.9, 0.1, 0.1], [0.6, 0.6, 0.6]], np.float32)
    out = labeller.label([Row(1, {"text": "a"}), Row(2, {"text": "b"})], probabilities)
    assert [row.added["label"] for row in out] == [["bad"], None]
    assert out[1].failure == "score below 0.5"
