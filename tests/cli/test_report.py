"""The page of evaluate --report: what is in it, and how a browser shows it."""

import json
import re

import numpy as np
import pytest
from tiny_browser import Browser, needs_chromium
from tiny_corpus import OPTIONS, rows, tagged_rows

from textlstm import train
from textlstm.cli import main

pytestmark = pytest.mark.slow

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

HOSTILE = "a <script>alert(1)</script> & $x^2$ “naïve” مرحبا بالعالم 这部电影很好看 film"


def write(path, lines):
    path.write_text("".join(json.dumps({"text": t, "label": n}) + "\n" for t, n in lines))
    return str(path)


def hostile_rows(n):
    """Rows of three labels, with names and texts that a page must not take as its own."""
    names = ["bad", "<b>good</b> & $5$", "很好 مرحبا"]
    long = " ".join(f"word{i}" for i in range(10_000))
    texts = [HOSTILE, long, "bright film", "dull " + "x" * 300]
    return [(texts[i % 4], names[i % 3]) for i in range(n)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model, a second one, and the page and JSON that compare them."""
    folder = tmp_path_factory.mktemp("report")
    data = {"train": tuple(zip(*(rows(60) + hostile_rows(60)), strict=True))}
    for seed in (1, 2):
        train(data, folder / f"model{seed}", seed=seed, **{**OPTIONS, "max_length": 1200})
    write(folder / "test.jsonl", rows(30, seed=1) + hostile_rows(30))
    words = ["evaluate", str(folder / "model1"), str(folder / "test.jsonl")]
    words += ["--report", str(folder / "page.html"), "--compare", str(folder / "model2")]
    assert main([*words, "--json", str(folder / "metrics.json")]) == 0
    return folder


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A page of a model that gives several labels."""
    folder = tmp_path_factory.mktemp("several")
    texts, labels = zip(*tagged_rows(80), strict=True)
    train({"train": (list(texts), list(labels))}, folder / "model", **OPTIONS)
    write(folder / "test.jsonl", tagged_rows(40, seed=1))
    words = ["evaluate", str(folder / "model"), str(folder / "test.jsonl")]
    assert main([*words, "--report", str(folder / "page.html")]) == 0
    return folder


def test_of_very_many_logits_a_sample_is_reported_and_all_are_evaluated(
    folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("textlstm.classifier.report._MOST_NUMBERS", 80)  # of 4 labels, 2 branches
    monkeypatch.setattr("textlstm.classifier.report._LEAST_EVALUATED", 1)
    words = ["evaluate", str(folder / "model1"), str(folder / "test.jsonl")]
    words += ["--report", str(tmp_path / "page.html"), "--json", str(tmp_path / "metrics.json")]
    assert main(words) == 0
    assert "a sample of its 60" in capsys.readouterr().err
    found = json.loads((tmp_path / "page.json").read_text())
    assert (found["n"], found["metrics"]["n"]) == (10, 10)
    assert found["data"].endswith("test.jsonl (a sample of its 60)")
    metrics, whole = (
        json.loads((path / "metrics.json").read_text()) for path in (tmp_path, folder)
    )
    assert metrics["confusion_matrix"] == whole["confusion_matrix"]


def test_the_json_has_the_figures_of_the_evaluation(folder):
    found = json.loads((folder / "page.json").read_text())
    assert found["metrics"] == json.loads((folder / "metrics.json").read_text())
    assert found["scores"]["model"]["accuracy"]["value"] == found["metrics"]["accuracy"]
    assert found["n"] == 60
    assert sum(row["n"] for row in found["by_length"]) == 60
    assert len(found["history"]) == OPTIONS["epochs"]
    counts = found["tests"]["other"]
    assert sum(counts[key] for key in counts if key != "p_value") == 60
    for row in found["comparison"]["only_first"]:
        assert row["prediction"] == row["label"] != row["other_prediction"]
    for row in found["comparison"]["only_second"]:
        assert row["other_prediction"] == row["label"] != row["prediction"]


def test_mistakes_are_explained_word_by_word(folder):
    found = json.loads((folder / "page.json").read_text())
    rows = [*found["mistakes"]["rows"], *found["uncertain"]]
    for row in rows:
        if row["explanation"] is None:
            assert len(row["text"].split()) > found["explained"]
            continue
        words = row["explanation"]["words"]
        change = row["explanation"]["logit"] - row["explanation"]["baseline"]
        assert np.isclose(sum(word["contribution"] for word in words), change, rtol=0.1, atol=0.05)
    assert any(row["explanation"] for row in rows)


def test_figures_of_the_page_are_those_of_the_json(folder):
    page, found = (folder / "page.html").read_text(), json.loads((folder / "page.json").read_text())
    for name in ("accuracy", "macro_f1"):
        assert f"{found['scores']['model'][name]['value']:.3f}" in page
    assert f"{found['metrics']['ece']:.4f}" in page


@pytest.mark.parametrize("which", ["folder", "several"])
def test_the_page_stands_alone_and_is_small(which, request):
    folder = request.getfixturevalue(which)
    page = (folder / "page.html").read_text()
    assert len(page.encode()) < 3_000_000
    assert "<script" not in page
    links = set(re.findall(r'(?:src|href)="(?!#|data:)([^"]*)"', page))
    assert not links
    assert not re.search(r"url\((?!#)|@import", page)
    places = re.findall(r'\bid="([^"]*)"', page)
    assert len(places) == len(set(places))
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(places)


def brightness(browser, element, name):
    """Return the sum of red, green and blue of a colour."""
    color = browser.evaluate(f"getComputedStyle({element}).{name}")
    return sum(map(int, re.findall(r"\d+", color)[:3]))


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("which", ["folder", "several"])
def test_a_browser_shows_it_without_complaint(which, request, tmp_path):
    page = request.getfixturevalue(which) / "page.html"
    with Browser(tmp_path) as browser:
        for width, scheme in [(390, "light"), (390, "dark"), (1280, "light")]:
            browser.open(page.as_uri(), width=width, scheme=scheme)
            assert browser.complaints() == []
            sent = [url for url in browser.requests() if not url.startswith("data:")]
            assert sent == [page.as_uri()]
            wide = browser.evaluate("document.documentElement.scrollWidth")
            assert wide <= width
            pictures = "[...document.querySelectorAll('svg, img')]"
            names = f"{pictures}.map(x => x.getAttribute('aria-label') || x.alt || '')"
            found = browser.evaluate(names)
            assert len(found) >= 5
            assert all(found)
            colors = (
                "(x => [x.color, x.backgroundColor])(getComputedStyle(document.documentElement))"
            )
            ink, paper = (
                sum(map(int, re.findall(r"\d+", c)[:3])) for c in browser.evaluate(colors)
            )
            assert (ink > paper) == (scheme == "dark")
            drawn = brightness(browser, "document.querySelector('svg text')", "fill")
            assert drawn == ink
            boxes = "[...document.querySelectorAll('.scroll')].every(x => x.tabIndex === 0)"
            assert browser.evaluate(boxes)


def test_a_page_of_several_files_names_them(several, tmp_path):
    files = [several / "test.jsonl", tmp_path / "other.jsonl"]
    write(files[1], tagged_rows(5, seed=2))
    words = ["evaluate", several / "model", *files, "--report", tmp_path / "page.html"]
    assert main([*map(str, words)]) == 0
    assert ", ".join(map(str, files)) in (tmp_path / "page.html").read_text()


def test_what_can_not_be_reported_is_refused_before_the_work(folder, capsys):
    words = ["evaluate", str(folder / "model1"), str(folder / "test.jsonl")]
    assert main([*words, "--compare", str(folder / "model2")]) == 2
    assert "pass --report FILE.html" in capsys.readouterr().err
    assert main([*words, "--report", "page.pdf"]) == 2
    assert "'page.pdf': must end in .html" in capsys.readouterr().err
    assert main([*words, "--report", "page.html", "--cascade", "0.01"]) == 2
    assert "pass no --cascade" in capsys.readouterr().err


def test_models_with_other_labels_are_not_compared(folder, several, tmp_path, capsys):
    words = ["evaluate", str(folder / "model1"), str(folder / "test.jsonl")]
    words += ["--report", str(tmp_path / "page.html"), "--compare", str(several / "model")]
    assert main(words) == 2
    assert "do not have the same labels" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
