"""The report that a training leaves in the model folder."""

import json
import logging
import sys

import pytest
from tiny_corpus import OPTIONS, rows, write_splits

from textlstm import train
from textlstm.classifier import report

pytestmark = pytest.mark.slow

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
REPORTING = {**OPTIONS, "report": True}


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_splits(tmp_path_factory.mktemp("data"))


def test_a_training_writes_the_page_and_its_figures(data, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    classifier = train(data, tmp_path / "m", **REPORTING)
    assert f"wrote {tmp_path / 'm' / 'report.html'}" in caplog.text
    found = json.loads((tmp_path / "m" / "report.json").read_text())
    validation = classifier.metrics["validation"]
    assert found["metrics"]["accuracy"] == validation["accuracy"]
    assert found["metrics"]["confusion_matrix"] == validation["confusion_matrix"]
    assert found["other_splits"]["test"]["accuracy"] == classifier.metrics["test"]["accuracy"]
    assert found["facts"]["rows"] == {"train": 48, "validation": 16, "test": 16}
    assert found["best_epoch"] in [row["epoch"] for row in found["history"]]
    assert found["model"] == "m"
    assert "run.json" not in names(tmp_path / "m")


def test_of_very_many_logits_a_sample_is_reported_and_the_page_says_so(data, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_MOST_NUMBERS", 20)  # of 2 labels and 2 branches: 5 texts
    monkeypatch.setattr(report, "_LEAST_EVALUATED", 1)
    train(data, tmp_path / "m", **REPORTING)
    found = json.loads((tmp_path / "m" / "report.json").read_text())
    assert (found["n"], found["metrics"]["n"]) == (5, 5)
    assert found["data"].endswith("(a sample of its 16)")
    assert "a sample of its 16" in (tmp_path / "m" / "report.html").read_text()


def test_a_report_that_fails_costs_only_the_report(data, tmp_path, caplog, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("no ink")

    monkeypatch.setattr(report, "write_report", fail)
    train(data, tmp_path / "m", **REPORTING)
    assert "report.html can't be written (no ink); the model is complete" in caplog.text
    assert {"config.json", "model.safetensors"} <= names(tmp_path / "m")
    assert not {"report.html", "run.json"} & names(tmp_path / "m")


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_without_the_extra_one_line_says_how_to_get_the_page(
    package, data, tmp_path, caplog, monkeypatch
):
    for name in ("textlstm.report.page", "textlstm.report.pictures"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delattr("textlstm.report." + name.rpartition(".")[2], raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    caplog.set_level(logging.INFO)
    train(data, tmp_path / "m", **REPORTING)
    lines = [record for record in caplog.records if "report" in record.getMessage()]
    assert [line.getMessage() for line in lines] == [
        "no report.html: pip install 'textlstm[report]' for it"
    ]
    assert "report.html" not in names(tmp_path / "m")


def test_an_old_report_does_not_stay_beside_a_new_model(data, tmp_path):
    train(data, tmp_path / "m", **REPORTING)
    train(data, tmp_path / "m", overwrite=True, **OPTIONS)
    assert not {"report.html", "report.json"} & names(tmp_path / "m")


def test_very_many_labels_have_a_table_instead_of_a_matrix(tmp_path):
    labels = [f"label {i:03d}" for i in range(210)]
    data = [f"word{i % 210} x" for i in range(630)], [labels[i % 210] for i in range(630)]
    folder = tmp_path / "m"
    train(data, folder, **{**REPORTING, "epochs": 1, "batch_size": 64})
    page = (folder / "report.html").read_text()
    assert page.count("<figure>") == 5
    assert "confusion_matrix" not in json.loads((folder / "report.json").read_text())["metrics"]
    assert all(f'<th scope="row">{name}</th>' in page for name in labels)


def test_a_judgement_is_that_of_the_model_under_any_name(tmp_path):
    classifier = train(tuple(zip(*rows(60), strict=True)), **OPTIONS)
    from textlstm.data.corpus import load_corpus

    split = load_corpus(tuple(zip(*rows(60), strict=True))).validation
    evaluated = report.evaluate_texts(classifier, split)
    texts = [text for batch in split.texts() for text in batch]
    assert evaluated.whole == pytest.approx(classifier.predict_proba(texts), abs=1e-5)
    report.write_report(tmp_path / "p.html", classifier, split, evaluated, name="m", data="a\udcff")
    assert "of a?;" in (tmp_path / "p.html").read_text(encoding="utf-8")
    assert evaluated.ngrams.shape == evaluated.whole.shape
    lengths = [len(classifier.tokenizer.encode(text)) for text in texts]
    assert evaluated.lengths.tolist() == lengths
    unknown = [sum(i == 1 for i in classifier.tokenizer.encode(text)) for text in texts]
    assert (evaluated.unknown * evaluated.lengths).round().tolist() == unknown
