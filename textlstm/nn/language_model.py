"""A network that predicts hidden tokens: how embedding and LSTM learn from text without labels.

Some tokens of each text are hidden, and the whole stacked BiLSTM predicts them from both sides
(Devlin et al. 2019, for LSTMs). The table of the embedding is that of the output too (Press & Wolf
2017). Only hidden places pay for the softmax.

Shapes: B batch, T time (tokens), E embedding, H hidden, V vocabulary, N places that are predicted,
S sampled tokens.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from textlstm.config import ModelConfig
from textlstm.nn.layers import dropout, thread_generator
from textlstm.nn.network import PAD_ID, UNK_ID, Reader

SHARE = 0.2  # of the tokens that is hidden
_SAMPLES = 4096  # S
_POWER = 0.75  # of a token's count, for how often it is sampled (Mikolov et al. 2013)
_PLACES = 512  # whose logits are computed together


class _SampledLoss(torch.autograd.Function):
    """The summed cross entropy of true tokens among sampled ones.

    The gradients are computed along with the loss, some places at a time: the logits of all,
    [N, S], would leave the processor's cache, which costs an eighth of a step of two layers of 128.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        rows: Tensor,
        bias: Tensor,
        true: Tensor,
        targets: Tensor,
        sample: Tensor,
    ) -> Tensor:
        """Take x [N, E], rows [S, E], bias [S], true logits [N], their tokens [N], tokens [S]."""
        loss, of_x = x.new_zeros(()), torch.empty_like(x)
        of_rows, of_bias, of_true = map(torch.zeros_like, (rows, bias, true))
        for start in range(0, len(x), _PLACES):
            part = slice(start, start + _PLACES)
            logits = torch.addmm(bias, x[part], rows.t())  # [n, S]
            logits.masked_fill_(targets[part, None] == sample, -torch.inf)
            total = torch.logaddexp(logits.logsumexp(dim=1), true[part])  # [n]
            loss += (total - true[part]).sum()
            shares = logits.sub_(total[:, None]).exp_()
            torch.mm(shares, rows, out=of_x[part])
            of_rows.addmm_(shares.t(), x[part])
            of_bias += shares.sum(dim=0)
            of_true[part] = (true[part] - total).exp() - 1
        ctx.save_for_backward(of_x, of_rows, of_bias, of_true)
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (*(gradient * one for one in ctx.saved_tensors), None, None)


class LanguageModel(Reader):
    """Token ids and lengths in, the loss of predicting hidden tokens out.

    Hidden tokens are read as `<unk>`, as word dropout reads tokens later; `<unk>` itself is never
    predicted. Embedding and LSTM are named and shaped as in `BiLSTMClassifier`.

    Args:
        config: sizes and dropout.
        counts: how often each entry of the vocabulary occurs, [V].
    """

    cumulative: Tensor
    expected: Tensor

    def __init__(self, config: ModelConfig, counts: Tensor) -> None:
        super().__init__(config, len(counts))
        self.projection = nn.Linear(self.features, config.embedding_size)
        self.bias = nn.Parameter(torch.zeros(len(counts)))
        odds = counts.double().clamp(min=1.0) ** _POWER
        odds[[PAD_ID, UNK_ID]] = 0.0
        odds /= odds.sum()
        self.register_buffer("cumulative", odds.cumsum(0), persistent=False)  # [V]
        self.register_buffer("expected", (_SAMPLES * odds).log().float(), persistent=False)  # [V]

    def hide(self, ids: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw which tokens of a batch to hide: int64 [B, T] gives bool [B, T]."""
        draws = torch.rand(ids.shape, generator=generator or thread_generator()).to(ids.device)
        return (draws < SHARE) & (ids > UNK_ID)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the summed loss of the hidden tokens of a batch, drawn anew, a scalar.

        The softmax is over the true token and some sampled others. The logit of each of these is
        less the log of how often its token is expected in the sample, so that their sum stands for
        the one over the whole vocabulary (Bengio & Senecal 2003; Jean et al. 2015).

        Args:
            ids: token ids padded with 0, int64 [B, T].
            lengths: true tokens of each text, int64 [B], each at least 1.
        """
        hidden = self.hide(ids)
        x, targets = self._read(ids, lengths, hidden), ids[hidden]  # [N, E], [N]
        n = len(targets)
        options: dict[str, Any] = {"dtype": torch.float64, "generator": thread_generator()}
        draws = torch.rand(_SAMPLES, device=ids.device, **options)
        sample = torch.searchsorted(self.cumulative, draws).clamp(max=len(self.bias) - 1)
        both = torch.cat([targets, sample])
        rows, bias = self.embedding(both), self.bias[both]
        true = (x * rows[:n]).sum(dim=1) + bias[:n]  # [N]
        shifted = bias[n:] - self.expected[sample]
        loss = _SampledLoss.apply(x, rows[n:], shifted, true, targets, sample)  # type: ignore[no-untyped-call]
        return cast(Tensor, loss)

    @torch.inference_mode()
    def full_loss(self, ids: Tensor, lengths: Tensor, hidden: Tensor) -> Tensor:
        """Return the summed loss over the whole vocabulary, a float64 scalar.

        Args:
            ids: token ids padded with 0, int64 [B, T].
            lengths: true tokens of each text, int64 [B].
            hidden: which tokens to predict, bool [B, T].
        """
        x, targets = self._read(ids, lengths, hidden), ids[hidden]
        total = torch.zeros((), dtype=torch.float64, device=ids.device)
        for part, wanted in zip(x.split(_PLACES), targets.split(_PLACES), strict=True):
            logits = part @ self.embedding.weight.t() + self.bias  # [N, V]
            logits = logits[:, UNK_ID + 1 :]  # what is never hidden is never the answer
            total += nn.functional.cross_entropy(logits, wanted - UNK_ID - 1, reduction="sum")
        return total

    def _read(self, ids: Tensor, lengths: Tensor, hidden: Tensor) -> Tensor:
        """Return what is known of the hidden places, [N, E]."""
        x = self.embed(ids.masked_fill(hidden, UNK_ID))  # [B, T, E]
        x = dropout(x, self.config.embedding_dropout, self.training).to(self.compute_dtype)
        states = self.lstm.read(x, lengths)[hidden].float()  # [N, 2H]
        found: Tensor = self.projection(dropout(states, self.config.output_dropout, self.training))
        return found
