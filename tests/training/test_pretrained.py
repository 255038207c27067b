"""A run that begins with pretrained vectors: what it takes from them, keeps, and tells."""

import csv
import dataclasses
import functools
import json
import shutil
import signal

import numpy as np
import pytest
import torch
from tiny_corpus import FILLERS, write_splits
from tiny_corpus import OPTIONS as TINY

from textlstm import TextClassifier, TextTokenizer, train
from textlstm.errors import ConfigError, DataError
from textlstm.text.named_vectors import KNOWN, NamedVectors
from textlstm.text.vocabulary import UNK_ID
from textlstm.training.fit import TrainingInterrupted
from textlstm.training.observer import Observer
from textlstm.training.pretrained import make_start
from textlstm.training.resolve import read_options

pytestmark = pytest.mark.slow

SIZE = 6
WORDS = ["the", "Bright", "unheard", "a", "it's", "film", "shining", "gloomy"]  # by frequency
OPTIONS = {name: value for name, value in TINY.items() if name != "embedding_size"}
OPTIONS |= {"ngrams": 0, "calibrate": False, "extend_vocab": 0}


def number(word, column):
    return round(float(np.sin(sum(map(ord, word)) + column)), 3)


def write_vectors(path, words=WORDS, size=SIZE):
    rows = (" ".join([w, *(str(number(w, column)) for column in range(size))]) for w in words)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def vector(word, size=SIZE):
    return np.array([number(word, column) for column in range(size)], np.float32)


def row(classifier, token):
    weight = classifier.model.embedding.weight.detach().numpy()
    return weight[classifier.vocabulary[token]]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_splits(tmp_path_factory.mktemp("data"))


@pytest.fixture
def vectors(tmp_path):
    return write_vectors(tmp_path / "vectors.txt")


def run(data, vectors, out=None, /, **options):
    return train(data, out, **{**OPTIONS, "vectors": str(vectors), **options})


class StopAt(Observer):
    def __init__(self, step):
        self.step = step

    def on_step(self, step, epoch, loss, texts):
        if step == self.step:
            signal.raise_signal(signal.SIGINT)


def stopped(data, vectors, out, step, **options):
    with pytest.raises(TrainingInterrupted):
        run(data, vectors, out, observer=StopAt(step), **options)


def contents(folder):
    """The files that a run determines; times of day differ in the others."""
    kept = ("model.safetensors", "tokenizer.json", "vocab.txt", "metrics.json")
    return {name: (folder / name).read_bytes() for name in kept}


def test_the_embedding_begins_with_the_vectors_and_has_their_size(data, vectors):
    frozen = run(data, vectors, freeze_vectors=-1)
    assert frozen.model.config.embedding_size == frozen.settings.model.embedding_size == SIZE
    for token, word in [("the", "the"), ("a", "a"), ("film", "film"), ("bright", "Bright")]:
        np.testing.assert_array_equal(row(frozen, token), vector(word))
    np.testing.assert_array_equal(row(frozen, "<pad>"), np.zeros(SIZE))
    found = [vector(word) for word in ("the", "a", "film", "Bright")]
    np.testing.assert_allclose(row(frozen, "<unk>"), np.mean(found, axis=0), atol=1e-6)
    assert np.abs(row(frozen, "music")).min() > 0
    assert "unheard" not in frozen.vocabulary


def test_the_file_may_have_a_vector_for_what_is_unknown(data, tmp_path):
    vectors = write_vectors(tmp_path / "vectors.txt", ["the", "<unk>", "<pad>"])
    frozen = run(data, vectors, freeze_vectors=-1, extend_vocab=9, epochs=1)
    np.testing.assert_array_equal(row(frozen, "<unk>"), vector("<unk>"))
    np.testing.assert_array_equal(row(frozen, "<pad>"), np.zeros(SIZE))


def test_everything_else_begins_as_without_vectors(data, vectors):
    """At a rate of almost nothing, weights stay where they begin."""
    still = {"learning_rate": 1e-9, "epochs": 1, "preset": "default"}  # few texts: else it is small
    with_vectors = run(data, vectors, **still).model.state_dict()
    without = train(data, **{**OPTIONS, **still, "embedding_size": SIZE}).model.state_dict()
    for name, value in without.items():
        close = torch.allclose(value, with_vectors[name], atol=1e-6)
        assert close == (name != "embedding.weight"), name


