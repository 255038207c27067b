import random
import sqlite3

import pytest

pytest.importorskip("optuna")

from optuna.trial import TrialState

from textlstm.config import PRESETS, TrainSettings
from textlstm.errors import ConfigError
from textlstm.training.resolve import resolve
from textlstm.training.study import ENDS, Study, search_space


def settings(**options):
    return resolve(TrainSettings.from_options(**options), 1_000_000, vocab_size=500, classes=3)


def some(*names):
    """A part of the space; the file takes a transaction for each option of a trial."""
    space = search_space(settings(), {}, 1000)
    return {name: space[name] for name in names}


def open_study(path, seed=1, space=None, **options):
    space = space or some("learning_rate", "batch_size", "num_layers", "dropout", "adversarial")
    return Study(path, space, seed, minimize=options.get("minimize", False))


def run(study, figures):
    """Let a trial end for each figure; None is one that is too large."""
    tried = []
    for figure in figures:
        trial, chosen = study.ask()
        ended = "too large" if figure is None else "finished"
        study.tell(trial, ended, figure)
        tried.append(chosen)
    return tried


def test_the_first_trial_has_the_defaults(tmp_path):
    space = search_space(settings(), {}, 1000)
    study = open_study(tmp_path / "s", space=space)
    _, chosen = study.ask()
    own = settings().to_options()
    assert chosen == {name: own[name] for name in space}
    assert {"learning_rate", "hidden_size", "pooling", "ngrams", "adversarial"} <= chosen.keys()


def test_the_same_seed_tries_the_same_settings_again_after_a_stop(tmp_path):
    figures = [0.5, None, *(random.Random(0).random() for _ in range(11))]  # past the random ones
    straight = run(open_study(tmp_path / "a"), figures)
    assert straight != run(open_study(tmp_path / "b", seed=2), figures[:5])
    stops = (0, 2, len(figures) - 1)
    tried, study = [], open_study(tmp_path / "c")
    for number, figure in enumerate(figures):
        if number in stops:
            _, chosen = study.ask()  # and the process is killed
            study = open_study(tmp_path / "c")
            assert study.ask()[1] == chosen
            study = open_study(tmp_path / "c")
        tried += run(study, [figure])
    assert tried == straight
    ends = [row["ended"] for row in study.rows()]
    assert ends.count("stopped") == 2 * len(stops)
    assert study.count() == len(figures)


def test_settings_have_three_digits_unless_they_are_the_default(tmp_path):
    for chosen in run(open_study(tmp_path / "s"), [0.5] * 14):
        for value in chosen.values():
            assert type(value) is not float or value == float(f"{value:.3g}")


@pytest.mark.parametrize(("minimize", "best"), [(False, 2), (True, 1)])
def test_the_best_is_the_first_of_equal_ones(tmp_path, minimize, best):
    study = open_study(tmp_path / "s", minimize=minimize)
    assert study.best() is None
    assert study.is_better(0.0)
    run(study, [0.5, 0.9, 0.9, 0.5, None])
    assert study.best()["trial"] == best
    assert not study.is_better([0.9, 0.5][minimize])
    assert study.is_better([0.91, 0.49][minimize])


def test_a_trial_that_falls_behind_is_pruned(tmp_path):
    study = open_study(tmp_path / "s")
    for _ in range(5):
        trial, _ = study.ask()
        assert not any(study.should_prune(trial, 0.5 + tenths / 20, tenths) for tenths in (2, 5))
        study.tell(trial, "finished", 0.9)
    trial, _ = study.ask()
    assert not study.should_prune(trial, 0.1, 2)  # too early to say
    assert not study.should_prune(trial, 0.1, 4)  # no other was measured then
    assert study.should_prune(trial, 0.1, 5)
    good, _ = study.ask()
    assert not study.should_prune(good, 0.8, 5)


@pytest.mark.parametrize("seed", range(2))
def test_trials_change_a_part_of_the_best_each_in_its_own_way(tmp_path, seed):
    space = some("learning_rate", "dropout", "weight_decay")
    tried = run(open_study(tmp_path / "s", seed, space), [0.5] * 14)
    assert len({tuple(chosen.values()) for chosen in tried}) == 14
    start = tried[0]
    assert all(sum(start[k] != chosen[k] for k in start) == 1 for chosen in tried[1:])


def test_options_with_a_value_of_their_own_are_not_tuned():
    def names(texts=1000, **options):
        return search_space(settings(**options), options, texts).keys()

    assert "hidden_size" not in names(hidden_size=64)
    assert "ngram_buckets" not in names(ngrams=1)
    assert "ngram_fit" not in names(ngrams=0)
    assert "dropout" not in names(num_layers=1)
    assert "min_frequency" not in names(vocab="words.txt")
    assert "embedding_size" not in names(vectors="glove-50")
    base = names(init_from="base")
    assert not {"embedding_size", "hidden_size", "num_layers", "min_frequency"} & base
    assert "learning_rate" in base
    everything = dict.fromkeys(names(), 1)
    with pytest.raises(ConfigError, match="leave out one of learning_rate, batch_size"):
        search_space(settings(), everything, 1000)


def test_the_second_trial_has_the_preset_for_few_texts(tmp_path):
    space = search_space(settings(), {}, 10_000)
    first, second = run(open_study(tmp_path / "s", space=space), [0.5, 0.5])
    small = {name: value for name, value in PRESETS["small"].items() if name in space}
    assert second == {**first, **small} != first
    space = search_space(settings(preset="small"), {}, 1000)
    first, second = run(open_study(tmp_path / "t", space=space), [0.5, 0.5])
    assert sum(first[name] != second[name] for name in first) <= 5
    assert second["ngram_fit"] == "margins"


def test_margins_are_tried_where_texts_are_few():
    assert "ngram_fit" in search_space(settings(), {}, 20_000)
    assert "ngram_fit" not in search_space(settings(), {}, 20_001)
    assert "ngram_fit" not in search_space(settings(teacher="m"), {}, 100)  # which has no margins


def test_the_file_holds_no_pickles_and_the_minutes_spent(tmp_path):
    study = open_study(tmp_path / "a b?c%d#")
    run(study, [0.5, None])
    study.minutes = 1.5
    study.close()
    database = sqlite3.connect(tmp_path / "a b?c%d#")
    tables = [name for (name,) in database.execute("select name from sqlite_master")]
    for table in (name for name in tables if not name.startswith(("ix_", "sqlite_"))):
        for row in database.execute(f"select * from {table}"):
            assert not any(isinstance(value, bytes) for value in row)
    assert open_study(tmp_path / "a b?c%d#").minutes == 1.5


def test_too_few_trials_say_nothing_of_importance(tmp_path):
    study = open_study(tmp_path / "s")
    run(study, [0.5, 0.6])
    assert study.importances() == {}
    run(study, [0.1 * number for number in range(10)])
    shares = study.importances()
    assert shares.keys() <= study.space.keys()
    assert abs(sum(shares.values()) - 1) < 1e-6


def test_every_end_has_a_state():
    assert set(ENDS.values()) <= set(TrialState)
