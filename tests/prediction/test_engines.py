"""Engines give the classifier's own numbers, and name all that shapes them."""

import numpy as np
import pytest
import torch
from tiny_classifier import texts, tiny_classifier

from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError
from textlstm.prediction.engines import TorchEngine, make_engine


@pytest.fixture(scope="module")
def classifier():
    return tiny_classifier(text_column=["body"])


def judged(engine, some):
    return engine.judge(engine.encode(some))


def test_torch_gives_what_the_classifier_gives(classifier):
    engine = make_engine(classifier, PredictionConfig(batch_size=7))
    assert isinstance(engine, TorchEngine)
    assert engine.labels == classifier.labels
    assert engine.trained_columns == ("body",)
    some = texts(50)
    np.testing.assert_array_equal(
        judged(engine, some), classifier.predict_proba(some, batch_size=7)
    )


def test_no_texts_give_no_rows(classifier):
    engine = make_engine(classifier, PredictionConfig())
    assert judged(engine, []).shape == (0, 3)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_gives_nearly_what_torch_gives(classifier, precision):
    pytest.importorskip("onnxruntime")
    engine = make_engine(classifier, PredictionConfig(engine="onnx", precision=precision))
    some = texts(50)
    found, expected = judged(engine, some), classifier.predict_proba(some)
    np.testing.assert_allclose(found, expected, atol=1e-5 if precision == "fp32" else 0.2)
    assert not (found == expected).all()
    assert judged(engine, []).shape == (0, 3)
    facts = engine.facts()
    assert facts["onnxruntime"]
    assert facts["model"] == classifier.fingerprint()


def test_onnx_has_no_bf16(classifier):
    with pytest.raises(ConfigError, match="precision = 'bf16': the engine onnx has fp32 and int8"):
        make_engine(classifier, PredictionConfig(engine="onnx", precision="bf16"))


def test_the_facts_name_model_versions_device_and_threads(classifier):
    facts = make_engine(classifier, PredictionConfig()).facts()
    assert facts["torch"] == torch.__version__
    assert facts["device"] == "cpu"
    assert facts["threads"] == torch.get_num_threads()
