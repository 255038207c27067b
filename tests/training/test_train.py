"""A run from data to model folder: what it leaves, and that a stop or a mistake costs nothing."""

import json
import signal
import threading
import time

import numpy as np
import pytest
from tiny_corpus import OPTIONS, rows, write_csv, write_splits

from textlstm import TextClassifier, cross_validate, train
from textlstm.data.encoded import EncodedTexts
from textlstm.errors import (
    ConfigError,
    DataError,
    ModelFolderError,
    OutputError,
    TextLSTMError,
    TrainingError,
)
from textlstm.training import trainer
from textlstm.training.fit import TrainingInterrupted
from textlstm.training.observer import Observer
from textlstm.training.run_folder import RunFolder

pytestmark = pytest.mark.slow

MODEL_FILES = [
    "README.md",
    "config.json",
    "history.jsonl",
    "metrics.json",
    "model.safetensors",
    "tokenizer.json",
    "vocab.txt",
]
TEXTS = [text for text, _ in rows(12, seed=9)] + ["?", "unheard words"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_splits(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def straight(data, tmp_path_factory):
    """A model folder trained without a stop."""
    folder = tmp_path_factory.mktemp("straight") / "model"
    train(data, folder, **OPTIONS)
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def contents(folder):
    """The files that a run determines; times of day differ in the others."""
    kept = ("model.safetensors", "tokenizer.json", "vocab.txt", "metrics.json")
    return {name: (folder / name).read_bytes() for name in kept}


class Signals(Observer):
    """Sends signals to this process at a step."""

    def __init__(self, step, *numbers):
        self.step = step
        self.numbers = numbers

    def on_step(self, step, epoch, loss, texts):
        if step == self.step:
            for number in self.numbers:
                signal.raise_signal(number)


def interrupt(data, folder, step=8, number=signal.SIGINT, **options):
    with pytest.raises(TrainingInterrupted) as stop:
        train(data, folder, observer=Signals(step, number), **{**OPTIONS, **options})
    assert stop.value.signal_number == number


def test_a_run_leaves_the_model_folder_and_nothing_else(straight):
    assert names(straight) == MODEL_FILES


def test_the_saved_model_is_the_one_returned(data, tmp_path):
    returned = train(data, tmp_path / "model", **OPTIONS)
    loaded = TextClassifier.load(tmp_path / "model")
    assert loaded.labels == returned.labels == ("bad", "good")
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), returned.predict_proba(TEXTS))
    assert loaded.describe() == returned.describe()
    assert [row["epoch"] for row in loaded.history] == [1, 2, 3]
    assert loaded.history == returned.history


def test_figures_are_those_of_the_saved_model_on_validation_and_test(data, straight):
    metrics = json.loads((straight / "metrics.json").read_text())
    assert list(metrics) == ["validation", "test"]
    classifier = TextClassifier.load(straight)
    for seed, split in ((1, "validation"), (2, "test")):
        texts, labels = zip(*rows(16, seed), strict=True)
        judged = classifier.evaluate(texts, labels)
        assert judged["confusion_matrix"] == metrics[split]["confusion_matrix"]
        assert judged["log_loss"] == pytest.approx(metrics[split]["log_loss"], abs=1e-5)


def test_without_a_test_split_there_are_no_test_figures(tmp_path):
    train(write_csv(tmp_path / "x.csv", 40), tmp_path / "model", **OPTIONS)
    assert list(json.loads((tmp_path / "model" / "metrics.json").read_text())) == ["validation"]


def test_the_record_tells_of_the_data_and_the_run(data, straight):
    config = json.loads((straight / "config.json").read_text())
    assert config["data"]["rows"] == {"train": 48, "validation": 16, "test": 16}
    assert config["settings"]["model"]["hidden_size"] == 4
    assert config["training"]["ended"] == "finished"
    assert config["training"]["epochs"] == 3
    assert len((straight / "history.jsonl").read_text().splitlines()) == 3
    assert "48" in (straight / "README.md").read_text()


