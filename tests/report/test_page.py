"""The parts of a report's page: shaded words and pictures."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from textlstm.report import pictures
from textlstm.report.page import shaded, strongest
from textlstm.report.pictures import to_svg

pytestmark = pytest.mark.slow

INTERVAL = {"value": 0.5, "low": 0.4, "high": 0.6}
ROW = {"precision": 0.5, "recall": 0.5, "support": 4, "predicted": 4, "f1": 0.5}
SCORES = {"model": {"accuracy": INTERVAL, "macro_f1": INTERVAL}}


def words(*tokens, contribution=0.0, known=True):
    return [{"token": token, "known": known, "contribution": contribution} for token in tokens]


def plain(text):
    return re.sub(r"<[^>]*>", "", text)


def test_words_are_shaded_by_their_share_of_the_strongest():
    found = words("up", contribution=2.0) + words("down", contribution=-1.0) + words("flat")
    spans = '<span class="p8">up</span> <span class="n4">down</span> flat'
    assert shaded(found) == spans


def test_unknown_words_are_marked_and_everything_is_escaped():
    found = words("<b>", known=False) + words("&", contribution=1.0)
    assert shaded(found) == '<span class="u">&lt;b&gt;</span> <span class="p8">&amp;</span>'


@pytest.mark.parametrize(
    ("kind", "tokens", "text"),
    [
        ("char", ["f", "i", "x"], "fix"),
        ("char", ["▁", " ", "Ġ"], "▁ Ġ"),
        ("bpe", ["▁fine", "st", "▁", "好"], " finest 好"),
        ("unigram", ["fine", "st"], "finest"),  # after the words that truncation drops
        ("wordpiece", ["fine", "##st", "Ġ"], "finest Ġ"),
        ("word", ["a", "▁", "Ġ"], "a ▁ Ġ"),
        ("whitespace", ["a", "##tag"], "a ##tag"),
    ],
)
def test_the_tokenizer_says_where_spaces_are(kind, tokens, text):
    assert plain(shaded(words(*tokens), kind)) == text


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["a", "fine", "film"], "a fine film"),
        (["很", "好", "film", "看"], "很好 film 看"),
        (["f", "i", " ", "x"], "fi x"),
        (["▁fine", "st", "▁", "好"], " finest 好"),
        (["Ġfine", "st", "Ġfilm"], " finest film"),
        (["fine", "##st", "film"], "finest film"),
    ],
)
def test_tokens_of_a_foreign_tokenizer_stand_as_in_the_text(tokens, text):
    assert plain(shaded(words(*tokens))) == text


def test_a_long_text_is_shown_by_its_beginning():
    found = shaded(words(*[f"w{i}" for i in range(1201)]))
    assert found.endswith("w199 … and 1,001 more words")


def test_the_strongest_words_are_named_once_with_their_sum():
    found = words("up", "up", contribution=1.0) + words("<", contribution=0.5)
    found += words("down", contribution=-0.25) + words("flat")
    assert strongest(found, 1) == "“<bdi>up</bdi>” +2.00, “<bdi>&lt;</bdi>” +0.50"
    assert strongest(found, -1) == "“<bdi>down</bdi>” -0.25"
    assert strongest(words("flat"), -1) == "none"


def drawn():
    """Every kind of picture, with names that are hard to draw."""
    names = ['$x^2$ <i> & "', "很好", "مرحبا" * 20]
    part = {"n": 3, "accuracy": 0.5, "low": 0.2, "high": 0.8}
    epoch = {"epoch": 1, "train_loss": 1.0, "validation_loss": 1.0}
    many = [f"label {i}" for i in range(40)]
    return {
        "scores": to_svg(pictures.scores, SCORES, {"model": names[0]}),
        "learning_curves": to_svg(pictures.learning_curves, [epoch], 1),
        "confusion": to_svg(pictures.confusion, [[3, 1, 0], [0, 2, 0], [0, 0, 0]], names),
        "many labels": to_svg(pictures.confusion, np.eye(40, dtype=int), many),
        "counts_by_label": to_svg(pictures.counts_by_label, dict.fromkeys(names, ROW)),
        "reliability": to_svg(pictures.reliability, [{"confidence": 0.5, **part}]),
        "by_length": to_svg(pictures.by_length, [{"from": 1, "to": 9, **part}]),
        "by_unknown": to_svg(pictures.by_unknown, [{"from": 0.0, "to": 0.0, **part}]),
    }


def test_pictures_are_well_formed_named_and_in_the_colours_of_the_page():
    found = drawn()
    assert found == drawn()
    for name, svg in found.items():
        tree = ElementTree.fromstring(svg)
        assert tree.get("role") == "img"
        assert len(tree.get("aria-label")) > 20, name
        assert "currentColor" in svg
        assert not set(re.findall(r"#[0-9a-f]{6}\b", svg)) - {"#ffffff"}, name
        own = set(re.findall(r'\bid="([^"]*)"', svg))
        used = set(re.findall(r'(?:"#|url\(#)([^")]*)', svg))
        assert used <= own
    assert "$x^2$" in found["confusion"]
    assert "很好" in found["confusion"]
    assert "data:image/png" in found["many labels"]
    assert len(found["many labels"]) < 40_000


def test_a_label_is_drawn_as_it_is_written():
    names = ['a "#1" url(#2)', "font: 9px x", "#1d2229"]
    svg = to_svg(pictures.counts_by_label, dict.fromkeys(names, ROW))
    assert set(names) <= {*ElementTree.fromstring(svg).itertext()}


def test_the_slices_of_a_tuning_have_a_plot_for_each_option_alone():
    rows = [{"macro_f1": 0.5 + n / 10, "settings": dict.fromkeys("abcd", n)} for n in range(8)]
    drawn = to_svg(pictures.slices, rows, "macro_f1", "macro F1", list("abcd"))
    assert len(re.findall(r'id="slices-axes_\d+"', drawn)) == 4
