"""Tables stay aligned whatever letters the labels have."""

import pytest

from textlstm.evaluation import tables
from textlstm.evaluation.tables import display_width, format_table, shorten


@pytest.mark.parametrize(
    ("text", "width"),
    [("good", 4), ("好评", 4), ("naïve", 5), ("nai\u0308ve", 5), ("👍", 2), ("ﾃｽﾄ", 3)],
)
def test_the_width_of_a_text_is_that_on_a_terminal(text, width):
    assert display_width(text) == width


def test_numbers_stand_below_each_other_beside_wide_letters():
    lines = format_table([["label", "n"], ["好评", "10"], ["bad", "5"]]).splitlines()
    assert lines == ["label   n", "好评   10", "bad     5"]
    assert len({display_width(line) for line in lines}) == 1


def test_a_long_name_is_cut_to_the_width_it_takes():
    assert shorten("a  b\nc", 9) == "a b c"
    assert shorten("好" * 20, 10) == "好" * 4 + "…"
    assert shorten("a" * 20, 10) == "a" * 9 + "…"
    assert shorten("e\u0301" * 20, 3) == "e\u0301" * 2 + "…"
    assert shorten("abc", 0) == "…"


def test_a_long_text_is_shortened_in_linear_time(monkeypatch):
    looked_at = []
    width = tables._width
    monkeypatch.setattr(tables, "_width", lambda letter: looked_at.append(1) or width(letter))
    assert shorten("a" * 1000, 10) == "a" * 9 + "…"
    assert len(looked_at) <= 2000
