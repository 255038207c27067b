"""The layers beside the LSTM: a sparse embedding, a cheap dropout, pooling.

The embedding's gradient and optimizer step cost what the batch has, not the vocabulary: a batch of
short texts holds some hundred of 30,000 tokens, and the dense gradient of the whole table, its
norm, and the optimizer's pass over every row cost more than the rest of a fast step. Here the
gradient is a sparse tensor of the rows that were read, each once.

The mask of the dropout costs a CPU one random byte a number. `torch.nn.functional.dropout` draws
each mask bit as a number of its own (about 7 ns on a CPU); beside a fast LSTM that is a sixth of
a training step. Eight mask bytes from each 64-bit draw cost an eighth of that.

Threads that train parts of a batch side by side each draw from a generator of their own (see
`drawing_from`): from the one of torch, who draws first would depend on the load.

Shapes: B batch, T time (tokens), H hidden, D directions, F = D*H, V vocabulary, E embedding,
K rows read, N tokens.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

_LEVELS = 256  # values of a byte: the share dropped is a multiple of 1/256
_of_thread = threading.local()


@contextlib.contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Make this thread draw from a generator inside the block, where the device is a CPU."""
    _of_thread.generator = generator
    try:
        yield
    finally:
        del _of_thread.generator


def thread_generator() -> torch.Generator | None:
    """Return what this thread draws from; None is the generator of torch."""
    return getattr(_of_thread, "generator", None)


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


def dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """Zero a random share of the numbers and scale up the rest (Srivastava et al. 2014).

    On a CPU the share is rounded to a multiple of 1/256, and the scale belongs to the rounded
    share, so that the expectation is kept exactly.

    Args:
        x: any float tensor.
        share: the share to drop, 0 to 1.
        training: False gives `x` itself.

    Returns:
        A tensor of the shape and dtype of `x`.
    """
    if not training or not share:
        return x
    dropped = round(share * _LEVELS)
    if x.device.type != "cpu":
        return nn.functional.dropout(x, share)
    if not 0 < dropped < _LEVELS:
        kept = torch.rand(x.shape, generator=thread_generator()) >= share
        return x * kept / max(1 - share, 2**-32)
    if x.ndim > 1 and not x.is_contiguous() and x.transpose(0, 1).is_contiguous():
        return dropout(x.transpose(0, 1), share, training).transpose(0, 1)  # as it lies in memory
    count = x.numel()
    words = torch.empty(-(-count // 8), dtype=torch.int64)
    words.random_(-(2**63), None, generator=thread_generator())
    draws = words.view(torch.uint8)[:count].view(x.shape)
    kept = torch.empty(x.shape, dtype=x.dtype)
    torch.ge(draws, dropped, out=kept)  # by way of a bool it takes five times as long
    return x * kept.mul_(_LEVELS / (_LEVELS - dropped))


class Pooling(nn.Module):
    """States of a text's true tokens to one vector.

    Args:
        kind: 'final' (the forward state at the true last token and the backward state at the
            first), 'max', 'final+max' (both, concatenated), 'mean' or 'attention' (a learned
            score per token, softmax over the text; after Yang et al. 2016).
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

    def forward(self, states: Sequence[Tensor], lengths: Tensor, least: int = 0) -> Tensor:
        """Pool.

        Args:
            states: if `any_order`, those of each direction as `BiLSTM.scan` gives them, D of
                [B, T, H]; else one [B, T, F] in the texts' order.
            lengths: true tokens of each text, int64 [B].
            least: a number of tokens that every text has; among these, 'max' does not look for
                padding, which saves time. Default 0.

        Returns:
            One fp32 vector per text, [B, F]; of 'final+max' [B, 2F].
        """
        lengths = lengths.to(states[0].device)
        parts: list[Tensor] = []
        if "final" in self.kind:
            rows = torch.arange(lengths.shape[0], device=lengths.device)  # len() can't be exported
            parts = [part[rows, lengths - 1].float() for part in states]  # of [B, H]
        if self.kind == "final":
            return torch.cat(parts, dim=1)  # [B, F]
        steps = torch.arange(states[0].shape[1], device=lengths.device)
        outside = (steps >= lengths[:, None])[:, :, None]  # [B, T, 1]
        if "max" in self.kind:
            parts += [_greatest(part, outside, least).float() for part in states]
            return torch.cat(parts, dim=1)  # [B, F] or [B, 2F]
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


def _greatest(states: Tensor, outside: Tensor, least: int) -> Tensor:
    """Return the maximum of the states [B, T, H] that are not `outside` [B, T, 1], [B, H]."""
    if least and states.requires_grad and torch.is_grad_enabled():
        return cast(Tensor, _Greatest.apply(states, outside, least))  # type: ignore[no-untyped-call]
    parts = []
    if least:
        parts.append(states[:, :least].amax(dim=1))
    if not least or least < states.shape[1]:
        parts.append(states[:, least:].masked_fill(outside[:, least:], -torch.inf).amax(dim=1))
    return parts[0] if len(parts) == 1 else torch.maximum(*parts)


class _Greatest(torch.autograd.Function):
    """`_greatest`, whose gradient is shared by the states that are equal to the maximum.

    So does that of `amax`, which takes three times as long on a CPU: it makes a float of a bool.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, outside: Tensor, least: int) -> Tensor:
        found = _greatest(states, outside, least)
        ctx.save_for_backward(states, outside, found)
        ctx.least = least
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        states, outside, found = ctx.saved_tensors
        shares = torch.empty_like(states)  # [B, T, H], as it lies in memory
        torch.eq(states, found[:, None], out=shares)
        shares[:, ctx.least :].masked_fill_(outside[:, ctx.least :], 0.0)
        return shares.mul_((gradient / shares.sum(dim=1))[:, None]), None, None
