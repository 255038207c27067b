"""BiLSTM against the equations, against nn.LSTM on each text alone, and path against path.

Shapes: B batch, T time, E input size, H hidden size, L layers, D directions.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import stacked
from tiny_classifier import needs_bf16
from torch import nn

from textlstm import BiLSTM
from textlstm.errors import ConfigError

SHAPES = [(layers, two_way) for layers in (1, 2, 3) for two_way in (True, False)]
PATHS = ("dense", "packed")


def make(layers=2, two_way=True, path="dense", size=7, hidden=6, seed=0):
    torch.manual_seed(seed)
    lstm = BiLSTM(size, hidden, layers, bidirectional=two_way)
    for parameter in lstm.parameters():  # biases too must matter
        nn.init.normal_(parameter, std=0.4)
    lstm.path = path
    return lstm


def batch(lengths, size=7, extra=0):
    """Random inputs; the padding is noise, so that reading it shows."""
    return torch.randn(len(lengths), max(lengths) + extra, size), torch.tensor(lengths)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("layers", "two_way"), SHAPES)
def test_states_are_those_of_the_gate_equations_for_each_text_alone(layers, two_way, path):
    lstm = make(layers, two_way, path)
    x, lengths = batch([5, 1, 9, 2], extra=3)
    with torch.no_grad():
        output, (h_n, c_n) = lstm(x, lengths)
    parameters = {name: value.detach().numpy() for name, value in lstm.named_parameters()}
    for text, length in enumerate(lengths):
        expected, h, c = stacked(x[text, :length], parameters, 6, layers, two_way)
        np.testing.assert_allclose(output[text, :length], expected, atol=1e-5)
        np.testing.assert_allclose(h_n[:, text], h, atol=1e-5)
        np.testing.assert_allclose(c_n[:, text], c, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("layers", "two_way"), SHAPES)
def test_states_are_those_of_nn_lstm_on_each_text_alone(layers, two_way, path):
    lstm = make(layers, two_way, path)
    plain = nn.LSTM(7, 6, layers, bidirectional=two_way, batch_first=True)
    plain.load_state_dict(lstm.state_dict(), strict=True)
    x, lengths = batch([4, 11, 1])
    with torch.no_grad():
        output, (h_n, c_n) = lstm(x, lengths)
        for text, length in enumerate(lengths):
            alone, (h, c) = plain(x[text : text + 1, :length])
            torch.testing.assert_close(output[text, :length], alone[0], atol=1e-5, rtol=0)
            torch.testing.assert_close(h_n[:, text], h[:, 0], atol=1e-5, rtol=0)
            torch.testing.assert_close(c_n[:, text], c[:, 0], atol=1e-5, rtol=0)


def everything(lstm, x, lengths, hx, path, weights):
    """Outputs, states and all gradients of a weighted sum of them."""
    lstm.path = path
    lstm.zero_grad()
    x = x.clone().requires_grad_()
    hx = None if hx is None else tuple(part.clone().requires_grad_() for part in hx)
    output, (h_n, c_n) = lstm(x, lengths, hx)
    results = [output, h_n, c_n]
    loss = sum((result * weight).sum() for result, weight in zip(results, weights, strict=True))
    loss.backward()
    gradients = [x.grad, *(part.grad for part in hx or ()), *(p.grad for p in lstm.parameters())]
    return [part.detach() for part in results], [part.clone() for part in gradients]


def assert_paths_agree(lstm, x, lengths, hx, train):
    lstm.train(train)
    directions = 2 if lstm.bidirectional else 1
    state = (lstm.num_layers * directions, len(lengths), lstm.hidden_size)
    # A mean over the batch, as a loss is: gradients of a sum over thousands of tokens are large
    # and their rounding with them.
    weights = [
        torch.randn(*x.shape[:2], directions * lstm.hidden_size) / lengths.sum(),
        torch.randn(state) / len(lengths),
        torch.randn(state) / len(lengths),
    ]
    ours, our_gradients = everything(lstm, x, lengths, hx, "dense", weights)
    reference, their_gradients = everything(lstm, x, lengths, hx, "packed", weights)
    for mine, other in zip(ours, reference, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)
    for mine, other in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=9),
    extra=st.integers(0, 3),
    size=st.integers(1, 17),
    hidden=st.integers(1, 17),
    layers=st.integers(1, 3),
    two_way=st.booleans(),
    initial=st.booleans(),
    train=st.booleans(),
)
@pytest.mark.slow
def test_the_dense_path_equals_packed_in_outputs_states_and_gradients(
    lengths, extra, size, hidden, layers, two_way, initial, train
):
    lstm = make(layers, two_way, size=size, hidden=hidden)
    x, lengths = batch(lengths, size, extra)
    state = (layers * (2 if two_way else 1), len(lengths), hidden)
    hx = (torch.randn(state), torch.randn(state)) if initial else None
    assert_paths_agree(lstm, x, lengths, hx, train)


@pytest.mark.slow
@pytest.mark.parametrize("two_way", [True, False])
def test_the_paths_agree_over_lengths_from_1_to_600_in_one_batch(two_way):
    lstm = make(2, two_way, size=20, hidden=24)
    x, lengths = batch([600, 1, 2, 313, 599, 40, 7, 128], 20)
    assert_paths_agree(lstm, 3 * x, lengths, None, train=True)


@pytest.mark.parametrize("path", PATHS)
def test_padding_of_any_value_and_length_changes_nothing(path):
    lstm = make(path=path)
    x, lengths = batch([3, 8, 5])
    longer = torch.full((3, 20, 7), 1e6)
    longer[:, :8] = x
    for text, length in enumerate(lengths):
        longer[text, length:] = 1e6
    with torch.no_grad():
        output, (h_n, c_n) = lstm(x, lengths)
        padded, (h_p, c_p) = lstm(longer, lengths)
    torch.testing.assert_close(padded[:, :8], output, atol=1e-6, rtol=0)
    assert not padded[:, 8:].any()
    torch.testing.assert_close(h_p, h_n, atol=1e-6, rtol=0)
    torch.testing.assert_close(c_p, c_n, atol=1e-6, rtol=0)


@pytest.mark.parametrize("path", PATHS)
def test_outputs_after_a_texts_end_are_zero(path):
    lstm = make(path=path)
    x, lengths = batch([2, 6])
    output, _ = lstm(x, lengths)
    assert not output[0, 2:].any()
    assert output[0, :2].all()


@pytest.mark.parametrize("path", PATHS)
def test_a_one_way_model_reads_a_text_in_pieces(path):
    lstm = make(2, False, path)
    x, _ = batch([12, 12])
    whole, (h_n, c_n) = lstm(x)
    first, states = lstm(x[:, :5])
    second, (h_2, c_2) = lstm(x[:, 5:], hx=states)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-6, rtol=0)
    torch.testing.assert_close(h_2, h_n, atol=1e-6, rtol=0)
    torch.testing.assert_close(c_2, c_n, atol=1e-6, rtol=0)


def test_read_gives_the_outputs_of_forward_within_each_text():
    lstm = make()
    x, lengths = batch([3, 9, 1])
    output, _ = lstm(x, lengths)
    read = lstm.read(x, lengths)
    for text, length in enumerate(lengths):
        torch.testing.assert_close(read[text, :length], output[text, :length], atol=1e-6, rtol=0)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("two_way", [True, False])
def test_scan_gives_each_directions_states_in_its_own_order(two_way, path):
    lstm = make(two_way=two_way, path=path)
    x, lengths = batch([3, 9, 1])
    output, _ = lstm(x, lengths)
    parts = lstm.scan(x, lengths)
    assert len(parts) == 1 + two_way
    for text, length in enumerate(lengths):
        forward, backward = output[text, :length, :6], output[text, :length, 6:].flip(0)
        expected = (forward, backward)[: 1 + two_way]
        for mine, other in zip(parts, expected, strict=True):
            torch.testing.assert_close(mine[text, :length], other, atol=1e-6, rtol=0)


def test_dropout_acts_between_layers_in_training_only():
    torch.manual_seed(0)
    lstm = BiLSTM(7, 6, 2, dropout=0.5)
    x, lengths = batch([5, 4])
    assert not torch.equal(lstm.train()(x, lengths)[0], lstm(x, lengths)[0])
    assert torch.equal(lstm.eval()(x, lengths)[0], lstm(x, lengths)[0])


def test_dropout_never_touches_the_last_layer():
    torch.manual_seed(0)
    lstm = BiLSTM(7, 6, 1, dropout=0.5).train()
    x, lengths = batch([5, 4])
    assert torch.equal(lstm(x, lengths)[0], lstm(x, lengths)[0])


@pytest.mark.parametrize("path", PATHS)
@needs_bf16
def test_bf16_inputs_give_the_states_of_fp32_within_bf16s_precision(path):
    lstm = make(path=path, hidden=32)
    x, lengths = batch([7, 30, 1])
    output, (h_n, c_n) = lstm(x, lengths)
    low, (h_l, c_l) = lstm(x.bfloat16(), lengths)
    for exact, rough in [(output, low), (h_n, h_l), (c_n, c_l)]:
        torch.testing.assert_close(rough.float(), exact, atol=0.05, rtol=0.05)
    assert low.dtype == torch.bfloat16


@needs_bf16
def test_bf16_training_gives_fp32_gradients_near_those_of_fp32():
    lstm = make(hidden=32)
    x, lengths = batch([7, 30, 1])
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        lstm.zero_grad()
        lstm(x.to(dtype), lengths)[0].float().square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in lstm.parameters()]))
    exact, rough = gradients
    assert rough.dtype == torch.float32
    assert (rough - exact).norm() < 0.03 * exact.norm()


@pytest.mark.parametrize("size", [7, 32, 50])
@needs_bf16
def test_inputs_that_are_widened_to_whole_tiles_give_the_same(size, monkeypatch):
    found = []
    for flags in ("", "amx_bf16"):
        monkeypatch.setattr("textlstm.nn.bilstm.cpu_flags", lambda flags=flags: {flags})
        lstm = make(size=size, hidden=size)
        x, lengths = batch([7, 30, 1], size)
        x = x.bfloat16().requires_grad_()
        output, (h_n, c_n) = lstm(x, lengths)
        (output.float().square().mean() + c_n.float().mean()).backward()
        gradients = [parameter.grad for parameter in lstm.parameters()]
        found.append([output, h_n, c_n, x.grad, *gradients])
    for plain, widened in zip(*found, strict=True):
        assert plain.shape == widened.shape
        difference = (plain.float() - widened.float()).norm()
        assert difference < 0.02 * plain.float().norm()


@needs_bf16
def test_weights_that_are_converted_once_give_the_same_outputs_and_leave_gradients_alone():
    lstm = make(hidden=32)
    x, lengths = batch([7, 30, 1])
    x = x.bfloat16()
    with torch.no_grad():
        expected = lstm.scan(x, lengths)
        with lstm.weights_in(torch.bfloat16):
            found = lstm.scan(x, lengths)
            lstm.weight_ih_l0.mul_(2)  # not seen before the block ends
            again = lstm.scan(x, lengths)
        changed = lstm.scan(x, lengths)
    assert all(map(torch.equal, expected, found))
    assert all(map(torch.equal, expected, again))
    assert not all(map(torch.equal, expected, changed))
    with lstm.weights_in(torch.bfloat16):
        lstm.scan(x, lengths)[0].float().sum().backward()
    assert lstm.weight_ih_l0.grad.any()


def test_a_state_dict_goes_to_nn_lstm_and_back():
    lstm = make()
    plain = nn.LSTM(7, 6, 2, bidirectional=True)
    plain.load_state_dict(lstm.state_dict(), strict=True)
    other = make(seed=1)
    other.load_state_dict(plain.state_dict(), strict=True)
    assert all(
        torch.equal(a, b) for a, b in zip(lstm.parameters(), other.parameters(), strict=True)
    )


def test_recurrent_weights_start_orthogonal_and_the_forget_gate_open():
    lstm = BiLSTM(7, 6, 2)
    for gate in lstm.weight_hh_l1_reverse.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(6), atol=1e-5, rtol=0)
    bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
    assert bias.tolist() == [0.0] * 6 + [1.0] * 6 + [0.0] * 12


def test_the_path_is_chosen_by_device_and_can_be_forced():
    lstm = BiLSTM(3, 2)
    assert lstm.path == "dense"
    assert lstm.to("meta").path == "packed"
    lstm.path = "dense"
    assert lstm.path == "dense"
    lstm.path = "auto"
    assert lstm.path == "packed"
    with pytest.raises(ConfigError, match="'fast'"):
        lstm.path = "fast"


@pytest.mark.parametrize(
    ("x", "lengths", "rule"),
    [
        (torch.zeros(2, 3, 6), [3, 3], r"\(2, 3, 6\).*must be \[batch, time, 7\]"),
        (torch.zeros(2, 3, 7), [3], r"\(1,\).*one per text"),
        (torch.zeros(2, 3, 7), [0, 3], "from 0 to 3"),
        (torch.zeros(2, 3, 7), [1, 4], "from 1 to 4"),
        (torch.zeros(0, 3, 7), [], "must have a text"),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_inputs_that_do_not_fit_are_refused_by_name(x, lengths, rule, path):
    with pytest.raises(ConfigError, match=rule):
        make(path=path)(x, torch.tensor(lengths))


def test_initial_states_of_another_shape_are_refused():
    x, lengths = batch([2, 2])
    wrong = torch.zeros(4, 3, 6)
    with pytest.raises(ConfigError, match=r"h_0 of shape \(4, 3, 6\): must be \(4, 2, 6\)"):
        make()(x, lengths, (wrong, wrong))


def test_gradients_in_evaluation_mode_take_the_dense_path_where_cudnn_has_none():
    elsewhere = BiLSTM(3, 2).to("meta")  # like a GPU: not the CPU
    assert elsewhere.train().path == "packed"
    assert elsewhere.eval().path == "dense"
    with torch.no_grad():
        assert elsewhere.path == "packed"
