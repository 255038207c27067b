import itertools
import json
import pickle
import threading
from collections import namedtuple

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from tiny_classifier import LABELS, METRICS, RECORD, needs_bf16, texts, tiny_classifier, tiny_tagger

from textlstm import TextClassifier as ExportedName
from textlstm.classifier.classifier import Prediction, TextClassifier
from textlstm.classifier.json_files import FILES
from textlstm.config import POOLINGS
from textlstm.data.corpus import load_corpus
from textlstm.errors import ConfigError, DataError, ModelFolderError
from textlstm.evaluation.metrics import Answers

TEXTS = [*texts(40), "?", "never-seen words, zzz"]


@pytest.fixture(scope="module")
def classifier():
    return tiny_classifier()


def test_a_prediction_names_the_most_probable_label(classifier):
    predictions = classifier.predict(TEXTS)
    probabilities = classifier.predict_proba(TEXTS)
    assert len(predictions) == len(TEXTS)
    assert len({p.label for p in predictions}) == 3
    for prediction, row in zip(predictions, probabilities, strict=True):
        assert isinstance(prediction, Prediction)
        assert prediction.label == LABELS[row.argmax()]
        assert prediction.score == row.max()
        assert list(prediction.probabilities) == list(LABELS)
        assert list(prediction.probabilities.values()) == row.tolist()


def test_probabilities_have_a_row_per_text_and_a_column_per_label(classifier):
    found = classifier.predict_proba(TEXTS)
    assert found.shape == (len(TEXTS), 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", POOLINGS)
def test_prediction_does_not_depend_on_the_texts_around_it(pooling):
    classifier = tiny_classifier(pooling=pooling)
    alone = np.concatenate([classifier.predict_proba([text]) for text in TEXTS])
    order = np.random.default_rng(3).permutation(len(TEXTS))
    shuffled = classifier.predict_proba([TEXTS[i] for i in order], batch_size=5)
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), alone, atol=1e-6)
    np.testing.assert_allclose(shuffled, alone[order], atol=1e-6)


def test_no_texts_give_no_predictions(classifier):
    assert classifier.predict([]) == []
    assert classifier.predict_proba([]).shape == (0, 3)
    assert list(classifier.predict_batches([])) == []
    assert [batch.shape for batch in classifier.predict_batches([[]])] == [(0, 3)]


@pytest.mark.slow
def test_a_blank_text_keeps_its_place_without_a_label(classifier, caplog):
    given = ["", *TEXTS, " \t", "\u3000"]
    found = classifier.predict(given * 60, batch_size=50)
    assert found[1 : len(TEXTS) + 1] == classifier.predict(TEXTS)
    blank = Prediction(None, None, {}, (), "blank")
    assert [found[place] for place in (0, -1, -2)] == [blank] * 3
    assert sum(prediction.error == "blank" for prediction in found) == 180
    assert caplog.messages == [f"blank texts: 180 of {len(given) * 60:,} (no label)"]
    assert classifier.predict([" "]) == [blank]
    assert "no label: blank" in blank._repr_html_()


def test_where_an_array_is_returned_a_blank_text_is_refused_by_its_place(classifier):
    with pytest.raises(ConfigError, match=r"texts\[1\] = ' ' is blank: leave it out"):
        classifier.predict_proba(["a", " "])
    with pytest.raises(ConfigError, match=r"texts\[0\] = '' is blank"):
        list(classifier.predict_batches([["a"], [""]]))
    with pytest.raises(ConfigError, match="is blank"):
        classifier.explain("")


def test_blank_texts_are_not_evaluated(classifier, caplog):
    expected = classifier.evaluate(["a film", "the plot"], ["bad", "good"])
    assert classifier.evaluate(["a film", "", "the plot"], ["bad", "bad", "good"]) == expected
    assert "blank texts: 1 of 3 (left out)" in caplog.messages
    given = {"test": (["a film", "", "the plot"], ["bad", "bad", "good"])}
    assert classifier.evaluate(given) == expected


def test_texts_may_be_any_iterable_of_strings(classifier):
    expected = classifier.predict_proba(TEXTS)
    for given in (tuple(TEXTS), iter(TEXTS), np.array(TEXTS), dict.fromkeys(TEXTS).keys()):
        found = classifier.predict_proba(given)
        np.testing.assert_array_equal(found, expected[: len(found)])


