"""The ONNX graph computes what the network does, whatever its shape and the batch's."""

import numpy as np
import pytest
import torch
from tiny_classifier import tiny_classifier

from textlstm import errors
from textlstm.config import POOLINGS
from textlstm.export.parity import compare, plain_copy

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from textlstm.export import onnx_nodes  # noqa: E402
from textlstm.export.onnx_graph import build_graph  # noqa: E402
from textlstm.export.onnx_session import OnnxSession  # noqa: E402


def network(**options):
    """A network whose states are far from 0."""
    model = plain_copy(tiny_classifier(**options).model)
    with torch.no_grad():
        for parameter in model.lstm.parameters():
            # larger ones make it chaotic: it would magnify any rounding without bound
            parameter.normal_(std=1.2 / model.lstm.hidden_size**0.5)
    return model


def session_of(model, **options):
    return OnnxSession(build_graph(model, **options).SerializeToString(), threads=1)


def batch(model, lengths, columns=None, seed=0):
    random = np.random.default_rng(seed)
    shape = (len(lengths), columns or max(lengths))
    return random.integers(0, model.embedding.num_embeddings, shape), np.array(lengths)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_the_graph_is_equal_to_the_network(pooling, bidirectional, num_layers):
    model = network(pooling=pooling, bidirectional=bidirectional, num_layers=num_layers)
    parity = compare(model, session_of(model), tokens=3000)
    assert max(parity.logits, parity.probabilities) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(1, 1), (3, 40), (50, 2), (64, 65)])
def test_any_sizes_will_do(sizes):
    model = network(embedding_size=sizes[0], hidden_size=sizes[1], pooling="attention")
    assert compare(model, session_of(model), tokens=0).logits < 1e-4


def test_several_threads_change_nothing():
    model = network(hidden_size=32)
    session = OnnxSession(build_graph(model).SerializeToString(), threads=3)
    assert compare(model, session, tokens=3000).logits < 1e-5


def test_the_outputs_are_not_all_alike():
    model = network()
    logits, probabilities = session_of(model)(*batch(model, [1, 5, 9, 30]))
    assert logits.dtype == probabilities.dtype == np.float32
    assert np.ptp(logits, axis=0).min() > 0.1
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("ngrams", [0, 1, 3])
def test_scales_and_ngrams_are_in_the_graph(ngrams):
    model = network(ngrams=ngrams)
    model.scales.mul_(1.7)
    if ngrams:
        model.ngrams.bias[:] = torch.tensor([0.5, -1.0, 2.0])
    assert compare(model, session_of(model), tokens=3000).logits < 1e-5


@pytest.mark.parametrize("int8", [False, True])
def test_the_graph_is_for_old_runtimes_and_has_the_promised_inputs_and_outputs(int8):
    model = build_graph(network(), int8=int8)
    assert model.ir_version == 8
    assert {entry.domain: entry.version for entry in model.opset_import} == (
        {"": 15, "com.microsoft": 1} if int8 else {"": 15}
    )
    assert model.producer_name == "textlstm"

    def shapes(values):
        return {
            value.name: (
                value.type.tensor_type.elem_type,
                [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim],
            )
            for value in values
        }

    assert shapes(model.graph.input) == {
        "input_ids": (onnx.TensorProto.INT64, ["batch", "time"]),
        "lengths": (onnx.TensorProto.INT64, ["batch"]),
    }
    assert shapes(model.graph.output) == {
        "logits": (onnx.TensorProto.FLOAT, ["batch", 3]),
        "probabilities": (onnx.TensorProto.FLOAT, ["batch", 3]),
    }
    onnx.checker.check_model(model, full_check=True)
    assert build_graph(network(), int8=int8).SerializeToString() == model.SerializeToString()


def test_the_lstm_is_the_operator_of_onnx_with_lengths():
    nodes = [node for node in build_graph(network()).graph.node if "LSTM" in node.op_type]
    assert [node.op_type for node in nodes] == ["LSTM", "LSTM"]
    assert len({node.input[4] for node in nodes}) == 1


def test_weights_beyond_what_a_file_holds_are_refused(monkeypatch):
    monkeypatch.setattr(onnx_nodes, "_MOST_BYTES", 1000)
    with pytest.raises(errors.ExportError, match=r"take \d,\d+ bytes: .* at most 1,000"):
        build_graph(network())


