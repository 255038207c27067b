"""Encoded texts in, a judged network out; signals end it in good order."""

import signal

import numpy as np
import pytest
import torch
from tiny_training import NAMES, TRAIN, VALIDATION, equal, texts, weights

from textlstm.classifier.predictor import predict_texts
from textlstm.config import TrainSettings
from textlstm.data.encoded import LabelledTexts, collate
from textlstm.evaluation.cascade import Cascade, Shortcut
from textlstm.evaluation.thresholds import best_thresholds
from textlstm.nn.probabilities import to_probabilities
from textlstm.training import fit as fitting
from textlstm.training.fit import TrainingInterrupted, fit_model
from textlstm.training.observer import Observer
from textlstm.training.trainer import Trainer

SETTINGS = TrainSettings.from_options(
    embedding_size=4,
    hidden_size=4,
    num_layers=1,
    epochs=2,
    adversarial=0.05,
    threads=1,
    device="cpu",
)
SPLITS = {"train": TRAIN, "validation": VALIDATION, "test": texts(10, seed=9)}


def fit(work, splits=SPLITS, **options):
    return fit_model(splits, NAMES, SETTINGS, vocab_size=20, work=work, **options)


@pytest.mark.slow
def test_every_split_but_train_is_judged_in_order(tmp_path):
    fitted = fit(tmp_path)
    assert list(fitted.metrics) == ["validation", "test"]
    assert fitted.metrics["validation"] == fitted.result.best_metrics
    assert (fitted.metrics["test"]["n"], fitted.metrics["test"]["labels"]) == (10, list(NAMES))
    assert fitted.model.embedding.num_embeddings == 20
    assert not fitted.model.training


@pytest.mark.slow
def test_the_seed_decides_everything(tmp_path):
    torch.manual_seed(7)
    one = fit(tmp_path)
    torch.manual_seed(8)
    assert equal(weights(one.model), weights(fit(tmp_path).model))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_training_after_the_step_under_way(tmp_path, number):
    steps = []

    class Signal(Observer):
        def on_step(self, step, epoch, loss, texts):
            steps.append(step)
            signal.raise_signal(number)

    before = signal.getsignal(number)
    with pytest.raises(TrainingInterrupted, match=signal.Signals(number).name) as stop:
        fit(tmp_path, observer=Signal())
    assert stop.value.signal_number == number
    assert steps == [1]
    assert signal.getsignal(number) == before


def tagged(n, seed):
    """Texts with three labels that their ids tell: low ones, high ones, long."""
    plain = texts(n, seed=seed)
    ids = np.split(plain.texts.ids, plain.texts.offsets[1:-1])
    rows = [[(row < 4).any(), (row > 16).any(), len(row) > 4] for row in ids]
    return LabelledTexts(plain.texts, np.array(rows))


@pytest.mark.slow
def test_several_labels_are_learned_with_the_thresholds_that_were_best_on_validation(tmp_path):
    splits = {name: tagged(n, n) for name, n in (("train", 300), ("validation", 90), ("test", 80))}
    options = {
        "embedding_size": 8,
        "hidden_size": 8,
        "pooling": "max",
        "epochs": 8,
    }
    settings = TrainSettings.from_options(
        **options, num_layers=1, learning_rate=0.05, adversarial=0.075, threads=1, device="cpu"
    )
    fitted = fit_model(splits, ["low", "high", "long"], settings, vocab_size=20, work=tmp_path)
    assert fitted.model.multi_label
    for name, split in (("validation", splits["validation"]), ("test", splits["test"])):
        found, _ = predict_texts(fitted.model, split.texts)
        if name == "validation":
            assert fitted.thresholds == pytest.approx(
                best_thresholds(split.labels, found), abs=0.02
            )
        rows = fitted.metrics[name]["per_label"].values()
        assert tuple(row["threshold"] for row in rows) == fitted.thresholds
        right = (found >= np.array(fitted.thresholds)) == split.labels
        assert fitted.metrics[name]["accuracy"] == pytest.approx(right.all(axis=1).mean())
        assert fitted.metrics[name]["macro_f1"] > 0.8
    assert fitted.result.history[-1]["validation_macro_f1"] > 0.8


def test_one_label_a_text_needs_no_thresholds(tmp_path):
    assert fit(tmp_path).thresholds is None


@pytest.mark.slow
def test_a_network_of_several_labels_begins_with_their_shares(tmp_path):
    begun = []

    class Look(Observer):
        def on_start(self, total_steps, step, epochs):
            raise StopIteration

    def look(model, *arguments, **options):
        begun.append(model.linear.bias.detach().clone())
        return Trainer(model, *arguments, **options)

    splits = {"train": tagged(300, 1), "validation": tagged(20, 2)}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fitting, "Trainer", look)
        with pytest.raises(StopIteration):
            fit_model(
                splits,
                ["low", "high", "long"],
                SETTINGS,
                vocab_size=20,
                work=tmp_path,
                observer=Look(),
            )
    np.testing.assert_allclose(begun[0].sigmoid(), splits["train"].labels.mean(axis=0), atol=0.01)


def test_the_ngrams_are_found_and_counted_in_by_validation(tmp_path):
    fitted = fit(tmp_path)
    assert fitted.model.ngrams.table.abs().sum() > 0
    scales = fitted.metrics["validation"]["calibration"]["scales"]
    assert scales == dict(zip(("lstm", "ngrams"), fitted.model.scales.tolist(), strict=True))


@pytest.mark.slow
def test_the_cascade_is_fitted_on_validation_and_measured_on_test(tmp_path):
    splits = {"train": TRAIN, "validation": texts(700, seed=5), "test": texts(10, seed=9)}
    fitted = fit(tmp_path, splits)
    assert fitted.cascade is not None
    assert set(fitted.cascade.certainty) == {"0.0005", "0.001", "0.002", "0.005", "0.01"}
    assert fitted.cascade.certainty["0.001"] is None  # 700 texts are too few to tell
    for name, split in splits.items():
        if name == "train":
            continue
        figures = fitted.metrics[name]["cascade"]
        assert Cascade.from_dict(figures) == fitted.cascade
        whole, _ = predict_texts(fitted.model, split.texts)
        with torch.no_grad():
            logits = fitted.model.ngrams(*collate(split.texts, np.arange(len(split))))
        ngrams = to_probabilities(logits * fitted.cascade.scale, multi_label=False)
        shortcut = Shortcut(fitted.cascade.scale, fitted.cascade.certainty["0.01"])
        skipped = shortcut.skips(ngrams)
        assert figures["skipped"]["0.01"] == pytest.approx(skipped.mean(), abs=0.01)
        differ = skipped & (whole.argmax(axis=1) != ngrams.argmax(axis=1))
        assert figures["differ"]["0.01"] == pytest.approx(differ.sum(), abs=1)
    assert fitted.metrics["validation"]["cascade"]["differ"]["0.01"] <= 2


def test_without_ngrams_there_is_no_cascade(tmp_path):
    settings = TrainSettings.from_options(**SETTINGS.to_options() | {"ngrams": 0, "epochs": 1})
    fitted = fit_model(SPLITS, NAMES, settings, vocab_size=20, work=tmp_path)
    assert fitted.cascade is None
    assert "cascade" not in fitted.metrics["test"]
