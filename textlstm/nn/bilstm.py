"""A stacked bidirectional LSTM that reads each text of a batch to its own true end, at full speed.

`nn.LSTM` over a `PackedSequence` is right and slow on a CPU: packed input leaves oneDNN's fused
kernel for a loop of small steps (pytorch issue 149194). The dense path here gives the same
numbers on the fused kernel. Two facts make that possible:

* A forward LSTM's state after the true last token does not depend on the padding after it. It
  is read by index; the kernel's later steps are ignored.
* A backward LSTM is a forward one over the text reversed *within its own length*, so that its
  padding lies at the end too.

Each layer is then two calls on plain dense input. The one thing not in the kernel's output is
the cell state at a true end. For that, padding is made to hold the cell: an extra input, 1 in
padding, drives the input gate to 0 and the forget gate to 1 (see `_hold`).

Shapes: B batch, T time (tokens), E input size, H hidden size, L layers, D directions (1 or 2),
I a layer's input size (E, or D*H above the first layer).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from textlstm.errors import ConfigError, require_choice
from textlstm.nn.cpu import cpu_flags
from textlstm.nn.layers import dropout

States = tuple[Tensor, Tensor]
PATHS = ("auto", "dense", "packed")
_TILE = 32  # numbers of bf16 in a row of an AMX tile


class BiLSTM(nn.LSTM):
    """An `nn.LSTM` over padded batches in which padding has no effect.

    Parameters are named and shaped as in `nn.LSTM`, so that a state dict goes either way.
    Recurrent weights start orthogonal (Saxe et al. 2014) and the forget gate's bias at 1
    (Gers et al. 2000; Jozefowicz et al. 2015).

    Args:
        input_size: numbers per token (E).
        hidden_size: units per direction (H).
        num_layers: stacked layers (L), default 1.
        bidirectional: read from both ends (D = 2), default True.
        dropout: share of a layer's outputs dropped before the next layer, default 0.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if num_layers > 1 else 0.0,  # nn.LSTM warns of dropout on one layer
        )
        self._path = "auto"
        self._converted: tuple[torch.dtype, list[list[Tensor]]] | None = None

    @contextlib.contextmanager
    def weights_in(self, dtype: torch.dtype) -> Iterator[None]:
        """Convert the weights to the dtype of the inputs once for all batches inside the block.

        The weights must not change inside it. Where gradients are computed it has no effect.
        """
        with torch.no_grad():
            self._converted = (
                dtype,
                [self._weights(number, dtype) for number in range(len(self._all_weights))],
            )
        try:
            yield
        finally:
            self._converted = None

    @property
    def path(self) -> str:
        """The implementation that `forward` uses: 'dense' or 'packed'.

        By default dense on a CPU and packed (cuDNN) on a GPU, but for gradients in evaluation
        mode. Set it to force one, or to 'auto' to restore the default.
        """
        if self._path != "auto":
            return self._path
        if self.weight_ih_l0.device.type == "cpu":
            return "dense"
        # cuDNN has no gradient for a packed LSTM in evaluation mode, which an explanation wants
        return "packed" if self.training or not torch.is_grad_enabled() else "dense"

    @path.setter
    def path(self, value: str) -> None:
        require_choice("path", value, PATHS)
        self._path = value

    def reset_parameters(self) -> None:
        """Draw new weights: inputs Xavier uniform, recurrence orthogonal, forget bias 1."""
        hidden = self.hidden_size
        for name, parameter in self.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            elif name.startswith("weight_hh"):
                for gate in parameter.data.chunk(4):  # [H, H], each gate by itself
                    nn.init.orthogonal_(gate)
            else:
                nn.init.zeros_(parameter)
                if name.startswith("bias_ih"):  # of the two biases one is enough
                    parameter.data[hidden : 2 * hidden] = 1.0

    def forward(  # type: ignore[override]
        self, x: Tensor, lengths: Tensor | None = None, hx: States | None = None
    ) -> tuple[Tensor, States]:
        """Read the texts.

        Args:
            x: inputs, [B, T, E]; fp32, or bf16 to compute in bf16 with fp32 weights.
            lengths: true tokens of each text, int64 [B], 1 to T; None means T for all.
            hx: initial states (h_0, c_0), each [L*D, B, H]; zeros if None. A one-way model
                reads a long text in pieces by passing the states that it returned.

        Returns:
            output [B, T, D*H] (zero after a text's end) and (h_n, c_n), each [L*D, B, H]: the
            forward direction's states after the true last token, the backward direction's
            after the first.

        Raises:
            ConfigError: lengths or states do not fit the inputs.
        """
        lengths = self._checked(x, lengths, hx)
        if self.path == "packed":
            return self._packed(x, lengths, hx)
        index = _Index(lengths, x.shape[1])
        ends: list[States] = []
        output = _in_order(self._layers(x, index, hx, ends), index)  # [T, B, D*H]
        if index.ragged:
            output = output.masked_fill(index.outside, 0.0)
        h_n, c_n = (torch.stack(states) for states in zip(*ends, strict=True))  # [L*D, B, H]
        return output.transpose(0, 1), (h_n, c_n)  # [B, T, D*H]

    def read(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the outputs alone: faster than `forward`, and undefined after a text's end.

        Args:
            x: inputs, [B, T, E].
            lengths: true tokens of each text, int64 [B], 1 to T.

        Returns:
            output [B, T, D*H]; values after a text's end are undefined.

        Raises:
            ConfigError: lengths do not fit the inputs.
        """
        lengths = self._checked(x, lengths)
        if self.path == "packed":
            return self._packed(x, lengths, None)[0]
        index = _Index(lengths, x.shape[1])
        output = _in_order(self._layers(x, index), index)
        return output.transpose(0, 1)  # [B, T, D*H]

    def scan(self, x: Tensor, lengths: Tensor) -> list[Tensor]:
        """Return the last layer's states of each direction in the order in which it reads.

        A text's step t is the state after t + 1 of its tokens, counted from its end in the
        backward direction; the state after all of them stands at the text's length - 1 in both.

        Args:
            x: inputs, [B, T, E].
            lengths: true tokens of each text, int64 [B], 1 to T.

        Returns:
            D tensors [B, T, H]; values after a text's end are undefined.

        Raises:
            ConfigError: lengths do not fit the inputs.
        """
        lengths = self._checked(x, lengths)
        index = _Index(lengths, x.shape[1])
        if self.path == "packed":
            output = self._packed(x, lengths, None)[0].transpose(0, 1)  # [T, B, D*H]
            parts = list(output.split(self.hidden_size, dim=2))  # [T, B, H]
            parts[1:] = [index.flip(part) for part in parts[1:]]
        else:
            parts = self._layers(x, index)
        return [part.transpose(0, 1) for part in parts]  # [B, T, H]

    def _packed(self, x: Tensor, lengths: Tensor, hx: States | None) -> tuple[Tensor, States]:
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        with torch.autocast(x.device.type, x.dtype, enabled=x.dtype != torch.float32):
            result, states = cast(Any, super().forward)(packed, hx)
        output, _ = pad_packed_sequence(result, batch_first=True, total_length=x.shape[1])
        return output, states

    def _layers(
        self,
        x: Tensor,
        index: _Index,
        hx: States | None = None,
        ends: list[States] | None = None,
    ) -> list[Tensor]:
        """Read time-major with one dense call per layer and direction.

        Returns the last layer's states of each direction in its own order [T, B, H]. `ends` gets
        the states (h, c) [B, H] at the true end of each layer and direction.
        """
        directions = 2 if self.bidirectional else 1
        start = [x.new_zeros(1, len(x), self.hidden_size)] * 2  # [1, B, H] each
        layer_input = _widen(x.transpose(0, 1).contiguous())  # [T, B, E], or more
        outputs: list[Tensor] = []
        for layer in range(self.num_layers):
            if layer:
                layer_input = _in_order(outputs, index)  # [T, B, D*H]
                layer_input = _widen(dropout(layer_input, self.dropout, self.training))
            outputs = []
            for direction in range(directions):
                number = layer * directions + direction
                weights = self._weights(number, x.dtype)
                inputs = index.flip(layer_input) if direction else layer_input  # [T, B, I]
                if ends is not None and index.ragged:
                    inputs, weights = _hold(inputs, weights, index.outside)
                if hx is not None:
                    start = [part[number : number + 1].to(x.dtype) for part in hx]
                train = self.training or torch.is_grad_enabled()
                states, _, c_end = torch.lstm(  # [T, B, H], _, [1, B, H]
                    inputs, start, weights, True, 1, 0.0, train, False, batch_first=False
                )
                if ends is not None:
                    ends.append((index.last(states), c_end[0]))
                outputs.append(states)
        return outputs

    def _weights(self, number: int, dtype: torch.dtype) -> list[Tensor]:
        """Return the four parameters of one layer and direction in the dtype of the inputs.

        Those of the inputs are as wide as `_widen` makes these.
        """
        converted = None if torch.is_grad_enabled() else self._converted
        if converted is not None and converted[0] == dtype:
            return converted[1][number]
        weight, *others = (getattr(self, name).to(dtype) for name in self._all_weights[number])
        return [_widen(weight), *others]

    def _checked(self, x: Tensor, lengths: Tensor | None, hx: States | None = None) -> Tensor:
        """Check that inputs, lengths and states fit each other; return int64 lengths."""
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise ConfigError(
                f"inputs of shape {tuple(x.shape)}: must be [batch, time, {self.input_size}]"
            )
        batch, steps = x.shape[:2]
        if lengths is None:
            lengths = torch.full((batch,), steps)
        lengths = torch.as_tensor(lengths).to(x.device, torch.int64)
        if lengths.shape != (batch,):
            raise ConfigError(
                f"lengths of shape {tuple(lengths.shape)}: must be one per text, ({batch},)"
            )
        if not batch or not steps:
            raise ConfigError(f"inputs of shape {tuple(x.shape)}: must have a text and a token")
        if x.device.type == "cpu":  # looking at values on a GPU would wait for it
            least, most = int(lengths.min()), int(lengths.max())
            if not 1 <= least <= most <= steps:
                raise ConfigError(
                    f"lengths from {least} to {most}: must be from 1 to the batch's {steps} steps"
                )
        expected = (self.num_layers * (2 if self.bidirectional else 1), batch, self.hidden_size)
        for name, part in zip(("h_0", "c_0"), hx or (), strict=False):
            if part.shape != expected:
                raise ConfigError(f"{name} of shape {tuple(part.shape)}: must be {expected}")
        return lengths


class _Index:
    """Where the true tokens of a time-major batch lie.

    Args:
        lengths: true tokens of each text, int64 [B].
        steps: T.
    """

    def __init__(self, lengths: Tensor, steps: int) -> None:
        time = torch.arange(steps, device=lengths.device)[:, None]  # [T, 1]
        self.texts = torch.arange(len(lengths), device=lengths.device)
        self.ends = lengths - 1
        self.outside = (time >= lengths).unsqueeze(2)  # [T, B, 1]
        self.ragged = bool(self.outside[-1].any())
        mirrored = torch.where(time < lengths, self.ends - time, time)  # [T, B]
        self.flat = (mirrored * len(lengths) + self.texts).flatten()  # [T*B]

    def flip(self, x: Tensor) -> Tensor:
        """Reverse each text of [T, B, I] within its own length; padding stays where it is."""
        return _permute(x, self.flat)

    def last(self, x: Tensor) -> Tensor:
        """Return the row of each text's true end: [T, B, H] to [B, H]."""
        return x[self.ends, self.texts]


class _Permute(torch.autograd.Function):
    """Reorder the first two dimensions by an order that is its own inverse.

    Its gradient is then the same gather again, where autograd would scatter with additions.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return _permuted(x, order)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return _permute(gradient, order), None


def _permuted(x: Tensor, order: Tensor) -> Tensor:
    return x.flatten(0, 1).index_select(0, order).view_as(x)


def _permute(x: Tensor, order: Tensor) -> Tensor:
    if not torch.is_grad_enabled():  # a function of ours costs Python time
        return _permuted(x, order)
    return cast(Tensor, _Permute.apply(x, order))  # type: ignore[no-untyped-call]


def _in_order(parts: list[Tensor], index: _Index) -> Tensor:
    """Join the directions' states, each [T, B, H] in its own order, in the texts' order."""
    forward, *backward = parts
    return torch.cat([forward, *map(index.flip, backward)], dim=2)  # [T, B, D*H]


def _widen(x: Tensor) -> Tensor:
    """Append zeros to the last dimension up to whole tiles of AMX, where bf16 is multiplied so.

    There, 100 numbers take longer than 128, and an odd number takes five times as long.
    """
    if x.dtype != torch.bfloat16 or "amx_bf16" not in cpu_flags():
        return x
    missing = -x.shape[-1] % _TILE
    return nn.functional.pad(x, (0, missing)) if missing else x


def _hold(x: Tensor, weights: list[Tensor], outside: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Make padding keep the cell state, so that the kernel's last cell is that of the true end.

    The input gets one more number, 1 in padding, whose weight is far below 0 for the input
    gate and far above for the forget gate: c_t = 1 * c_(t-1) + 0 * g_t.

    Args:
        x: a layer's input, [T, B, I].
        weights: weight_ih [4H, I], weight_hh [4H, H] and the two biases [4H], gates in the
            order input, forget, cell, output.
        outside: whether a step is padding, [T, B, 1].

    Returns:
        The input [T, B, I+1], or wider, and the weights that belong to it.
    """
    saturated = 80.0  # exp(-80) is still a normal fp32 number; sigmoid(80) is 1 exactly
    hidden = weights[1].shape[1]
    column = weights[0].new_zeros(4 * hidden, 1)  # [4H, 1]
    column[:hidden] = -saturated
    column[hidden : 2 * hidden] = saturated
    held = torch.cat([x.masked_fill(outside, 0.0), outside.to(x.dtype)], dim=2)  # [T, B, I+1]
    return _widen(held), [_widen(torch.cat([weights[0], column], dim=1)), *weights[1:]]