@pytest.mark.slow
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_int8_is_near_the_network(pooling, bidirectional, num_layers):
    model = network(
        pooling=pooling, bidirectional=bidirectional, num_layers=num_layers, hidden_size=24
    )
    exact, rounded = session_of(model), session_of(model, int8=True)
    worst = []
    for lengths in ([1], [2, 1], [9, 3, 30, 1, 17], [40] * 8):
        ids, lengths = batch(model, lengths, columns=max(lengths) + 1)
        worst.append(np.abs(exact(ids, lengths)[1] - rounded(ids, lengths)[1]).max())
    assert 0 < max(worst) < 0.15
    assert np.mean(worst) < 0.08


@pytest.mark.slow
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_in_int8_a_text_has_the_same_logits_in_every_batch(pooling, bidirectional, num_layers):
    model = network(pooling=pooling, bidirectional=bidirectional, num_layers=num_layers)
    session = session_of(model, int8=True)
    ids, lengths = batch(model, [1, 2, 3, 5, 8, 13, 40, 40], columns=45)
    together, _ = session(ids, lengths)
    for row, length in enumerate(lengths):
        alone, _ = session(ids[row : row + 1, :length], lengths[row : row + 1])
        np.testing.assert_allclose(alone[0], together[row], rtol=0, atol=2e-6)


def by_hand(model, ids):
    """The int8 network on one text, final pooling, with its rounding written out in float64."""

    def rounded_rows(weight, extra=1.0):
        weight = weight.numpy().astype(np.float64) * extra  # [4H, I]
        scale = np.abs(weight).max(axis=1, keepdims=True) / 63
        return np.rint(weight / scale) * scale

    def rounded_states(h):  # a range from -1 to 1 in 255 steps, 0 being the 128th
        step = 2 / 255
        return np.clip(np.rint(h / step), -128, 127) * step

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    table = model.embedding.weight.numpy().astype(np.float64)
    step = np.abs(table).max() / 127
    x = np.rint(table / step)[ids]  # [T, E], whole numbers
    lstm, scale, ends = model.lstm, step, []
    for layer in range(lstm.num_layers):
        outputs, ends = [], []
        for end in (f"l{layer}", f"l{layer}_reverse"):
            w_ih, w_hh, b_ih, b_hh = (
                getattr(lstm, f"{kind}_{end}")
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            w, r = rounded_rows(w_ih, scale), rounded_rows(w_hh)
            bias = (b_ih + b_hh).numpy()
            h = c = np.zeros(lstm.hidden_size)
            states = []
            for value in x if end == f"l{layer}" else x[::-1]:
                gates = w @ value + r @ rounded_states(h) + bias
                i, f, g, o = np.split(gates, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
                states.append(h)
            ends.append(h)
            outputs.append(np.stack(states if end == f"l{layer}" else states[::-1]))
        x, scale = rounded_states(np.concatenate(outputs, axis=1)), 1.0
    linear = model.linear
    return np.concatenate(ends) @ linear.weight.numpy().T + linear.bias.numpy()


def test_int8_rounds_as_it_says():
    model = network(hidden_size=12, num_layers=2, ngrams=0)
    session = session_of(model, int8=True)
    for seed, length in enumerate([1, 2, 7, 30]):
        ids, lengths = batch(model, [length], seed=seed)
        found = session(ids, lengths)[0][0]
        exact = session_of(model)(ids, lengths)[0][0]
        expected = by_hand(model, ids[0])
        # a state at the edge of two steps may round either way
        np.testing.assert_allclose(found, expected, atol=0.02)
        assert np.abs(found - expected).max() < 0.3 * max(np.abs(found - exact).max(), 0.01)


def test_int8_takes_a_quarter_of_the_bytes():
    model = network(hidden_size=64, embedding_size=64)
    sizes = [len(build_graph(model, int8=int8).SerializeToString()) for int8 in (True, False)]
    assert sizes[0] < 0.36 * sizes[1]


def test_int8_bears_weights_that_are_all_0():
    model = network()
    with torch.no_grad():
        for parameter in [*model.parameters(), model.ngrams.table]:
            parameter.zero_()
    with np.errstate(all="raise"):
        session = session_of(model, int8=True)
    np.testing.assert_array_equal(session(*batch(model, [3, 1]))[0], 0)


def test_every_graph_goes_through_the_full_check(monkeypatch):
    seen = []
    monkeypatch.setattr(
        onnx.checker, "check_model", lambda model, full_check: seen.append((model, full_check))
    )
    model = build_graph(network())
    assert seen == [(model, True)]
