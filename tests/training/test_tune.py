import csv
import json
import re
import signal
import subprocess
import sys
import time

import pytest
import tiny_corpus
import torch

pytest.importorskip("optuna")

import textlstm
from textlstm.cli.settings_file import read_settings
from textlstm.errors import (
    ConfigError,
    DataError,
    MissingDependencyError,
    OutputError,
    TrainingError,
)
from textlstm.training import trainer, tuning, validation
from textlstm.training.observer import Observer
from textlstm.training.resolve import read_options
from textlstm.training.run import Run
from textlstm.training.study import Study

pytestmark = pytest.mark.slow

OPTIONS = tiny_corpus.OPTIONS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_corpus.write_splits(tmp_path_factory.mktemp("data") / "tiny", test=12)


@pytest.fixture(scope="module")
def tuned(data, tmp_path_factory):
    """A tuning of three trials, and what was told after each."""
    out, told = tmp_path_factory.mktemp("tuned") / "model", []
    run(data, out, on_trial=lambda row, best: told.append((row, best)))
    return out, told


def run(data, out, **options):
    return textlstm.tune(data, out, **{"trials": 3, "minutes": 60, **OPTIONS, **options})


def table(out):
    """The rows of the table, without what differs from run to run."""
    with (out / tuning.TABLE).open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "minutes"} for row in csv.DictReader(file)]


def weights(out):
    return (out / "model.safetensors").read_bytes()


def config(out):
    return json.loads((out / "config.json").read_text())


class Stopper(Observer):
    """Ends the process in the middle of a training, or so it seems."""

    def __init__(self, training):
        self.left = training

    def on_start(self, total_steps, step, epochs):
        self.left -= 1

    def on_step(self, step, epoch, loss, texts):
        if self.left == 0 and epoch == 2:
            raise KeyboardInterrupt


def test_the_best_of_all_trials_is_kept_and_the_first_has_the_defaults(data, tuned):
    out, told = tuned
    rows = table(out)
    assert [row["trial"] for row in rows] == ["1", "2", "3"]
    assert [row["ended"] for row in rows] == ["finished"] * 3
    assert rows[0]["learning_rate"] == "0.004"
    assert "hidden_size" not in rows[0]  # which has a value already
    best = min(rows, key=lambda row: float(row["loss"]))  # the figure for few texts
    model = textlstm.TextClassifier.load(out)
    assert model.metrics["validation"]["log_loss"] == float(best["loss"])
    assert model.settings.training.learning_rate == float(best["learning_rate"])
    assert [row["trial"] for row, _ in told] == [1, 2, 3]
    assert told[-1][1]["trial"] == int(best["trial"])
    assert {row["metric"] for rows in told for row in rows} == {"loss"}
    assert sorted(p.name for p in out.parent.iterdir()) == ["model"]


@pytest.mark.parametrize("left_out", [(), ("min_frequency", "batch_size")])
def test_the_first_trial_is_what_train_makes(data, tmp_path, left_out):
    options = {name: value for name, value in OPTIONS.items() if name not in left_out}
    textlstm.tune(data, tmp_path / "tuned", trials=1, **options)
    textlstm.train(data, tmp_path / "trained", **options)
    textlstm.train(
        data, tmp_path / "again", **read_settings(str(tmp_path / "tuned" / tuning.SETTINGS))
    )
    assert weights(tmp_path / "again") == weights(tmp_path / "tuned")
    assert weights(tmp_path / "tuned") == weights(tmp_path / "trained")
    for name in ("metrics.json", "vocab.txt", "tokenizer.json"):
        assert (tmp_path / "tuned" / name).read_bytes() == (
            tmp_path / "trained" / name
        ).read_bytes()
    assert config(tmp_path / "tuned")["settings"] == config(tmp_path / "trained")["settings"]
    assert config(tmp_path / "tuned")["data"] == config(tmp_path / "trained")["data"]


def test_train_makes_the_best_model_again_from_its_settings(data, tmp_path):
    run(data, tmp_path / "tuned", monitor="loss", trials=9)
    best = min(table(tmp_path / "tuned"), key=lambda row: float(row["loss"]))
    assert best["trial"] != "1"
    figures = textlstm.TextClassifier.load(tmp_path / "tuned").metrics["validation"]
    assert figures["log_loss"] == float(best["loss"])
    given = read_settings(str(tmp_path / "tuned" / tuning.SETTINGS))
    textlstm.train(data, tmp_path / "trained", **given)
    assert weights(tmp_path / "tuned") == weights(tmp_path / "trained")
    assert config(tmp_path / "tuned")["settings"] == config(tmp_path / "trained")["settings"]


