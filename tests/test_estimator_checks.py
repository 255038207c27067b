"""scikit-learn's own checks of the estimator, on rows of token ids instead of texts."""

import pickle

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from tiny_estimator import SMALL, modules_in
from tiny_token_estimator import TokenIdClassifier

pytestmark = pytest.mark.slow

EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": "a row repeated k times meets other rows in "
    "k different batches, and each meeting is a step of its own, so the weights of the network "
    "differ from those of one row that counts k times; a weight of 0 is exactly a row left out "
    "(test_estimator_targets.py)",
}


@parametrize_with_checks(
    [TokenIdClassifier(**SMALL)], expected_failed_checks=lambda estimator: EXPECTED_FAILURES
)
def test_it_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


def rows(n, width=6, seed=0):
    """Rows of ids 1 to 9 that end in zeros; the class tells whether 7 came before 8."""
    random = np.random.default_rng(seed)
    ids = random.choice([1, 2, 3, 4, 5, 6, 9], (n, width))
    y = np.arange(n) % 2
    for row, label in zip(ids, y, strict=True):
        first, last = np.sort(random.choice(width - 1, 2, replace=False))
        row[[first, last]] = (7, 8) if label else (8, 7)
        row[random.integers(last + 1, width + 1) :] = 0
    return ids, y


def fitted(**options):
    return TokenIdClassifier(**{**SMALL, **options}).fit(*rows(300))


def test_it_learns_the_order_of_ids():
    assert fitted(epochs=16, hidden_size=16).score(*rows(100, seed=1)) > 0.95


def test_zeros_are_passed_over_wherever_they_stand():
    model = fitted(epochs=1)
    ids = np.array([[3, 4, 5, 0, 0, 0], [0, 3, 0, 4, 5, 0], [0, 0, 0, 3, 4, 5]])
    probabilities = model.predict_proba(ids)
    np.testing.assert_array_equal(probabilities[0], probabilities[1])
    np.testing.assert_array_equal(probabilities[0], probabilities[2])


def test_numbers_never_met_read_as_one_unknown_token():
    model = fitted(epochs=1)
    assert model.tokens_.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    ids = np.array([[99, 1, 0, 0, 0, 0], [-5, 1, 0, 0, 0, 0], [2.5, 1, 0, 0, 0, 0]])
    probabilities = model.predict_proba(ids)
    assert (probabilities == probabilities[0]).all()
    nothing = model.predict_proba(np.zeros((1, 6)))
    unknown = model.predict_proba(np.array([[99, 0, 0, 0, 0, 0]]))
    np.testing.assert_array_equal(nothing, unknown)


def test_the_pickle_holds_nothing_of_torch():
    model = fitted(epochs=1)
    pickled = pickle.dumps(model)
    assert "torch" not in modules_in(pickled)
    again = pickle.loads(pickled)
    ids, _ = rows(20, seed=2)
    np.testing.assert_array_equal(again.predict_proba(ids), model.predict_proba(ids))
    assert "torch" in modules_in(pickle.dumps(model.model_.linear))


def test_another_width_is_refused():
    with pytest.raises(ValueError, match="X has 3 features, but TokenIdClassifier is expecting 6"):
        fitted(epochs=1).predict(np.ones((2, 3)))
