"""Engines return the classifier's own numbers, and name everything that shapes them."""

import numpy as np
import pytest
import torch
from tiny_classifier import texts, tiny_classifier

from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError
from textlstm.prediction.engines import make_engine


@pytest.fixture(scope="module")
def classifier():
    return tiny_classifier()


def predicted(engine, some):
    return engine.predict(engine.encode(some))[0]


def test_torch_gives_what_the_classifier_gives(classifier):
    engine = make_engine(classifier, PredictionConfig(batch_size=7))
    assert engine.library == "torch"
    some = texts(50)
    np.testing.assert_array_equal(
        predicted(engine, some), classifier.predict_proba(some, batch_size=7)
    )


def test_no_texts_give_no_rows(classifier):
    engine = make_engine(classifier, PredictionConfig())
    assert predicted(engine, []).shape == (0, 3)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_gives_nearly_what_torch_gives(classifier, precision):
    pytest.importorskip("onnxruntime")
    engine = make_engine(classifier, PredictionConfig(engine="onnx", precision=precision))
    some = texts(50)
    found, expected = predicted(engine, some), classifier.predict_proba(some)
    np.testing.assert_allclose(found, expected, atol=1e-5 if precision == "fp32" else 0.2)
    assert not (found == expected).all()
    assert predicted(engine, []).shape == (0, 3)
    signature = engine.signature()
    assert signature["onnxruntime"]
    assert signature["model"] == classifier.fingerprint()


def test_onnx_has_no_bf16(classifier):
    with pytest.raises(ConfigError, match="precision = 'bf16': the engine onnx has fp32 and int8"):
        make_engine(classifier, PredictionConfig(engine="onnx", precision="bf16"))


def test_the_signature_names_model_versions_device_and_threads(classifier):
    signature = make_engine(classifier, PredictionConfig()).signature()
    assert signature["torch"] == torch.__version__
    assert signature["device"] == "cpu"
    assert signature["threads"] == torch.get_num_threads()
