"""The text estimator at work in scikit-learn: searches, pipelines, calibration, processes."""

import inspect
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from tiny_corpus import rows
from tiny_estimator import SMALL, modules_in

from textlstm import TextClassifier, TextLSTMClassifier
from textlstm.config import PRESETS, TRAIN_OPTIONS, DataConfig, TrainingConfig, TrainSettings
from textlstm.errors import ConfigError, TextLSTMError
from textlstm.estimator import read_texts
from textlstm.options import names_of
from textlstm.training.resolve import for_texts, read_options

pytestmark = pytest.mark.slow

X, Y = map(list, zip(*rows(120), strict=True))
X_NEW, Y_NEW = map(list, zip(*rows(40, seed=9), strict=True))


def small(**options):
    return TextLSTMClassifier(**{**SMALL, "min_frequency": 1, **options})


@pytest.fixture(scope="module")
def fitted():
    return small().fit(X, Y)


def test_the_parameters_are_the_options_of_training():
    found = {
        name: parameter.default
        for name, parameter in inspect.signature(TextLSTMClassifier).parameters.items()
    }
    assert found.pop("random_state") == TrainingConfig.seed
    assert found.pop("class_weight") is None
    of_files = {*names_of(DataConfig), "checkpoint_minutes", "report", "tensorboard"} - {
        "validation_fraction"
    }
    of_teacher = {"teacher", "teacher_weight", "teacher_temperature"}
    assert set(found) == set(TRAIN_OPTIONS) - of_files - of_teacher - {"seed"}
    settings = TrainSettings()
    for name, default in found.items():
        part = next(p for p in vars(settings).values() if hasattr(p, name))
        assert default == (None if name in PRESETS["small"] else getattr(part, name)), name
    assert set(TextLSTMClassifier().get_params()) == {*found, "random_state", "class_weight"}


def test_an_option_that_is_set_stays_whatever_the_number_of_texts():
    options = {"hidden_size": 128, "ngram_fit": "ratios"}  # of a training on many texts
    settings = for_texts(TextLSTMClassifier(**options)._settings(), 100)
    assert (settings.model.hidden_size, settings.training.ngram_fit) == (128, "ratios")
    assert settings.training.batch_size == PRESETS["small"]["batch_size"]
    assert for_texts(TextLSTMClassifier()._settings(), 10**6) == read_options({})


def test_class_weight_is_spelled_as_in_scikit_learn():
    assert small(class_weight="balanced")._settings().training.class_weights == ("balanced",)
    weighted = small(class_weight={"bad": 2.5, True: 3})._settings().training.class_weights
    assert weighted == ("bad=2.5", "true=3")
    assert small()._settings().training.class_weights == ()
    with pytest.raises(ConfigError, match="class_weight = 3: must be 'balanced', None, or a dict"):
        small(class_weight=3)._settings()


def test_a_class_that_no_row_has_may_have_a_weight():
    """As in scikit-learn: the rows of a fold may lack a rare class."""
    weights = {"bad": 2.0, "good": 1.0, "odd": 9.0}
    fitted = small(class_weight=weights, epochs=1).fit(X, Y)
    assert fitted.classifier_.settings.training.class_weights == ("bad=2.0", "good=1.0")
    with pytest.raises(ConfigError, match="'goood' is not a label"):  # and "good" has no weight
        small(class_weight={"bad": 2.0, "goood": 1.0}, epochs=1).fit(X, Y)
    with pytest.raises(ConfigError, match="'odd' is not a label"):
        small(class_weights=("odd=9",), epochs=1).fit(X, Y)


def test_init_only_stores_and_fit_complains():
    wrong = TextLSTMClassifier(hidden_size="wide", pooling=3)
    assert (wrong.hidden_size, wrong.pooling) == ("wide", 3)
    with pytest.raises(ConfigError, match="hidden_size = 'wide': must be a whole number"):
        wrong.fit(X, Y)
    with pytest.raises(TypeError, match="hiden_size"):
        TextLSTMClassifier(hiden_size=3)


