"""A linear model of the n-grams of a text, beside the LSTM.

What a bag of n-grams knows, an LSTM learns late or never from some thousand texts, and the other
way round: the two err on different texts. Each distinct n-gram of a text adds its row of a
table to the logits, as in NBSVM with binary features (Wang & Manning 2012); the sum is divided by
the root of how many there are, so that long texts are not more sure of themselves. Rows of more
than one token are found by hashing (Weinberger et al. 2009), so that no list of n-grams is kept.

Shapes: B batch, T time (tokens), G = T * order places for the n-grams of a text, C classes,
V vocabulary, R rows of the table.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

# Where the pairs with the first, second, ... token before begin, as a share of the buckets times
# that token's id. Multiples of such irrational numbers lie evenly spread on a circle, so that the
# most frequent tokens, whose ids are small, hardly ever meet.
SHARES = (0.6180339887, 0.4142135624, 0.7320508076, 0.6457513111)
MOST_TOKENS = 1 + len(SHARES)


class NgramLinear(nn.Module):
    """Token ids and lengths in, logits out: the sum over the distinct n-grams of a text.

    A text's first pair begins before it, with padding in place of a token: so it counts, too, which
    token a text begins with. (Longer n-grams that begin there have the rows of shorter ones.) All
    weights are 0 at first; `textlstm.training.fit_ngrams` finds them. They are buffers, since
    training the LSTM does not change them.

    Args:
        vocab_size: entries of the vocabulary (V), padding at 0.
        num_classes: labels (C).
        order: most tokens of an n-gram, 1 to 5.
        buckets: rows that the n-grams of more than one token share.
        rank: numbers of a row (K); 0 for one for each label.
    """

    table: Tensor
    bias: Tensor
    labels: Tensor | None

    def __init__(
        self, vocab_size: int, num_classes: int, *, order: int, buckets: int, rank: int = 0
    ) -> None:
        super().__init__()
        assert 1 <= order <= MOST_TOKENS
        self.vocab_size = vocab_size
        self.order = order
        self.buckets = buckets
        self.factors = [int(buckets * share) for share in SHARES[: order - 1]]
        rows = vocab_size + (buckets if order > 1 else 0)
        self.register_buffer("table", torch.zeros(rows, rank or num_classes))  # row 0 stays 0
        self.register_buffer("bias", torch.zeros(num_classes))
        self.register_buffer("labels", torch.zeros(num_classes, rank) if rank else None)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits of a batch of texts.

        Args:
            ids: token ids, int64 [B, T]; padding has no effect.
            lengths: true tokens of each text, int64 [B], each at least 1.

        Returns:
            Logits, [B, C].
        """
        rows = self.rows(ids, lengths)  # [B, G]
        # rows are added one after the other, so that zeros between them change no bit
        total = nn.functional.embedding_bag(rows, self.table, mode="sum")  # [B, K]
        return self.logits_of(rows, total)

    def logits_of(self, rows: Tensor, total: Tensor) -> Tensor:
        """Return logits [B, C] for the rows of texts, [B, G], and the sum of these rows, [B, K]."""
        distinct = (rows != 0).sum(dim=1, keepdim=True).clamp(min=1)  # [B, 1]
        logits: Tensor = total * distinct.float().rsqrt()
        if self.labels is not None:
            logits = logits @ self.labels.t()  # [B, C]
        return logits + self.bias

    def column(self, rows: Tensor, label: int) -> Tensor:
        """Return what each of some rows, [N], adds to the logit of a label, [N]."""
        if self.labels is None:
            return self.table[rows, label]
        return self.table[rows] @ self.labels[label]

    def rows(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the table rows of the n-grams of texts.

        Args:
            ids: token ids, int64 [B, T].
            lengths: true tokens of each text, int64 [B].

        Returns:
            int64 [B, G], ascending; each row once; repeats and unused places are 0.
        """
        every = self.rows_of_places(ids, lengths).flatten(1)  # [B, G]
        every = _ascending(every)
        again = nn.functional.pad(every[:, 1:] == every[:, :-1], (1, 0))  # [B, G]
        return every.masked_fill(again, 0)

    def rows_of_places(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the table rows of the n-grams that end at each token.

        Args:
            ids: token ids, int64 [B, T].
            lengths: true tokens of each text, int64 [B].

        Returns:
            int64 [B, order, T]: of 1, 2, ... tokens; 0 after a text's end.
        """
        time = ids.shape[1]
        inside = torch.arange(time, device=ids.device) < lengths.to(ids.device)[:, None]  # [B, T]
        kinds = [ids]
        for order in range(2, self.order + 1):
            before = nn.functional.pad(ids, (order - 1, 0))  # [B, order - 1 + T]
            key = ids
            for back, factor in enumerate(self.factors[: order - 1], start=1):
                first = order - 1 - back
                key = key + before[:, first : first + time] * factor
            kinds.append(self.vocab_size + key % self.buckets)
        return torch.stack([kind.masked_fill(~inside, 0) for kind in kinds], dim=1)


def _ascending(x: Tensor) -> Tensor:
    """Return each row of [B, G] sorted; on a CPU by NumPy, which takes a tenth of torch's time."""
    if x.device.type != "cpu" or type(x) is not Tensor or torch.compiler.is_compiling():
        return x.sort(dim=1).values  # when exported, it has no numbers
    return torch.from_numpy(np.sort(x.numpy(), axis=1))