def test_the_column_that_was_guessed_is_remembered(tmp_path):
    texts = "".join(f"{number},{text},{label}\n" for number, (text, label) in enumerate(rows(40)))
    (tmp_path / "x.csv").write_text(f"id,remark,label\n{texts}")
    train(tmp_path / "x.csv", tmp_path / "model", **OPTIONS)
    assert TextClassifier.load(tmp_path / "model").settings.data.text_column == ("remark",)


def test_the_seed_decides_the_model(data, straight, tmp_path):
    train(data, tmp_path / "same", **OPTIONS)
    train(data, tmp_path / "other", **OPTIONS, seed=2)
    assert contents(tmp_path / "same") == contents(straight)
    assert contents(tmp_path / "other") != contents(straight)


def test_without_a_folder_the_model_is_kept_in_memory_only(data, straight, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    classifier = train(data, **OPTIONS)
    expected = TextClassifier.load(straight).predict_proba(TEXTS)
    np.testing.assert_array_equal(classifier.predict_proba(TEXTS), expected)
    assert list(tmp_path.iterdir()) == []


def test_labels_that_look_like_a_measurement_are_refused_unless_asked_for(tmp_path, caplog):
    texts, labels = zip(*rows(60, seed=1), strict=True)
    prices = [f"{place % 25}.5" for place in range(len(labels))]
    with pytest.raises(DataError, match=r"25 labels are all numbers.*pass --numeric-labels"):
        train((texts, prices), tmp_path / "model", **OPTIONS)
    assert not (tmp_path / "model").exists()
    classifier = train((texts, prices), numeric_labels=True, **OPTIONS)
    assert len(classifier.labels) == 25
    assert "measurement" not in caplog.text


def test_python_texts_and_labels_can_be_trained_on():
    texts, labels = zip(*rows(40), strict=True)
    classifier = train({"train": (texts, labels)}, **OPTIONS)
    assert classifier.labels == ("bad", "good")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 8, 12])  # an epoch has 6 steps
def test_a_stopped_run_resumes_to_the_very_same_model(data, straight, tmp_path, number, step):
    interrupt(data, tmp_path / "model", step, number)
    assert "run.json" in names(tmp_path / "model")
    assert "config.json" not in names(tmp_path / "model")
    train(None, tmp_path / "model", resume=True)
    assert names(tmp_path / "model") == MODEL_FILES
    assert contents(tmp_path / "model") == contents(straight)


@pytest.mark.parametrize("how", [{"resume": True}, {"overwrite": True, **OPTIONS}])
def test_a_run_that_is_under_way_is_left_alone(data, straight, tmp_path, how):
    out = tmp_path / "model"
    interrupt(data, out)
    with RunFolder(out).held(), pytest.raises(OutputError, match="another process is training"):
        train(data, out, **how)
    train(None, out, resume=True)
    assert contents(out) == contents(straight)


def test_a_run_is_resumed_from_another_working_directory(data, straight, tmp_path, monkeypatch):
    monkeypatch.chdir(data.parent)
    interrupt(data.name, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    train(None, "model", resume=True)
    assert contents(tmp_path / "model") == contents(straight)


def test_a_run_on_a_pattern_is_resumed_from_another_working_directory(data, tmp_path, monkeypatch):
    monkeypatch.chdir(data.parent)
    names = {"validation": f"{data.name}/val*.csv", "test": f"{data.name}/te[s]t.csv"}
    interrupt(f"{data.name}/tr*.csv", tmp_path / "model", **names)
    monkeypatch.chdir(tmp_path)
    train(None, "model", resume=True)


def test_a_resumed_run_encodes_nothing_again(data, tmp_path, monkeypatch):
    interrupt(data, tmp_path / "model")

    def refuse(*_):
        raise AssertionError("encoded again")

    monkeypatch.setattr(EncodedTexts, "write", refuse)
    train(None, tmp_path / "model", resume=True)


def test_a_lost_cache_is_made_again(data, straight, tmp_path):
    interrupt(data, tmp_path / "model")
    for path in (tmp_path / "model" / ".cache").iterdir():
        path.write_bytes(path.read_bytes()[:-9])  # cut short
    (tmp_path / "model" / ".cache" / "validation.tokens").unlink()
    train(None, tmp_path / "model", resume=True)
    assert contents(tmp_path / "model") == contents(straight)


def test_a_run_that_an_older_version_began_is_resumed(data, straight, tmp_path):
    folder = tmp_path / "model"
    interrupt(data, folder)
    for name in ("tokenizer.json", "vocab.txt", "history.jsonl"):
        (folder / ".cache" / name).rename(folder / name)
    train(None, folder, resume=True)
    assert contents(folder) == contents(straight)
    assert names(folder) == MODEL_FILES


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_a_second_signal_ends_the_run_at_once_and_loses_only_steps(
    data, straight, tmp_path, handler
):
    observer = Signals(8, signal.SIGINT, signal.SIGINT)
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt) as stop:
            train(data, tmp_path / "model", observer=observer, **OPTIONS)
        assert signal.getsignal(signal.SIGINT) == handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert not isinstance(stop.value, TrainingInterrupted)
    train(None, tmp_path / "model", resume=True)
    assert contents(tmp_path / "model") == contents(straight)


