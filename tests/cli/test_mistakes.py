"""The command mistakes: what a model gets wrong, and what its labels get wrong."""

import csv
import json

import pytest
from tiny_corpus import OPTIONS, flags, rows, tagged_rows

from textlstm import train
from textlstm.cli import main

pytestmark = pytest.mark.slow

FLIPPED = {3, 20, 41, 62, 87}  # row numbers, from 1


def write(path, lines):
    path.write_text("".join(json.dumps({"text": t, "label": n}) + "\n" for t, n in lines))
    return str(path)


def flip(lines):
    other = {"bad": "good", "good": "bad"}
    return [(t, other[n] if i in FLIPPED else n) for i, (t, n) in enumerate(lines, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of train and test, both with wrong labels, and a model that learned it right."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "data").mkdir()
    write(folder / "data" / "train.jsonl", flip(rows(120)))
    write(folder / "data" / "test.jsonl", flip(rows(100, seed=1)))
    # what few texts have by default is tested elsewhere
    options = {**OPTIONS, "preset": "default", "epochs": 12, "learning_rate": 0.02}
    train(
        {"train": tuple(zip(*rows(200, seed=2), strict=True))},
        folder / "model",
        **options,
        test_fraction=0.05,
    )
    return folder


def test_the_mistakes_are_those_labels_that_were_flipped(folder, tmp_path, capsys):
    out = tmp_path / "out.csv"
    command = ["mistakes", str(folder / "model"), str(folder / "data"), "--out", str(out)]
    assert main(command) == 0
    with out.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    test, learned = flip(rows(100, seed=1)), flip(rows(120))
    assert {int(row["row"]) for row in found} == FLIPPED
    for row in found:
        assert (row["text"], row["label"]) == test[int(row["row"]) - 1]
        assert row["prediction"] != row["label"]
        assert float(row["score"]) > 0.5 > float(row["label_score"])
        assert row["likely_label_error"] == "true"
        assert (row["nearest_text"], row["prediction"]) in learned
    err = capsys.readouterr().err
    assert "the model disagrees with 5 of 100 labels; 5 of them are likely wrong" in err
    assert err.splitlines()[-1].startswith(f"next: textlstm explain {folder / 'model'} '")
    assert main(command) == 2
    assert "pass --overwrite" in capsys.readouterr().err


def test_without_a_file_a_short_table_is_shown(folder, capsys):
    words = ["mistakes", str(folder / "model"), str(folder / "data" / "test.jsonl"), "--top", "2"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    head, *lines = out.splitlines()
    assert head.split() == ["row", "label", "score", "prediction", "score", "text"]
    assert len(lines) == 2
    assert all(line[0] == "!" for line in lines)
    assert "training texts to compare with: none; pass --train DATA" in err
    assert main([*words, "--train", words[2]]) == 0
    assert "warning: 100 of 100 texts are training texts, whose labels the model has learned" in (
        capsys.readouterr().err
    )


def test_folds_predict_each_text_by_a_model_that_has_not_seen_it(folder, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    words = ["mistakes", str(folder / "model"), str(folder / "data"), "--folds", "3"]
    assert main([*words, "--out", str(out)]) == 0
    found = [json.loads(line) for line in out.read_text().splitlines()]
    learned = flip(rows(120))
    assert {row["row"] for row in found[:5]} == FLIPPED
    for row in found:
        assert (row["text"], row["label"]) == learned[row["row"] - 1]
        assert (row["nearest_text"], row["prediction"]) in learned
    assert "of 120 labels; " in capsys.readouterr().err
    assert main([*words, "--split", "test"]) == 2
    assert "--folds predicts the train split" in capsys.readouterr().err


def test_folds_of_a_model_that_started_from_a_base(tmp_path, capsys):
    data, base = write(tmp_path / "a.jsonl", rows(60)), str(tmp_path / "base")
    shape = ["--embedding-size", "4", "--hidden-size", "4", "--num-layers", "1", "--epochs", "1"]
    assert main(["pretrain", data, "--out", base, "--min-frequency", "1", *shape]) == 0
    command = ["train", data, "--out", str(tmp_path / "m"), "--init-from", base, "--epochs", "1"]
    assert main([*command, "--threads", "1", "--no-report"]) == 0
    assert main(["mistakes", str(tmp_path / "m"), data, "--folds", "2"]) == 0
    assert "of 60 labels; " in capsys.readouterr().err


def test_texts_with_several_labels(tmp_path, capsys):
    data = write(tmp_path / "a.jsonl", tagged_rows(60))
    assert main(["train", data, "--out", str(tmp_path / "m"), *flags(epochs=2)]) == 0
    out = tmp_path / "out.jsonl"
    words = ["mistakes", str(tmp_path / "m"), data, "--out", str(out)]
    assert main(words) == 0
    found = [json.loads(line) for line in out.read_text().splitlines()]
    labels = ["; ".join(sorted(labels)) for _, labels in tagged_rows(60)]
    assert [row["label"] for row in found] == [labels[row["row"] - 1] for row in found]
    assert all(0 <= row["label_score"] <= 1 for row in found)
    assert "warning: 60 of 60 texts are training texts" in capsys.readouterr().err
