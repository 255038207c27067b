"""An embedding whose gradient and optimizer step cost what the batch has, not the vocabulary.

A batch of short texts holds some hundred of 30,000 tokens. The dense gradient of the whole table,
its norm, and the optimizer's pass over every row cost more than the rest of a fast step. Here
the gradient is a sparse tensor of the rows that were read, each once.

Shapes: V vocabulary, E embedding, K rows read, N tokens.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn


class RowEmbedding(nn.Embedding):
    """An `nn.Embedding` whose sparse gradient holds each row that was read once, padding never.

    The gradient is dense, for any optimizer, until `sparse` is set, as `make_optimizer` does.
    """

    def forward(self, ids: Tensor) -> Tensor:
        """Look ids up: int64 of any shape [...] gives [..., E]."""
        if not (self.sparse and self.weight.requires_grad and torch.is_grad_enabled()):
            return nn.functional.embedding(ids, self.weight, self.padding_idx)
        found = _LookUp.apply(self.weight, ids, self.padding_idx)  # type: ignore[no-untyped-call]
        return cast(Tensor, found)


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.shape, ctx.padding = weight.shape, padding
        return nn.functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (ids,) = ctx.saved_tensors
        rows, places = torch.unique(ids, return_inverse=True)  # [K] ascending, [...]
        values = gradient.new_zeros(len(rows), ctx.shape[1])  # [K, E]
        values.index_add_(0, places.flatten(), gradient.reshape(-1, ctx.shape[1]))
        true = rows != ctx.padding
        rows, values = rows[true], values[true]
        sparse = torch.sparse_coo_tensor(
            rows[None], values, ctx.shape, is_coalesced=True, check_invariants=False
        )
        return sparse, None, None
