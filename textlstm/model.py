"""The classifier: embedding, BiLSTM, pooling over true tokens, linear layer.

Shapes: B batch, T time (tokens), E embedding, H hidden, D directions, F = D*H, C classes,
V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from textlstm.config import ModelConfig
from textlstm.dropout import dropout
from textlstm.embedding import RowEmbedding
from textlstm.lstm import BiLSTM

PAD_ID = 0
UNK_ID = 1


class BiLSTMClassifier(nn.Module):
    """Token ids and lengths in, logits out.

    `compute_dtype` may be set to `torch.bfloat16` to run the LSTM in bf16; weights stay fp32.

    Args:
        config: sizes, pooling and dropout.
        vocab_size: entries of the vocabulary (V), `<pad>` and `<unk>` included.
        num_classes: labels (C).
    """

    compute_dtype: torch.dtype = torch.float32

    def __init__(self, config: ModelConfig, *, vocab_size: int, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = RowEmbedding(vocab_size, config.embedding_size, padding_idx=PAD_ID)
        nn.init.normal_(self.embedding.weight, std=0.1)
        with torch.no_grad():
            self.embedding.weight[PAD_ID].zero_()
        self.lstm = BiLSTM(
            config.embedding_size,
            config.hidden_size,
            config.num_layers,
            bidirectional=config.bidirectional,
            dropout=config.dropout,
        )
        features = config.hidden_size * (2 if config.bidirectional else 1)
        self.pooling = Pooling(config.pooling, features, bidirectional=config.bidirectional)
        self.linear = nn.Linear(features, num_classes)
        nn.init.zeros_(self.linear.bias)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Judge a batch of texts.

        Args:
            ids: token ids padded with 0, int64 [B, T].
            lengths: true tokens of each text, int64 [B], each at least 1.

        Returns:
            Logits, [B, C].
        """
        config = self.config
        if self.training and config.word_dropout:
            ids = _word_dropout(ids, config.word_dropout)
        x = self.embedding(ids.t()).transpose(0, 1)  # [B, T, E], time-major as the LSTM reads it
        x = dropout(x, config.embedding_dropout, self.training)
        output = self.lstm.read(x.to(self.compute_dtype), lengths)  # [B, T, F]
        pooled = self.pooling(output, lengths).float()  # [B, F]
        pooled = dropout(pooled, config.output_dropout, self.training)
        logits: Tensor = self.linear(pooled)  # [B, C]
        return logits


class Pooling(nn.Module):
    """States of a text's true tokens to one vector.

    Args:
        kind: 'final' (the forward state at the true last token and the backward state at the
            first), 'max', 'mean' or 'attention' (a learned score per token, softmax over the
            text; after Yang et al. 2016).
        features: numbers per token, F = D*H.
        bidirectional: whether the second half of the features was read backwards.
    """

    def __init__(self, kind: str, features: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.kind = kind
        self.bidirectional = bidirectional
        if kind == "attention":
            self.hidden = nn.Linear(features, features)
            self.score = nn.Linear(features, 1, bias=False)

    def forward(self, output: Tensor, lengths: Tensor) -> Tensor:
        """Pool.

        Args:
            output: the last layer's states, [B, T, F].
            lengths: true tokens of each text, int64 [B].

        Returns:
            One vector per text, [B, F].
        """
        lengths = lengths.to(output.device)
        if self.kind == "final":
            rows = torch.arange(lengths.shape[0], device=output.device)
            last = output[rows, lengths - 1]  # [B, F]
            if not self.bidirectional:
                return last
            half = output.shape[2] // 2
            return torch.cat([last[:, :half], output[:, 0, half:]], dim=1)  # [B, F]
        steps = torch.arange(output.shape[1], device=output.device)
        outside = (steps >= lengths[:, None])[:, :, None]  # [B, T, 1]
        if self.kind == "max":
            return output.masked_fill(outside, -torch.inf).amax(dim=1)  # [B, F]
        if self.kind == "mean":
            total = output.masked_fill(outside, 0.0).sum(dim=1, dtype=torch.float32)  # [B, F]
            return total / lengths[:, None]
        output = output.float()
        scores = self.score(torch.tanh(self.hidden(output)))  # [B, T, 1]
        weights = scores.masked_fill(outside, -torch.inf).softmax(dim=1)
        pooled: Tensor = (weights * output).sum(dim=1)  # [B, F]
        return pooled


def _word_dropout(ids: Tensor, share: float) -> Tensor:
    """Read a random share of the true tokens as `<unk>`."""
    dropped = (torch.rand(ids.shape, device=ids.device) < share) & (ids != PAD_ID)
    return ids.masked_fill(dropped, UNK_ID)
