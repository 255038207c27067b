"""With unlabeled texts and no teacher, a first model of the labels alone teaches the second.

A model that starts from a base teaches itself.
"""

import time

import pytest
import torch
from tiny_corpus import OPTIONS, rows, write_splits

from textlstm import TextClassifier, cross_validate, pretrain, train, tune
from textlstm.cli import main
from textlstm.config import PRESETS, PRETRAIN_OPTIONS
from textlstm.errors import ConfigError
from textlstm.training.fit import TrainingInterrupted, fit_model
from textlstm.training.observer import Observer
from textlstm.training.run import Run
from textlstm.training.trainer import Trainer

pytestmark = pytest.mark.slow

LEARNS = {**OPTIONS, "ngrams": 0, "epochs": 20, "learning_rate": 0.05}  # so a step changes much
MODEL = ("model.safetensors", "vocab.txt")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("self")
    more = folder / "more.csv"
    more.write_text("text\n" + "\n".join(text for text, _ in rows(60, seed=5)))
    return write_splits(folder / "data", train=12), more.as_posix()


class StopAt(Observer):
    """Interrupts at a step, counted over both models."""

    def __init__(self, step):
        self.left = step

    def on_step(self, step, epoch, loss, texts):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


class Count(Observer):
    """Counts the steps."""

    steps = 0

    def on_step(self, step, epoch, loss, texts):
        self.steps += 1


def cut(monkeypatch, steps, *, last=None):
    """Let the time be over after some steps of the second model, or by `last` raise that."""

    class Cut(Trainer):
        def _stop_reason(self):
            if self.splits["train"].taught is not None and self._progress.step >= steps:
                if last is not None:
                    raise last
                self._deadline = 0.0
            return super()._stop_reason()

    monkeypatch.setattr("textlstm.training.fit.Trainer", Cut)


def kept(caplog):
    """The lines that say which model is the result."""
    return [r.getMessage() for r in caplog.records if r.getMessage().startswith("kept the ")]


def contents(folder):
    return {name: (folder / name).read_bytes() for name in MODEL}


def test_it_is_what_a_teacher_of_the_labels_alone_gives(data, tmp_path):
    source, more = data
    first = train(source, **OPTIONS)
    small = {name: value for name, value in PRESETS["small"].items() if name != "ngram_fit"}
    by_hand = train(source, teacher=first, unlabeled=more, **{**small, **OPTIONS})
    alone = train(source, tmp_path / "m", unlabeled=more, **OPTIONS)
    assert {name: w.tolist() for name, w in alone.model.state_dict().items()} == {
        name: w.tolist() for name, w in by_hand.model.state_dict().items()
    }
    assert alone.record.rows == {"train": 12, "validation": 16, "test": 16, "unlabeled": 60}
    said = alone.record.training["teacher"]
    assert said == f"a first model of the labels alone, {first.fingerprint()}"
    assert sorted(p.name for p in (tmp_path / "m").iterdir() if p.name.startswith(".")) == []


@pytest.mark.parametrize("part", ["in the first model", "in the second model"])
def test_a_run_that_is_stopped_gives_the_same_model_when_resumed(data, tmp_path, part):
    source, more = data
    steps = Count()
    train(source, tmp_path / "whole", unlabeled=more, observer=steps, **OPTIONS)
    stop = 3 if part == "in the first model" else steps.steps - 3
    with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
        train(source, tmp_path / "cut", unlabeled=more, observer=StopAt(stop), **OPTIONS)
    rest = Count()
    train(out=tmp_path / "cut", resume=True, observer=rest)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert rest.steps < steps.steps


