"""The command explain: texts from anywhere, colors on a terminal only."""

import io
import json
import sys

import pytest
from tiny_classifier import tiny_classifier

from textlstm.cli import main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "films"
    tiny_classifier().save(path)
    return str(path)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_each_word_has_its_contribution(model, capsys):
    assert main(["explain", model, "the dull xyzzy", "a film"]) == 0
    first, words, second, _ = capsys.readouterr().out.splitlines()
    assert "probability" in first
    assert "completeness error 0." in first
    assert words.split()[::2] == ["the", "dull", "xyzzy?"]
    assert all(part[0] == "(" and part[1] in "+-" for part in words.split()[1::2])
    assert "logit" in second


def test_texts_come_from_files_and_stdin(model, capsys, tmp_path, monkeypatch):
    (tmp_path / "in.txt").write_text("a film\n \nit was dull\n", encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"all of it\r\n \n")))
    words = ["explain", model, str(tmp_path / "in.txt"), "-", "--json", "--label", "good"]
    assert main(words) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["a film", "it was dull", "all of it"]
    for line in lines:
        assert line["label"] == "good"
        total = sum(word["contribution"] for word in line["words"])
        change = line["logit"] - line["baseline"]
        assert total == pytest.approx(change, abs=0.01 * max(abs(change), 0.05))


def test_stdin_that_is_not_utf8_is_refused_in_one_line(model, capsys, monkeypatch):
    latin = io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdin", latin)
    assert main(["explain", model, "-"]) == 2
    assert "must be a string (not UTF-8)" in capsys.readouterr().err


def test_colors_are_for_terminals_without_no_color(model, monkeypatch):
    def shown(**environment):
        monkeypatch.delenv("NO_COLOR", raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        assert main(["explain", model, "the dull film", "--method", "occlusion"]) == 0
        return terminal.getvalue()

    assert "\x1b[97;48;5;" in shown(TERM="xterm-256color")
    assert "\x1b[97;4" in shown(TERM="xterm")
    assert "\x1b" not in shown(TERM="dumb")
    assert "\x1b" not in shown(TERM="xterm", NO_COLOR="1")


def test_what_can_not_be_explained_is_named(model, capsys, tmp_path):
    assert main(["explain", model, "text", "--label", "god"]) == 2
    assert "did you mean 'good'?" in capsys.readouterr().err
    assert main(["explain", model, "text", "--method", "lime"]) == 2
    assert "method = 'lime': must be one of gradients, occlusion" in capsys.readouterr().err
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    assert main(["explain", model, str(tmp_path / "bad.txt")]) == 2
    assert "bad.txt can't be read as UTF-8 text" in capsys.readouterr().err
