"""Pooling: the LSTM's states of a text to one vector.

Shapes: B batch, T time (tokens), H hidden, D directions, F = D*H.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Pooling(nn.Module):
    """States of a text's true tokens to one vector.

    Args:
        kind: 'final' (the forward state at the true last token and the backward state at the
            first), 'max', 'mean' or 'attention' (a learned score per token, softmax over the
            text; after Yang et al. 2016).
        features: numbers per token, F = D*H.
    """

    def __init__(self, kind: str, features: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "attention":
            self.hidden = nn.Linear(features, features)
            self.score = nn.Linear(features, 1, bias=False)

    @property
    def any_order(self) -> bool:
        """Whether each direction is pooled by itself, in the order in which it reads."""
        return self.kind != "attention"

    def forward(self, states: Sequence[Tensor], lengths: Tensor) -> Tensor:
        """Pool.

        Args:
            states: if `any_order`, those of each direction as `BiLSTM.scan` gives them, D of
                [B, T, H]; else one [B, T, F] in the texts' order.
            lengths: true tokens of each text, int64 [B].

        Returns:
            One fp32 vector per text, [B, F].
        """
        lengths = lengths.to(states[0].device)
        if self.kind == "final":
            rows = torch.arange(lengths.shape[0], device=lengths.device)  # len() can't be exported
            return torch.cat([part[rows, lengths - 1].float() for part in states], dim=1)  # [B, F]
        steps = torch.arange(states[0].shape[1], device=lengths.device)
        outside = (steps >= lengths[:, None])[:, :, None]  # [B, T, 1]
        if self.kind == "max":
            parts = [part.masked_fill(outside, -torch.inf).amax(dim=1).float() for part in states]
            return torch.cat(parts, dim=1)  # [B, F]
        if self.kind == "mean":
            parts = [
                part.masked_fill(outside, 0.0).sum(dim=1, dtype=torch.float32) for part in states
            ]
            return torch.cat(parts, dim=1) / lengths[:, None]  # [B, F]
        (output,) = (part.float() for part in states)  # [B, T, F]
        scores = self.score(torch.tanh(self.hidden(output)))  # [B, T, 1]
        weights = scores.masked_fill(outside, -torch.inf).softmax(dim=1)
        pooled: Tensor = (weights * output).sum(dim=1)  # [B, F]
        return pooled
