"""A stacked bidirectional LSTM that reads each text of a batch to its own true end.

Shapes: B batch, T time (tokens), E input size, H hidden size, L layers, D directions (1 or 2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from textlstm.errors import ConfigError

States = tuple[Tensor, Tensor]


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

    def reset_parameters(self) -> None:
        """Draw new weights: inputs Xavier uniform, recurrence orthogonal, forget bias 1."""
        hidden = self.hidden_size
        for name, parameter in self.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            elif name.startswith("weight_hh"):
                for gate in parameter.data.split(hidden):  # [H, H], each gate by itself
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
            x: inputs, [B, T, E].
            lengths: true tokens of each text, int64 [B], 1 to T; None means T for all.
            hx: initial states (h_0, c_0), each [L*D, B, H]; zeros if None.

        Returns:
            output [B, T, D*H] (zero after a text's end) and (h_n, c_n), each [L*D, B, H]: the
            forward direction's states after the true last token, the backward direction's
            after the first.

        Raises:
            ConfigError: lengths do not fit the inputs.
        """
        if lengths is None:
            return super().forward(x, hx)  # type: ignore[no-any-return]
        lengths = _checked(lengths, x)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, states = super().forward(packed, hx)
        output, _ = pad_packed_sequence(output, batch_first=True, total_length=x.shape[1])
        return output, states


def _checked(lengths: Tensor, x: Tensor) -> Tensor:
    """Give the lengths as int64 on the CPU, after a check that they fit `x`."""
    lengths = torch.as_tensor(lengths).to("cpu", torch.int64)
    if lengths.shape != x.shape[:1]:
        raise ConfigError(
            f"lengths of shape {tuple(lengths.shape)}: must be one per text, {tuple(x.shape[:1])}"
        )
    if len(lengths) and not 1 <= int(lengths.min()) <= int(lengths.max()) <= x.shape[1]:
        raise ConfigError(
            f"lengths from {int(lengths.min())} to {int(lengths.max())}: "
            f"must be from 1 to the {x.shape[1]} steps of the batch"
        )
    return lengths
