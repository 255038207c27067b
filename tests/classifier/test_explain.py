"""Explanations add up to the logit, are exact for n-grams, and find the words that matter."""

import numpy as np
import pytest
import torch
from tiny_classifier import LABELS, needs_bf16, texts, tiny_classifier, tiny_tagger

from textlstm.classifier.explain import METHODS, TOLERANCE, explain_tokens
from textlstm.errors import ConfigError

pytestmark = pytest.mark.slow

TEXT = "the film was not dull and not bright xyzzy it was never very slow"
CLASSIFIER = tiny_classifier()


def logit(classifier, text, label):
    ids = classifier.tokenizer.encode(text)
    with torch.no_grad():
        return float(classifier.model(torch.tensor([ids]), torch.tensor([len(ids)]))[0, label])


@pytest.mark.parametrize("pooling", ["final", "max", "mean", "attention"])
@pytest.mark.parametrize("options", [{}, {"ngrams": 0}, {"ngrams": 4, "bidirectional": False}])
def test_contributions_add_up_to_the_change_of_the_logit(pooling, options):
    classifier = tiny_classifier(pooling=pooling, **options)
    for text in [TEXT, "?", *texts(1)]:
        for index, label in enumerate(LABELS):
            found = classifier.explain(text, label=label)
            assert found.logit == pytest.approx(logit(classifier, text, index), abs=1e-5)
            total = sum(word.contribution for word in found.words)
            change = found.logit - found.baseline
            assert abs(total - change) <= TOLERANCE * max(abs(change), 0.05)
            assert found.error == pytest.approx(abs(total - change) / max(abs(change), 0.05))
            assert found.error <= TOLERANCE


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_the_ngrams_are_explained_exactly(order):
    classifier = tiny_classifier(ngrams=order)
    model = classifier.model
    ids = classifier.tokenizer.encode(TEXT)
    _, ngrams, _, _ = explain_tokens(model, ids, 1, "gradients")
    tensor, lengths = torch.tensor([ids]), torch.tensor([len(ids)])
    expected = float((model.ngrams(tensor, lengths)[0, 1] - model.ngrams.bias[1]).detach())
    assert ngrams.sum() == pytest.approx(expected * float(model.scales[1]), abs=1e-6)


def test_a_word_has_its_own_ngrams_and_half_of_its_pairs():
    classifier = tiny_classifier(ngrams=2)
    model = classifier.model
    with torch.no_grad():
        model.ngrams.table.zero_()
        ids = classifier.tokenizer.encode("bright slow bright")
        places = model.ngrams.rows_of_places(torch.tensor([ids]), torch.tensor([3]))[0]
        model.ngrams.table[ids[0], 0] = 1.0  # "bright", twice in the text
        model.ngrams.table[places[1, 1], 0] += 8.0  # "bright slow"
        model.ngrams.table[places[1, 0], 0] += 4.0  # the text begins with "bright"
    _, found, _, _ = explain_tokens(model, ids, 0, "gradients")
    rows = len(set(places.flatten().tolist()))
    expected = np.array([0.5 + 4 + 4, 4, 0.5]) / rows**0.5 * float(model.scales[1])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_occlusion_is_the_change_when_a_word_is_unknown():
    found = CLASSIFIER.explain("not dull film", label="bad", method="occlusion")
    assert (found.baseline, found.error) == (None, None)
    for place, word in enumerate(found.words):
        without = ["not", "dull", "film"]
        without[place] = "xyzzy"
        change = logit(CLASSIFIER, "not dull film", 0) - logit(CLASSIFIER, " ".join(without), 0)
        assert word.contribution == pytest.approx(change, abs=1e-5)
        assert word.lstm + word.ngrams == pytest.approx(word.contribution, abs=1e-9)


def test_words_are_those_that_are_read_and_unknown_ones_are_marked():
    found = CLASSIFIER.explain("The xyzzy film")
    assert [(word.token, word.known) for word in found.words] == [
        ("the", True),
        ("xyzzy", False),
        ("film", True),
    ]
    words = [f"w{i}" for i in range(50)]  # 20 are read: the first 5 and the last 15
    shown = [word.token for word in CLASSIFIER.explain(" ".join(words)).words]
    assert shown == words[:5] + words[-15:]
    assert len(CLASSIFIER.explain("?").words) == 1


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram", "char"])
def test_other_tokenizers_have_a_word_for_each_id(kind):
    classifier = tiny_classifier(tokenizer=kind, vocab_size=60)
    found = classifier.explain(TEXT)
    assert len(found.words) == len(classifier.tokenizer.encode(TEXT))
    assert found.error <= TOLERANCE


def test_the_label_is_the_most_probable_one_or_as_asked():
    found = CLASSIFIER.explain(TEXT)
    prediction = CLASSIFIER.predict([TEXT])[0]
    assert (found.label, found.probability) == (prediction.label, pytest.approx(prediction.score))
    assert CLASSIFIER.explain(TEXT, label="good").probability == pytest.approx(
        prediction.probabilities["good"]
    )
    with pytest.raises(ConfigError, match=r"label = 'god': must be one of bad, .*mean 'good'"):
        CLASSIFIER.explain(TEXT, label="god")
    with pytest.raises(ConfigError, match="method = 'lime': must be one of gradients, occlusion"):
        CLASSIFIER.explain(TEXT, method="lime")
    with pytest.raises(ConfigError, match="must be a string"):
        CLASSIFIER.explain(None)


@pytest.mark.parametrize("method", METHODS)
@needs_bf16
def test_explaining_changes_nothing_in_the_classifier(method):
    classifier = tiny_tagger()
    classifier.model.compute_dtype = torch.bfloat16
    before = classifier.predict_proba([TEXT])
    found = classifier.explain(TEXT, method=method)
    assert found.error is None or found.error <= TOLERANCE  # in float32 all the same
    assert classifier.model.compute_dtype == torch.bfloat16
    assert all(parameter.grad is None for parameter in classifier.model.parameters())
    np.testing.assert_array_equal(classifier.predict_proba([TEXT]), before)


def test_a_notebook_shows_words_in_colors_and_text_as_text():
    found = CLASSIFIER.explain("film <script> xyzzy", label=LABELS[2])
    page = found._repr_html_()
    assert "<script>" not in page
    assert "&lt;b&gt;très" in page
    assert page.count("<span") == len(found.words)
    assert page.count("underline") == sum(not word.known for word in found.words) > 0
    strongest = max(found.words, key=lambda word: abs(word.contribution))
    assert max(map(abs, found.shades())) == 1
    assert f'0.60);padding:0 2px" title="{strongest.contribution:+.3f}' in page
    assert repr(found).startswith(f"Explanation({LABELS[2]}: probability")
