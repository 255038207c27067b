"""Suggestions for a mistyped name: the near one, and none where nothing is near."""

import pytest

from textlstm.errors import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("epohcs", ["epochs", "patience"], "epochs"),  # two letters swapped
        ("trian", ["train", "predict"], "train"),
        ("tset", ["test", "train"], "test"),
        ("review.csv", ["reviews.csv", "labelled.csv"], "reviews.csv"),
        ("Reviews.csv", ["reviews.csv"], "reviews.csv"),
        ("--text-col", ["--text-column", "--test"], "--text-column"),  # its beginning
        ("learning_rat", ["learning_rate", "vector_rate"], "learning_rate"),
        ("hiden_sise", ["hidden_size"], "hidden_size"),
        ("abc", ["ab", "abd", "abcd"], "abcd"),
    ],
)
def test_a_near_name_is_suggested(name, known, near):
    assert did_you_mean(name, known) == f" (did you mean {near!r}?)"


@pytest.mark.parametrize(
    ("name", "known"),
    [("--test", ["--preset", "--out"]), ("x", ["epochs"]), ("a", ["a"]), ("so", []), ("", ["abc"])],
)
def test_a_distant_name_is_not(name, known):
    assert did_you_mean(name, known) == ""