def test_vectors_are_tuned_unless_they_are_frozen(data, vectors):
    for freeze, changed in ((0, True), (-1, False), (2, True), (3, False), (99, False)):
        classifier = run(data, vectors, freeze_vectors=freeze, patience=9, monitor="loss")
        epoch = classifier.record.training["best_epoch"]
        assert epoch == 3, "for this test the last epoch must be the best"
        assert (row(classifier, "the") != vector("the")).any() == changed, freeze
        assert classifier.model.embedding.weight.requires_grad


def test_frequent_words_of_the_file_become_entries(data, vectors):
    plain = run(data, vectors, epochs=1)
    classifier = run(data, vectors, extend_vocab=8, vocab_size=len(plain.vocabulary))
    words, counted = classifier.vocabulary.get_itos(), plain.vocabulary.get_itos()
    assert words == [*counted, "unheard", "shining", "gloomy"]  # "it's" is two tokens
    assert classifier.vocabulary.counts == (*plain.vocabulary.counts, 0, 0, 0)
    np.testing.assert_array_equal(row(classifier, "shining"), vector("shining"))
    assert classifier.tokenizer.encode("Shining it's") == [
        words.index("shining"),
        words.index("it"),
        UNK_ID,
    ]
    assert "gloomy" not in run(data, vectors, extend_vocab=7, epochs=1).vocabulary


def test_a_word_never_seen_in_training_has_a_meaning_at_prediction(data, tmp_path):
    """'splendid' has the vector of 'bright', and is judged as it."""
    path = write_vectors(tmp_path / "v.txt", [*FILLERS, "bright", "dull", "splendid"])
    lines = path.read_text().splitlines()
    lines[-1] = lines[-3].replace("bright", "splendid")
    path.write_text("\n".join(lines))
    options = {"freeze_vectors": -1, "epochs": 1}
    known, unknown = (run(data, path, extend_vocab=n, **options) for n in (99, 0))
    texts = ["the film was bright", "the film was splendid"]
    same = known.predict_proba(texts)
    np.testing.assert_array_equal(same[0], same[1])
    assert not np.array_equal(*unknown.predict_proba(texts))


def test_the_model_folder_needs_no_vectors(data, vectors, tmp_path):
    trained = run(data, vectors, tmp_path / "model", extend_vocab=8)
    vectors.unlink()
    loaded = TextClassifier.load(tmp_path / "model")
    texts = ["a shining film", "gloomy music"]
    np.testing.assert_array_equal(loaded.predict_proba(texts), trained.predict_proba(texts))
    assert loaded.vocabulary == trained.vocabulary
    train(data, tmp_path / "model", resume=True, vectors=str(vectors))  # the run has ended


