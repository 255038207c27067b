"""An observer may take what it wants of a run, and changes nothing in it."""

import contextlib

import pytest
from tiny_training import equal, trainer, weights

from textlstm.training.observer import Observer


class Names(Observer):
    """Notes which of its methods are called."""

    def __init__(self):
        self.called = set()

    def __getattribute__(self, name):
        if name.startswith("on_"):
            self.called.add(name)
        return super().__getattribute__(name)


def test_one_that_takes_nothing_is_told_all_and_changes_nothing(tmp_path):
    unseen = trainer(epochs=1)
    expected = unseen.run()
    names = Names()
    seen = trainer(tmp_path, epochs=1, observer=names)
    assert seen.run().best_metrics == expected.best_metrics
    assert equal(weights(seen.model), weights(unseen.model))
    assert names.called == {name for name in vars(Observer) if name.startswith("on_")}


class Ends(Observer):
    """Writes down the best epochs and how often the run ended."""

    def __init__(self, crash=None):
        self.best, self.ends, self.crash = [], 0, crash

    def on_step(self, step, epoch, loss, texts):
        if step == self.crash:
            raise ZeroDivisionError

    def on_best(self, epoch, figure, value):
        self.best.append((epoch, figure, value))

    def on_close(self):
        self.ends += 1


def test_the_best_epoch_is_told_when_there_is_one_and_after_a_resume(tmp_path):
    ends, again = Ends(crash=20), Ends()
    with pytest.raises(ZeroDivisionError):
        trainer(tmp_path, observer=ends, monitor="loss").run()
    run = trainer(tmp_path, observer=again, monitor="loss")
    run.resume()
    history = run.run().history
    losses = [(record["epoch"], "loss", record["validation_loss"]) for record in history]
    best = [
        row for place, row in enumerate(losses) if row[2] == min(r[2] for r in losses[: place + 1])
    ]
    assert ends.best == [row for row in best if row[0] <= 3]
    assert again.best == [ends.best[-1], *(row for row in best if row[0] > 3)]


def test_the_end_of_a_run_is_told_after_an_error_too(tmp_path):
    for crash in (None, 3):
        ends = Ends(crash)
        with contextlib.suppress(ZeroDivisionError):
            trainer(observer=ends).run()
        assert ends.ends == 1