def test_the_pooling_after_a_base_is_in_the_settings(data, tmp_path):
    shape = {name: OPTIONS[name] for name in ("hidden_size", "embedding_size", "num_layers")}
    texts = (["a dull film"] * 9, ["x"] * 9)
    textlstm.pretrain(texts, tmp_path / "base", **shape, min_frequency=1, epochs=1, threads=1)
    options = {"init_from": tmp_path / "base", "pooling": "final+max", "epochs": 1}
    textlstm.tune(data, tmp_path / "tuned", trials=1, minutes=60, threads=1, seed=1, **options)
    given = read_settings(str(tmp_path / "tuned" / tuning.SETTINGS))
    assert read_options(given).model.pooling == "final+max"


def test_the_settings_hold_any_letter(tmp_path):
    best = {"trial": 1, "ended": "done"}
    path = tmp_path / "settings.toml"
    options = {"text_column": ["text \U0001f600 \x7f \n"]}
    path.write_text(tuning._toml(options, best), encoding="utf-8")
    assert read_settings(str(path)) == options


def test_the_same_seed_gives_the_same_trials(data, tuned, tmp_path):
    run(data, tmp_path / "again")
    assert table(tmp_path / "again") == table(tuned[0])
    assert weights(tmp_path / "again") == weights(tuned[0])
    run(data, tmp_path / "other", seed=2)
    assert table(tmp_path / "other") != table(tuned[0])


@pytest.mark.parametrize("moment", ["in a trial", "after a trial"])
def test_a_tuning_that_was_stopped_ends_as_if_it_had_not(data, tuned, tmp_path, moment):
    def stop(row, best):
        raise KeyboardInterrupt

    how = {"observer": Stopper(2)} if moment == "in a trial" else {"on_trial": stop}
    out = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        run(data, out, **how)
    assert not out.exists()
    with pytest.raises(OutputError, match="is unfinished: pass --resume"):
        run(data, out)
    with pytest.raises(ConfigError, match="hidden_size was 4 and is now 5"):
        run(None, out, resume=True, hidden_size=5)
    textlstm.tune(None, out, resume=True, trials=3)
    rows = table(out)
    stopped = [row for row in rows if row["ended"] == "stopped"]
    assert len(stopped) == (moment == "in a trial")
    same = [{**row, "trial": ""} for row in rows if row not in stopped]
    assert same == [{**row, "trial": ""} for row in table(tuned[0])]
    assert weights(out) == weights(tuned[0])


def test_what_was_stopped_can_be_finished_with_the_best_so_far(data, tmp_path):
    out = tmp_path / "model"
    with pytest.raises(ConfigError, match=r"no tuning of .* to finish"):
        run(data, out, finish=True)
    with pytest.raises(KeyboardInterrupt):
        run(data, out, observer=Stopper(2))
    model = textlstm.tune(None, out, finish=True)
    assert [row["ended"] for row in table(out)] == ["finished", "stopped"]
    again = textlstm.tune(None, out, resume=True)  # has ended
    assert again.fingerprint() == model.fingerprint()


