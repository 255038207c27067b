"""Equal classifiers have equal hashes and bytes; whatever changes results changes the hash."""

import copy
import pickle

import pytest
import torch
from tiny_classifier import needs_bf16, texts, tiny_classifier, tiny_tagger
from tiny_estimator import modules_in
from tiny_training import equal

from textlstm import TextClassifier
from textlstm.classifier.saved_model import pack, unpack
from textlstm.config import POOLINGS
from textlstm.errors import ConfigError


def test_the_hash_is_that_of_the_same_classifier_anywhere(tmp_path):
    classifier = tiny_classifier()
    assert len(classifier.fingerprint()) == 16
    assert tiny_classifier().fingerprint() == classifier.fingerprint()
    classifier.save(tmp_path / "model")
    loaded = TextClassifier.load(tmp_path / "model", device="cpu")
    assert loaded.fingerprint() == classifier.fingerprint()


def test_the_hash_changes_with_anything_that_changes_results():
    others = [
        tiny_classifier(),
        tiny_classifier(seed=2),
        tiny_classifier(labels=("a", "b", "c")),
        tiny_classifier(max_length=19),
        tiny_classifier(truncation="head"),
        tiny_classifier(tokenizer="whitespace"),
    ]
    bf16 = tiny_classifier()
    bf16.model.compute_dtype = torch.bfloat16
    assert len({other.fingerprint() for other in [*others, bf16]}) == 7


def test_the_hash_does_not_change_with_what_changes_no_result():
    known = tiny_classifier().fingerprint()
    assert tiny_classifier(epochs=7, batch_size=3).fingerprint() == known


def test_a_network_comes_back_as_it_went():
    for pooling in POOLINGS:
        model = tiny_classifier(pooling=pooling, bidirectional=pooling != "max").model
        again = unpack(pack(model))
        assert again.config == model.config
        assert equal(again.state_dict(), model.state_dict())
        assert not again.training


def test_equal_networks_give_equal_bytes():
    one, same, other = (tiny_classifier(seed=seed).model for seed in (1, 1, 2))
    assert pack(one) == pack(same)
    assert pack(one) != pack(other)


def test_what_comes_back_has_memory_of_its_own():
    packed = pack(tiny_classifier().model)
    one, other = unpack(packed), unpack(packed)
    with torch.no_grad():
        one.linear.weight.zero_()
    assert other.linear.weight.abs().sum() > 0


@needs_bf16
def test_a_classifier_is_pickled_and_copied_without_torch():
    classifier = tiny_classifier()
    pickled = pickle.dumps(classifier)
    assert "torch" not in modules_in(pickled)
    expected = classifier.predict(texts(10))
    for again in (pickle.loads(pickled), copy.deepcopy(classifier)):
        assert again.predict(texts(10)) == expected
        assert again.describe() == classifier.describe()
        assert again.model.compute_dtype == torch.float32
        assert again.device.type == "cpu"
    classifier.model.compute_dtype = torch.bfloat16
    assert copy.deepcopy(classifier).model.compute_dtype == torch.bfloat16


def test_a_network_of_several_labels_stays_one():
    assert unpack(pack(tiny_tagger().model)).multi_label
    assert not unpack(pack(tiny_classifier().model)).multi_label


@pytest.mark.parametrize("labels", [("pos", "pos", "neg"), ["pos"]])
def test_a_classifier_that_could_not_be_loaded_is_not_saved_over_one_that_can(tmp_path, labels):
    classifier = tiny_classifier()
    classifier.save(tmp_path / "model")
    classifier.labels = labels
    with pytest.raises(ConfigError, match="must be 3 different names"):
        classifier.save(tmp_path / "model")
    with pytest.raises(ConfigError, match="must be 3 different names"):
        classifier.push_to_hub("nobody/films")
    assert TextClassifier.load(tmp_path / "model").labels == tiny_classifier().labels
