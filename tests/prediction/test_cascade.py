"""The n-grams label what they are certain of, and the whole model all else: on every way."""

import csv
import json

import numpy as np
import pytest
from datasets import Dataset
from tiny_classifier import CASCADE, texts, tiny_classifier

from textlstm.cli import main
from textlstm.config import PredictionConfig
from textlstm.data.encoded import EncodedTexts
from textlstm.errors import ConfigError
from textlstm.evaluation.cascade import Cascade
from textlstm.nn.probabilities import answers, certainty, to_probabilities
from textlstm.prediction.engines import make_engine
from textlstm.prediction.spark import make_predict_fn

pytestmark = pytest.mark.slow

TEXTS = [text for text in texts(400, seed=3) if text]
SCALE = 1.5
SEVERAL = (0.4, 0.5, 0.6)


def ngram_probabilities(classifier, some=TEXTS):
    """Those of each text by itself."""
    import torch

    found = []
    for text in some:
        ids = torch.tensor([classifier.tokenizer.encode(text)])
        logits = classifier.model.ngrams(ids, torch.tensor([ids.shape[1]]))
        found.append(to_probabilities(logits * SCALE, multi_label=classifier.multi_label))
    return np.concatenate(found)


def cascaded(thresholds=None):
    """A classifier whose n-grams are certain enough of half of the texts at 0.01, of none at 0.001.

    The certainty lies between two texts, far enough that rounding changes nothing.
    """
    classifier = tiny_classifier(thresholds=thresholds)
    found = np.sort(certainty(ngram_probabilities(classifier), thresholds))
    middle = found[150:250]
    place = np.diff(middle).argmax()
    least = float(middle[place] + middle[place + 1]) / 2
    classifier.cascade = Cascade(SCALE, {**CASCADE.certainty, "0.001": None, "0.01": least})
    return classifier


@pytest.fixture(scope="module", params=[None, SEVERAL], ids=["one", "several"])
def classifier(request):
    return cascaded(request.param)


@pytest.fixture(scope="module")
def expected(classifier):
    """Probabilities, and which texts are skipped."""
    ngrams, whole = ngram_probabilities(classifier), classifier.predict_proba(TEXTS)
    skipped = certainty(ngrams, classifier.thresholds) >= classifier.cascade.certainty["0.01"]
    assert 0.2 < skipped.mean() < 0.8
    several = classifier.thresholds
    differ = answers(ngrams, several) != answers(whole, several)
    assert differ.reshape(len(TEXTS), -1).any(axis=1)[skipped].any()  # else no test could see it
    return np.where(skipped[:, None], ngrams, whole), skipped


def engine(classifier, **options):
    return make_engine(classifier, PredictionConfig(**options))


@pytest.mark.parametrize("options", [{}, {"engine": "onnx"}, {"batch_size": 3, "threads": 1}])
def test_an_engine_runs_the_lstm_only_on_what_the_ngrams_are_not_certain_of(
    classifier, expected, options
):
    if options.get("engine") == "onnx":
        pytest.importorskip("onnxruntime")
    made = engine(classifier, cascade=0.01, **options)
    found, skipped = made.predict(made.encode(TEXTS))
    np.testing.assert_array_equal(skipped, expected[1])
    np.testing.assert_allclose(found, expected[0], atol=2e-6)


def test_the_lstm_does_not_read_what_is_skipped(classifier, expected, monkeypatch):
    read = []
    branch = classifier.model.lstm_logits
    monkeypatch.setattr(
        classifier.model, "lstm_logits", lambda *given: read.append(len(given[1])) or branch(*given)
    )
    made = engine(classifier, cascade=0.01)
    made.predict(made.encode(TEXTS))
    assert sum(read) == (~expected[1]).sum()
    read.clear()
    made.predict(made.encode([text for text, by in zip(TEXTS, expected[1], strict=True) if by]))
    assert read == []


def test_a_result_does_not_depend_on_the_neighbours(classifier, expected):
    made = engine(classifier, cascade=0.01)
    order = np.random.default_rng(1).permutation(len(TEXTS))
    for rows in (*np.array_split(order, 7), order[:1], order[1:2]):
        found, skipped = made.predict(made.encode([TEXTS[row] for row in rows]))
        np.testing.assert_array_equal(skipped, expected[1][rows])
        np.testing.assert_allclose(found, expected[0][rows], atol=2e-6)


