"""Parts that don't fit each other are told by value, rule and remedy."""

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny_classifier import LABELS, tiny_classifier, tiny_tagger

from textlstm.classifier.assembly import build_model, misfit
from textlstm.classifier.model_folder import ModelFolder, RunRecord
from textlstm.config import ModelConfig
from textlstm.errors import ModelFolderError

CLASSIFIER = tiny_classifier()


def parts(**other):
    mine = {
        "model": CLASSIFIER.model,
        "tokenizer": CLASSIFIER.tokenizer,
        "labels": LABELS,
        "settings": CLASSIFIER.settings,
    }
    return {**mine, **other}


def test_parts_of_one_classifier_fit():
    assert misfit(**parts()) == ""


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        ({"labels": "abc"}, "labels = 'abc': must be a list of strings"),
        ({"labels": [1, 2, 3]}, "labels = [1, 2, 3]: must be a list of strings"),
        ({"labels": ["a", "b"]}, "labels = ['a', 'b']: must be 3 different names"),
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
    assert fault in misfit(**parts(**other))


@pytest.mark.parametrize(
    ("thresholds", "fault"),
    [
        (None, "thresholds = None: must be given where the network is multi-label"),
        ((0.5, 0.5), "thresholds = (0.5, 0.5): must be 3 numbers from 0 to 1, one per label"),
        ((0.5, 0.5, 1.5), "must be 3 numbers from 0 to 1"),
        ((0.5, 0.5, float("nan")), "must be 3 numbers from 0 to 1"),
        ((0.5, 0.5, "1"), "must be 3 numbers from 0 to 1"),
    ],
)
def test_thresholds_belong_to_a_network_of_several_labels(thresholds, fault):
    model = tiny_tagger(ngrams=2).model
    assert fault in misfit(**parts(model=model, thresholds=thresholds))
    assert misfit(**parts(model=model, thresholds=(0, 0.5, 1.0))) == ""
    assert "and only there" in misfit(**parts(thresholds=(0, 0.5, 1.0)))


def test_several_labels_may_be_a_single_one():
    tagger = tiny_tagger(labels=("spam",), thresholds=(0.5,))
    assert tagger.labels == ("spam",)


def contents(**weights):
    state = {**CLASSIFIER.model.state_dict(), **weights}
    state = {name: tensor for name, tensor in state.items() if tensor is not None}
    return ModelFolder(LABELS, CLASSIFIER.settings, CLASSIFIER.tokenizer, state, RunRecord())


def test_a_network_is_built_and_the_random_numbers_of_the_caller_go_on():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    model = build_model(contents(), Path("films"))
    assert torch.equal(torch.rand(2), expected)
    for name, tensor in CLASSIFIER.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        ({"linear.bias": None}, r"films/model\.safetensors: linear\.bias is missing, but .* \[3\]"),
        ({"linear.bias": torch.zeros(4)}, r"linear\.bias is \[4\], but .* ask for \[3\]"),
        ({"extra": torch.zeros(1)}, r"extra is \[1\], but .* ask for no such"),
    ],
)
def test_weights_of_another_network_are_named(weights, fault):
    with pytest.raises(ModelFolderError, match=fault):
        build_model(contents(**weights), Path("films"))
