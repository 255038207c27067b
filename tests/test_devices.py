"""The same model on several CPU threads and, where there is one, on a GPU."""

import threading

import numpy as np
import pytest
import torch
from tiny_classifier import texts, tiny_classifier
from tiny_corpus import OPTIONS, rows

from textlstm.classifier.classifier import TextClassifier
from textlstm.nn.network import BiLSTMClassifier
from textlstm.training.train import train

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")


@pytest.fixture
def two_threads():
    """Two threads of torch; `conftest` sets one for all other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_two_threads_predict_several_batches_at_once_and_change_nothing(two_threads, monkeypatch):
    classifier = tiny_classifier()
    many = texts(64 * 16)
    forward, names, meeting = BiLSTMClassifier.forward, set(), threading.Barrier(2)

    def noted(self, *inputs):
        if threading.current_thread().name not in names:
            names.add(threading.current_thread().name)
            meeting.wait(60)  # two threads are in here at the same time, or this fails
        return forward(self, *inputs)

    monkeypatch.setattr(BiLSTMClassifier, "forward", noted)
    together = np.asarray(classifier.predict_proba(many))
    assert len(names) == 2
    assert torch.get_num_threads() == 2
    monkeypatch.undo()
    torch.set_num_threads(1)
    alone = np.asarray(classifier.predict_proba(many))
    np.testing.assert_allclose(together, alone, atol=1e-6)


@needs_gpu
def test_a_model_trained_on_a_gpu_predicts_the_same_there_and_on_the_cpu(tmp_path):
    made = rows(96)
    data = {
        "train": ([text for text, _ in made[:64]], [label for _, label in made[:64]]),
        "validation": ([text for text, _ in made[64:]], [label for _, label in made[64:]]),
    }
    options = {**OPTIONS, "epochs": 6, "learning_rate": 0.02, "precision": "fp32"}
    trained = train(data, tmp_path / "model", device="cuda", **options)
    assert next(trained.model.parameters()).device.type == "cuda"
    here = TextClassifier.load(tmp_path / "model", device="cpu")
    there = TextClassifier.load(tmp_path / "model", device="cuda")
    many = [text for text, _ in rows(300, seed=5)]
    expected = here.predict_proba(many)
    np.testing.assert_allclose(there.predict_proba(many), expected, atol=1e-3)  # TF32, fused LSTM
    np.testing.assert_allclose(there.predict_proba(many[:1]), expected[:1], atol=1e-3)


@needs_gpu
@pytest.mark.parametrize("pooling", ["final", "max", "attention"])
def test_the_network_gives_the_same_gradients_on_a_gpu(pooling):
    model = tiny_classifier(pooling=pooling).model.eval()
    ids, lengths = torch.randint(2, 14, (5, 9)), torch.tensor([9, 1, 4, 9, 2])
    ids[torch.arange(9) >= lengths[:, None]] = 0
    found = []
    for device in ("cpu", "cuda"):
        model.to(device).zero_grad()
        model(ids.to(device), lengths).square().sum().backward()
        found.append(
            {n: p.grad.cpu().clone() for n, p in model.named_parameters() if p.grad is not None}
        )
    assert found[0].keys() == found[1].keys()
    for name, grad in found[0].items():
        torch.testing.assert_close(found[1][name], grad, atol=1e-2, rtol=1e-2, msg=name)