def test_the_classifier_says_which_part_predicted(classifier, expected):
    predictions = classifier.predict([*TEXTS, " "], cascade=0.01)
    assert [prediction.engine for prediction in predictions] == [
        *np.where(expected[1], "ngrams", "lstm").tolist(),
        None,
    ]
    found = [list(prediction.probabilities.values()) for prediction in predictions[:-1]]
    np.testing.assert_allclose(found, expected[0], atol=2e-6)
    assert {prediction.engine for prediction in classifier.predict(TEXTS)} == {"lstm"}


def test_an_evaluation_compares_what_is_predicted(classifier, expected, tmp_path):
    np.testing.assert_allclose(
        classifier.predict_proba(TEXTS, cascade=0.01), expected[0], atol=2e-6
    )
    predicted = classifier.predict(TEXTS, cascade=0.01)
    several = classifier.multi_label
    labels = [list(one.labels) if several else one.label for one in predicted]
    assert classifier.evaluate(TEXTS, labels, cascade=0.01)["accuracy"] == 1.0
    assert classifier.evaluate(TEXTS, labels)["accuracy"] < 1.0
    classifier.save(tmp_path / "model")
    lines = [json.dumps({"text": t, "label": one}) for t, one in zip(TEXTS, labels, strict=True)]
    (tmp_path / "data.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ["evaluate", str(tmp_path / "model"), str(tmp_path / "data.jsonl")]
    assert main([*words, "--cascade", "0.01", "--json", str(tmp_path / "out.json")]) == 0
    assert json.loads((tmp_path / "out.json").read_text())["accuracy"] == 1.0


def test_a_dataset_and_a_batch_of_map_get_the_same(classifier, expected):
    options = {"cascade": 0.01, "engine_column": "by", "probabilities": True}
    labelled = classifier.classify_dataset(Dataset.from_dict({"text": TEXTS}), **options)
    assert labelled["by"] == np.where(expected[1], "ngrams", "lstm").tolist()
    column = f"probability_{classifier.labels[0]}"
    np.testing.assert_allclose(labelled[column], expected[0][:, 0], atol=2e-6)
    batch = classifier.classify_batch({"text": TEXTS}, **options)
    assert batch["by"] == labelled["by"]
    np.testing.assert_allclose(batch[column], labelled[column], atol=2e-6)


def test_the_dataset_cache_knows_cascades_apart(classifier):
    dataset = Dataset.from_dict({"text": TEXTS[:10]})
    whole = classifier.classify_dataset(dataset, engine_column="by")
    assert set(whole["by"]) == {"lstm"}
    assert set(classifier.classify_dataset(dataset, cascade=0.01, engine_column="by")["by"]) != {
        "lstm"
    }


def test_spark_gets_the_same(classifier, expected, tmp_path):
    classifier.save(tmp_path / "model")
    predict = make_predict_fn(tmp_path / "model", cascade=0.01)
    found = predict(np.array(TEXTS, object))["label"].tolist()
    assert found == classifier.classify_batch({"text": TEXTS}, cascade=0.01)["label"]
    assert found != make_predict_fn(tmp_path / "model")(np.array(TEXTS, object))["label"].tolist()


def test_the_command_writes_which_part_labelled_each_row(classifier, expected, tmp_path):
    classifier.save(tmp_path / "model")
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([text] for text in TEXTS), [" "]])
    words = ["predict", str(tmp_path / "model"), str(tmp_path / "in.csv"), "--engine-column", "by"]

    def rows(name, *options):
        assert main([*words, "--out", str(tmp_path / name), *options]) == 0
        with (tmp_path / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    found = rows("out.csv", "--cascade", "0.01", "--chunk-rows", "64")
    assert list(found[0]) == ["text", "label", "score", "by", "error"]
    by = [*np.where(expected[1], "ngrams", "lstm").tolist(), ""]
    assert [row["by"] for row in found] == by
    assert {row["by"] for row in rows("whole.csv")} == {"lstm", ""}


def test_the_column_needs_a_name_of_its_own(classifier, tmp_path, capsys):
    classifier.save(tmp_path / "model")
    words = ["predict", str(tmp_path / "model"), "--text", "dull", "--engine-column", "label"]
    assert main(words) == 2
    assert "two added columns would be named 'label'" in capsys.readouterr().err


def test_where_too_few_texts_were_there_to_tell_nothing_is_skipped(classifier, caplog):
    made = engine(classifier, cascade=0.001)
    found, skipped = made.predict(made.encode(TEXTS))
    assert not skipped.any()
    np.testing.assert_array_equal(found, engine(classifier).predict(made.encode(TEXTS))[0])
    assert "cascade = 0.001 skips no text" in caplog.text
    assert "textlstm calibrate" in caplog.text


@pytest.mark.parametrize("options", [{}, {"engine": "onnx"}])
def test_a_model_without_a_cascade_names_the_remedy(options):
    with pytest.raises(ConfigError, match=r"cascade = 0\.01: .*textlstm calibrate MODEL DATA"):
        engine(tiny_classifier(), cascade=0.01, **options)
    with pytest.raises(ConfigError, match=r"cascade = 0\.01: the model has no n-grams"):
        engine(tiny_classifier(ngrams=0), cascade=0.01, **options)
    with pytest.raises(ConfigError, match=r"textlstm calibrate"):
        tiny_classifier().predict(["a"], cascade=0.01)


def test_another_share_is_refused(classifier):
    with pytest.raises(ConfigError, match=r"cascade = 0\.003: must be one of 0\.0005, 0\.001"):
        PredictionConfig(cascade=0.003)
    with pytest.raises(ConfigError, match=r"cascade = 0\.003"):
        classifier.predict(["a"], cascade=0.003)


@pytest.mark.slow
def test_other_thresholds_than_the_fitted_ones_are_refused():
    with pytest.raises(ConfigError, match=r"cascade = 0\.01 and threshold = 0\.3"):
        cascaded(SEVERAL).predict(["a"], cascade=0.01, threshold=0.3)
    cascaded().predict(["a"], cascade=0.01, threshold=0.3)


def test_a_run_is_resumed_with_the_same_cascade_only(classifier):
    one = engine(classifier, cascade=0.01).signature()
    other = cascaded(classifier.thresholds)
    other.cascade = Cascade(SCALE, {**other.cascade.certainty, "0.01": 0.7})
    assert engine(other, cascade=0.01).signature() != one


def test_rows_are_taken_in_any_order():
    some = EncodedTexts.from_batches([(np.arange(1, 8), np.array([2, 1, 4]))])
    taken = some.take(np.array([2, 0]))
    assert [ids.tolist() for ids in np.split(taken.ids, taken.offsets[1:-1])] == [
        [4, 5, 6, 7],
        [1, 2],
    ]
    assert len(some.take(np.array([], int))) == 0


def test_an_exported_folder_has_the_ngrams_and_predicts_the_same(classifier, expected, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from textlstm.export.formats import export_model
    from textlstm.export.onnx_model import OnnxModel

    export_model(classifier, "onnx", tmp_path / "onnx")
    assert json.loads((tmp_path / "onnx" / "cascade.json").read_text()) == (
        classifier.cascade.to_dict()
    )
    model = OnnxModel(tmp_path / "onnx")
    assert model.cascade == classifier.cascade
    made = engine(model, engine="onnx", cascade=0.01)
    found, skipped = made.predict(made.encode(TEXTS))
    np.testing.assert_array_equal(skipped, expected[1])
    np.testing.assert_allclose(found, expected[0], atol=2e-6)
    before = model.fingerprint()
    for name in ("ngrams.onnx", "cascade.json"):  # a run is resumed with the same files only
        file = tmp_path / "onnx" / name
        content = file.read_bytes()
        file.write_bytes(content + b" ")
        assert model.fingerprint() != before
        file.write_bytes(content)
    (tmp_path / "onnx" / "cascade.json").unlink()
    with pytest.raises(ConfigError, match=r"export again"):
        engine(OnnxModel(tmp_path / "onnx"), engine="onnx", cascade=0.01)
