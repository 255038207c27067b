"""A graph that is being built holds its constants once and passes ONNX's check."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from textlstm.export.onnx_nodes import Graph  # noqa: E402


def test_a_graph_is_finished_with_the_promised_inputs_and_outputs():
    graph = Graph()
    table = graph.weight("table", np.eye(4, 2, dtype=np.float32))
    found = graph.add("Gather", table, "input_ids", axis=0)
    graph.add("ReduceSum", found, graph.shape("time", 1), to_name="logits", keepdims=0)
    graph.add("Softmax", "logits", to_name="probabilities", axis=1)
    model = graph.finish(classes=2)
    assert [value.name for value in model.graph.input] == ["input_ids", "lengths"]
    assert [value.name for value in model.graph.output] == ["logits", "probabilities"]


def test_a_constant_of_the_same_name_stands_once():
    graph = Graph()
    assert graph.shape("axis", 1) == graph.shape("axis", 1) == "axis"
    assert list(graph.weights) == ["axis"]


def test_nodes_without_a_name_get_one_of_their_own():
    graph = Graph()
    names = {graph.add("Shape", "input_ids"), graph.add("Shape", "input_ids")}
    assert len(names) == 2
