"""The LSTM written out from its equations in NumPy, one text at a time, without padding.

Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; gates in PyTorch's
order input, forget, cell, output. It shares no code with the library.
"""

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def one_way(x, w_ih, w_hh, b_ih, b_hh, h, c):
    """Read x [T, I] from its first row to its last; give all states [T, H] and the last cell."""
    states = []
    for step in x:
        i, f, g, o = np.split(w_ih @ step + b_ih + w_hh @ h + b_hh, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.stack(states), c


def stacked(x, parameters, hidden, layers, bidirectional):
    """Read one text x [T, E] through the whole stack, in float64.

    Returns the last layer's states [T, D*H] and h_n, c_n, each [L*D, H].
    """
    parameters = {name: np.asarray(value, dtype=np.float64) for name, value in parameters.items()}
    x = np.asarray(x, dtype=np.float64)
    h_n, c_n = [], []
    for layer in range(layers):
        outputs = []
        for suffix in ("", "_reverse")[: 2 if bidirectional else 1]:
            names = [f"{part}_l{layer}{suffix}" for part in PARTS]
            zero = np.zeros(hidden)
            read = x[::-1] if suffix else x
            states, cell = one_way(read, *(parameters[name] for name in names), zero, zero)
            h_n.append(states[-1])
            c_n.append(cell)
            outputs.append(states[::-1] if suffix else states)
        x = np.concatenate(outputs, axis=1)
    return x, np.stack(h_n), np.stack(c_n)


PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
