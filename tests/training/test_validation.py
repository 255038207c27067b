"""A split is validated whole or not at all; `test_distributed` validates in several processes."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_training import VALIDATION, TinyModel, texts

from textlstm.data.encoded import collate
from textlstm.evaluation.cascade import Cascade
from textlstm.training import validation
from textlstm.training.distributed import ALONE, World
from textlstm.training.validation import evaluate_split, predict_logits


def expected(model):
    return model.branches(*collate(VALIDATION.texts, np.arange(len(VALIDATION)))).detach().numpy()


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_each_text_gets_its_logits_in_its_place(batch_size):
    model = TinyModel().eval()
    done = []

    def go_on(count):
        done.append(count)
        return True

    found = predict_logits(
        model,
        VALIDATION.texts,
        2,
        batch_size=batch_size,
        world=ALONE,
        on_batch=go_on,
    )
    np.testing.assert_allclose(found, expected(model), atol=1e-6)
    assert found.dtype == np.float32
    assert done == [*range(batch_size, 30, batch_size), 30]


def test_it_is_broken_off_when_told_so():
    def go_on(count):
        assert count <= 8
        return count < 8

    model = TinyModel().eval()
    assert (
        predict_logits(model, VALIDATION.texts, 2, batch_size=4, world=ALONE, on_batch=go_on)
        is None
    )


def test_no_texts_have_no_logits():
    assert predict_logits(TinyModel(), texts(0).texts, 2, batch_size=4, world=ALONE).shape == (
        1,
        0,
        2,
    )


class Three(World):
    """One of three processes, which hears nothing of the others."""

    def any(self, *flags):
        return list(flags)

    def sum_(self, tensors):
        pass


def test_each_process_judges_batches_of_its_own():
    model = TinyModel().eval()
    parts = [
        predict_logits(model, VALIDATION.texts, 2, batch_size=4, world=Three(rank, 3))
        for rank in range(3)
    ]
    judged = np.stack([part[0].any(axis=1) for part in parts])  # [3, N]
    assert (judged.sum(axis=0) == 1).all()
    assert judged.sum(axis=1).tolist() == [12, 10, 8]
    np.testing.assert_allclose(sum(parts), expected(model), atol=1e-6)


def test_rows_of_choice_get_their_logits():
    model, rows = TinyModel().eval(), np.array([7, 3, 21])
    found = predict_logits(model, VALIDATION.texts, 2, batch_size=2, world=ALONE, rows=rows)
    np.testing.assert_allclose(found, expected(model)[:, rows], atol=1e-6)


def evaluated(calls, **options):
    def go_on(count):
        calls.append(count)
        return True

    options = {"batch_size": 4, "world": ALONE, "on_batch": go_on, **options}
    torch.manual_seed(0)
    return evaluate_split(TinyModel().eval(), VALIDATION, ["a", "b"], **options)


@pytest.mark.parametrize("weights", [None, np.arange(1.0, 31.0)])
def test_in_parts_the_figures_are_the_same(monkeypatch, weights):
    monkeypatch.setattr(f"{__name__}.VALIDATION", dataclasses.replace(VALIDATION, weights=weights))
    whole, calls = evaluated([]), []
    monkeypatch.setattr(validation, "_FEW", 0)
    monkeypatch.setattr(validation, "_MOST_LOGITS", 0)
    monkeypatch.setattr(validation, "_LEAST_SAMPLE", 7)
    asked = []
    predict = validation.predict_logits

    def watched(*args, rows=None, **options):
        asked.append(rows)
        return predict(*args, rows=rows, **options)

    monkeypatch.setattr(validation, "predict_logits", watched)
    found = evaluated(calls)
    assert asked[0].tolist() == [0, 4, 9, 14, 19, 24, 29]  # the sample
    assert [len(rows) for rows in asked[1:]] == [7, 7, 7, 7, 2]
    assert calls == [0, 0, 4, 7, 11, 14, 18, 21, 25, 28, 30]
    for name, value in whole.items():
        same = pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
        assert found[name] == same, name
    fitted = evaluated([], calibrate=True)
    assert fitted["calibration"]["scales"].keys() == {"lstm"}
    assert evaluated([], on_batch=lambda done: done < 9) is None
    assert evaluated([], on_batch=lambda done: False) is None


def test_in_parts_a_cascade_is_fitted_on_all_texts(monkeypatch):
    class Two(TinyModel):
        def __init__(self):
            super().__init__()
            self.scales = torch.tensor([0.0, 1.0])  # so that no label differs

        def branches(self, ids, lengths):
            (logits,) = super().branches(ids, lengths)
            return torch.stack([-logits, logits])

    monkeypatch.setattr(f"{__name__}.TinyModel", Two)
    monkeypatch.setattr("textlstm.training.validation.fit_scales", lambda *_: torch.ones(1))
    monkeypatch.setattr("textlstm.evaluation.cascade.CASCADES", (0.1,))
    whole = evaluated([])["cascade"]
    assert whole["skipped"] == {"0.1": 1.0}
    monkeypatch.setattr(validation, "_FEW", 0)
    monkeypatch.setattr(validation, "_MOST_LOGITS", 0)
    monkeypatch.setattr(validation, "_LEAST_SAMPLE", 7)  # too few to promise anything
    assert evaluated([])["cascade"] == whole
    cascade = Cascade(2.0, {"0.1": 0.7})
    found = evaluated([], cascade=cascade)["cascade"]
    assert found["scale"] == 2.0
    assert found["accuracy"]["0.1"] == whole["accuracy"]["0.1"]