@pytest.mark.parametrize(
    "given",
    ["one text", b"bytes", {"text": "a"}, 7, None],
    ids=["str", "bytes", "dict", "int", "None"],
)
@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_iter", "predict_batches"])
def test_what_is_no_list_is_refused_at_once(classifier, given, method):
    with pytest.raises(ConfigError, match=f"texts = {str(repr(given))[:3]}.*pass \\[text\\]"):
        getattr(classifier, method)(given)


def test_a_list_of_texts_where_lists_are_asked_for_is_refused(classifier):
    with pytest.raises(ConfigError, match="texts = 'a film'"):
        list(classifier.predict_batches(["a film"]))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(None, "null"), (float("nan"), "null"), (3, "not a string"), ("\udc80", "not UTF-8")],
)
def test_an_item_that_is_no_text_is_named_by_its_place(classifier, bad, reason):
    given = ["a"] * 1005 + [bad]
    with pytest.raises(ConfigError, match=rf"texts\[1005\] = .*{reason}"):
        classifier.predict_proba(given)


@pytest.mark.slow
def test_an_iterator_of_predictions_reads_no_further_than_a_window(classifier):
    read = itertools.count()
    endless = (f"the film {next(read)}" for _ in itertools.count())
    stream = classifier.predict_iter(endless)
    assert next(read) == 0
    first = next(stream)
    assert next(read) < 6000
    expected = classifier.predict(["the film 1"])[0]
    assert first.label == expected.label
    assert first.probabilities == pytest.approx(expected.probabilities, abs=1e-6)


def test_batches_of_texts_give_batches_of_probabilities(classifier):
    batches = [TEXTS[:3], [], TEXTS[3:]]
    found = list(classifier.predict_batches(iter(batches)))
    assert [len(batch) for batch in found] == [3, 0, len(TEXTS) - 3]
    np.testing.assert_allclose(np.concatenate(found), classifier.predict_proba(TEXTS), atol=1e-6)


@pytest.mark.slow
def test_several_threads_may_share_a_classifier(classifier):
    expected = classifier.predict_proba(TEXTS)
    differences = []

    def read(shift):
        given = TEXTS[shift:] + TEXTS[:shift]
        for _ in range(5):
            found = classifier.predict_proba(given, batch_size=4 + shift)
            differences.append(np.abs(found - np.roll(expected, -shift, axis=0)).max())

    threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(differences) == 20
    assert max(differences) < 1e-6


# evaluation


def labels_of(classifier, wrong=3):
    """The classifier's own labels, the first few of them made wrong."""
    names = [prediction.label for prediction in classifier.predict(TEXTS)]
    other = dict(zip(LABELS, LABELS[1:] + LABELS[:1], strict=True))
    return [other[name] if i < wrong else name for i, name in enumerate(names)]


class FakeSplit:
    columns = ("text",)  # as a `Split` has; a DataFrame has some too

    def __init__(self, labels):
        self.labels = labels

    def texts(self, batch_size=7):
        for start in range(0, len(TEXTS), batch_size):
            yield TEXTS[start : start + batch_size]


def test_evaluation_takes_names_ids_or_a_split(classifier):
    names = labels_of(classifier)
    ids = np.array([LABELS.index(name) for name in names])
    by_name = classifier.evaluate(TEXTS, names)
    assert by_name["n"] == len(TEXTS)
    assert by_name["accuracy"] == pytest.approx(1 - 3 / len(TEXTS))
    assert by_name["labels"] == list(LABELS)
    assert classifier.evaluate(TEXTS, ids) == by_name
    assert classifier.evaluate(iter(TEXTS), ids.tolist()) == by_name
    assert classifier.evaluate(FakeSplit(ids))["confusion_matrix"] == by_name["confusion_matrix"]
    assert json.loads(json.dumps(by_name)) == by_name


def test_the_labels_of_a_split_may_be_in_another_order(classifier, tagger):
    order = LABELS[::-1]
    ids = np.array([order.index(name) for name in labels_of(classifier)])
    split = FakeSplit(ids)
    split.names = order
    assert classifier.evaluate(split) == classifier.evaluate(TEXTS, labels_of(classifier))
    names = [list(prediction.labels) for prediction in tagger.predict(TEXTS)]
    several = FakeSplit(np.array([[name in row for name in order] for row in names]))
    several.names = order
    assert tagger.evaluate(several) == tagger.evaluate(TEXTS, names)


def test_a_split_loaded_by_itself_is_read_by_its_label_names(classifier):
    names = labels_of(classifier)
    feature = datasets.ClassLabel(names=list(LABELS[::-1]))
    features = datasets.Features({"text": datasets.Value("string"), "label": feature})
    data = datasets.Dataset.from_dict({"text": TEXTS, "label": names}, features)
    split = load_corpus(data).train
    assert split.names == LABELS[::-1]
    texts = [text for batch in split.texts() for text in batch]
    expected = classifier.evaluate(texts, [split.names[number] for number in split.labels])
    assert classifier.evaluate(split) == expected


