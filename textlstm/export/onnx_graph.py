"""The network as an ONNX graph, built node by node from the weights.

It is not traced: traced graphs of packed LSTMs are wrong or bound to one shape (pytorch issues
62240, 48460, 41774). ONNX's own LSTM takes the true lengths of the texts and begins its reverse
direction at each text's own end.

With `int8` the layers are ONNX Runtime's `DynamicQuantizeLSTM`. That operator picks the scale of
its inputs and states from the range of a whole batch, so that a text's result would depend on
its neighbours. Here the range is made the same for every batch: two more numbers per token hold
the ends of the embeddings' range, and two more units per direction, their cell set far out at
the start and held there, hold 1 and -1, the ends of the range of states. Their weights onward
are 0. A batch then changes nothing, bit for bit.

Shapes: B batch, T time (tokens), E embedding, H hidden, D directions, F = D*H, C classes,
V vocabulary, I a layer's input size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from textlstm.export.onnx_ngrams import add_ngrams
from textlstm.export.onnx_nodes import FLOAT, INT32, Array, Graph, ModelProto, as_numpy
from textlstm.nn.network import BiLSTMClassifier

QUANTIZATIONS = ("int8",)

# ONNX wants input, output, forget, cell; torch has input, forget, cell, output
_GATES = (0, 3, 1, 2)
_GUARDS = 2  # inputs and units that fix a range
# 7 bits: with 8, sums of two products overflow 16 bits on x86 processors without VNNI, which
# would give other results there (ONNX Runtime calls this reduce_range).
_LARGEST_WEIGHT = 63
_SATURATED = 20.0  # sigmoid and tanh of it are 1 in float32


def build_graph(model: BiLSTMClassifier, *, int8: bool = False) -> ModelProto:
    """Build the ONNX model of a classifier.

    Inputs are `input_ids`, int64 [batch, time], and `lengths`, int64 [batch], each from 1 to
    time; padding may be any ids of the vocabulary. Outputs are `logits` and
    `probabilities`, float32 [batch, C].

    Args:
        model: the network.
        int8: whether embeddings, LSTM and n-gram weights are stored, and the LSTM's products
            computed, in 8 bits.

    Returns:
        The model; it has passed ONNX's full check.

    Raises:
        ExportError: the model is too large for an ONNX file.
    """
    graph = Graph()
    lengths = graph.add("Cast", "lengths", to=INT32)  # [B]
    tokens = graph.add("Transpose", "input_ids", perm=[1, 0])  # [T, B]
    read = _read_int8 if int8 else _read
    output, last = read(graph, model, tokens, lengths)  # [T, B, F], [B, F]
    pooled = _pool(graph, model, output, last)  # [B, F]
    _classify(graph, model, pooled, int8=int8)
    return _finish(graph, model)


def build_ngram_graph(model: BiLSTMClassifier, scale: float) -> ModelProto:
    """Build the ONNX model of the n-grams alone, with the inputs and outputs of `build_graph`.

    Args:
        model: the network; it has n-grams.
        scale: what their logits are multiplied by.

    Returns:
        The model, in float32; it has passed ONNX's full check.

    Raises:
        ExportError: the model is too large for an ONNX file.
    """
    assert model.ngrams is not None
    graph = Graph()
    graph.add("Identity", add_ngrams(graph, model.ngrams, scale, int8=False), to_name="logits")
    return _finish(graph, model)


def _finish(graph: Graph, model: BiLSTMClassifier) -> ModelProto:
    """Add the probabilities, and check the graph."""
    if model.multi_label:  # as `textlstm.nn.probabilities` has it
        graph.add("Sigmoid", "logits", to_name="probabilities")  # [B, C]
    else:
        graph.add("Softmax", "logits", to_name="probabilities", axis=1)  # [B, C]
    return graph.finish(classes=model.linear.out_features)


def _read(graph: Graph, model: BiLSTMClassifier, tokens: str, lengths: str) -> tuple[str, str]:
    """Add embedding and LSTM; return the last layer's outputs [T, B, F] and end states [B, F]."""
    table = graph.weight("embedding.weight", as_numpy(model.embedding.weight))
    output = graph.add("Gather", table, tokens, axis=0)  # [T, B, E]
    for layer in range(model.lstm.num_layers):
        weights = _layer(model, layer)
        flat = {"W": _flat(weights.inputs), "R": _flat(weights.states), "B": weights.bias}
        names = [graph.weight(f"lstm.{name}{layer}", value) for name, value in flat.items()]
        states, ends = graph.add_many(
            "LSTM",
            (output, *names, lengths),
            [f"states_{layer}", f"ends_{layer}"],  # [T, D, B, H], [D, B, H]
            hidden_size=model.lstm.hidden_size,
            direction=_direction(model),
        )
        output = _side_by_side(graph, states, f"shape_{layer}", weights.features)
    return output, _ends_side_by_side(graph, ends, weights.features)


