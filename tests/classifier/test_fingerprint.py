"""Equal classifiers have equal hashes, and whatever changes results changes the hash."""

import torch
from tiny_classifier import tiny_classifier

from textlstm import TextClassifier


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
