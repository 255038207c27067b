"""Tables on a terminal: in colors, within its width; elsewhere they are plain text."""

import io
import sys

import pytest
from tiny_terminal import lines_on_screen, on_terminal

from textlstm.cli.tables import show
from textlstm.evaluation.tables import Table

SHOW = """
from textlstm.cli.tables import show
from textlstm.evaluation.tables import Table
rows = [["label", "F1", "texts"], ["a label of many words", "0.5000", "1,000"]]
rows += [["[red]\\n\\u597d\\u8bc4", "1.0000", "5"]]
facts = [["labels", "2: bad, good"], ["settings: model", "hidden_size=128 " * 5]]
show(
    Table(rows, styles={(1, 1): "green"}),
    Table(facts, head=False, left=(0, 1)),
    "a note of [some] words that is longer than the terminal is wide",
)
"""


@pytest.fixture(scope="module")
def narrow():
    return on_terminal(SHOW, columns=34)[1]


def test_long_words_are_folded_and_numbers_are_not(narrow):
    lines = lines_on_screen(narrow)
    assert max(map(len, lines)) <= 34
    assert lines[:6] == [
        "label                    F1  texts",
        "a label of many      0.5000  1,000",
        "words",
        "[red] \u597d\u8bc4           1.0000      5",  # of two columns each
        "",
        "labels           2: bad, good",
    ]
    assert lines[6] == "settings: model  hidden_size=128"
    assert lines[7] == " " * 17 + "hidden_size=128"
    note = "a note of [some] words that is longer than the terminal is wide"
    assert " ".join(lines[-3:]).strip() == note


@pytest.mark.slow
def test_on_a_very_narrow_terminal_words_give_way():
    lines = lines_on_screen(on_terminal(SHOW, columns=24)[1])
    assert lines[:3] == ["label          F1  texts", "a label    0.5000  1,000", "of many"]


def test_a_cell_has_its_color_and_names_are_bold(narrow):
    assert "\x1b[32m0.5000" in narrow
    assert "\x1b[1mlabel" in narrow
    assert "\x1b[1msettings: model" in narrow


@pytest.mark.slow
def test_a_wide_terminal_folds_nothing_and_no_color_has_no_color():
    written = on_terminal(SHOW, columns=120, NO_COLOR="1")[1]
    assert "\x1b[32m" not in written
    lines = lines_on_screen(written)
    assert lines[1] == "a label of many words  0.5000  1,000"
    assert len(lines) == 9


PLAIN = """\
label                      F1  texts
a label of many words  0.5000  1,000
[red] \u597d\u8bc4             1.0000      5

labels           2: bad, good
settings: model  hidden_size=128 hidden_size=128 hidden_size=128 hidden_size=128 hidden_size=128

a note of [some] words that is longer than the terminal is wide
"""


def test_elsewhere_tables_are_plain_text(capsys):
    exec(SHOW, {})
    assert capsys.readouterr().out == PLAIN
    assert lines_on_screen(on_terminal(SHOW, TERM="dumb")[1]) == PLAIN.split("\n")


def test_a_table_needs_no_rich_where_it_is_plain(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    show(Table([["a", "b"]], head=False))
    assert sys.stdout.getvalue() == "a  b\n"