def _read_int8(graph: Graph, model: BiLSTMClassifier, tokens: str, lengths: str) -> tuple[str, str]:
    """`_read` with 8-bit weights and products; see the module's description."""
    table, step = _int8_table(as_numpy(model.embedding.weight))
    looked_up = graph.add("Gather", graph.weight("embedding.weight", table), tokens, axis=0)
    output = graph.add("Cast", looked_up, to=FLOAT)  # [T, B, E+2], whole numbers
    hidden = model.lstm.hidden_size
    directions = 2 if model.lstm.bidirectional else 1
    batch = graph.add("Shape", "lengths")  # [1]
    one, rest = graph.shape("directions", directions), graph.shape("units", hidden + _GUARDS)
    shape = graph.add("Concat", one, batch, rest, axis=0)
    cell = np.zeros((directions, 1, hidden + _GUARDS), np.float32)
    cell[:, :, hidden:] = _SATURATED, -_SATURATED
    start = graph.add("Expand", graph.weight("start_cell", cell), shape)  # [D, B, H+2]
    for layer in range(model.lstm.num_layers):
        weights = _layer(model, layer)
        if layer == 0:
            weights.inputs = weights.inputs * step
            own = [model.lstm.input_size]
        else:
            own = [hidden] * directions
        weights.guard(own)
        w, w_scale, w_zero = _int8_weights(graph, f"lstm.W{layer}", weights.inputs)
        r, r_scale, r_zero = _int8_weights(graph, f"lstm.R{layer}", weights.states)
        bias = graph.weight(f"lstm.B{layer}", weights.bias)
        states, ends = graph.add_many(
            "DynamicQuantizeLSTM",
            (output, w, r, bias, lengths, "", start, "", w_scale, w_zero, r_scale, r_zero),
            [f"states_{layer}", f"ends_{layer}"],  # [T, D, B, H+2], [D, B, H+2]
            domain="com.microsoft",
            hidden_size=hidden + _GUARDS,
            direction=_direction(model),
        )
        output = _side_by_side(graph, states, f"shape_{layer}", weights.features)
    bounds = (graph.shape("first", 0), graph.shape("end", hidden))
    states = graph.add("Slice", states, *bounds, graph.shape("units_axis", 3))  # [T, D, B, H]
    ends = graph.add("Slice", ends, *bounds, graph.shape("ends_axis", 2))  # [D, B, H]
    features = directions * hidden
    output = _side_by_side(graph, states, "shape_out", features)
    return output, _ends_side_by_side(graph, ends, features)


@dataclass
class _LayerWeights:
    """Weights of one layer with ONNX's order of gates.

    Args:
        inputs: [D, 4, H, I].
        states: [D, 4, H, H].
        biases: of inputs and of states, [D, 2, 4, H].
    """

    inputs: Array
    states: Array
    biases: Array

    @property
    def features(self) -> int:
        """Numbers that the layer gives per token."""
        return int(self.states.shape[0] * self.states.shape[2])

    @property
    def bias(self) -> Array:
        """The biases as ONNX wants them, [D, 8H]."""
        return self.biases.reshape(len(self.biases), -1)

    def guard(self, inputs: list[int]) -> None:
        """Add two units that hold 1 and -1, and inputs without effect.

        Args:
            inputs: how many inputs stand together; two more come after each group.
        """
        ends = np.repeat(np.cumsum(inputs), _GUARDS)
        wide = np.insert(self.inputs, ends, 0.0, axis=3)  # [D, 4, H, I+2 or I+4]
        more = ((0, 0), (0, 0), (0, _GUARDS))
        self.inputs = np.pad(wide, (*more, (0, 0)))
        self.states = np.pad(self.states, (*more, (0, _GUARDS)))  # [D, 4, H+2, H+2]
        self.biases = np.pad(self.biases, ((0, 0), *more))  # [D, 2, 4, H+2]
        # output and forget gate open, and nothing to add: the cell stays as it starts
        gates = np.array([0, 1, 1, 0], np.float32) * _SATURATED
        self.biases[:, 0, :, -_GUARDS:] = gates[:, None]


def _layer(model: BiLSTMClassifier, layer: int) -> _LayerWeights:
    lstm = model.lstm
    ends = [f"l{layer}", f"l{layer}_reverse"][: 2 if lstm.bidirectional else 1]

    def stacked(kind: str) -> Array:
        parts = [as_numpy(getattr(lstm, f"{kind}_{end}")) for end in ends]
        gates = np.stack(parts).reshape(len(ends), 4, lstm.hidden_size, -1)
        return gates[:, _GATES]

    biases = np.stack([stacked("bias_ih")[..., 0], stacked("bias_hh")[..., 0]], axis=1)
    return _LayerWeights(stacked("weight_ih"), stacked("weight_hh"), biases)


def _flat(weights: Array) -> Array:
    """Reshape weights [D, 4, H, I] as ONNX wants them, [D, 4H, I]."""
    return weights.reshape(len(weights), -1, weights.shape[-1])


def _int8_table(table: Array) -> tuple[Array, float]:
    """Return embeddings as int8 [V, E+2] and the value of one step.

    The two more numbers are the ends of int8's range. With them the operator's own rounding of
    its inputs to 8 bits changes nothing.
    """
    step = float(np.abs(table).max(initial=0.0)) / 127 or 1.0
    whole = np.rint(table / step).astype(np.int8)  # [V, E]
    ends = np.tile(np.array([127, -128], np.int8), (len(table), 1))  # [V, 2]
    return np.concatenate([whole, ends], axis=1), step


