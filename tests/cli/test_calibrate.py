"""A model that was trained without a cascade gets one, and keeps all else."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_classifier import LABELS, texts, tiny_classifier

from textlstm import TextClassifier
from textlstm.classifier.calibrate import fit_cascade_of
from textlstm.cli import main
from textlstm.errors import ConfigError, DataError
from textlstm.evaluation.cascade import Cascade

pytestmark = pytest.mark.slow

OLD = Path(__file__).parents[1] / "fixtures" / "model-0.1"
TEXTS = [text for text in texts(720, seed=8) if text]


@pytest.fixture
def folder(tmp_path):
    tiny_classifier().save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def labelled(tmp_path):
    found = tiny_classifier().predict(TEXTS)
    with (tmp_path / "data.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [[text, one.label] for text, one in zip(TEXTS, found, strict=True)]
        csv.writer(file).writerows([["text", "label"], *rows])
    return tmp_path / "data.csv"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_model_of_0_1_is_told_the_remedy_and_the_remedy_works(tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(OLD, folder)
    predict = ["predict", folder, "--text", "It is dull.", "--cascade", "0.01"]
    assert run(*predict) == 2
    assert "textlstm calibrate MODEL DATA" in capsys.readouterr().err
    weights = digest(folder / "model.safetensors")
    assert run("calibrate", folder, "sample") == 0  # its validation split
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()][1:] == [
        *("0.0005", "0.001", "0.002", "0.005", "0.01")
    ]
    assert f"textlstm predict {folder} INPUT --out OUTPUT --cascade SHARE" in said.err
    assert digest(folder / "model.safetensors") == weights
    config = json.loads((folder / "config.json").read_text())
    assert config["sha256"]["model.safetensors"] == weights
    assert config["cascade"]["certainty"]["0.0005"] is None  # 600 texts are too few
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["calibration"]["n"] == 600
    assert Cascade.from_dict(metrics["calibration"]["cascade"]).to_dict() == config["cascade"]
    assert metrics["test"] == json.loads((OLD / "metrics.json").read_text())["test"]
    assert "## Cascade" in (folder / "README.md").read_text()
    assert run(*predict) == 0
    assert run("inspect", folder) == 0
    assert "cascade 0.01: calibration" in capsys.readouterr().out


def test_without_labels_only_the_certainties_change(folder, labelled, tmp_path, capsys):
    lines = tmp_path / "more.csv"
    lines.write_text("text\n" + "".join(f'"{text}"\n' for text in TEXTS), encoding="utf-8")
    assert run("calibrate", folder, lines, "--unlabeled") == 2
    assert (
        "the model has no cascade, and without labels none can be fitted: pass labelled"
        in capsys.readouterr().err
    )
    assert run("calibrate", folder, labelled) == 0
    first = TextClassifier.load(folder, device="cpu")
    assert first.cascade.scale != 1.0  # it was fitted
    assert run("calibrate", folder, lines, "--unlabeled") == 0
    again = TextClassifier.load(folder, device="cpu")
    assert again.cascade == first.cascade  # of the same texts
    assert again.metrics["calibration"]["cascade"]["accuracy"] == {}
    assert again.metrics["calibration"]["n"] == len(TEXTS)
    assert (again.predict_proba(TEXTS[:5]) == first.predict_proba(TEXTS[:5])).all()
    assert str(again.metrics["calibration"]).split() == ["texts", str(len(TEXTS))]
    assert run("train", "--resume", "--out", folder) == 0  # which shows the figures of all splits


def test_earlier_figures_of_a_cascade_do_not_outlive_it(folder):
    classifier = TextClassifier.load(folder, device="cpu")
    labels = np.array([LABELS.index(one.label) for one in classifier.predict(TEXTS)])
    first = fit_cascade_of(classifier, [TEXTS], labels)
    classifier.record = tiny_classifier().record
    classifier.record.metrics["validation"]["cascade"] = first
    try:
        fit_cascade_of(classifier, [TEXTS[:300], TEXTS[300:400]], labels[:400])
        assert "cascade" not in classifier.metrics["validation"]
        assert classifier.metrics["validation"]["accuracy"] == 0.75
        assert classifier.metrics["calibration"]["n"] == 400
    finally:
        del tiny_classifier().record.metrics["validation"]["cascade"]


def test_the_figures_are_those_of_predicting_so(folder):
    classifier = TextClassifier.load(folder, device="cpu")
    whole = classifier.predict(TEXTS)
    labels = np.array([LABELS.index(one.label) for one in whole])
    with pytest.MonkeyPatch.context() as patched:  # few of these texts may be skipped
        patched.setattr("textlstm.evaluation.cascade.most_differing", lambda texts, share: 40)
        figures = fit_cascade_of(classifier, [TEXTS], labels, batch_size=7)
    found = classifier.predict(TEXTS, cascade=0.01)
    skipped = [one.engine == "ngrams" for one in found]
    assert 0.05 < np.mean(skipped) == figures["skipped"]["0.01"]
    differ = sum(one.label != other.label for one, other in zip(found, whole, strict=True))
    assert differ == figures["differ"]["0.01"] <= 40
    right = [LABELS.index(one.label) for one in found] == labels
    assert np.mean(right) == figures["accuracy"]["0.01"]


def test_what_can_not_be_calibrated_is_refused(tmp_path, folder, labelled, capsys):
    with pytest.raises(ConfigError, match="no n-grams"):
        fit_cascade_of(tiny_classifier(ngrams=0), [TEXTS])
    with pytest.raises(DataError, match="0 texts"):
        fit_cascade_of(tiny_classifier(), [], np.zeros(0, int))
    assert run("calibrate", folder, labelled, "--unlabeled", "--split", "test") == 2
    assert "--split is for data with labels" in capsys.readouterr().err
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").touch()
    assert run("calibrate", tmp_path / "onnx", labelled) == 2
    assert "must be a model folder on this machine" in capsys.readouterr().err