def test_labels_of_a_split_that_the_model_does_not_know_are_refused(classifier, tagger):
    split = FakeSplit(np.zeros(len(TEXTS), np.int64))
    split.names = (*LABELS, "odd")
    with pytest.raises(ConfigError, match="the split has the label 'odd', which the model does"):
        classifier.evaluate(split)
    with pytest.raises(ConfigError, match="the split has 4 labels, and the model 3"):
        classifier.evaluate(FakeSplit(np.full(len(TEXTS), 3)))
    with pytest.raises(ConfigError, match="the split has 2 labels, and the model 3"):
        tagger.evaluate(FakeSplit(np.zeros((len(TEXTS), 2), bool)))


def test_a_table_is_no_split_whatever_its_columns_are_named(classifier):
    names = labels_of(classifier)
    expected = classifier.evaluate(TEXTS, names)
    frame = pd.DataFrame({"texts": TEXTS, "labels": names})
    columns = {"text_column": "texts", "label_column": "labels"}
    assert classifier.evaluate(frame, **columns) == expected
    pair = namedtuple("Pair", "texts labels")(TEXTS, names)
    assert classifier.evaluate(pair) == expected


def test_numbers_that_are_names_are_never_read_as_ids():
    classifier = tiny_classifier(labels=("1", "2", "3"))
    ids = classifier.predict_proba(TEXTS).argmax(axis=1)
    assert classifier.evaluate(TEXTS, ids + 1)["accuracy"] == 1
    with pytest.raises(ConfigError, match="unknown label '0'"):
        classifier.evaluate(TEXTS, [0] * len(TEXTS))


def test_booleans_are_labels_as_data_writes_them():
    classifier = tiny_classifier(labels=("false", "true"))
    ids = classifier.predict_proba(TEXTS).argmax(axis=1)
    assert classifier.evaluate(TEXTS, [bool(i) for i in ids])["accuracy"] == 1
    assert classifier.evaluate(TEXTS, ids == 1)["accuracy"] == 1


def test_evaluation_refuses_labels_that_do_not_fit(classifier):
    with pytest.raises(ConfigError, match=r"unknown label 'awful', 'so-so': .* bad, good"):
        classifier.evaluate(["a", "b", "c"], ["so-so", "bad", "awful"])
    with pytest.raises(ConfigError, match="unknown label '3'"):
        classifier.evaluate(["a"], [3])
    with pytest.raises(ConfigError, match="2 texts and 1 labels"):
        classifier.evaluate(["a", "b"], ["bad"])
    with pytest.raises(ConfigError, match="labels are missing"):
        classifier.evaluate(["a"])
    with pytest.raises(ConfigError, match="a split has its labels"):
        classifier.evaluate(FakeSplit(np.zeros(len(TEXTS), np.int64)), ["bad"])
    with pytest.raises(DataError, match="0 texts"):
        classifier.evaluate([], [])


# from folder to folder


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pooling": "attention", "num_layers": 1, "bidirectional": False},
        {"pooling": "max", "tokenizer": "char", "max_length": 7, "truncation": "tail"},
    ],
)
def test_a_saved_classifier_loads_equal(tmp_path, options):
    classifier = tiny_classifier(**options)
    classifier.save(tmp_path / "model")
    loaded = TextClassifier.load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), classifier.predict_proba(TEXTS))
    assert loaded.labels == LABELS
    assert loaded.settings == classifier.settings
    assert loaded.record == RECORD
    assert loaded.metrics == {"validation": METRICS}
    assert loaded.vocabulary == classifier.vocabulary
    assert loaded.vocabulary.counts == classifier.vocabulary.counts
    assert loaded.tokenizer.kind == classifier.tokenizer.kind
    assert not loaded.model.training


def test_a_loaded_classifier_saves_the_same_bytes(tmp_path, classifier):
    classifier.save(tmp_path / "one" / "model")
    TextClassifier.load(tmp_path / "one" / "model").save(tmp_path / "two" / "model")
    for name in (path.name for path in (tmp_path / "one" / "model").iterdir()):
        one, two = ((tmp_path / n / "model" / name).read_bytes() for n in ("one", "two"))
        assert one == two, name


