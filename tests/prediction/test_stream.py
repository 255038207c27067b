"""Stages overlap and hold few chunks; what comes out is what went in, in order."""

import threading
import time

import numpy as np
import pytest

from textlstm.classifier.labelling import Labeller
from textlstm.config import PredictionConfig
from textlstm.data.encoded import EncodedTexts
from textlstm.io.input import Chunk, Place
from textlstm.io.readers import Row
from textlstm.io.writers import JsonEncoder
from textlstm.prediction.stream import ahead, classify_chunks

LABELS = ("even", "odd")


class LengthEngine:
    """Predicts whether a text has an odd number of letters."""

    def __init__(self, wait=0.0):
        self.wait = wait

    def encode(self, texts):
        lengths = np.array([len(text) for text in texts], np.int32)
        return EncodedTexts.from_batches([(lengths, np.ones(len(texts), np.int64))])

    def predict(self, texts):
        time.sleep(self.wait)
        odd = (texts.ids % 2).astype(np.float32)
        return np.stack([1 - odd, odd], axis=1), odd == 1

    def signature(self):
        return {}


def chunk(number, rows=3):
    items = [Row(r, {"text": "x" * (number + r or 1)}) for r in range(rows)]
    items[1] = Row(1, {"text": None})
    return Chunk(items, Place(number + 1), (number + 1) / 10)


def classify(source, engine=None, commit=None):
    """Classify chunks; return those that were committed."""
    finished = []

    def keep(chunk):
        if commit is not None:
            commit(chunk)
        finished.append(chunk)

    labeller = Labeller(LABELS, ("text",), PredictionConfig(), sparse=True)
    classify_chunks(engine or LengthEngine(), labeller, JsonEncoder(), source, keep)
    return finished


def no_threads_left():
    names = [thread.name for thread in threading.enumerate()]
    stages = ("textlstm-ahead", "textlstm-write", "textlstm-encode")
    return not [name for name in names if name.startswith(stages)]


def test_rows_out_are_rows_in_and_counted():
    finished = classify(chunk(n) for n in range(10))
    lines = b"".join(chunk.data for chunk in finished).decode().splitlines()
    assert len(lines) == sum(chunk.rows for chunk in finished) == 30
    assert '"text": "xxx", "label": "odd", "score": 1.0' in lines[3 * 3]
    assert [chunk.failed for chunk in finished] == [{"null": 1}] * 10
    assert [chunk.end for chunk in finished] == [Place(n) for n in range(1, 11)]
    assert [chunk.share for chunk in finished] == [n / 10 for n in range(1, 11)]


def test_no_chunks_give_no_rows():
    assert classify([]) == []


def test_stages_overlap():
    """While the first chunk is predicted, the second is encoded and the third read."""
    third_read, second_encoded, second_begun = (threading.Event() for _ in range(3))

    def source():
        for number in range(4):
            if number == 2:
                third_read.set()
            yield chunk(number)

    class WaitingEngine(LengthEngine):
        encoded = predicted = 0

        def encode(self, texts):
            self.encoded += 1
            if self.encoded == 2:
                second_encoded.set()
            return super().encode(texts)

        def predict(self, texts):
            self.predicted += 1
            if self.predicted == 1:
                assert third_read.wait(30)
                assert second_encoded.wait(30)
            else:
                second_begun.set()
            return super().predict(texts)

    def write(finished):
        assert second_begun.wait(30)  # the first is written while the second is predicted

    assert len(classify(source(), WaitingEngine(), write)) == 4


def test_freed_memory_is_given_back_after_every_eighth_chunk(monkeypatch):
    """Threads of every chunk leave holes of their own, which would add up."""
    given = []
    monkeypatch.setattr("textlstm.prediction.stream.release_excess", lambda: given.append(1))
    classify(chunk(n) for n in range(7))
    assert not given
    classify(chunk(n) for n in range(17))
    assert len(given) == 2


def test_few_chunks_are_held_however_many_there_are():
    alive, most = [0], [0]

    def counted():
        for number in range(60):
            alive[0] += 1
            most[0] = max(most[0], alive[0])
            yield chunk(number)

    def write(chunk):
        alive[0] -= 1

    classify(counted(), LengthEngine(wait=0.001), write)
    assert most[0] <= 6


@pytest.mark.parametrize("stage", ["read", "encode", "predict", "write"])
def test_an_error_in_any_stage_is_raised_and_ends_the_others(stage):
    def fail(*_):
        raise OSError(f"in {stage}")

    def source():
        for number in range(50):
            if stage == "read" and number == 3:
                fail()
            yield chunk(number)

    engine, written = LengthEngine(), []
    if stage in ("encode", "predict"):
        setattr(engine, stage, fail)
    with pytest.raises(OSError, match=f"in {stage}"):
        classify(source(), engine, fail if stage == "write" else written.append)
    assert no_threads_left()
    if stage == "read":
        assert [chunk.end for chunk in written] == [Place(n + 1) for n in range(len(written))]


def test_chunks_that_are_predicted_are_written_even_if_the_next_one_fails():
    """Ctrl-C while a chunk is written does not cost it."""
    written = []

    class Stopped(LengthEngine):
        def predict(self, texts):
            if len(written) or self.wait:
                raise KeyboardInterrupt
            self.wait = 0.01
            return super().predict(texts)

    def write(chunk):
        time.sleep(0.05)
        written.append(chunk)

    with pytest.raises(KeyboardInterrupt):
        classify((chunk(n) for n in range(9)), Stopped(), write)
    assert len(written) == 1
    assert no_threads_left()


def test_items_come_in_their_order():
    with ahead(range(100)) as items:
        assert list(items) == list(range(100))
    assert no_threads_left()


def test_only_a_few_items_are_computed_ahead():
    computed = []

    def numbers():
        for number in range(100):
            computed.append(number)
            yield number

    with ahead(numbers()) as items:
        assert next(items) == 0
        time.sleep(0.05)
        assert len(computed) == 2


def test_an_item_is_computed_while_another_is_used():
    begun = threading.Event()

    def two():
        yield 1
        begun.set()
        yield 2

    with ahead(two()) as items:
        assert next(items) == 1
        assert begun.wait(5)  # without another call of next()


def test_an_error_is_raised_where_the_item_is_asked_for():
    def broken():
        yield 1
        raise ValueError("item 2")

    with ahead(broken()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="item 2"):
            next(items)
    assert no_threads_left()


def test_leaving_the_block_early_ends_the_thread_and_closes_the_source():
    closed = []

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    with ahead(endless()) as items:
        next(items)
    assert closed == [True]
    assert no_threads_left()
