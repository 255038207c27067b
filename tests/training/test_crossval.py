"""Cross-validation: every text is judged once, by a model that has not seen it."""

import json
import re
import signal

import numpy as np
import pytest
from tiny_corpus import LABELS, OPTIONS, flags, rows, write_csv, write_splits

from textlstm import CrossValidation, cross_validate, train
from textlstm.cli import main
from textlstm.config import PRESETS
from textlstm.data.corpus import load_corpus, load_whole
from textlstm.data.stratify import fold_numbers
from textlstm.errors import ConfigError, DataError
from textlstm.evaluation.tables import format_blocks
from textlstm.training.crossval import crossval_tables
from textlstm.training.launch import Rank
from textlstm.training.observer import Observer
from textlstm.training.resolve import for_texts, read_options

pytestmark = pytest.mark.slow

FAST = {**OPTIONS, "epochs": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_csv(tmp_path_factory.mktemp("crossval") / "x.csv", 41)


@pytest.fixture(scope="module")
def whole(data):
    """A cross-validation of three folds, and what was kept on the way."""
    kept = []
    result = cross_validate(data, folds=3, on_fold=kept.append, **FAST)
    return result, kept


def tables_of(result):
    return format_blocks(crossval_tables(result))


def run(*arguments):
    return main([str(argument) for argument in arguments])


class Stop(Observer):
    """Sends a signal in the first step of a training."""

    def __init__(self, training, number=signal.SIGINT):
        self.left, self.number = training, number

    def on_start(self, total_steps, step, epochs):
        self.left -= 1

    def on_step(self, step, epoch, loss, texts):
        if self.left == 0 and step == 1:
            signal.raise_signal(self.number)


def test_every_text_is_judged_once_by_a_model_that_has_not_seen_it(data, monkeypatch):
    splits = []

    def note(corpus, *arguments, **options):
        parts = {
            name: [text for texts in getattr(corpus, name).texts() for text in texts]
            for name in ("train", "validation", "test")
        }
        splits.append(parts)
        return train({"train": (["a", "b"] * 9, LABELS * 9), "test": (["a"], ["bad"])}, **FAST)

    monkeypatch.setattr("textlstm.training.crossval.train_on", note)
    cross_validate(data, folds=4, validation_fraction=0.2, **FAST)
    texts = sorted(text for text, _ in rows(41))
    assert sorted(text for parts in splits for text in parts["test"]) == texts
    for parts in splits:
        assert sorted(parts["train"] + parts["validation"] + parts["test"]) == texts
        assert len(parts["validation"]) == 6


def test_a_fold_is_what_training_on_its_splits_gives(data, whole):
    corpus = load_whole(data)
    numbers = fold_numbers(corpus.rows.labels, 3, seed=1)
    parts = {}
    for name, chosen in (("train", numbers != 1), ("test", numbers == 1)):
        split = corpus.rows.select(np.flatnonzero(chosen))
        texts = [text for texts in split.texts() for text in texts]
        parts[name] = (texts, [corpus.labels[label] for label in split.labels])
    expected = train(parts, **FAST).metrics["test"]
    assert whole[0].results[1].metrics == expected


def test_the_result_has_every_fold_and_is_kept_after_each(whole):
    result, kept = whole
    assert [len(state.results) for state in kept] == [0, 1, 2, 3]
    assert [state.is_whole for state in kept] == [False, False, False, True]
    assert kept[-1] == result
    assert [fold.number for fold in result.results] == [1, 2, 3]
    assert [fold.rows["test"] for fold in result.results] == [14, 14, 13]
    assert [fold.metrics["n"] for fold in result.results] == [14, 14, 13]
    assert result.labels == LABELS
    assert result.results[0].training["epochs"] == 1


def test_the_repr_is_one_line(whole):
    result, kept = whole
    accuracy = result.summary()["accuracy"]["mean"]
    end = f"x.csv', 2 labels, 3 of 3 folds, mean accuracy {accuracy:.4f})"
    assert repr(result).startswith("CrossValidation('")
    assert repr(result).endswith(end)
    assert repr(kept[0]).endswith("0 of 3 folds)")


def test_the_summary_is_over_the_folds(whole):
    result, kept = whole
    values = [fold.metrics["accuracy"] for fold in result.results]
    summary = result.summary()
    assert summary["accuracy"] == {
        "mean": pytest.approx(np.mean(values)),
        "std": pytest.approx(np.std(values, ddof=1)),
        "min": min(values),
        "max": max(values),
    }
    assert {"macro_f1", "log_loss", "ece"} <= set(summary)
    assert "n" not in summary
    assert kept[0].summary() == {}
    assert kept[1].summary()["accuracy"]["std"] == 0


def test_it_goes_through_json_and_back(whole):
    record = json.loads(json.dumps(whole[0].to_dict()))
    assert CrossValidation.from_dict(record) == whole[0]
    assert record["summary"] == whole[0].summary()
    with pytest.raises(ConfigError, match=r"not the record of .* crossval --json wrote"):
        CrossValidation.from_dict({"accuracy": 1})


def test_folds_that_are_done_are_not_trained_again(data, whole):
    result, kept = whole
    seen = []

    class Count(Observer):
        def on_start(self, total_steps, step, epochs):
            seen.append(epochs)

    again = cross_validate(data, folds=3, done=kept[2], observer=Count(), **FAST)
    assert len(seen) == 1
    assert again.results[:2] == result.results[:2]
    assert again.results[2].metrics == result.results[2].metrics


def test_folds_of_other_data_or_settings_are_not_gone_on_with(data, whole, tmp_path):
    done = whole[1][2]
    with pytest.raises(ConfigError, match=r"folds was 3 and is now 4; epochs was 1 and is now 2"):
        cross_validate(data, folds=4, done=done, **{**FAST, "epochs": 2})
    other = write_csv(tmp_path / "x.csv", 42)
    with pytest.raises(DataError, match=r"of other data than .*x\.csv"):
        cross_validate(other, folds=3, done=done, **FAST)
    cross_validate(data, folds=3, done=whole[0], **{**FAST, "checkpoint_minutes": 9})


@pytest.mark.parametrize(
    ("folds", "said"),
    [
        (1, r"folds = 1: must be at least 2"),
        (2.5, r"folds = 2.5: must be a whole number"),
        (21, r"folds = 21: must be at most 20, the texts of the rarest label 'good'"),
    ],
)
def test_a_number_of_folds_that_cannot_be_is_refused(data, folds, said):
    with pytest.raises(ConfigError, match=said):
        cross_validate(data, folds=folds, **FAST)


def test_texts_may_have_several_labels():
    labels = [["a", "b"], ["a"], ["b"], []] * 10
    texts = [f"{' '.join(marks)} text {number}" for number, marks in enumerate(labels)]
    result = cross_validate({"train": (texts, labels)}, folds=2, **FAST)
    assert [fold.metrics["n"] for fold in result.results] == [20, 20]
    assert "samples_f1" in result.summary()
    with pytest.raises(ConfigError, match=r"at most 20, the texts of the rarest label 'a'"):
        cross_validate({"train": (texts, labels)}, folds=21, **FAST)


@pytest.mark.parametrize(
    "options", [{"validation": "x.csv"}, {"test": "sample"}, {"test_fraction": 0.1}]
)
def test_parts_that_the_folds_replace_are_refused(data, options):
    (name,) = options
    with pytest.raises(ConfigError, match=f"{name} = .*: each fold holds out its own .* leave it"):
        cross_validate(data, folds=2, **options, **FAST)


@pytest.mark.parametrize("unlabeled", [False, True])
def test_the_settings_of_all_folds_are_those_that_are_recorded(monkeypatch, tmp_path, unlabeled):
    seen = []
    (tmp_path / "more.csv").write_text("text\na dull film\na bright plot\n")
    more = {"unlabeled": tmp_path / "more.csv"} if unlabeled else {}

    def note(corpus, settings, **options):
        seen.append(for_texts(settings, len(corpus.train)))
        raise KeyboardInterrupt

    monkeypatch.setattr("textlstm.training.crossval.train_on", note)
    texts, labels = zip(*rows(60), strict=True)
    kept = []
    with pytest.raises(KeyboardInterrupt):
        cross_validate((texts, labels), folds=2, on_fold=kept.append, epochs=1, **more)
    assert kept[0].settings == seen[0]
    assert kept[0].settings.model.hidden_size == PRESETS["small"]["hidden_size"]


def test_a_teacher_may_be_a_classifier(data):
    teacher = train(data, **FAST)
    result = cross_validate(data, folds=2, teacher=teacher, **FAST)
    assert {fold.training["teacher"] for fold in result.results} == {teacher.fingerprint()}


def test_data_that_leaves_no_validation_part_is_refused():
    texts = ["a dull film", "a dull plot", "a bright film", "a bright plot"]
    with pytest.raises(DataError, match="has 4 texts: too few to hold out a validation part"):
        cross_validate({"train": (texts, ["bad", "bad", "good", "good"])}, folds=2, **FAST)


def test_only_train_is_used_and_that_is_said(tmp_path, caplog):
    folder = write_splits(tmp_path / "splits")
    (folder / "test.csv").write_text("not,read\n")
    with caplog.at_level("INFO"):
        result = cross_validate(folder, folds=2, **FAST)
    assert sum(fold.rows["test"] for fold in result.results) == 48
    assert f"only train of {folder} is used, not its validation and test" in caplog.text


def test_the_whole_of_train_has_what_the_splits_of_a_training_have(data):
    whole, corpus = load_whole(data), load_corpus(data)
    assert whole.labels == corpus.labels
    assert len(whole.rows) == len(corpus.train) + len(corpus.validation)


def test_the_table_has_a_row_for_each_fold_and_for_each_figure(whole):
    lines = tables_of(whole[0]).splitlines()
    assert re.split(r" {2,}", lines[0]) == [
        *("fold", "texts", "accuracy", "macro F1", "log loss", "best epoch"),
    ]
    fold = whole[0].results[0]
    assert lines[1].split()[:3] == ["1", "14", f"{fold.metrics['accuracy']:.4f}"]
    summary = {name.strip(): row for name, *row in (x.rsplit(maxsplit=4) for x in lines[6:])}
    figure = whole[0].summary()["macro_f1"]
    assert summary["macro F1"] == [f"{figure[key]:.4f}" for key in ("mean", "std", "min", "max")]
    assert "calibration error" in summary
    assert tables_of(whole[1][1]).endswith("2 of 3 folds are not done")


def test_the_command_shows_a_table_and_writes_json(data, tmp_path, capsys):
    out = tmp_path / "cv.json"
    assert run("crossval", data, "--folds", 2, "--json", out, *flags(epochs=1)) == 0
    shown, err = capsys.readouterr()
    result = CrossValidation.from_dict(json.loads(out.read_text()))
    assert result.is_whole
    assert result.settings == for_texts(read_options(FAST), 20)
    assert shown == tables_of(result) + "\n"
    assert "fold 1 of 2: accuracy " in err
    assert re.search(r"on 2[01] texts; \d+:\d\d left", err)
    assert run("crossval", data, "--folds", 2, "--json", "-", *flags(epochs=1)) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["summary"] == result.summary()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_shows_what_is_done_and_goes_on(
    data, tmp_path, capsys, monkeypatch, number, code
):
    out = tmp_path / "my cv.json"
    words = ["crossval", data, "--folds", 3, "--json", out, *flags(epochs=1)]
    stop = Stop(2, number)
    with monkeypatch.context() as patched:
        patched.setattr("textlstm.training.loop.ProgressObserver", lambda: stop)
        assert run(*words) == code
    shown, err = capsys.readouterr()
    assert shown.endswith("2 of 3 folds are not done\n")
    assert err.splitlines()[-1].endswith(f"--json '{out}' {' '.join(flags(epochs=1))} --resume")
    assert run(*words, "--resume") == 0
    shown, err = capsys.readouterr()
    assert "1 of 3 folds are already done" in err
    assert "fold 1 of 3: " not in err
    expected = cross_validate(data, folds=3, **FAST)
    assert [fold["metrics"] for fold in json.loads(out.read_text())["results"]] == [
        fold.metrics for fold in expected.results
    ]


def test_a_command_that_is_stopped_at_once_shows_nothing(data, capsys, monkeypatch):
    monkeypatch.setattr("textlstm.training.loop.ProgressObserver", lambda: Stop(1))
    assert run("crossval", data, *flags(epochs=1)) == 130
    shown, err = capsys.readouterr()
    assert shown == ""
    assert err.splitlines()[-1] == "interrupted"


def test_of_several_processes_the_first_one_tells(data, tmp_path, capsys, monkeypatch):
    out = tmp_path / "cv.json"
    monkeypatch.setattr("textlstm.cli.crossval.read_rank", lambda: Rank(rank=1, size=2))
    assert run("crossval", data, "--folds", 2, "--json", out, *flags(epochs=1)) == 0
    assert capsys.readouterr() == ("", "")
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such.csv"], "no such file or folder: no-such.csv"),
        (["x.csv", "--folds", "1"], "folds = 1: must be at least 2"),
        (["x.csv", "--folds", "50"], "must be at most 20, the texts of the rarest label 'good'"),
        (["x.csv", "--fodls", "5"], "did you mean '--folds'?"),
        (["x.csv", "--resume"], "name it with --json FILE"),
        (["x.csv", "--resume", "--json", "-"], "name it with --json FILE"),
        (["sample", "--resume", "--json", "x.csv"], "cannot resume from x.csv"),
        (["x.csv", "--json", "x.csv"], "x.csv is the input: choose another name"),
        (["x.csv", "--json", "x.csv/cv.json"], "cannot write x.csv/cv.json"),
        (["x.csv", "--epochs", "0"], "epochs = 0: must be at least 1"),
        ([], "DATA"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(data, words, said, capsys, monkeypatch):
    monkeypatch.chdir(data.parent)
    try:
        code = run("crossval", *words)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.splitlines()[-1].startswith("textlstm: error: ")
    assert said in err.splitlines()[-1]
    assert [path.name for path in data.parent.iterdir()] == ["x.csv"]
