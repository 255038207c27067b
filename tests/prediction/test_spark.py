"""The function for Spark labels what Spark hands over, and can travel to its workers."""

import ast
import os
import shutil
import sys
from functools import partial

import numpy as np
import pytest
import torch
from tiny_classifier import texts, tiny_classifier, tiny_tagger

from textlstm.errors import ModelFolderError
from textlstm.prediction import spark
from textlstm.prediction.spark import make_predict_fn


@pytest.fixture(scope="module")
def classifier():
    return tiny_classifier()


@pytest.fixture(scope="module")
def folder(classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("spark") / "model"
    classifier.save(path)
    return path


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_batch_gets_labels_scores_and_reasons(classifier, folder):
    some = texts(20)
    cells = np.array([*some[:10], None, 7, *some[10:]], object)
    found = make_predict_fn(folder)(cells)
    assert list(found) == ["label", "score", "error"]
    assert all(column.shape == (22,) for column in found.values())
    expected = classifier.predict(some)
    assert [*found["label"][:10], *found["label"][12:]] == [item.label for item in expected]
    scores = np.array([*found["score"][:10], *found["score"][12:]], float)
    np.testing.assert_allclose(scores, [item.score for item in expected], atol=1e-6)
    assert found["label"][10] is found["score"][10] is None
    assert found["error"].tolist() == [None] * 10 + ["null", "not a string"] + [None] * 10


def test_an_empty_batch_gives_empty_columns(folder):
    found = make_predict_fn(folder)(np.array([], object))
    assert {name: len(column) for name, column in found.items()} == {
        "label": 0,
        "score": 0,
        "error": 0,
    }


def test_it_computes_in_one_thread_unless_told_otherwise(folder):
    torch.set_num_threads(2)
    make_predict_fn(folder, threads=None)
    assert torch.get_num_threads() == 2
    make_predict_fn(folder)
    assert torch.get_num_threads() == 1


def test_it_travels_to_workers_without_the_model(folder):
    """Spark pickles the function that makes the function, by the library cloudpickle."""
    cloudpickle = pytest.importorskip("cloudpickle")
    packed = cloudpickle.dumps(partial(make_predict_fn, str(folder)))
    assert len(packed) < 2000
    found = cloudpickle.loads(packed)()(["a dull film"])
    assert found["label"][0] is not None


def test_a_missing_model_is_told(tmp_path):
    with pytest.raises(ModelFolderError, match="no-model"):
        make_predict_fn(tmp_path / "no-model")


def example():
    """Give the lines of the module's docstring that are code, as they stand there."""
    lines = spark.__doc__.splitlines()
    return "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    "))


def test_the_example_of_the_documentation_names_what_there_is(folder):
    assert [type(part) for part in ast.parse(example()).body][-2:] == [ast.Assign, ast.Expr]
    found = make_predict_fn(folder)(np.array(["a dull film"], object))
    assert all(f'StructField("{name}", ' in example() for name in found)


def test_the_example_of_the_documentation_runs_on_spark(classifier, folder, monkeypatch):
    pytest.importorskip("pyspark", reason="Spark is not installed: pip install pyspark")
    if not shutil.which("java"):
        pytest.skip("Spark needs Java")
    from pyspark.sql import SparkSession

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = session.getOrCreate()
    try:
        some = texts(50)
        rows = [(number, text) for number, text in enumerate([*some, None])]
        reviews = session.createDataFrame(rows, "id int, text string").repartition(3)
        source = example().replace("/shared/my-model", str(folder))
        head, _, last = source.strip().rpartition("\n")
        names = {"reviews": reviews}
        exec(head, names)
        labelled = sorted(eval(last, names).collect(), key=lambda row: row["id"])
    finally:
        session.stop()
    assert labelled[0].asDict().keys() >= {"id", "text", "label", "score", "error"}
    assert [row["text"] for row in labelled] == [*some, None]
    expected = classifier.predict(some)
    assert [row["label"] for row in labelled[:-1]] == [item.label for item in expected]
    scores = [row["score"] for row in labelled[:-1]]
    np.testing.assert_allclose(scores, [item.score for item in expected], atol=1e-6)
    assert (labelled[-1]["label"], labelled[-1]["error"]) == (None, "null")


@pytest.mark.parametrize("count", [1, 3, 20])
def test_several_labels_are_lists(tmp_path, count):
    tagger = tiny_tagger()
    tagger.save(tmp_path / "m")
    some = texts(count)
    found = make_predict_fn(tmp_path / "m")(np.array(some, object))
    assert found["label"].shape == (count,)
    assert found["label"].tolist() == [list(item.labels) for item in tagger.predict(some)]


def test_a_label_with_a_low_score_is_left_out(folder):
    found = make_predict_fn(folder, min_score=1.0)(["a dull film"])
    assert found["label"].tolist() == [None]
    assert found["score"][0] < 1
    assert found["error"].tolist() == ["score below 1"]
