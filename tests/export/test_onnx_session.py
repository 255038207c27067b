"""ONNX Runtime behind one call: what is no model is named, and threads may share a session."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tiny_classifier import tiny_classifier

from textlstm.errors import ModelFolderError

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from textlstm.export.onnx_graph import build_graph
from textlstm.export.onnx_session import OnnxSession

IDS, LENGTHS = np.array([[2, 3, 4], [5, 0, 0]]), np.array([3, 1])


@pytest.fixture(scope="module")
def content():
    return build_graph(tiny_classifier().model).SerializeToString()


def test_a_model_comes_from_a_file_or_from_bytes(content, tmp_path):
    (tmp_path / "model.onnx").write_bytes(content)
    logits, probabilities = OnnxSession(content)(IDS, LENGTHS)
    assert logits.shape == probabilities.shape == (2, 3)
    for path in (tmp_path / "model.onnx", str(tmp_path / "model.onnx")):
        np.testing.assert_array_equal(OnnxSession(path, threads=1)(IDS, LENGTHS)[0], logits)


@pytest.mark.parametrize("content", [None, b"", b"no model", b"\x08\x08"])
def test_what_is_no_model_is_named(tmp_path, content, capfd):
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"model\.onnx can't be loaded by onnxruntime \d"):
        OnnxSession(path)
    assert capfd.readouterr() == ("", "")


def test_bytes_that_are_no_model_are_an_error():
    with pytest.raises(ModelFolderError, match="the model can't be loaded"):
        OnnxSession(b"no model")


def test_a_name_in_a_model_that_is_no_utf8_is_an_error(content):
    with pytest.raises(
        ModelFolderError, match=r"the model can't be loaded .*can't decode byte 0xde"
    ):
        OnnxSession(content.replace(b"probabilities", b"prob\xdebilities"))


def test_threads_share_a_session(content):
    session = OnnxSession(content, threads=1)
    expected, _ = session(IDS, LENGTHS)
    with ThreadPoolExecutor(4) as pool:
        for logits, _ in pool.map(lambda _: session(IDS, LENGTHS), range(40)):
            np.testing.assert_array_equal(logits, expected)


def test_a_batch_that_can_not_be_judged_is_raised_and_nothing_is_printed(content, capfd):
    session = OnnxSession(content)
    with pytest.raises(ModelFolderError, match=r"fails in the model: .*sequence_lens"):
        session(IDS, np.array([9, 1]))
    assert capfd.readouterr() == ("", "")
