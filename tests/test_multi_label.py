"""Texts with any number of labels, from data to predictions and back."""

import csv
import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import f1_score
from tiny_corpus import OPTIONS, flags, tagged_rows, write_csv, write_tagged

from textlstm import TextClassifier, train
from textlstm.cli import main
from textlstm.training.observer import Observer

pytestmark = pytest.mark.slow

SETTINGS = {
    "epochs": 6,
    "learning_rate": 0.05,
    "embedding_size": 8,
    "hidden_size": 8,
    "pooling": "max",
}
NAMES = ("fast", "kind", "loud")


def run(*arguments):
    return main([str(argument) for argument in arguments])


def fails(capsys, *arguments):
    """Run a command that must fail as a user's error; give its last line."""
    capsys.readouterr()
    assert run(*arguments) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tagged(tmp_path_factory.mktemp("tagged") / "data")


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagger") / "model"
    assert run("train", data, "--out", folder, *flags(**SETTINGS)) == 0
    return folder


@pytest.fixture(scope="module")
def tagger(model):
    return TextClassifier.load(model, device="cpu")


def truth(seed=2, n=40):
    texts, labels = zip(*tagged_rows(n, seed), strict=True)
    return list(texts), np.array([[name in row for name in NAMES] for row in labels])


def test_labels_are_learned_each_by_itself(tagger):
    texts, expected = truth()
    found = tagger.predict(texts)
    chosen = np.array([[name in item.labels for name in NAMES] for item in found])
    macro = f1_score(expected, chosen, average="macro")
    assert macro > 0.9
    assert {len(item.labels) for item in found} >= {0, 1, 2}
    assert tagger.labels == NAMES
    assert tagger.metrics["test"]["macro_f1"] == pytest.approx(macro)
    assert tagger.metrics["test"]["accuracy"] == pytest.approx((expected == chosen).all(1).mean())


def test_the_folder_has_the_thresholds_that_its_figures_were_made_with(tagger, model):
    config = json.loads((model / "config.json").read_text())
    assert config["multi_label"] is True
    assert tuple(config["thresholds"]) == tagger.thresholds
    metrics = json.loads((model / "metrics.json").read_text())
    for split in ("validation", "test"):
        rows = metrics[split]["per_label"]
        assert tuple(rows[name]["threshold"] for name in NAMES) == tagger.thresholds


def test_evaluate_gives_the_figures_of_the_training(data, model, tagger, tmp_path, capsys):
    assert run("evaluate", model, data, "--json", tmp_path / "test.json") == 0
    out, _ = capsys.readouterr()
    assert "hamming loss" in out
    assert "threshold" in out
    found = json.loads((tmp_path / "test.json").read_text())
    for key, value in tagger.metrics["test"].items():
        if isinstance(value, float):
            assert found[key] == pytest.approx(value, abs=1e-6), key


def test_predictions_can_be_evaluated_in_every_format(model, tmp_path, capsys):
    texts, _ = truth()
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    for name, more in (
        ("out.jsonl", []),
        ("out.parquet", []),
        ("out.csv", ["--label-separator", ";"]),
    ):
        assert run("predict", model, source, "--out", tmp_path / name) == 0
        capsys.readouterr()
        assert run("evaluate", model, tmp_path / name, "--json", "-", *more) == 0
        figures = json.loads(capsys.readouterr().out)
        assert (figures["n"], figures["accuracy"], figures["hamming_loss"]) == (40, 1, 0)
    assert str(pq.read_schema(tmp_path / "out.parquet").field("label").type).startswith("list<")


def test_a_csv_is_trained_on_and_written_with_the_same_mark(tmp_path, capsys):
    rows = tagged_rows(150, 5)
    with (tmp_path / "in.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([text, "|".join(labels)] for text, labels in rows)
    source, model = tmp_path / "in.csv", tmp_path / "m"
    options = ["--label-separator", "|", *flags(**SETTINGS)]
    assert run("train", source, "--out", model, *options) == 0
    assert run("evaluate", model, source) == 0
    _, err = capsys.readouterr()
    assert "rows with no label in their list" in err
    (tmp_path / "some.csv").write_text("text\nfast and loud\n")
    assert run("predict", model, tmp_path / "some.csv", "--out", tmp_path / "out.csv") == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    (expected,) = TextClassifier.load(model).predict(["fast and loud"])
    assert row["label"] == "|".join(expected.labels)


def test_data_of_the_other_kind_is_refused_with_the_remedy(model, tmp_path, capsys):
    plain = write_csv(tmp_path / "plain.csv", 10)
    assert "pass --label-separator" in fails(capsys, "evaluate", model, plain)
    line = fails(capsys, "train", plain, "--out", tmp_path / "m", "--label-separator", "")
    assert "label_separator = ''" in line
    assert not (tmp_path / "m").exists()


def test_inspect_and_the_card_tell_of_several_labels(model, capsys):
    assert run("inspect", model) == 0
    assert "any number of labels" in capsys.readouterr().out
    card = (model / "README.md").read_text()
    assert "any number of 3 labels: fast, kind, loud" in card
    assert "| label | precision | recall | F1 | texts | threshold |" in card
    assert "hamming loss" in card
    assert "prediction.labels" in card


def test_a_run_that_is_stopped_goes_on_to_the_same_weights_and_thresholds(data, tagger, tmp_path):
    class Stop(Observer):
        def on_step(self, step, epoch, loss, texts):
            if step == 40:
                raise KeyboardInterrupt

    options = {**OPTIONS, **SETTINGS}
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "m", observer=Stop(), checkpoint_minutes=0, **options)
    again = train(out=tmp_path / "m", resume=True)
    assert dataclasses.astuple(again.predict(["fast"])[0]) == dataclasses.astuple(
        tagger.predict(["fast"])[0]
    )
    assert again.thresholds == tagger.thresholds


def test_class_weights_and_label_smoothing_are_taken(data):
    options = {**OPTIONS, **SETTINGS, "epochs": 1}
    plain = train(data, **options)
    for more in ({"class_weights": "balanced"}, {"class_weights": "loud=3"}):
        weighted = train(data, **options, **more)
        assert weighted.record.history[0]["train_loss"] != plain.record.history[0]["train_loss"]
    smoothed = train(data, **options, label_smoothing=0.2)
    assert smoothed.record.history[0]["train_loss"] != plain.record.history[0]["train_loss"]


@pytest.mark.parametrize("monitor", ["accuracy", "loss"])
def test_other_figures_pick_the_best_epoch_too(data, monitor):
    trained = train(data, **{**OPTIONS, **SETTINGS, "epochs": 3}, monitor=monitor)
    history = [record[f"validation_{monitor}"] for record in trained.record.history]
    pick = min if monitor == "loss" else max
    best = history.index(pick(history)) + 1
    assert trained.record.training["best_epoch"] == best


def test_one_label_or_none(tmp_path):
    rows = tagged_rows(150, 1)
    lists = [[name for name in labels if name == "loud"] for _, labels in rows]
    trained = train({"train": ([text for text, _ in rows], lists)}, **{**OPTIONS, **SETTINGS})
    assert trained.labels == ("loud",)
    trained.save(tmp_path / "m")
    again = TextClassifier.load(tmp_path / "m")
    found = [item.labels for item in again.predict(["the loud film", "the film"])]
    assert found == [("loud",), ()]
