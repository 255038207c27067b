"""A model learns from what a teacher says of its texts, with labels and without."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_classifier import needs_bf16
from tiny_corpus import OPTIONS, rows, tagged_rows, write_csv, write_splits, write_tagged

from textlstm import TextClassifier, cross_validate, train
from textlstm.config import TrainSettings
from textlstm.data.encoded import EncodedTexts
from textlstm.data.split import Split
from textlstm.errors import ConfigError, DataError, TrainingError
from textlstm.training.observer import Observer
from textlstm.training.run_folder import RunFolder
from textlstm.training.teacher import (
    PROBABILITIES,
    learn_from,
    mean_probabilities,
    require_same_labels,
    split_teachers,
    teacher_fingerprint,
    write_probabilities,
)

pytestmark = pytest.mark.slow

TEXTS = [text for text, _ in rows(20, seed=9)]
FAST = {**OPTIONS, "adversarial": 0.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_splits(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def teacher(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "model"
    train(data, folder, **FAST)
    return folder


def turned(folder, target):
    """The same model with its labels swapped, so that it says the opposite."""
    shutil.copytree(folder, target)
    classifier = TextClassifier.load(target)
    return TextClassifier(
        classifier.model, classifier.tokenizer, classifier.labels[::-1], classifier.settings
    )


def test_several_teachers_say_their_mean_in_the_order_of_the_labels(data, teacher, tmp_path):
    one, other = TextClassifier.load(teacher), train(data, seed=2, **FAST)
    swapped = TextClassifier(other.model, other.tokenizer, ("good", "bad"), other.settings)
    both = [one, swapped]
    path = tmp_path / "x.csv"
    path.write_text("text\n" + "\n".join(TEXTS))
    import datasets

    split = Split(datasets.Dataset.from_dict({"text": TEXTS}), ["text"], np.zeros(20, np.int64))
    require_same_labels(both, ("bad", "good"), multi_label=False)
    found = write_probabilities(tmp_path, both, [split, split], ("bad", "good"))
    assert teacher_fingerprint(tmp_path) == [one.fingerprint(), swapped.fingerprint()]
    expected = (one.predict_proba(TEXTS) + other.predict_proba(TEXTS)[:, ::-1]) / 2
    np.testing.assert_allclose(found, np.tile(expected, (2, 1)), atol=1e-6)


@needs_bf16
def test_a_teacher_computes_in_the_precision_of_the_training_and_keeps_its_own(data, tmp_path):
    import datasets

    one = train(data, tmp_path / "one", ngrams=0, **FAST)
    exact = one.predict_proba(TEXTS)
    split = Split(datasets.Dataset.from_dict({"text": TEXTS}), ["text"], np.zeros(20, np.int64))
    told = mean_probabilities([one], [split], one.labels, precision="bf16")
    rough = TextClassifier.load(tmp_path / "one", precision="bf16").predict_proba(TEXTS)
    np.testing.assert_allclose(np.concatenate(list(told)), rough, atol=1e-6)
    assert abs(exact - rough).max() > 1e-5
    np.testing.assert_array_equal(one.predict_proba(TEXTS), exact)


def test_the_precision_of_a_training_is_that_of_its_teacher(data, teacher, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "textlstm.training.teacher.pick_precision",
        lambda name, device: asked.append(name) or torch.float32,
    )
    train(data, teacher=teacher, **{**FAST, "precision": "auto", "epochs": 1})
    assert asked == ["auto"]


def test_a_student_learns_what_the_teacher_says_and_not_the_labels(data, teacher, tmp_path):
    liar = turned(teacher, tmp_path / "liar")
    options = {**FAST, "epochs": 6, "calibrate": False}
    believer = train(data, teacher=liar, teacher_weight=1.0, **options)
    assert np.mean(believer.predict_proba(TEXTS)[:, 0] > 0.5) == 0.5
    labels = [label for _, label in rows(20, seed=9)]
    assert believer.evaluate(TEXTS, labels)["accuracy"] < 0.2
    sceptic = train(data, teacher=liar, teacher_weight=0.0, **options)
    assert sceptic.evaluate(TEXTS, labels)["accuracy"] > 0.8


def test_texts_without_labels_count(data, teacher, tmp_path):
    few = write_splits(tmp_path / "few", train=4)
    more = tmp_path / "more.csv"
    more.write_text("text\n" + "\n".join(text for text, _ in rows(60, seed=5)))
    student = train(few, teacher=str(teacher), unlabeled=str(more), **FAST)
    assert student.record.rows == {"train": 4, "validation": 16, "test": 16, "unlabeled": 60}
    assert student.record.training["teacher"] == TextClassifier.load(teacher).fingerprint()
    assert len(student.vocabulary) > 10  # of all texts
    alone = train(few, **FAST)
    labels = [label for _, label in rows(20, seed=9)]
    scores = [c.evaluate(TEXTS, labels)["log_loss"] for c in (student, alone)]
    assert scores[0] < scores[1]


def test_the_settings_name_the_teacher_from_any_folder(data, teacher, tmp_path, monkeypatch):
    monkeypatch.chdir(teacher.parent)
    train(data, tmp_path / "student", teacher="model", **FAST)
    config = json.loads((tmp_path / "student" / "config.json").read_text())
    assert config["settings"]["training"]["teacher"] == [str(teacher)]
    assert (
        config["settings"]["training"]["teacher_weight"] == TrainSettings().training.teacher_weight
    )
    assert "eacher" in (tmp_path / "student" / "README.md").read_text()
    assert not (tmp_path / "student" / ".cache").exists()


class StopAt(Observer):
    def __init__(self, step):
        self.step = step

    def on_step(self, step, epoch, loss, texts):
        if step == self.step:
            raise KeyboardInterrupt


def begun(data, folder, **options):
    with pytest.raises(KeyboardInterrupt):
        train(data, folder, observer=StopAt(8), **{**FAST, "checkpoint_minutes": 0.0, **options})


def test_a_resumed_run_has_the_same_teacher_and_the_same_weights(data, teacher, tmp_path):
    options = {"teacher": teacher, "teacher_temperature": 3.0}
    train(data, tmp_path / "straight", **FAST, **options)
    begun(data, tmp_path / "resumed", **options)
    train(out=tmp_path / "resumed", resume=True)
    models = [tmp_path / name / "model.safetensors" for name in ("straight", "resumed")]
    assert models[0].read_bytes() == models[1].read_bytes()


def test_another_teacher_is_refused_on_resume(data, teacher, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(teacher, own)
    begun(data, tmp_path / "run", teacher=own)
    record = (tmp_path / "run" / "run.json").read_text()
    with pytest.raises(ConfigError, match=r"teacher was .*own and is now absent"):
        train(out=tmp_path / "run", resume=True, teacher=[])
    with pytest.raises(ConfigError, match=r"teacher_weight was 0\.\d+ and is now 0.1"):
        train(out=tmp_path / "run", resume=True, teacher_weight=0.1)
    train(data, own, overwrite=True, seed=3, **FAST)
    shutil.copytree(own, tmp_path / "third")
    for options in ({}, {"teacher": tmp_path / "third"}):
        with pytest.raises(TrainingError, match="the teacher has changed since the run began"):
            train(out=tmp_path / "run", resume=True, **options)
        assert (tmp_path / "run" / "run.json").read_text() == record
    train(out=tmp_path / "run", resume=True, teacher=teacher)


def test_files_that_have_moved_are_named_anew_on_resume(data, teacher, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(teacher, "model")
    old, new = Path("old"), Path("new")
    shutil.copytree(data, old)
    write_csv(old / "more.csv", 20, seed=7)
    names = {"validation": "validation.csv", "test": "test.csv", "unlabeled": "more.csv"}
    options = {name: str(old / file) for name, file in names.items()}
    train(data / "train.csv", "straight", teacher="model", **FAST, **options)
    begun(data / "train.csv", "run", teacher="model", **options)
    record = Path("run/run.json").read_text()
    old.rename(new)
    Path("model").rename("moved")
    with pytest.raises(DataError, match="no such file"):
        train(out="run", resume=True)
    moved = {"teacher": "moved", **{name: str(new / file) for name, file in names.items()}}
    for name in names:
        for other in ("train.csv", "other.csv"):  # with labels of its own, and as the right one
            write_csv(new / "other.csv", 20, seed=8)
            with pytest.raises(DataError, match="the data has changed since the run in run began"):
                train(out="run", resume=True, **{**moved, name: str(new / other)})
        nothing = {name: () if name == "unlabeled" else None}
        with pytest.raises(ConfigError, match=f"{name} was .* and is now absent"):
            train(out="run", resume=True, **{**moved, **nothing})
    assert Path("run/run.json").read_text() == record
    with pytest.raises(KeyboardInterrupt):
        train(out="run", resume=True, observer=StopAt(10), **moved)
    train(out="run", resume=True)  # the new names are kept
    models = [Path(name, "model.safetensors").read_bytes() for name in ("straight", "run")]
    assert models[0] == models[1]


def test_a_teacher_of_python_is_needed_until_it_has_spoken(data, teacher, tmp_path):
    classifier = TextClassifier.load(teacher)
    begun(data, tmp_path / "run", teacher=[classifier])
    (RunFolder(tmp_path / "run").work / PROBABILITIES).unlink()
    with pytest.raises(TrainingError, match="was passed as a Python object: pass it again"):
        train(out=tmp_path / "run", resume=True)
    with pytest.raises(TrainingError, match="the teacher has changed since the run began"):
        train(out=tmp_path / "run", resume=True, teacher=train(data, seed=4, **FAST))
    train(out=tmp_path / "run", resume=True, teacher=classifier)
    begun(data, tmp_path / "other", teacher=classifier)
    train(out=tmp_path / "other", resume=True)  # it has said all


def test_several_labels_a_text_can_be_taught(tmp_path):
    data = write_tagged(tmp_path / "tagged")
    teacher = train(data, tmp_path / "teacher", **FAST)
    more = tmp_path / "more.csv"
    more.write_text("text\n" + "\n".join(text for text, _ in tagged_rows(40, seed=7)))
    student = train(data, teacher=tmp_path / "teacher", unlabeled=more.as_posix(), **FAST)
    assert student.multi_label
    assert student.record.rows["unlabeled"] == 40
    assert teacher.labels == student.labels
    with pytest.raises(ConfigError, match="gives a text any number of labels of fast, kind, loud"):
        train(write_csv(tmp_path / "x.csv", 40), teacher=teacher, **FAST)


def test_a_teacher_of_other_labels_is_refused(tmp_path, teacher):
    path = write_csv(tmp_path / "x.csv", 40)
    path.write_text(path.read_text().replace("good", "fine"))
    with pytest.raises(ConfigError, match=r"one label of bad, good; the data has .* of bad, fine"):
        train(path, teacher=teacher, **FAST)


def test_options_that_contradict_each_other_are_refused(data, teacher):
    with pytest.raises(ConfigError, match="teacher and teacher_columns exclude each other"):
        train(data, teacher=teacher, teacher_columns=["bad", "good"], **FAST)
    with pytest.raises(ConfigError, match="either names of models or classifiers"):
        split_teachers({"teacher": ["a", TextClassifier.load(teacher)]})


def test_probabilities_in_columns_teach_too(data, teacher, tmp_path):
    texts, labels = zip(*rows(80, seed=1), strict=True)
    classifier = TextClassifier.load(teacher)
    path = tmp_path / "taught.csv"
    lines = [
        f"{text},{label if i % 2 else ''},{p[0]},{p[1]}"
        for i, (text, label, p) in enumerate(
            zip(texts, labels, classifier.predict_proba(texts).tolist(), strict=True)
        )
    ]
    rows_of_bad = [f"{text},bad,," for text, label in rows(20, seed=2) if label == "bad"]
    path.write_text("\n".join(["text,label,p_bad,p_good", *lines, *rows_of_bad]))
    student = train(path, teacher_columns=["p_bad", "p_good"], **FAST)
    assert student.record.rows["unlabeled"] == 40
    found = student.evaluate(TEXTS, [label for _, label in rows(20, seed=9)])
    assert found["accuracy"] > 0.8
    cross_validate(path, teacher_columns=["p_bad", "p_good"], folds=2, **{**FAST, "epochs": 1})


def test_the_share_of_a_label_is_one_without_a_teacher_and_none_without_a_label():
    texts = EncodedTexts.from_batches([(np.ones(4, np.int32), np.ones(4, np.int64))])
    taught = np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8], [0.6, 0.4]], np.float32)

    class Rows:
        def __init__(self, labels):
            self.labels = np.array(labels)

        def __len__(self):
            return len(self.labels)

    found = learn_from(texts, [Rows([1, 0]), Rows([0, 0])], taught, 0.75)
    assert found.labels.tolist() == [1, 0, 1, 0]
    assert found.label_shares.tolist() == [0.25, 1.0, 0.0, 0.0]
    found = learn_from(texts, [Rows([[True, True]] * 2), Rows([[False, False]] * 2)], taught, 0.75)
    assert found.labels.tolist() == [[True, True], [True, True], [False, True], [True, False]]


def test_the_temperature_does_not_change_how_freely_ngrams_are_fitted(data, teacher):
    options = {**FAST, "epochs": 1, "calibrate": False, "teacher": teacher}
    tables = [
        train(data, teacher_temperature=temperature, **options).model.ngrams.table.detach().numpy()
        for temperature in (1.0, 5.0)
    ]
    np.testing.assert_array_equal(*tables)
