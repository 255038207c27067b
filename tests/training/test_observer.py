"""An observer may take what it wants of a run, and changes nothing in it."""

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
