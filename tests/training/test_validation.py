"""A split is judged whole, or not at all; `test_distributed` has several processes judge one."""

import numpy as np
import pytest
from tiny_training import VALIDATION, TinyModel, texts

from textlstm.data.encoded import collate
from textlstm.training.distributed import ALONE, World
from textlstm.training.validation import predict_logits


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
