"""The curves of a training, read back by TensorBoard's own reader."""

import json
import sys
from itertools import count

import pytest
from tiny_corpus import OPTIONS, write_csv
from tiny_training import trainer

from textlstm import cross_validate, train
from textlstm.cli import main
from textlstm.config import TrainSettings
from textlstm.errors import ConfigError, MissingDependencyError, OutputError
from textlstm.training.observer import Observer
from textlstm.training.pretrain import pretrain


@pytest.fixture(autouse=True)
def seconds(monkeypatch):
    """TensorBoard orders the files of a run by the second of their beginning."""
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    clock = count(1_700_000_000)
    monkeypatch.setattr(
        "tensorboard.summary.writer.event_file_writer.time.time", lambda: float(next(clock))
    )


def curves(folder):
    """Each curve: its name to its points (x, y)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for name in ("steps", "epochs"):
        reader = EventAccumulator(str(folder / name)).Reload()
        for tag in reader.Tags()["scalars"]:
            found[tag] = [(event.step, event.value) for event in reader.Scalars(tag)]
    return found


class Crash(Observer):
    """Ends a run by an error."""

    def __init__(self, step=None, epoch=None):
        self.step, self.epoch = step, epoch

    def on_step(self, step, epoch, loss, texts):
        if step == self.step:
            raise ZeroDivisionError

    def on_epoch(self, record):
        if record["epoch"] == self.epoch:
            raise ZeroDivisionError


def test_curves_have_losses_figures_and_learning_rate_by_step_and_epoch(tmp_path):
    losses = []

    class Notes(Observer):
        def on_step(self, step, epoch, loss, texts):
            losses.append((step, loss))

    options = {"observer": Notes(), "schedule": "one-cycle", "tensorboard": str(tmp_path / "tb")}
    history = trainer(tmp_path, **options).run().history
    found = curves(tmp_path / "tb")
    figures = ["loss", "accuracy", "macro_f1"]
    names = ["train_loss", "learning_rate", *(f"validation_{name}" for name in figures)]
    assert set(found) == {"step/train_loss", "step/learning_rate", *(f"epoch/{n}" for n in names)}
    assert found["step/train_loss"] == [(s, pytest.approx(loss, rel=1e-6)) for s, loss in losses]
    rates = dict(found["step/learning_rate"])
    assert len(rates) == 24
    for record in history:
        assert rates[record["steps"]] == pytest.approx(record["learning_rate"], rel=1e-6)
        for name in names:
            assert dict(found[f"epoch/{name}"])[record["epoch"]] == pytest.approx(record[name])


def test_long_trainings_have_at_most_a_thousand_points(tmp_path, monkeypatch):
    monkeypatch.setattr("textlstm.training.tensorboard._POINTS", 12)
    losses = []

    class Notes(Observer):
        def on_step(self, step, epoch, loss, texts):
            losses.append(loss)

    trainer(observer=Notes(), tensorboard=str(tmp_path)).run()
    points = curves(tmp_path)["step/train_loss"]
    assert [step for step, _ in points] == list(range(2, 25, 2))
    assert points[0][1] == pytest.approx(sum(losses[:2]) / 2)


@pytest.mark.parametrize("crash", [{"step": 9}, {"step": 6}, {"epoch": 2}])
def test_a_resumed_training_continues_the_curves_without_double_points(tmp_path, crash):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trainer(whole, tensorboard=str(whole / "tb")).run()
    options = {"tensorboard": str(parts / "tb")}
    with pytest.raises(ZeroDivisionError):
        trainer(parts, observer=Crash(**crash), **options).run()
    again = trainer(parts, **options)
    again.resume()
    again.run()
    assert curves(parts / "tb") == curves(whole / "tb")


def test_what_is_before_a_checkpoint_is_on_disk(tmp_path):
    """Else a killed run would leave a gap in its curves."""
    found = []

    class Read(Observer):
        def on_checkpoint(self, path):
            if path.stat().st_size and (tmp_path / "tb").exists():
                found.append(len(curves(tmp_path / "tb").get("step/train_loss", ())))

    trainer(tmp_path, observer=Read(), tensorboard=str(tmp_path / "tb")).run()
    assert found == [6, 12, 18, 24]


def test_a_new_training_replaces_the_curves_of_another(tmp_path):
    trainer(epochs=4, tensorboard=str(tmp_path)).run()
    trainer(epochs=2, tensorboard=str(tmp_path)).run()
    found = curves(tmp_path)
    assert [step for step, _ in found["step/train_loss"]] == list(range(1, 13))
    assert [epoch for epoch, _ in found["epoch/validation_loss"]] == [1, 2]


@pytest.mark.slow
def test_the_option_is_one_of_the_command_and_of_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_csv(tmp_path / "data.csv", 41)
    options = {**OPTIONS, "epochs": 1}
    train(data, tmp_path / "plain", **options)
    train(data, tmp_path / "model", tensorboard="runs", **options)
    assert curves(tmp_path / "runs")["epoch/train_loss"]
    plain, curved = (tmp_path / name / "model.safetensors" for name in ("plain", "model"))
    assert curved.read_bytes() == plain.read_bytes()
    settings = json.loads((tmp_path / "model" / "config.json").read_text())["settings"]
    assert settings["training"]["tensorboard"] is None

    words = ["--max-minutes", "0", "--tensorboard", "again", "--epochs", "1", "--threads", "1"]
    assert main(["train", str(data), "--out", "m", "--no-report", *words]) == 0
    assert main(["train", "--resume", "--out", "m", "--max-minutes", "9"]) == 0
    assert [x for x, _ in curves(tmp_path / "again")["epoch/train_loss"]] == [1]


@pytest.mark.slow
def test_folds_have_folders_of_their_own(tmp_path):
    data = write_csv(tmp_path / "data.csv", 41)
    cross_validate(data, folds=2, **{**OPTIONS, "epochs": 1}, tensorboard=tmp_path / "tb")
    assert sorted(path.name for path in (tmp_path / "tb").iterdir()) == ["fold-1", "fold-2"]


@pytest.mark.slow
def test_a_pretraining_has_curves_too(tmp_path):
    data = write_csv(tmp_path / "data.csv", 120)
    sizes = {"embedding_size": 4, "hidden_size": 4, "num_layers": 1, "epochs": 1, "threads": 1}
    pretrain(data, tmp_path / "base", tensorboard=tmp_path / "tb", min_frequency=1, **sizes)
    assert "epoch/validation_perplexity" in curves(tmp_path / "tb")


def test_a_relative_folder_is_found_from_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = TrainSettings.from_options(tensorboard="runs")
    assert settings.training.tensorboard == str(tmp_path / "runs")
    with pytest.raises(ConfigError, match="tensorboard = 3: must be a string"):
        TrainSettings.from_options(tensorboard=3)


def test_without_the_package_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.delitem(sys.modules, "textlstm.training.tensorboard", raising=False)
    monkeypatch.delattr("textlstm.training.tensorboard", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'textlstm\[tensorboard\]'"):
        train(tmp_path / "no.csv", tmp_path / "m", tensorboard=tmp_path / "tb")
    assert not (tmp_path / "m").exists()


def test_a_folder_that_cant_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    run = trainer(tensorboard=str(tmp_path / "file"))
    with pytest.raises(OutputError, match=f"cannot write the curves into {tmp_path / 'file'}"):
        run.run()