def test_it_learns_and_gives_classes_and_probabilities(fitted):
    assert fitted.classes_.tolist() == ["bad", "good"]
    assert fitted.score(X_NEW, Y_NEW) > 0.9
    probabilities = fitted.predict_proba(X_NEW)
    assert probabilities.shape == (40, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    predicted = fitted.predict(X_NEW)
    assert predicted.dtype == fitted.classes_.dtype
    assert (predicted == fitted.classes_[probabilities.argmax(axis=1)]).all()
    assert fitted.predict([]).shape == (0,)
    assert fitted.n_iter_ == SMALL["epochs"]


@pytest.mark.parametrize("y", [[3, -1] * 60, [True, False] * 60, np.array(["é", "x"] * 60)])
def test_classes_keep_their_type(y):
    model = small(epochs=1).fit(X, y)
    assert model.classes_.tolist() == sorted(set(np.asarray(y).tolist()))
    assert set(model.predict(X_NEW).tolist()) <= set(np.asarray(y).tolist())


@pytest.mark.parametrize(
    "form",
    [
        tuple,
        np.array,
        pd.Series,
        lambda texts: pd.Series(texts, index=range(len(texts), 0, -1), dtype="string"),
        lambda texts: np.array(texts, dtype=object)[:, None],
        lambda texts: pd.DataFrame({"text": texts}),
        iter,
    ],
)
def test_texts_come_in_any_common_form(form, fitted):
    assert read_texts(form(X_NEW)) == X_NEW
    assert all(type(text) is str for text in read_texts(form(X_NEW)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("one text", r"texts = 'one text': must be a list of strings"),
        (["a", None], r"texts\[1\] = None: must be a string \(null\)"),
        (pd.Series(["a", None], dtype="string"), r"texts\[1\] = <NA>: must be a string"),
        ([["a"], ["b"]], r"texts\[0\] = \['a'\]: must be a string"),
        (np.array([["a", "b"]]), r"X has the shape \(1, 2\): must be one text a row"),
        (["a", " "], r"texts\[1\] = ' ' is blank: leave it out"),
        (np.array("a"), r"X has the shape \(\): must be one text a row"),
    ],
)
def test_what_is_no_text_is_named(wrong, message, fitted):
    with pytest.raises(ConfigError, match=message):
        fitted.predict(wrong)
    with pytest.raises(ConfigError, match=message):
        small().fit(wrong, ["a", "b"])


def test_before_fit_there_is_nothing_to_predict_with():
    with pytest.raises(NotFittedError):
        small().predict(X)
    with pytest.raises(NotFittedError):
        small().predict_proba(X)


def test_texts_and_classes_must_be_as_many():
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[120, 119\]"):
        small().fit(X, Y[1:])


def test_a_fit_forgets_the_one_before(fitted):
    model = small(epochs=2).fit(X, [y.upper() for y in Y])
    model.fit(X, Y)
    again = small(epochs=2).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X_NEW), again.predict_proba(X_NEW))


def test_the_classifier_inside_can_be_saved_as_a_model_folder(fitted, tmp_path):
    fitted.classifier_.save(tmp_path / "model")
    loaded = TextClassifier.load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(X_NEW), fitted.predict_proba(X_NEW))
    assert loaded.labels == ("bad", "good")
    assert loaded.record.rows == {"train": 120}
    assert loaded.record.metrics == {}
    assert loaded.cascade is None
    assert not any(name.startswith("validation") for name in loaded.record.history[0])
    assert loaded.record.training["epochs"] == SMALL["epochs"]


def test_the_vocabulary_is_that_of_the_rows_learned_from():
    texts = [*X, *X]
    classes = [*Y, *Y]
    model = small(epochs=1).fit([*texts, "once zebra"], [*classes, "bad"])
    held = model.classifier_.record
    assert held.rows == {"train": 217, "validation": 24}
    assert list(held.metrics) == ["validation"]
    assert held.metrics["validation"]["n"] == 24
    assert "validation_loss" in held.history[0]
    weights = np.ones(241)
    weights[-1] = 0
    unseen = small(epochs=1).fit([*texts, "once zebra"], [*classes, "bad"], weights)
    assert "zebra" not in unseen.classifier_.vocabulary