def test_the_time_before_a_stop_counts(data, tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(tuning.time, "monotonic", lambda: clock[0])
    out = tmp_path / "model"

    def half_an_hour(row, best):
        clock[0] += 1800
        if row["trial"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(data, out, trials=None, minutes=70, on_trial=half_an_hour)
    clock[0] = 5.0  # of another machine
    run(None, out, resume=True, trials=None, minutes=70, on_trial=half_an_hour)
    assert len(table(out)) == 4  # 30 minutes of the first two; then at 30 and 60 of 70


def test_no_time_leaves_a_model_of_the_defaults(data, tmp_path):
    run(data, tmp_path / "model", minutes=0)
    (row,) = table(tmp_path / "model")
    assert row["ended"] == "cut off"
    assert "cut it off" in (tmp_path / "model" / tuning.SETTINGS).read_text()
    assert textlstm.TextClassifier.load(tmp_path / "model").settings.training.max_minutes is None


def test_all_of_a_tuning_has_the_threads_asked_for(data, tmp_path, monkeypatch):
    seen, load = [], textlstm.TextClassifier.load

    def recorded(*arguments, **options):
        seen.append(torch.get_num_threads())
        return load(*arguments, **options)

    monkeypatch.setattr(textlstm.TextClassifier, "load", recorded)
    before = torch.get_num_threads()
    run(data, tmp_path / "model", trials=1, threads=before + 1)
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_models_that_are_too_large_are_not_trained(data, tmp_path, monkeypatch):
    trained = []
    fit = Run.fit
    monkeypatch.setattr(Run, "fit", lambda self: trained.append(self.settings) or fit(self))
    out = tmp_path / "model"
    run(data, out, max_mb=0.2)
    rows = table(out)
    assert rows[0]["ended"] == "too large"
    kept = [row for row in rows if row["ended"] != "too large"]
    assert len(trained) == len(kept) == 3
    assert all(float(row["megabytes"]) <= 0.2 for row in kept)
    files = ("model.safetensors", "tokenizer.json", "vocab.txt")
    assert sum((out / name).stat().st_size for name in files) <= 0.2e6
    monkeypatch.setattr(tuning, "_MOST_TOO_LARGE", 5)
    with pytest.raises(ConfigError, match=r"the smallest had \d\.\d+ MB: raise --max-mb"):
        run(data, tmp_path / "none", max_mb=0.001)


def test_the_size_is_that_of_the_files(tuned):
    out, _ = tuned
    files = ("model.safetensors", "tokenizer.json", "vocab.txt")
    size = sum((out / name).stat().st_size for name in files) / 1e6
    best = max(table(out), key=lambda row: float(row["macro_f1"]))
    assert float(best["megabytes"]) == pytest.approx(size, abs=0.01)


def test_a_trial_that_diverges_is_left_out(data, tmp_path, monkeypatch, caplog):
    fit = Run.fit

    def diverge(self):
        if self.settings.training.learning_rate != 4e-3:
            raise TrainingError("loss nan at step 3")
        fit(self)

    monkeypatch.setattr(Run, "fit", diverge)
    monkeypatch.setattr(Study, "should_prune", lambda *_: False)  # 16 texts: chance would decide
    run(data, tmp_path / "model", trials=12, seed=4)
    ends = {row["ended"] for row in table(tmp_path / "model")}
    assert ends == {"finished", "diverged"}
    assert "loss nan at step 3" in caplog.text


def test_a_trial_that_falls_behind_takes_no_more_epochs(data, tmp_path, monkeypatch):
    monkeypatch.setattr(Study, "should_prune", lambda self, trial, value, tenths: tenths == 6)
    with pytest.raises(ConfigError, match="no trial has ended with a model"):
        run(data, tmp_path / "model", trials=2)
    with pytest.raises(ConfigError, match="no trial has ended with a model"):
        textlstm.tune(None, tmp_path / "model", finish=True)


def test_the_test_split_is_evaluated_once_by_the_best_model(data, tmp_path, monkeypatch):
    seen = []

    def counting(evaluate):
        def counted(model, split, *values, **options):
            seen.append(len(split))
            return evaluate(model, split, *values, **options)

        return counted

    for module in (trainer, validation):
        monkeypatch.setattr(module, "evaluate_split", counting(module.evaluate_split))
    model = run(data, tmp_path / "model")
    assert seen.count(12) == 1
    assert seen[-1] == 12
    assert model.metrics["test"]["n"] == 12
    assert model.record.rows == {"train": 48, "validation": 16, "test": 12}


def test_the_test_split_is_evaluated_whatever_vocabulary_is_the_best(data, tmp_path, monkeypatch):
    monkeypatch.setattr(Study, "_kept", lambda self, number: {"min_frequency": number + 1})
    monkeypatch.setattr(Study, "is_better", lambda self, value: True)
    best = Study.best
    monkeypatch.setattr(Study, "best", lambda self: best(self) and self.rows()[-1])
    options = {name: value for name, value in OPTIONS.items() if name != "min_frequency"}
    model = textlstm.tune(data, tmp_path / "model", trials=2, minutes=60, **options)
    assert model.settings.tokenizer.min_frequency == 2
    assert model.metrics["test"]["n"] == 12


def test_texts_are_read_and_encoded_once(data, tmp_path, monkeypatch):
    calls = []
    encode = Run.encode
    monkeypatch.setattr(Run, "encode", lambda self: calls.append(self) or encode(self))
    run(data, tmp_path / "model")
    assert len(calls) == 1


def test_several_labels_for_a_text_can_be_tuned(tmp_path):
    data = tiny_corpus.write_tagged(tmp_path / "tagged", 60, 20, 20)
    model = run(data, tmp_path / "model", trials=2)
    assert model.thresholds == textlstm.TextClassifier.load(tmp_path / "model").thresholds
    assert model.metrics["test"]["n"] == 20


def test_what_is_there_is_not_lost(data, tuned, tmp_path):
    out = tmp_path / "model"
    run(data, out, trials=1)
    before = weights(out)
    with pytest.raises(OutputError, match="already holds a model: pass --overwrite"):
        run(data, out)
    with pytest.raises(KeyboardInterrupt):
        run(data, out, overwrite=True, seed=2, observer=Stopper(1))
    assert weights(out) == before
    run(None, out, resume=True, trials=1)
    assert config(out)["settings"]["training"]["seed"] == 2
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=re.escape("holds other files (notes.txt)")):
        run(data, out, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"


def test_another_preset_than_the_tunings_is_refused(data, tmp_path):
    out = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        run(data, out, preset="best", observer=Stopper(1))
    with pytest.raises(ConfigError, match="preset was best and is now default"):
        run(None, out, resume=True, preset="default")
    run(None, out, resume=True, preset="best", trials=1)


def test_python_objects_are_data_too(tmp_path):
    texts, labels = map(list, zip(*tiny_corpus.rows(80), strict=True))
    out = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        run((texts, labels), out, observer=Stopper(1))
    with pytest.raises(ConfigError, match="passed as Python objects: pass them again"):
        run(None, out, resume=True)
    with pytest.raises(DataError, match="the data has changed since the tuning"):
        run((texts[2:], labels[2:]), out, resume=True)
    with pytest.raises(ConfigError, match=r"max_mb = 5, but the tuning of .* began with None"):
        run((texts, labels), out, resume=True, max_mb=5)
    assert run((texts, labels), out, resume=True, trials=1).predict(["bright"])
    with pytest.raises(ConfigError, match="the data is missing"):
        run(None, tmp_path / "other")


def test_damaged_trials_are_an_error_of_ours(data, tmp_path):
    out = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        run(data, out, observer=Stopper(2))
    study = tmp_path / ".model.partial" / "study.sqlite"
    study.write_bytes(b"no database" * 1000)
    with pytest.raises(OutputError, match=r"can't be read or saved .* start over with --overwrite"):
        run(None, out, resume=True)
    run(data, out, overwrite=True, trials=1)


def test_the_extra_is_named_where_it_is_missing(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "textlstm.training.study", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'textlstm\[tune\]'"):
        run(data, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_the_page_shows_all_trials(data, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "a <b>"
    run(data, out, trials=20, report=True, ngrams=0, epochs=1)
    page = (out / tuning.PAGE).read_text(encoding="utf-8")
    assert "<title>a &lt;b&gt;: tuning of textlstm</title>" in page
    assert page.count("<svg") == 3
    assert "Importance of each option" in page
    assert not re.search(r"(src|href)=\"(?!#|data:)", page)
    assert "<script" not in page
    rows = page.split('id="trials"')[1]
    assert len(re.findall(r'<th scope="row">\d+', rows)) == 20
    assert "(kept)" in rows
    assert (out / "report.html").is_file()


COMMAND = [sys.executable, "-m", "textlstm", "tune"]


def test_a_kill_costs_only_the_trial_that_ran(data, tuned, tmp_path):
    out = tmp_path / "model"
    words = [*COMMAND, str(data), "--out", str(out), *tiny_corpus.flags(), "--trials", "3"]
    child = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    for line in child.stderr:
        if line.startswith("trial 1 "):
            break
    time.sleep(0.02)
    child.kill()
    child.communicate()
    assert not out.exists()
    done = subprocess.run([*words, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [row for row in table(out) if row["ended"] != "stopped"]
    same = [{**row, "trial": ""} for row in rows]
    assert same == [{**row, "trial": ""} for row in table(tuned[0])]
    assert weights(out) == weights(tuned[0])
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_ctrl_c_says_how_to_go_on(data, tmp_path):
    out = tmp_path / "my model"
    words = [*COMMAND, str(data), "--out", str(out), *tiny_corpus.flags(epochs=3000)]
    words += ["--metric", "accuracy", "--patience", "3000"]
    child = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    for line in child.stderr:
        if line.startswith("training:"):
            break
    child.send_signal(signal.SIGINT)
    rest = child.communicate()[1]
    assert child.returncode == 130
    assert f"to resume: textlstm tune --resume --out '{out}'" in rest
    assert "for a model of the best trial so far: textlstm tune --finish" in rest
    assert "Traceback" not in rest
