"""Encoded texts in, a judged network out; signals end it in good order."""

import signal

import pytest
import torch
from tiny_training import NAMES, TRAIN, VALIDATION, equal, texts, weights

from textlstm.config import TrainSettings
from textlstm.fitting import TrainingInterrupted, fit_model
from textlstm.trainer import Observer

SETTINGS = TrainSettings.from_options(
    embedding_size=4, hidden_size=4, num_layers=1, epochs=2, threads=1, device="cpu"
)
SPLITS = {"train": TRAIN, "validation": VALIDATION, "test": texts(10, seed=9)}


def fit(cache, splits=SPLITS, **options):
    return fit_model(splits, NAMES, SETTINGS, vocab_size=20, cache=cache, **options)


def test_every_split_but_train_is_judged_in_order(tmp_path):
    fitted = fit(tmp_path)
    assert list(fitted.metrics) == ["validation", "test"]
    assert fitted.metrics["validation"] == fitted.result.best_metrics
    assert (fitted.metrics["test"]["n"], fitted.metrics["test"]["labels"]) == (10, list(NAMES))
    assert fitted.model.embedding.num_embeddings == 20
    assert not fitted.model.training


def test_the_seed_decides_everything(tmp_path):
    torch.manual_seed(7)
    one = fit(tmp_path)
    torch.manual_seed(8)
    assert equal(weights(one.model), weights(fit(tmp_path).model))


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