def _int8_weights(graph: Graph, name: str, weights: Array) -> tuple[str, str, str]:
    """Store weights [D, 4, H, I] as int8 with a scale for each gate of a unit."""
    flat = _flat(weights)  # [D, 4H, I]
    scale = np.abs(flat).max(axis=2) / _LARGEST_WEIGHT  # [D, 4H]
    scale[scale == 0] = 1.0
    whole = np.rint(flat / scale[:, :, None]).astype(np.int8)
    return (
        graph.weight(name, whole.transpose(0, 2, 1)),  # [D, I, 4H]
        graph.weight(f"{name}_scale", scale.astype(np.float32)),
        graph.weight(f"{name}_zero", np.zeros(scale.shape, np.int8)),
    )


def _classify(graph: Graph, model: BiLSTMClassifier, pooled: str, *, int8: bool) -> None:
    """Add the linear layer over [B, F] and the n-grams, each times its scale: [B, C]."""
    scales = as_numpy(model.scales)
    logits = graph.add(
        "Gemm",
        pooled,
        graph.weight("linear.weight", as_numpy(model.linear.weight) * scales[0]),
        graph.weight("linear.bias", as_numpy(model.linear.bias) * scales[0]),
        to_name="logits" if model.ngrams is None else "",
        transB=1,
    )
    if model.ngrams is not None:
        beside = add_ngrams(graph, model.ngrams, scales[1], int8=int8)
        graph.add("Add", logits, beside, to_name="logits")


def _pool(graph: Graph, model: BiLSTMClassifier, output: str, last: str) -> str:
    """Add the pooling of outputs [T, B, F] over true tokens; `last` are end states [B, F]."""
    kind = model.pooling.kind
    if kind == "final":
        return last
    inside = _inside(graph)  # [T, B, 1]
    if kind == "mean":
        true = graph.add("Where", inside, output, graph.weight("zero", np.float32(0)))
        total = graph.add("ReduceSum", true, graph.shape("time_axis", 0), keepdims=0)  # [B, F]
        counts = graph.add("Cast", "lengths", to=FLOAT)
        column = graph.add("Unsqueeze", counts, graph.shape("column", 1))  # [B, 1]
        return graph.add("Div", total, column)
    lowest = graph.weight("lowest", np.float32(-np.inf))
    if kind in ("max", "final+max"):
        true = graph.add("Where", inside, output, lowest)
        most = graph.add("ReduceMax", true, axes=[0], keepdims=0)  # [B, F]
        return most if kind == "max" else graph.add("Concat", last, most, axis=1)  # [B, 2F]
    assert kind == "attention", kind
    pooling: Any = model.pooling
    names = {
        name: graph.weight(f"pooling.{name}", as_numpy(tensor))
        for name, tensor in (
            ("hidden", pooling.hidden.weight.T),
            ("bias", pooling.hidden.bias),
            ("score", pooling.score.weight.T),
        )
    }
    hidden = graph.add("Add", graph.add("MatMul", output, names["hidden"]), names["bias"])
    scores = graph.add("MatMul", graph.add("Tanh", hidden), names["score"])  # [T, B, 1]
    weights = graph.add("Softmax", graph.add("Where", inside, scores, lowest), axis=0)
    weighted = graph.add("Mul", weights, output)  # [T, B, F]
    return graph.add("ReduceSum", weighted, graph.shape("time_axis", 0), keepdims=0)  # [B, F]


def _inside(graph: Graph) -> str:
    """Add whether a step is a true token of its text, [T, B, 1]."""
    shape = graph.add("Shape", "input_ids")
    steps = graph.add("Gather", shape, graph.weight("one", np.int64(1)), axis=0)
    bounds = (graph.weight("from", np.int64(0)), steps, "one")
    times = graph.add("Range", *bounds)  # [T]
    column = graph.add("Unsqueeze", times, graph.shape("column_axis", 1))  # [T, 1]
    inside = graph.add("Less", column, "lengths")  # [T, B]
    return graph.add("Unsqueeze", inside, graph.shape("last_axis", 2))


def _side_by_side(graph: Graph, states: str, name: str, features: int) -> str:
    """Add the change from [T, D, B, H] to [T, B, F]."""
    ordered = graph.add("Transpose", states, perm=[0, 2, 1, 3])  # [T, B, D, H]
    return graph.add("Reshape", ordered, graph.shape(name, 0, 0, features))


def _ends_side_by_side(graph: Graph, ends: str, features: int) -> str:
    """Add the change from [D, B, H] to [B, F]."""
    ordered = graph.add("Transpose", ends, perm=[1, 0, 2])  # [B, D, H]
    return graph.add("Reshape", ordered, graph.shape("shape_ends", 0, features))


def _direction(model: BiLSTMClassifier) -> str:
    return "bidirectional" if model.lstm.bidirectional else "forward"
