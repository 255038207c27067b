"""A small model learns from a larger one, with its data and settings unless told otherwise."""

import pytest
from tiny_corpus import OPTIONS, rows, write_csv, write_splits

from textlstm import TextClassifier, distill, pretrain, train
from textlstm.cli import main
from textlstm.config import PRESETS
from textlstm.errors import ConfigError
from textlstm.training.distill import student_options

pytestmark = pytest.mark.slow

START = {"epochs": 1, "threads": 1}
FAST = {**START, "epochs": 2, "adversarial": 0.0, "report": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_splits(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def teacher(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "model"
    options = {"tokenizer": "whitespace", "seed": 3, "ngrams": 1, "pooling": "mean"}
    train(data, folder, **{**OPTIONS, **options})
    return folder


def test_a_student_is_small_and_shares_the_rest_with_its_teacher(data, teacher, tmp_path):
    student = distill(teacher, out=tmp_path / "small", **FAST)
    own, settings = TextClassifier.load(teacher), student.settings
    assert (settings.model.hidden_size, settings.model.num_layers) == (64, 1)
    assert (settings.tokenizer.tokenizer, settings.training.seed) == ("whitespace", 3)
    assert (settings.model.ngrams, settings.model.pooling) == (1, "mean")
    assert student.record.source == own.record.source == str(data)
    assert student.record.training["teacher"] == own.fingerprint()
    assert TextClassifier.load(tmp_path / "small").fingerprint() == student.fingerprint()


def test_options_data_and_several_teachers_can_be_passed(data, teacher):
    own = TextClassifier.load(teacher)
    texts, labels = zip(*rows(60, seed=5), strict=True)
    student = distill([own, own], (texts, labels), hidden_size=8, tokenizer="word", **FAST)
    assert student.settings.model.hidden_size == 8
    assert student.settings.tokenizer.tokenizer == "word"
    assert student.record.training["teacher"] == f"{own.fingerprint()}, {own.fingerprint()}"
    with pytest.raises(ConfigError, match="distill needs a model"):
        distill([], data)


def test_data_that_is_spelled_in_another_way_is_no_other_data(tmp_path):
    path = write_csv(tmp_path / "all.csv", 60)
    own = train(path, **{**OPTIONS, "epochs": 1}, test_fraction=0.25)
    assert own.record.rows["test"] > 10
    for spelling in (f"{tmp_path}/../{tmp_path.name}/all.csv", [path]):
        assert distill(own, spelling, **FAST).record.rows == own.record.rows


def test_other_data_has_splits_of_its_own(data, teacher, tmp_path):
    from dataclasses import replace

    own = TextClassifier.load(teacher)
    there = {"dataset_config": "en", "test_fraction": 0.5, "validation": str(data)}
    own.settings = replace(own.settings, data=replace(own.settings.data, **there))
    student = distill(own, write_csv(tmp_path / "other.csv", 60), **FAST)
    assert student.settings.data.dataset_config is None
    assert set(student.record.rows) == {"train", "validation"}
    assert student.record.rows["train"] + student.record.rows["validation"] == 60


def test_a_validation_file_that_is_gone_is_left_out(data, teacher, tmp_path):
    from dataclasses import replace

    settings = TextClassifier.load(teacher).settings
    own = replace(settings.data, validation=str(tmp_path / "gone.csv"), test=str(data))
    found = student_options(replace(settings, data=own))
    assert "validation" not in found
    assert found["test"] == str(data)
    file = replace(settings.tokenizer, tokenizer=str(tmp_path / "tokenizer.json"))
    assert "tokenizer" not in student_options(replace(settings, tokenizer=file))


def test_a_preset_goes_before_what_the_teacher_has_and_a_teacher_is_a_model(data, teacher):
    student = distill(teacher, preset="best", **FAST)
    assert student.settings.tokenizer.max_length == PRESETS["best"]["max_length"]
    with pytest.raises(ConfigError, match=r"teacher = .*: distill learns from its models: pass it"):
        distill(teacher, data, teacher=str(teacher))


def test_a_student_may_start_from_a_base(teacher, tmp_path):
    base = tmp_path / "base"
    shape = {"hidden_size": 5, "embedding_size": 4, "num_layers": 1}
    pretrain((["a dull film"] * 9, ["x"] * 9), base, min_frequency=1, **shape, **START)
    student = distill(teacher, init_from=base, **FAST)
    assert (student.settings.model.hidden_size, student.settings.tokenizer.tokenizer) == (5, "word")
    assert student.settings.model.pooling == "max"  # not the teacher's


def test_the_defaults_of_a_student_are_in_its_help():
    assert "\n        num_layers: stacked LSTM layers (default: 1)\n" in distill.__doc__


@pytest.mark.parametrize("kind", ["objects", "files", "gone"])
def test_data_that_is_not_there_is_to_be_named(data, tmp_path, kind):
    texts, labels = zip(*rows(40), strict=True)
    named = write_csv(tmp_path / "x.csv", 40)
    source = {"objects": (texts, labels), "files": [named, named], "gone": named}[kind]
    model = train(source, tmp_path / "model", **OPTIONS)
    named.unlink()
    with pytest.raises(ConfigError, match=r"the data of the model, .* can.t be read again: pass"):
        distill(model, out=tmp_path / "small", **FAST)
    assert not (tmp_path / "small").exists()


def test_the_command_trains_a_student_that_can_be_resumed(data, teacher, tmp_path, capsys):
    (tmp_path / "more.csv").write_text("text\na dull film\na bright plot\n")
    out = str(tmp_path / "small")
    words = ["--epochs", "2", "--adversarial", "0", "--threads", "1", "--no-report"]
    words += ["--max-minutes", "0", "--data", str(data), "--unlabeled", str(tmp_path / "more.csv")]
    assert main(["distill", str(teacher), "--out", out, "--hidden-size", "8", *words]) == 0
    assert f"to resume: textlstm train --resume --out {out}" in capsys.readouterr().err
    assert main(["train", "--resume", "--out", out, "--max-minutes", "9"]) == 0
    student = TextClassifier.load(out)
    assert student.settings.model.hidden_size == 8
    assert student.record.rows["unlabeled"] == 2


def test_a_missing_model_or_file_is_told(teacher, tmp_path, capsys):
    out = ["--out", str(tmp_path / "small")]
    assert main(["distill", str(tmp_path / "none"), *out]) == 2
    assert "no such model folder" in capsys.readouterr().err
    assert main(["distill", str(teacher), "--data", str(tmp_path / "x.csv"), *out]) == 2
    assert "x.csv" in capsys.readouterr().err
    assert not (tmp_path / "small").exists()