def test_signal_handlers_are_put_back(data, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    interrupt(data, tmp_path / "model")
    train(data, **OPTIONS)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_signals_that_the_caller_handles_are_left_to_it(data, monkeypatch):
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        train(data, observer=Signals(2, signal.SIGTERM), **OPTIONS)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_training_works_outside_the_main_thread(data):
    made = []
    thread = threading.Thread(target=lambda: made.append(train(data, **OPTIONS)))
    thread.start()
    thread.join()
    assert made[0].labels == ("bad", "good")


def test_a_run_whose_time_is_over_leaves_a_model_and_goes_on_to_the_same_end(
    data, straight, tmp_path
):
    class Slow(Observer):
        def on_step(self, step, epoch, loss, texts):
            if step == 8:
                time.sleep(0.1)

    folder = tmp_path / "model"
    train(data, folder, observer=Slow(), **OPTIONS, max_minutes=0.1 / 60)
    assert json.loads((folder / "config.json").read_text())["training"]["ended"] == "max minutes"
    assert len(TextClassifier.load(folder).predict(TEXTS)) == len(TEXTS)
    train(None, folder, resume=True, max_minutes=60)
    assert names(folder) == MODEL_FILES
    assert contents(folder) == contents(straight)


def test_a_finished_run_has_nothing_to_resume(straight, tmp_path, caplog):
    before = {path: path.stat().st_mtime_ns for path in straight.iterdir()}
    with caplog.at_level("INFO"):
        classifier = train(None, straight, resume=True)
    assert "nothing to resume" in caplog.text
    assert classifier.labels == ("bad", "good")
    assert {path: path.stat().st_mtime_ns for path in straight.iterdir()} == before


def test_resume_begins_a_run_where_there_is_none(data, straight, tmp_path):
    train(data, tmp_path / "model", resume=True, **OPTIONS)
    assert contents(tmp_path / "model") == contents(straight)


def test_resume_without_data_and_without_a_run_is_an_error(tmp_path):
    with pytest.raises(ModelFolderError, match=r"model holds no run to resume"):
        train(None, tmp_path / "model", resume=True)
    assert list(tmp_path.iterdir()) == []


def test_options_unlike_those_of_the_resumed_run_are_named(data, straight, tmp_path):
    interrupt(data, tmp_path / "model")
    for folder in (tmp_path / "model", straight):
        with pytest.raises(ConfigError, match=r"hidden_size was 4 and is now 5"):
            train(None, folder, resume=True, hidden_size=5)
    train(None, tmp_path / "model", resume=True, hidden_size=4)


def test_a_run_is_not_resumed_with_other_data(data, tmp_path):
    copy = write_splits(tmp_path / "data")
    interrupt(copy, tmp_path / "model")
    write_csv(copy / "train.csv", 50)
    with pytest.raises(DataError, match=r"data has changed"):
        train(None, tmp_path / "model", resume=True)
    train(data, tmp_path / "model", resume=True)  # the same texts in another place


def test_a_run_on_python_objects_needs_them_again(straight, data, tmp_path):
    texts, labels = zip(*rows(40), strict=True)
    objects = {"train": (texts, labels)}
    interrupt(objects, tmp_path / "model")
    with pytest.raises(ConfigError, match="pass them again"):
        train(None, tmp_path / "model", resume=True)
    classifier = train(objects, tmp_path / "model", resume=True)
    expected = train(objects, **OPTIONS)
    np.testing.assert_array_equal(classifier.predict_proba(TEXTS), expected.predict_proba(TEXTS))


def test_a_model_is_replaced_only_if_told_so(data, straight, tmp_path):
    folder = tmp_path / "model"
    train(data, folder, **OPTIONS, seed=2)
    before = contents(folder)
    with pytest.raises(OutputError, match="already holds a model"):
        train(data, folder, **OPTIONS)
    assert contents(folder) == before
    train(data, folder, overwrite=True, **OPTIONS)
    assert contents(folder) == contents(straight)
    assert names(folder) == MODEL_FILES


@pytest.mark.parametrize("options", [{"hidden_size": 5}, {"min_frequency": 22}])
def test_an_unfinished_run_is_replaced_by_one_that_takes_nothing_of_it(data, tmp_path, options):
    interrupt(data, tmp_path / "model", **options)
    train(data, tmp_path / "model", overwrite=True, **OPTIONS)
    train(data, tmp_path / "straight", **OPTIONS)
    assert contents(tmp_path / "model") == contents(tmp_path / "straight")
    assert names(tmp_path / "model") == MODEL_FILES


def test_an_unfinished_run_is_replaced_by_one_on_other_data(data, straight, tmp_path):
    interrupt(write_csv(tmp_path / "other.csv", 40, seed=7), tmp_path / "model", step=2)
    train(data, tmp_path / "model", overwrite=True, **OPTIONS)
    assert contents(tmp_path / "model") == contents(straight)


def test_an_unfinished_run_stays_if_what_shall_replace_it_cannot_begin(data, straight, tmp_path):
    interrupt(data, tmp_path / "model")
    with pytest.raises(DataError, match="txet"):
        train(data, tmp_path / "model", overwrite=True, text_column="txet", **OPTIONS)
    train(None, tmp_path / "model", resume=True)
    assert contents(tmp_path / "model") == contents(straight)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("no-such.csv", {}),
        ("data", {"text_column": "txet"}),
        ("data", {"class_weights": ["ugly=2"]}),
        ("data", {"tokenizer": "no-such.json"}),
        ("data", {"vocab": "no-such.txt"}),
        ("data", {"device": "gpu"}),
        ("data", {"hidden_size": 0}),
    ],
)
def test_a_run_that_cannot_begin_changes_nothing(
    data, straight, tmp_path, monkeypatch, source, options
):
    monkeypatch.chdir(tmp_path)
    source = data if source == "data" else source
    before = contents(straight)
    for folder, overwrite in ((tmp_path / "new" / "model", False), (straight, True)):
        with pytest.raises(TextLSTMError):
            train(source, folder, overwrite=overwrite, **{**OPTIONS, **options})
    assert list(tmp_path.iterdir()) == []
    assert names(straight) == MODEL_FILES
    assert contents(straight) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "source is missing"),
        ({"out": "m"}, "data is missing"),
        ({"source": "sample", "resume": True}, "pass out"),
        ({"source": "sample", "overwrite": True}, "pass out"),
        ({"finish": True}, "pass out"),
        ({"source": "sample", "out": "m", "resume": True, "overwrite": True}, "exclude each other"),
        ({"source": "sample", "epoch": 3}, "'epoch'.*did you mean 'epochs'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said):
        train(**arguments)
    assert list(tmp_path.iterdir()) == []


def test_what_was_guessed_and_how_much_is_unknown_is_logged(data, caplog):
    with caplog.at_level("INFO"):
        train(data, **OPTIONS)
    assert "columns detected" in caplog.text
    assert "48 train, 16 validation, 16 test; 2 labels: bad, good" in caplog.text
    assert "% of the tokens in validation are unknown" in caplog.text


@pytest.mark.parametrize("stop", ["diverges", "interrupted"])
def test_the_old_model_stays_until_the_new_one_is_saved(data, straight, tmp_path, stop):
    folder = tmp_path / "model"
    train(data, folder, **OPTIONS, seed=2)
    before = {name: (folder / name).read_bytes() for name in MODEL_FILES}
    again = {"observer": Signals(8, signal.SIGINT), **OPTIONS}
    if stop == "diverges":
        again["learning_rate"] = 1e30
    with pytest.raises(TrainingError if stop == "diverges" else TrainingInterrupted):
        train(data, folder, overwrite=True, **again)
    assert {name: (folder / name).read_bytes() for name in MODEL_FILES} == before
    assert TextClassifier.load(folder).settings.training.seed == 2
    assert set(names(folder)) == {*MODEL_FILES, "run.json", "checkpoint.safetensors", ".cache"}
    if stop == "interrupted":
        train(None, folder, resume=True)
    else:
        train(data, folder, overwrite=True, **OPTIONS)
    assert names(folder) == MODEL_FILES
    assert contents(folder) == contents(straight)


def test_a_resumed_run_may_have_another_patience(data, tmp_path):
    interrupt(data, tmp_path / "model", step=2, monitor="accuracy")
    train(None, tmp_path / "model", resume=True, patience=1)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["settings"]["training"]["patience"] == 1


def test_python_callers_keep_their_allocator(data, monkeypatch):
    """It is the process's, and a notebook does more in it than training."""
    called = []
    monkeypatch.setattr("textlstm.nn.memory.keep_freed_memory", lambda: called.append(1))
    train(data, **OPTIONS)
    assert called == []
    assert not hasattr(trainer, "keep_freed_memory")


def test_a_finished_early_run_has_the_best_epoch_so_far(data, tmp_path):
    interrupt(data, tmp_path / "model", step=8)  # the second epoch has begun
    classifier = train(None, tmp_path / "model", finish=True)
    assert names(tmp_path / "model") == MODEL_FILES
    record = classifier.record
    assert (record.training["ended"], record.training["steps"]) == ("ended early", 8)
    assert [row["steps"] for row in record.history] == [6, 8]
    assert TextClassifier.load(tmp_path / "model").describe() == classifier.describe()


def test_a_run_without_a_step_is_not_finished_but_can_be_resumed(data, straight, tmp_path):
    class Stop(Observer):
        def on_start(self, total_steps, step, epochs):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        train(data, tmp_path / "model", observer=Stop(), **OPTIONS)
    with pytest.raises(TrainingError, match="not taken a step yet: resume it"):
        train(None, tmp_path / "model", finish=True)
    train(None, tmp_path / "model", resume=True)
    assert contents(tmp_path / "model") == contents(straight)


def test_where_there_is_no_run_none_is_finished(data, tmp_path):
    with pytest.raises(ModelFolderError, match="holds no run"):
        train(data, tmp_path / "model", finish=True)
    assert list(tmp_path.iterdir()) == []


def test_the_log_has_rows_epochs_and_the_result(data, caplog):
    with caplog.at_level("INFO"):
        train(data, **OPTIONS)
    lines = [record.message for record in caplog.records]
    assert "texts: 48 train, 16 validation, 16 test; 2 labels: bad, good" in lines
    assert [line.split(":")[0] for line in lines if line.startswith("epoch ")] == [
        *("epoch 1/3", "epoch 2/3", "epoch 3/3"),
    ]
    assert any(line.startswith("finished after 3 epochs; kept epoch ") for line in lines)
    assert lines[-1].startswith("test: accuracy ")


def warnings_of(caplog):
    return [record.message for record in caplog.records if record.levelname == "WARNING"]


def test_what_is_likely_to_be_wrong_is_logged_in_five_lines_at_most(tmp_path, caplog):
    texts, labels = zip(*rows(60), strict=True)
    texts = [*texts, "both ways", "both ways", "odd"]
    labels = [*labels, "bad", "good", "rare"]
    test = (texts[:5], labels[:5])
    train({"train": (texts, labels), "test": test}, **{**OPTIONS, "max_length": 2})
    found = warnings_of(caplog)
    assert 4 <= len(found) <= 5
    assert "of 5 test texts are in train too" in found[0]
    assert "have 2 tokens or more" in found[3]


def test_a_cross_validation_does_not_repeat_the_warnings(data, caplog):
    cross_validate(data, folds=2, **{**OPTIONS, "epochs": 1})
    assert warnings_of(caplog) == []