def test_the_model_has_the_cascade_that_its_results_show():
    model = small(epochs=1, ngrams=1).fit([*X, *X], [*Y, *Y]).classifier_
    assert model.cascade.to_dict()["certainty"]
    assert list(model.metrics["validation"]["cascade"]["certainty"]) == list(
        model.cascade.to_dict()["certainty"]
    )


def test_sample_weight_counts():
    texts, classes = ["the film"] * 60, ["bad", "good"] * 30
    weights = np.where(np.array(classes) == "good", 9, 1)
    model = small(epochs=30).fit(texts, classes, sample_weight=weights)
    assert model.predict_proba(["the film"])[0, 1] == pytest.approx(0.9, abs=0.04)


def test_vectors_set_the_embedding_size_unless_it_is_given(tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("dull 1 0 0\nbright 0 1 0\nfilm 0 0 1\n")
    model = TextLSTMClassifier(**{**SMALL, "embedding_size": 100, "epochs": 1}, vectors=str(file))
    assert model.fit(X, Y).classifier_.settings.model.embedding_size == 3
    with pytest.raises(TextLSTMError, match="embedding_size = 8, but the vectors"):
        small(vectors=str(file)).fit(X, Y)


def test_a_clone_has_the_parameters_and_no_model(fitted):
    other = clone(fitted)
    assert other.get_params() == fitted.get_params()
    assert not hasattr(other, "classes_")
    assert other.set_params(hidden_size=3).hidden_size == 3
    assert repr(other).startswith("TextLSTMClassifier(adversarial=0.0")


def test_a_grid_is_searched_and_the_best_refitted():
    grid = {"learning_rate": np.array([1e-6, 0.05]), "hidden_size": np.array([8])}
    search = GridSearchCV(small(), grid, cv=2, scoring="neg_log_loss").fit(X, Y)
    assert search.best_params_ == {"learning_rate": 0.05, "hidden_size": 8}
    assert search.predict_proba(X_NEW).shape == (40, 2)
    assert (search.classes_ == ["bad", "good"]).all()


def test_it_stands_at_the_end_of_a_pipeline():
    shout = FunctionTransformer(lambda texts: [text.upper() for text in texts])
    pipeline = make_pipeline(shout, small(tokenizer="whitespace"))
    weights = np.linspace(1, 2, len(X))
    pipeline.fit(X, Y, textlstmclassifier__sample_weight=weights)
    assert "DULL" in pipeline[-1].classifier_.vocabulary
    assert pipeline.score(X_NEW, Y_NEW) > 0.9


def test_it_can_be_calibrated():
    calibrated = CalibratedClassifierCV(small(epochs=4), cv=2, ensemble=False)
    calibrated.fit(X, Y, sample_weight=np.linspace(1, 2, len(X)))
    assert calibrated.predict_proba(X_NEW).shape == (40, 2)


def test_several_processes_give_the_scores_of_one():
    alone = cross_val_score(small(epochs=2), X, Y, cv=2, n_jobs=1)
    np.testing.assert_array_equal(cross_val_score(small(epochs=2), X, Y, cv=2, n_jobs=2), alone)


def test_joblib_and_pickle_keep_it_without_torch(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "model.joblib", compress=3)
    pickled = pickle.dumps(fitted)
    assert "torch" not in modules_in(pickled)
    for again in (joblib.load(tmp_path / "model.joblib"), pickle.loads(pickled)):
        np.testing.assert_array_equal(again.predict_proba(X_NEW), fitted.predict_proba(X_NEW))
        assert again.get_params() == fitted.get_params()
        assert again.classifier_.describe() == fitted.classifier_.describe()


def test_its_tags_say_that_it_takes_texts():
    tags = get_tags(small())
    assert tags.estimator_type == "classifier"
    assert tags.target_tags.required
    assert (tags.input_tags.string, tags.input_tags.two_d_array) == (True, False)
    assert tags.classifier_tags.multi_class