def test_coverage_is_logged_and_recorded(data, vectors, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("textlstm.training.pretrained._CHUNK", 50)
    with caplog.at_level("INFO"):
        classifier = run(data, vectors, tmp_path / "model", extend_vocab=8)
    facts = json.loads((tmp_path / "model" / "config.json").read_text())["training"]
    known = {"the", "a", "film", "bright", "unheard", "shining", "gloomy"}
    assert len(classifier.vocabulary) - 2 == len(FILLERS) + 2 + 3
    assert facts["vectors"] == "vectors.txt"
    share = len(known) / (len(FILLERS) + 2 + 3)
    assert facts["vocabulary_entries_with_a_vector"] == pytest.approx(share, abs=1e-6)
    words = [w for text in texts_of(data / "train.csv") for w in text.split()]
    share = sum(word in known for word in words) / len(words)
    assert facts["train_tokens_with_a_vector"] == pytest.approx(share, abs=1e-6)
    assert facts["entries_with_the_vector_of_another_spelling"] == 1
    assert "vectors: 7 of 17 entries (41.2%) have one" in caplog.text
    assert "3 words of the 8 most frequent" in caplog.text
    assert "train tokens with a vector" in (tmp_path / "model" / "README.md").read_text()


def texts_of(path):
    with path.open(encoding="utf-8") as file:
        return [row["text"] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def straight(data, tmp_path_factory):
    """A function that returns the folder of a run that nothing stopped."""

    @functools.cache
    def trained(freeze):
        folder = tmp_path_factory.mktemp("straight")
        options = {"extend_vocab": 8, "freeze_vectors": freeze}
        run(data, write_vectors(folder / "vectors.txt"), folder / "model", **options)
        return folder / "model"

    return trained


@pytest.mark.parametrize("freeze", [0, 1, 2, -1])
@pytest.mark.parametrize("step", [1, 6, 8, 13])  # an epoch has 6 steps
def test_a_stopped_run_resumes_to_the_very_same_model(
    data, vectors, straight, tmp_path, freeze, step
):
    options = {"extend_vocab": 8, "freeze_vectors": freeze}
    stopped(data, vectors, tmp_path / "model", step, **options)
    vectors.unlink()  # the checkpoint has what was taken from it
    train(None, tmp_path / "model", resume=True)
    assert contents(tmp_path / "model") == contents(straight(freeze))
    one, other = (
        json.loads((folder / "config.json").read_text())["training"]
        for folder in (tmp_path / "model", straight(freeze))
    )
    assert one | {"minutes": 0} == other | {"minutes": 0}


@pytest.mark.parametrize("lost", [["checkpoint.safetensors"], [".cache"], [".cache/vectors.json"]])
def test_vectors_are_read_again_where_the_run_has_lost_them(
    data, vectors, straight, tmp_path, lost
):
    options = {"extend_vocab": 8, "freeze_vectors": 1}
    stopped(data, vectors, tmp_path / "model", 8, **options)
    for name in lost:
        path = tmp_path / "model" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    hidden = vectors.rename(tmp_path / "away")
    with pytest.raises(DataError, match=r"no such file of word vectors: .*vectors.txt"):
        train(None, tmp_path / "model", resume=True)
    hidden.rename(vectors)
    train(None, tmp_path / "model", resume=True)
    assert contents(tmp_path / "model") == contents(straight(1))


def test_a_run_is_resumed_from_another_working_directory(data, vectors, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stopped(data, "vectors.txt", tmp_path / "model", 8)
    train(None, tmp_path / "model", resume=True, vectors="vectors.txt")
    stopped(data, "vectors.txt", tmp_path / "model2", 8)
    (tmp_path / "model2" / ".cache" / "vectors.json").write_text("{")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    train(None, tmp_path / "model2", resume=True)
    assert contents(tmp_path / "model") == contents(tmp_path / "model2")


def test_a_path_object_names_the_vectors_too(data, vectors):
    assert run(data, vectors, vectors=vectors, epochs=1).model.config.embedding_size == SIZE


REFUSED = {
    "another size": ({"embedding_size": 5}, ConfigError, "embedding_size = 5, .* 6 numbers"),
    "no words": (
        {"extend_vocab": 3, "tokenizer": "bpe"},
        ConfigError,
        "extend_vocab = 3 does not go with tokenizer = 'bpe'",
    ),
    "letters": (
        {"extend_vocab": 3, "tokenizer": "char"},
        ConfigError,
        "extend_vocab = 3 does not go with tokenizer = 'char'",
    ),
    "no vectors to extend by": (
        {"extend_vocab": 3, "vectors": None},
        ConfigError,
        "extend_vocab = 3 needs a file of word vectors: pass vectors",
    ),
    "no vectors to freeze": (
        {"freeze_vectors": -1, "vectors": None},
        ConfigError,
        "freeze_vectors = -1 needs pretrained vectors: pass vectors or init_from",
    ),
    "no vectors with a rate": (
        {"vector_rate": 0.5, "vectors": None},
        ConfigError,
        "vector_rate = 0.5 needs pretrained vectors: pass vectors or init_from",
    ),
    "no file": ({"vectors": "none.txt"}, DataError, "no such file of word vectors: .*none.txt"),
    "nothing that fits": (
        {"tokenizer": "char", "vocab_size": 6},
        DataError,
        "has a vector for none of the 4 entries",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused_and_changes_nothing(data, tmp_path, what):
    options, error, message = REFUSED[what]
    vectors = write_vectors(tmp_path / "vectors.txt", ["the", "film"])
    with pytest.raises(error, match=message):
        run(data, vectors, tmp_path / "model", **options)
    assert not (tmp_path / "model").exists()


def test_a_bad_line_is_found_before_anything_is_replaced(data, vectors, tmp_path):
    run(data, vectors, tmp_path / "model", epochs=1)
    before = contents(tmp_path / "model")
    vectors.write_text(vectors.read_text() + "ragged 1 2\n")
    for out, overwrite in ((tmp_path / "model", True), (tmp_path / "new", False)):
        with pytest.raises(DataError, match="line 9: 2 numbers, expected 6"):
            train(data, out, overwrite=overwrite, **OPTIONS, vectors=str(vectors))
    assert contents(tmp_path / "model") == before
    assert not (tmp_path / "new").exists()


def test_the_embedding_size_may_be_given_if_it_is_that_of_the_vectors(vectors):
    settings = read_options({"vectors": str(vectors), "embedding_size": SIZE})
    assert settings.model.embedding_size == SIZE


@pytest.mark.parametrize("kind", ["word", "basic_english", "whitespace"])
def test_every_kind_with_whole_words_can_be_extended(vectors, kind, tmp_path):
    settings = read_options(
        {"vectors": str(vectors), "extend_vocab": 8, "tokenizer": kind, "min_frequency": 1}
    )
    tokenizer = TextTokenizer.train(lambda: [["the film"]], settings.tokenizer)
    extended, pretrained = make_start(settings, None, lambda: [["the film"]])
    added = {
        "word": ["unheard", "a", "shining", "gloomy"],
        "basic_english": ["unheard", "a", "shining", "gloomy"],
        "whitespace": ["Bright", "unheard", "a", "it's", "shining", "gloomy"],
    }[kind]
    assert extended.vocabulary.get_itos() == [*tokenizer.vocabulary.get_itos(), *added]
    assert pretrained.matrix.shape == (4 + len(added), SIZE)
    assert pretrained.known.tolist() == [False] * 2 + [True] * (2 + len(added))
    assert extended.encode("gloomy the") == [3 + len(added), tokenizer.vocabulary["the"]]
    extended.save(tmp_path / "tokenizer.json")
    loaded = TextTokenizer.load(tmp_path / "tokenizer.json", max_length=9, truncation="head")
    assert loaded.encode("gloomy the") == extended.encode("gloomy the")
    assert loaded.kind == kind


def test_a_given_vocabulary_is_extended_too(data, vectors, tmp_path):
    (tmp_path / "vocab.txt").write_text("film\nbright\n")
    classifier = run(data, vectors, vocab=str(tmp_path / "vocab.txt"), extend_vocab=4, epochs=1)
    assert classifier.vocabulary.get_itos() == [
        "<pad>",
        "<unk>",
        "film",
        "bright",
        "the",
        "unheard",
        "a",
    ]


def test_no_vectors_leave_all_as_it_is():
    settings = read_options({"min_frequency": 1})
    assert settings.model.embedding_size == 100
    tokenizer, start = make_start(settings, None, lambda: [["a"]])
    assert tokenizer.vocabulary.get_itos() == ["<pad>", "<unk>", "a"]
    assert start is None


def test_frequent_words_of_the_vectors_are_entries_unless_told_otherwise(data, vectors, tmp_path):
    vocabulary = tmp_path / "own.txt"
    run(data, vectors, epochs=1).vocabulary.save(vocabulary)
    asked = {"vectors": str(vectors)}
    assert read_options(asked).tokenizer.extend_vocab == 50_000
    for without in ({"tokenizer": "bpe"}, {"vocab": str(vocabulary)}, {"extend_vocab": 0}):
        assert read_options({**asked, **without}).tokenizer.extend_vocab == 0
    assert read_options({}).tokenizer.extend_vocab == 0


def test_vectors_known_by_name_are_fetched_and_saved_by_their_name(data, tmp_path, monkeypatch):
    path = write_vectors(tmp_path / "vectors.txt")
    known = dataclasses.replace(KNOWN["wiki-news"], size=path.stat().st_size)
    monkeypatch.setitem(KNOWN, "wiki-news", known)
    monkeypatch.setattr(NamedVectors, "cached", lambda self: path)
    train(data, tmp_path / "model", vectors="wiki-news", **OPTIONS)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["settings"]["training"]["vectors"] == "wiki-news"
    assert config["training"]["vectors"] == "wiki-news"
    classifier = TextClassifier.load(tmp_path / "model")
    assert classifier.settings.model.embedding_size == SIZE