def test_loading_draws_no_random_numbers(tmp_path, classifier):
    classifier.save(tmp_path)
    state = torch.get_rng_state()
    TextClassifier.load(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_loaded_model_lives_on_when_its_files_go(tmp_path, classifier):
    classifier.save(tmp_path)
    loaded = TextClassifier.load(tmp_path)
    with (tmp_path / FILES.weights).open("r+b") as file:
        file.truncate(0)
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), classifier.predict_proba(TEXTS))


def test_a_loaded_model_can_be_trained_on(tmp_path, classifier):
    classifier.save(tmp_path)
    model = TextClassifier.load(tmp_path).model
    model(torch.tensor([[2, 3]]), torch.tensor([2])).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert not model.embedding.weight.grad[0].any()


def test_weights_that_do_not_fit_the_settings_are_refused_by_name(tmp_path, classifier):
    classifier.save(tmp_path)
    path = tmp_path / FILES.config
    config = json.loads(path.read_text())
    config["settings"]["model"]["hidden_size"] = 7
    path.write_text(json.dumps(config))
    with pytest.raises(ModelFolderError, match=r"model\.safetensors: lstm\.weight_ih_l0 .*24.*28"):
        TextClassifier.load(tmp_path)
    config["settings"]["model"] |= {"hidden_size": 6, "pooling": "attention"}
    path.write_text(json.dumps(config))
    with pytest.raises(ModelFolderError, match=r"pooling\.hidden\.weight is missing"):
        TextClassifier.load(tmp_path)


def test_labels_that_do_not_fit_the_weights_are_refused(tmp_path, classifier):
    classifier.save(tmp_path)
    path = tmp_path / FILES.config
    config = json.loads(path.read_text())
    config["labels"] = ["bad", "good"]
    del config["sha256"]["labels"]  # folders of version 0.1.0 have none
    path.write_text(json.dumps(config))
    with pytest.raises(ModelFolderError, match=r"linear\.weight is \[3, 12\].*\[2, 12\]"):
        TextClassifier.load(tmp_path)


def test_parts_that_do_not_fit_make_no_classifier(classifier):
    model, tokenizer, settings = classifier.model, classifier.tokenizer, classifier.settings
    for labels in (("bad", "good"), ("bad", "bad", "good")):
        with pytest.raises(ConfigError, match=r"labels = \('bad',.*3 different names"):
            TextClassifier(model, tokenizer, labels, settings)
    for labels in ("abc", (0, 1, 2)):
        with pytest.raises(ConfigError, match=r"labels = .*must be a list of strings"):
            TextClassifier(model, tokenizer, labels, settings)
    with pytest.raises(ConfigError, match=r"labels = \('only',\): .*at least 2"):
        tiny_classifier(labels=("only",))
    other = tiny_classifier(tokenizer="char")
    with pytest.raises(ConfigError, match="entries: must have"):
        TextClassifier(model, other.tokenizer, LABELS, settings)
    other = tiny_classifier(pooling="max")
    with pytest.raises(ConfigError, match="pooling='max'"):
        TextClassifier(model, tokenizer, LABELS, other.settings)
    other = tiny_classifier(max_length=21)
    with pytest.raises(ConfigError, match=r"max_length, truncation = .*21"):
        TextClassifier(model, tokenizer, LABELS, other.settings)


def test_a_device_that_is_not_there_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ConfigError, match="device = 'gpu'"):
        TextClassifier.load(tmp_path / "nothing", device="gpu")


@needs_bf16
def test_precision_is_chosen_at_loading_and_fp32_unless_asked(tmp_path, classifier):
    classifier.save(tmp_path)
    exact = classifier.predict_proba(TEXTS)
    np.testing.assert_array_equal(TextClassifier.load(tmp_path).predict_proba(TEXTS), exact)
    rough = TextClassifier.load(tmp_path, precision="bf16", device="cpu")
    assert rough.model.compute_dtype == torch.bfloat16
    difference = np.abs(rough.predict_proba(TEXTS) - exact).max()
    assert 0 < difference < 0.1
    rough.save(tmp_path / "again")
    again = TextClassifier.load(tmp_path / "again").predict_proba(TEXTS)
    np.testing.assert_array_equal(again, exact)
    with pytest.raises(ConfigError, match="precision = 'fp8'"):
        TextClassifier.load(tmp_path, precision="fp8")


