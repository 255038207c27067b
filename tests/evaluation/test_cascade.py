"""How certain the n-grams must be, so that few labels differ from the whole model's."""

import numpy as np
import pytest
import torch
from scipy.stats import beta

from textlstm.config import CASCADES
from textlstm.evaluation.calibration import fit_scales
from textlstm.evaluation.cascade import (
    Cascade,
    Compared,
    Shortcut,
    cascade_figures,
    fit_cascade,
    most_differing,
)
from textlstm.nn.probabilities import to_probabilities


def two(certainties):
    """Probabilities of two labels; the first is predicted."""
    first = np.array(certainties, np.float32)
    return np.stack([first, 1 - first], axis=1)


def test_the_number_that_may_differ_is_where_the_bound_of_clopper_and_pearson_is_the_share():
    for texts in (10, 299, 300, 872, 2994, 2995, 25_000, 300_000):
        for share in CASCADES:
            found = most_differing(texts, share)
            assert found < texts
            assert beta.ppf(0.95, found + 2, texts - found - 1) > share
            if found >= 0:
                assert beta.ppf(0.95, found + 1, texts - found) <= share
    assert [most_differing(n, 0.01) for n in (0, 298, 299)] == [-1, -1, 0]


def test_the_certainty_lies_below_the_last_text_that_may_be_skipped():
    certainties = np.linspace(0.51, 0.99, 1000)
    ngrams, whole = two(certainties), two(certainties)
    whole[600] = [0.4, 0.6]  # its label differs
    whole[100:300] = [0.4, 0.6]
    found = fit_cascade(1.0, Compared.of(ngrams, whole)).certainty
    assert found["0.0005"] is found["0.001"] is found["0.002"] is None  # too few texts for these
    assert found["0.005"] == pytest.approx((certainties[299] + certainties[300]) / 2, abs=1e-4)
    # of 1,000 texts, 4 may differ: all from 297 on are skipped
    assert found["0.01"] == pytest.approx((certainties[296] + certainties[297]) / 2, abs=1e-4)
    assert certainties[296] < found["0.01"] < certainties[297]


def test_texts_of_equal_certainty_are_skipped_together_or_not_at_all():
    ngrams = two([0.9] * 500 + [0.8] * 500)
    whole = ngrams.copy()
    whole[-6:] = [0.1, 0.9]
    assert fit_cascade(1.0, Compared.of(ngrams, whole)).certainty["0.01"] == 0.85
    whole[-6:] = ngrams[-6:]
    assert fit_cascade(1.0, Compared.of(ngrams, whole)).certainty["0.01"] == pytest.approx(0.8)
    whole[:500] = [0.1, 0.9]
    assert fit_cascade(1.0, Compared.of(ngrams, whole)).certainty["0.01"] is None


def test_without_a_difference_every_text_is_skipped():
    ngrams = two(np.linspace(0.51, 0.99, 300))
    cascade = fit_cascade(1.0, Compared.of(ngrams, ngrams))
    assert Shortcut(1.0, cascade.certainty["0.01"]).skips(ngrams).all()
    assert not Shortcut(1.0, cascade.certainty["0.005"]).skips(ngrams).any()


def test_the_promise_is_kept_19_times_in_20():
    random = np.random.default_rng(1)

    def draw(n):
        certain = random.uniform(0.5, 1, n)
        differs = random.uniform(size=n) < 0.2 * (1 - certain)  # 5% in all
        return two(certain), two(np.where(differs, 0.1, 0.9))

    broken = 0
    for _ in range(400):
        cascade = fit_cascade(1.0, Compared.of(*draw(2000)))
        least = cascade.certainty["0.005"]
        # the share that differs is the integral of 0.2 * (1 - c) over c from least to 1, doubled
        broken += least is not None and 0.2 * (1 - least) ** 2 > 0.005
    assert 2 <= broken <= 30  # 20 are expected at most; 30 are more than two deviations beyond


def test_of_several_labels_each_must_be_certain():
    thresholds = (0.5, 0.2)
    ngrams = np.array([[0.99, 0.9], [0.99, 0.21], [0.45, 0.001], [0.01, 0.001]], np.float32)
    cascade = Cascade(1.0, {"0.01": 0.9})
    skipped = Shortcut(1.0, 0.9, thresholds).skips(ngrams)
    assert skipped.tolist() == [True, False, False, True]
    whole = ngrams.copy()
    whole[3, 1] = 0.3
    labels = ngrams >= thresholds
    figures = cascade_figures(cascade, Compared.of(ngrams, whole, thresholds, labels))
    assert figures["skipped"] == {"0.01": 0.5}
    assert figures["differ"] == {"0.01": 1}
    assert figures["accuracy"] == {"0.01": 1.0}


def test_the_figures_count_what_a_cascade_does():
    ngrams, whole = two([0.95, 0.9, 0.8, 0.6]), two([0.1, 0.9, 0.2, 0.6])
    cascade = Cascade(2.0, {"0.001": None, "0.01": 0.85})
    texts = Compared.of(ngrams, whole, labels=np.array([0, 0, 0, 1]))
    figures = cascade_figures(cascade, texts)
    assert figures == {
        "scale": 2.0,
        "certainty": {"0.001": None, "0.01": 0.85},
        "skipped": {"0.001": 0.0, "0.01": 0.5},
        "differ": {"0.001": 0, "0.01": 1},
        "accuracy": {"0.001": 0.25, "0.01": 0.5},
    }
    weighted = cascade_figures(cascade, texts, np.array([1, 1, 2, 4]))
    assert weighted["accuracy"]["0.01"] == 0.25
    assert cascade_figures(cascade, Compared.of(ngrams, whole))["accuracy"] == {}


def test_the_scale_of_the_ngrams_is_fitted_on_their_own():
    random = np.random.default_rng(1)
    logits = random.normal(size=(4000, 3)).astype(np.float32)
    labels = (3 * logits + random.gumbel(size=logits.shape)).argmax(axis=1)
    whole = np.eye(3, dtype=np.float32)[labels]
    scale = float(fit_scales(logits[None], labels)[0])
    assert scale == pytest.approx(3, rel=0.1)
    ngrams = to_probabilities(torch.from_numpy(logits) * scale, multi_label=False)
    cascade = fit_cascade(scale, Compared.of(ngrams, whole, labels=labels))
    figures = cascade_figures(cascade, Compared.of(ngrams[:10], whole[:10]))
    assert Cascade.from_dict(figures) == cascade
    assert figures["accuracy"] == {}
    assert Cascade.is_valid(cascade.to_dict())
    assert not Cascade.is_valid({**cascade.to_dict(), "scale": 0.0})
    assert not Cascade.is_valid({"scale": 1.0, "certainty": {"0.01": 0.5}})
    assert not Cascade.is_valid([])