def test_the_first_model_is_not_trained_anew_when_it_is_there(data, tmp_path, monkeypatch):
    source, more = data

    def fail(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_taught", lambda self: fail(self) if self.teachers else None)
        with pytest.raises(KeyboardInterrupt):
            train(source, tmp_path / "m", unlabeled=more, **OPTIONS)
    steps, second = Count(), Count()
    train(out=tmp_path / "m", resume=True, observer=steps)
    train(source, teacher=train(source, **OPTIONS), unlabeled=more, observer=second, **OPTIONS)
    assert steps.steps == second.steps


def test_when_the_time_is_over_in_the_first_model_it_is_the_result_and_can_be_resumed(
    data, tmp_path, caplog
):
    source, more = data
    early = train(source, tmp_path / "m", unlabeled=more, max_minutes=0, **OPTIONS)
    assert "the texts without labels are not learned from yet" in caplog.text
    assert "teacher" not in early.record.training
    assert early.record.rows == {"train": 12, "validation": 16, "test": 16}
    assert early.metrics["test"]["n"] == 16
    assert TextClassifier.load(tmp_path / "m").fingerprint() == early.fingerprint()
    train(out=tmp_path / "m", resume=True, max_minutes=10)
    train(source, tmp_path / "whole", unlabeled=more, **OPTIONS)
    assert contents(tmp_path / "m") == contents(tmp_path / "whole")


def test_the_second_model_has_the_minutes_that_the_first_left(data, monkeypatch):
    source, more = data
    minutes = []

    def record(texts, labels, settings, **options):
        minutes.append(settings.training.max_minutes)
        return fit_model(texts, labels, settings, **options)

    monkeypatch.setattr("textlstm.training.run.fit_model", record)
    found = train(source, unlabeled=more, max_minutes=60, **OPTIONS)
    assert minutes[0] == found.settings.training.max_minutes == 60
    assert 0 < minutes[1] < 60


def test_a_run_that_is_finished_early_keeps_the_first_model(data, tmp_path):
    source, more = data
    options = {**OPTIONS, "report": True}
    with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
        train(source, tmp_path / "m", unlabeled=more, observer=StopAt(4), **options)
    finished = train(out=tmp_path / "m", finish=True)
    assert "teacher" not in finished.record.training
    assert finished.settings.training.report
    expected = finished.evaluate(source, split="test")
    assert finished.metrics["test"]["accuracy"] == expected["accuracy"]
    assert (tmp_path / "m" / "report.html").is_file()
    assert not (tmp_path / "m" / ".cache").exists()
    assert not (tmp_path / "m" / "run.json").exists()


@pytest.mark.parametrize(
    ("steps", "why"),
    [(0, "the second is not validated yet"), (1, "the second is worse on validation so far (loss")],
)
def test_a_second_model_that_the_time_leaves_worse_does_not_replace_the_first(
    data, tmp_path, monkeypatch, caplog, steps, why
):
    source, more = data
    first = train(source, **LEARNS)
    caplog.set_level("INFO", logger="textlstm")
    with monkeypatch.context() as patch:
        cut(patch, steps)
        found = train(source, tmp_path / "m", unlabeled=more, **LEARNS)
    assert found.fingerprint() == first.fingerprint()
    assert TextClassifier.load(tmp_path / "m").metrics == found.metrics
    assert found.metrics["validation"] == first.metrics["validation"]
    assert found.metrics["test"]["accuracy"] == first.metrics["test"]["accuracy"]
    (line,) = kept(caplog)
    assert line.startswith(f"kept the first model, trained on the labels alone: {why}")
    rest = Count()
    train(out=tmp_path / "m", resume=True, observer=rest)
    train(source, tmp_path / "whole", unlabeled=more, **LEARNS)
    assert contents(tmp_path / "m") == contents(tmp_path / "whole")
    assert rest.steps == TextClassifier.load(tmp_path / "m").record.training["steps"] - steps


def test_a_second_model_that_the_time_leaves_better_is_the_result(
    data, tmp_path, monkeypatch, caplog
):
    source, more = data
    caplog.set_level("INFO", logger="textlstm")
    cut(monkeypatch, 20)
    options = {**LEARNS, "epochs": 3}
    found = train(source, tmp_path / "m", unlabeled=more, **options)
    assert "teacher" in found.record.training
    (line,) = kept(caplog)
    assert line.startswith("kept the second model: it is no worse on validation so far (loss")


@pytest.mark.parametrize("steps", [0, 2])
def test_a_run_that_is_finished_early_in_the_second_model_keeps_the_better_one(
    data, tmp_path, monkeypatch, caplog, steps
):
    source, more = data
    with monkeypatch.context() as patch:
        cut(patch, steps, last=KeyboardInterrupt())
        options = {**LEARNS, "checkpoint_minutes": 0}
        with pytest.raises(KeyboardInterrupt):
            train(source, tmp_path / "m", unlabeled=more, **options)
    assert main(["train", "--finish", "--out", str(tmp_path / "m")]) == 0
    found = TextClassifier.load(tmp_path / "m")
    assert found.fingerprint() == train(source, **LEARNS).fingerprint()
    assert "teacher" not in found.record.training
    assert len(kept(caplog)) == 1
    assert not (tmp_path / "m" / "run.json").exists()


def test_when_the_first_model_takes_all_the_time_no_second_one_is_begun(data, tmp_path):
    source, more = data

    class Slow(Observer):
        def on_epoch(self, record):
            time.sleep(0.6 * (record["epoch"] == OPTIONS["epochs"]))

    options = {"max_minutes": 0.01, "observer": Slow(), **OPTIONS}
    early = train(source, tmp_path / "m", unlabeled=more, **options)
    assert early.record.training["ended"] == "finished"
    assert "teacher" not in early.record.training
    assert not (tmp_path / "m" / ".cache" / "teacher.npy").exists()
    train(out=tmp_path / "m", resume=True, max_minutes=10)
    train(source, tmp_path / "whole", unlabeled=more, **OPTIONS)
    assert contents(tmp_path / "m") == contents(tmp_path / "whole")


def test_each_fold_of_a_cross_validation_has_a_first_model(data, caplog):
    source, more = data
    with caplog.at_level("INFO", logger="textlstm"):
        cross_validate(source / "train.csv", unlabeled=more, folds=2, **OPTIONS)
    assert caplog.text.count("training a first model on the labels alone") == 2


SMALL = {name: OPTIONS[name] for name in ("epochs", "batch_size", "threads", "report")}


@pytest.fixture
def many(monkeypatch):
    """Let the labels of these tests be more than a few."""
    monkeypatch.setattr("textlstm.training.teacher.FEW_TEXTS", 11)


@pytest.fixture(scope="module")
def base(data, tmp_path_factory):
    options = {name: value for name, value in OPTIONS.items() if name in PRETRAIN_OPTIONS}
    folder = tmp_path_factory.mktemp("base") / "base"
    pretrain(data[1], folder, **options)
    return folder


def test_what_starts_from_a_base_teaches_itself(data, base, many, tmp_path, caplog):
    source, more = data
    steps, alone = Count(), Count()
    caplog.set_level("INFO", logger="textlstm")
    found = train(source, tmp_path / "m", unlabeled=more, init_from=base, observer=steps, **SMALL)
    assert "the model teaches itself about 60 texts without labels" in caplog.text
    assert "first model" not in caplog.text
    assert found.record.rows == {"train": 12, "validation": 16, "test": 16, "unlabeled": 60}
    assert "the model itself" in found.record.training["teacher"]
    plain = train(source, init_from=base, observer=alone, **SMALL)
    assert steps.steps == alone.steps
    name = "lstm.weight_hh_l0"
    assert not torch.equal(found.model.state_dict()[name], plain.model.state_dict()[name])
    assert "teacher" not in plain.record.training


def test_what_teaches_itself_gives_the_same_model_when_resumed(data, base, many, tmp_path):
    source, more = data
    options = {"unlabeled": more, "init_from": base, **SMALL}
    train(source, tmp_path / "whole", **options)
    with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
        train(source, tmp_path / "cut", observer=StopAt(4), **options)
    train(out=tmp_path / "cut", resume=True)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_teacher_goes_before_the_model_itself(data, base, many):
    source, more = data
    teacher = train(source, **OPTIONS)
    found = train(source, teacher=teacher, unlabeled=more, init_from=base, **SMALL)
    assert found.record.training["teacher"] == teacher.fingerprint()


def test_what_teaches_itself_can_be_tuned(data, base, many, tmp_path):
    source, more = data
    with pytest.raises(ConfigError, match="labelled texts and a base to start from"):
        tune(source, tmp_path / "m", unlabeled=more, trials=1, **OPTIONS)
    found = tune(source, tmp_path / "m", unlabeled=more, init_from=base, trials=1, **SMALL)
    assert "the model itself" in found.record.training["teacher"]


def test_with_few_labels_a_first_model_teaches_what_starts_from_a_base_too(data, base, monkeypatch):
    source, more = data
    monkeypatch.setattr("textlstm.training.teacher.FEW_TEXTS", 12)
    found = train(source, unlabeled=more, init_from=base, **SMALL)
    assert found.record.training["teacher"].startswith("a first model of the labels alone")


@pytest.mark.parametrize("options", [{"teacher_weight": 0.5}, {"teacher_temperature": 2.0}])
def test_what_teaches_itself_refuses_the_options_of_a_teacher(data, base, many, options):
    source, more = data
    (name,) = options
    with pytest.raises(ConfigError, match=f"{name} = .* is for a teacher: .*leave it out, or pass"):
        train(source, unlabeled=more, init_from=base, **options, **SMALL)