def test_a_classifier_describes_itself(classifier):
    assert ExportedName is TextClassifier
    text = repr(classifier)
    for part in ("3 labels: bad, good", "word tokenizer", "2 x 6 BiLSTM", "final", "cpu"):
        assert part in text
    assert "\n" not in text
    found = classifier.describe()
    assert json.loads(json.dumps(found)) == found
    lstm = 8 * 6 * (5 + 6 + 2) + 8 * 6 * (12 + 6 + 2)  # two layers, two directions, four gates
    entries = len(classifier.vocabulary)
    assert found["sizes"] == {
        "vocabulary": entries,
        "parameters": entries * 5 + lstm + 12 * 3 + 3 + (entries + 50) * 3 + 3 + 2,  # with n-grams
    }
    assert found["labels"] == list(LABELS)
    assert found["settings"]["model"]["hidden_size"] == 6
    assert found["data"]["rows"] == {"train": 1200, "validation": 4}
    assert found["metrics"]["validation"]["accuracy"] == 0.75


# several labels a text


@pytest.fixture(scope="module")
def tagger():
    return tiny_tagger()


def test_several_labels_are_those_that_reach_their_thresholds(tagger):
    found = tagger.predict(TEXTS)
    assert {len(prediction.labels) for prediction in found} >= {0, 1, 2}
    for prediction in found:
        named = prediction.probabilities
        expected = [n for n, t in zip(LABELS, tagger.thresholds, strict=True) if named[n] >= t]
        assert list(prediction.labels) == sorted(expected, key=named.get, reverse=True)
        assert prediction.label == (prediction.labels or ("",))[0]
        sure = [named[n] if n in expected else 1 - named[n] for n in LABELS]
        assert prediction.score == pytest.approx(np.prod(sure), rel=1e-5)
    assert tagger.predict_proba(TEXTS).sum(axis=1).max() > 1.1


def test_of_one_label_the_labels_are_that_one(classifier):
    for prediction in classifier.predict(TEXTS[:5]):
        assert prediction.labels == (prediction.label,)
        assert prediction.score == max(prediction.probabilities.values())


def test_several_labels_survive_folder_and_pickle(tagger, tmp_path):
    tagger.save(tmp_path / "m")
    for again in (TextClassifier.load(tmp_path / "m"), pickle.loads(pickle.dumps(tagger))):
        assert again.multi_label
        assert again.thresholds == tagger.thresholds
        assert again.fingerprint() == tagger.fingerprint()
        assert again.predict(TEXTS) == tagger.predict(TEXTS)
    assert tagger.fingerprint() != tiny_tagger(thresholds=(0.4, 0.5, 0.7)).fingerprint()


def test_evaluation_of_several_labels_takes_lists_or_a_split(tagger):
    names = [list(prediction.labels) for prediction in tagger.predict(TEXTS)]
    names[0] = [name for name in LABELS if name not in names[0]]
    ids = [[LABELS.index(name) for name in row] for row in names]
    matrix = np.array([[name in row for name in LABELS] for row in names])
    figures = tagger.evaluate(TEXTS, names)
    assert figures["accuracy"] == pytest.approx(1 - 1 / len(TEXTS))
    assert figures["per_label"][LABELS[2]]["threshold"] == 0.6
    assert tagger.evaluate(TEXTS, ids) == tagger.evaluate(FakeSplit(matrix)) == figures


def test_labels_of_the_other_kind_are_refused(classifier, tagger):
    with pytest.raises(ConfigError, match=r"labels of text 1 are 'bad': .* pass a list for each"):
        tagger.evaluate(["a", "b"], ["bad", "good"])
    with pytest.raises(ConfigError, match=r"unknown label \"\['bad'\]\""):
        classifier.evaluate(["a"], [["bad"]])
    with pytest.raises(ConfigError, match="one label a text, and the model gives any number"):
        tagger.evaluate(FakeSplit(np.zeros(len(TEXTS), np.int64)))
    with pytest.raises(
        ConfigError, match="any number of labels a text, and the model gives one label"
    ):
        classifier.evaluate(FakeSplit(np.zeros((len(TEXTS), 3), bool)))


def test_an_evaluation_holds_some_texts_at_a_time(classifier, monkeypatch):
    texts = [f"a film {number % 7}" for number in range(30)]
    expected = classifier.evaluate(texts, ["good"] * 30)
    sizes = []
    of = Answers.of
    monkeypatch.setattr(Answers, "of", lambda ids, part: sizes.append(len(part)) or of(ids, part))
    monkeypatch.setattr("textlstm.classifier.texts._BATCH", 4)
    monkeypatch.setattr("textlstm.classifier.predictor.WINDOW_ROWS", 8)
    found = classifier.evaluate(texts, ["good"] * 30)
    assert sizes == [4] * 7 + [2]
    assert found["confusion_matrix"] == expected["confusion_matrix"]
