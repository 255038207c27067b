"""Classes, weights and the validation part, as the estimator reads them."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.multiclass import OneVsRestClassifier
from tiny_estimator import SMALL
from tiny_token_estimator import TokenIdClassifier

from textlstm.config import TrainSettings
from textlstm.errors import ConfigError, DataError
from textlstm.estimator import read_targets

pytestmark = pytest.mark.slow

SETTINGS = TrainSettings.from_options()


def targets(y, weights=None, **options):
    return read_targets(np.zeros(len(y)), y, weights, TrainSettings.from_options(**options))


def rows(n=60, seed=0):
    """Rows of three ids; the class is that of the first."""
    random = np.random.default_rng(seed)
    ids = random.integers(1, 9, (n, 3))
    return ids, np.where(ids[:, 0] > 4, "high", "low")


def small(**options):
    return TokenIdClassifier(**{**SMALL, **options})


@pytest.mark.parametrize(
    ("y", "classes", "names"),
    [
        (["b", "a", "b"], ["a", "b"], ("a", "b")),
        ([10, 9, 2], [2, 9, 10], ("2", "9", "10")),
        ([True, False], [False, True], ("false", "true")),
        ([1.0, -1.0], [-1, 1], ("-1", "1")),
        (np.array(["x", ""], dtype=object), ["", "x"], ("", "x")),
    ],
)
def test_classes_are_sorted_and_named(y, classes, names):
    found = targets(y)
    assert found.classes.tolist() == classes
    assert found.names == names
    assert found.classes[found.ids].tolist() == list(y)


def test_a_twentieth_row_of_validation_makes_a_validation_part():
    y = np.arange(200) % 4
    found = targets(y)
    assert (len(found.train), len(found.validation)) == (180, 20)
    assert np.bincount(y[found.validation]).tolist() == [5, 5, 5, 5]
    assert sorted([*found.train, *found.validation]) == list(range(200))
    assert targets(y, seed=2).validation.tolist() != found.validation.tolist()
    few = targets(y[:190])
    assert (len(few.train), len(few.validation)) == (190, 0)
    assert list(few.parts()) == ["train"]
    assert len(targets(y[:100], validation_fraction=0.4).validation) == 40


def test_rows_of_weight_zero_are_left_out_and_equal_weights_are_none():
    found = targets([0, 1, 0, 1], [1, 0, 2.5, 3])
    assert found.train.tolist() == [0, 2, 3]
    assert found.weights.tolist() == [1, 0, 2.5, 3]
    assert targets([0, 1], [3, 3]).weights is None
    weights = np.ones(400)
    weights[::2] = 0
    half = targets(np.arange(400) // 2 % 2, weights)
    assert len(half.validation) == 20
    assert (half.validation % 2).all()


@pytest.mark.parametrize(
    ("y", "weights", "message"),
    [
        (None, None, "requires y to be passed, but the target y is None"),
        ([1, 1], None, "y has only 1 class, 1, fit needs 2 or more"),
        (["a", "b"], [1, 0], "only 1 class, 'a', where sample_weight is above 0, fit needs 2"),
        (["a", "b"], [0, 0], "sample_weight is zero for every row"),
        (["a", "b"], [1, -2], "sample_weight = -2: must be 0 or more"),
        (["a", "b"], [1, 2, 3], r"sample_weight has the shape \(3,\): must be \(2,\)"),
        (["a", "b"], [[1], [2]], r"sample_weight has the shape \(2, 1\)"),
        (["a", "b"], [1, np.nan], "sample_weight contains NaN"),
        ([0.5, 1.5], None, "Unknown label type: continuous"),
        ([[1, 0], [0, 1]], None, "y should be a 1d array"),
    ],
)
def test_what_can_not_be_learned_is_refused(y, weights, message):
    with pytest.raises(ValueError, match=message):
        read_targets(np.zeros(2), y, weights, SETTINGS)


def test_our_errors_are_of_the_family():
    with pytest.raises(DataError):
        targets([1, 1])
    with pytest.raises(ConfigError, match="hidden_size = 0: must be at least 1"):
        small(hidden_size=0).fit(*rows())
    with pytest.raises(ConfigError, match="pooling = 'las'"):
        small(pooling="las").fit(*rows())


def test_a_weight_of_zero_is_exactly_a_row_left_out():
    ids, y = rows()
    weights = np.arange(60) % 3
    some = weights > 0
    one = small().fit(ids, y, weights)
    other = small().fit(ids[some], y[some], weights[some])
    np.testing.assert_array_equal(one.predict_proba(ids), other.predict_proba(ids))


def test_weights_pull_towards_the_heavy_rows():
    ids = np.full((60, 2), 3)
    y = np.arange(60) % 2
    model = small(epochs=30).fit(ids, y, np.where(y == 1, 4, 1))
    assert model.predict_proba(ids[:1])[0, 1] == pytest.approx(0.8, abs=0.05)


def test_numbers_of_numpy_are_as_good_as_those_of_python():
    searched = {"hidden_size": np.int64(8), "learning_rate": np.float32(0.05)}
    assert small(**searched).fit(*rows()).model_.config.hidden_size == 8


def test_random_state_is_the_seed():
    def fit(state):
        return small(random_state=state, epochs=2).fit(*rows()).predict_proba(rows()[0])

    np.testing.assert_array_equal(fit(3), fit(3))
    np.testing.assert_array_equal(fit(np.random.RandomState(3)), fit(np.random.RandomState(3)))
    assert (fit(3) != fit(4)).any()
    np.random.seed(0)
    assert (fit(None) != fit(None)).any()


def test_the_random_numbers_of_the_caller_go_on_as_they_were():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    small(epochs=1).fit(*rows())
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("epochs", "trained"), [(8, 8), (None, 20)])
def test_without_a_validation_part_all_epochs_count(epochs, trained):
    wild = small(epochs=epochs, patience=1, learning_rate=0.5)  # so often worse
    assert wild.fit(*rows()).n_iter_ == trained
    assert small(epochs=8).fit(*rows(300)).n_iter_ <= 8


def test_settings_hold_what_is_not_at_its_default():
    model = small(epochs=3, random_state=9)
    settings = model._settings()
    assert settings.training.epochs == 3
    assert settings.training.seed == 9
    assert settings.data == SETTINGS.data
    assert dataclasses.replace(settings.model, **vars(SETTINGS.model)) == SETTINGS.model


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.zeros((4, 3)), r"y has the shape \(4, 3\): y should be a 1d array"),
        ([["a"], ["a", "b"], [], ["b"]], "y holds lists: y should be a 1d array"),
        ([{"a"}, {"a", "b"}, set(), {"b"}], "y holds lists"),
    ],
)
def test_several_classes_a_row_are_refused_with_the_way_to_learn_them(y, said):
    with pytest.raises(DataError, match=f"{said}.*textlstm.train.*OneVsRestClassifier"):
        targets(y)


def test_several_classes_are_learned_by_an_estimator_for_each():
    ids, _ = rows(80)
    labels = np.stack([ids.max(axis=1) > 6, ids.min(axis=1) < 3], axis=1).astype(int)
    found = OneVsRestClassifier(small(epochs=12)).fit(ids, labels).predict(ids)
    assert found.shape == (80, 2)
    assert (found == labels).mean() > 0.8
