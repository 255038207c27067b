"""Parts that don't belong together are refused with value, rule and remedy."""

import dataclasses
import re

import pytest
from tiny_classifier import LABELS, tiny_classifier, tiny_tagger

from textlstm import TextClassifier
from textlstm.config import ModelConfig
from textlstm.errors import ConfigError

CLASSIFIER = tiny_classifier()


def parts(**other):
    mine = {
        "model": CLASSIFIER.model,
        "tokenizer": CLASSIFIER.tokenizer,
        "labels": LABELS,
        "settings": CLASSIFIER.settings,
    }
    return {**mine, **other}


def assert_refused(fault, **other):
    with pytest.raises(ConfigError, match=re.escape(fault)):
        TextClassifier(**parts(**other), device="cpu")


def test_parts_of_one_classifier_are_accepted():
    assert TextClassifier(**parts(), device="cpu").labels == LABELS


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        ({"labels": "abc"}, "labels = 'abc': must be a list of strings"),
        ({"labels": [1, 2, 3]}, "labels = (1, 2, 3): must be a list of strings"),
        ({"labels": ["a", "b"]}, "labels = ('a', 'b'): must be 3 different names"),
        ({"labels": ["a", "b", "a"]}, "must be 3 different names"),
        (
            {"settings": dataclasses.replace(CLASSIFIER.settings, model=ModelConfig())},
            "must be the network's",
        ),
        ({"tokenizer": tiny_classifier(max_length=7).tokenizer}, "must be the tokenizer's, (7, "),
        ({"tokenizer": tiny_classifier(vocab_size=5).tokenizer}, "a vocabulary of 5 entries"),
    ],
)
def test_a_part_of_another_does_not(other, fault):
    assert_refused(fault, **other)


@pytest.mark.parametrize(
    ("thresholds", "fault"),
    [
        (None, "thresholds = None: must be given for a multi-label network"),
        ((0.5, 0.5), "thresholds = (0.5, 0.5): must be 3 numbers from 0 to 1, one per label"),
        ((0.5, 0.5, 1.5), "must be 3 numbers from 0 to 1"),
        ((0.5, 0.5, float("nan")), "must be 3 numbers from 0 to 1"),
        ((0.5, 0.5, "1"), "must be 3 numbers from 0 to 1"),
    ],
)
def test_thresholds_belong_to_a_network_of_several_labels(thresholds, fault):
    model = tiny_tagger(ngrams=2).model
    assert_refused(fault, model=model, thresholds=thresholds)
    TextClassifier(**parts(model=model, thresholds=(0, 0.5, 1.0)), device="cpu")
    assert_refused("and only for one", thresholds=(0, 0.5, 1.0))


def test_several_labels_may_be_a_single_one():
    tagger = tiny_tagger(labels=("spam",), thresholds=(0.5,))
    assert tagger.labels == ("spam",)
