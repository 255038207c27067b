"""Stages overlap and hold few chunks; what comes out is what went in, in order."""

import threading
import time

import numpy as np
import pytest

from textlstm.classifier.labelling import Labeller, Summary
from textlstm.config import PredictionConfig
from textlstm.io.input import Chunk, Place
from textlstm.io.readers import Row
from textlstm.io.writers import JsonEncoder
from textlstm.prediction.stream import run

LABELS = ("even", "odd")


class LengthEngine:
    """Says whether a text has an odd number of letters."""

    labels = LABELS
    trained_columns = ()

    def __init__(self, wait=0.0):
        self.wait = wait

    def encode(self, texts):
        return np.array([len(text) for text in texts]), np.ones(len(texts), np.int64)

    def judge(self, tokens):
        time.sleep(self.wait)
        odd = (tokens[0] % 2).astype(np.float32)
        return np.stack([1 - odd, odd], axis=1)

    def facts(self):
        return {}


class Sink:
    encoder = JsonEncoder()

    def __init__(self):
        self.kept = []

    def keep(self, done, summary):
        self.kept.append((done, summary.rows))

    @property
    def data(self):
        return b"".join(done.data for done, _ in self.kept)


def chunk(number, rows=3):
    items = [Row(r, {"text": "x" * (number + r)}) for r in range(rows)]
    items[1] = Row(1, {"text": None})
    return Chunk(items, Place(number + 1), (number + 1) / 10)


def labeller():
    return Labeller(LABELS, ("text",), PredictionConfig(), sparse=True)


def classify(source, sink=None, engine=None, summary=None, told=None):
    sink, summary = sink or Sink(), summary or Summary()
    told = [] if told is None else told
    run(engine or LengthEngine(), labeller(), source, sink, summary, told.append)
    return sink, summary


def test_rows_out_are_rows_in_and_counted():
    told = []
    sink, summary = classify((chunk(n) for n in range(10)), told=told)
    lines = sink.data.decode().splitlines()
    assert len(lines) == summary.rows == 30
    assert '"text": "xxx", "label": "odd", "score": 1.0' in lines[3 * 3]
    assert summary.failed == {"null": 10}
    assert [rows for _, rows in sink.kept] == [3 * n for n in range(1, 11)]
    assert [done.end for done, _ in sink.kept] == [Place(n) for n in range(1, 11)]
    assert told == [n / 10 for n in range(1, 11)]
    assert set(summary.seconds) == {"read", "encode", "judge", "write"}


def test_rows_of_earlier_runs_stay_counted():
    earlier = Summary(rows=5)
    _, summary = classify([chunk(0)], summary=earlier)
    assert summary.rows == 8


def test_no_chunks_give_no_rows():
    sink, summary = classify([])
    assert (sink.kept, summary.rows) == ([], 0)


def test_stages_overlap():
    """Four stages of 20 ms each take far less than 80 ms a chunk."""

    def slowly():
        for number in range(10):
            time.sleep(0.02)
            yield chunk(number)

    class SlowEngine(LengthEngine):
        def encode(self, texts):
            time.sleep(0.02)
            return super().encode(texts)

    class SlowSink(Sink):
        def keep(self, done, summary):
            time.sleep(0.02)
            super().keep(done, summary)

    began = time.perf_counter()
    sink, summary = classify(slowly(), SlowSink(), SlowEngine(wait=0.02))
    wall = time.perf_counter() - began
    assert len(sink.kept) == 10
    assert sum(summary.seconds.values()) > 0.78
    assert wall < 0.75 * sum(summary.seconds.values())


def test_freed_memory_is_given_back_after_each_chunk(monkeypatch):
    """Threads of every chunk leave holes of their own, which would add up."""
    given = []
    monkeypatch.setattr("textlstm.prediction.stream.release_excess", lambda: given.append(1))
    classify(chunk(n) for n in range(5))
    assert len(given) == 5


def test_few_chunks_are_held_however_many_there_are():
    alive, most = [0], [0]

    def counted():
        for number in range(60):
            alive[0] += 1
            most[0] = max(most[0], alive[0])
            yield chunk(number)

    class Counting(Sink):
        def keep(self, done, summary):
            alive[0] -= 1
            super().keep(done, summary)

    classify(counted(), Counting(), LengthEngine(wait=0.001))
    assert most[0] <= 8


@pytest.mark.parametrize("stage", ["read", "encode", "judge", "write"])
def test_an_error_in_any_stage_is_raised_and_ends_the_others(stage):
    def fail(*_):
        raise OSError(f"in {stage}")

    def source():
        for number in range(50):
            if stage == "read" and number == 3:
                fail()
            yield chunk(number)

    engine, sink = LengthEngine(), Sink()
    if stage in ("encode", "judge"):
        setattr(engine, stage, fail)
    elif stage == "write":
        sink.keep = fail
    with pytest.raises(OSError, match=f"in {stage}"):
        classify(source(), sink, engine)
    assert not [t for t in threading.enumerate() if t.name.startswith("textlstm-")]
    if stage == "read":
        assert [rows for _, rows in sink.kept] in ([], [3], [3, 6], [3, 6, 9])
