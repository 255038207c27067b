"""The classifier: embedding, BiLSTM, pooling over true tokens, linear layer; n-grams beside.

Shapes: B batch, T time (tokens), E embedding, H hidden, D directions, F = D*H, C classes,
V vocabulary, K branches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from textlstm.config import NGRAM_BUCKETS, ModelConfig
from textlstm.nn.bilstm import BiLSTM
from textlstm.nn.layers import Pooling, RowEmbedding, dropout, thread_generator
from textlstm.nn.ngrams import NgramLinear

PAD_ID = 0
UNK_ID = 1


class Reader(nn.Module):
    """An embedding and a BiLSTM: what a language model and a classifier have in common.

    `compute_dtype` may be set to `torch.bfloat16` to run the LSTM in bf16; weights stay fp32.

    Args:
        config: sizes and dropout.
        vocab_size: entries of the vocabulary (V), `<pad>` and `<unk>` included.
    """

    compute_dtype: torch.dtype = torch.float32

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.features = config.hidden_size * (2 if config.bidirectional else 1)  # F
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

    def embed(self, ids: Tensor) -> Tensor:
        """Look tokens up: int64 [B, T] gives [B, T, E], time-major as the LSTM reads it."""
        found: Tensor = self.embedding(ids.t())  # [T, B, E]
        return found.transpose(0, 1)


class BiLSTMClassifier(Reader):
    """Token ids and lengths in, logits out.

    There are one or two branches: the LSTM, and if `config.ngrams` is not 0 a linear model of the
    text's n-grams. Logits are the sum of theirs, each times its number in `scales`: 1/K
    (the mean) until `textlstm.evaluation.calibration` fits them.

    Args:
        config: sizes, pooling and dropout.
        vocab_size: entries of the vocabulary (V), `<pad>` and `<unk>` included.
        num_classes: labels (C).
        multi_label: whether a text may have any number of labels (see `textlstm.nn.probabilities`).
    """

    scales: Tensor

    def __init__(
        self,
        config: ModelConfig,
        *,
        vocab_size: int,
        num_classes: int,
        multi_label: bool = False,
    ) -> None:
        super().__init__(config, vocab_size)
        self.multi_label = multi_label
        self.pooling = Pooling(config.pooling, self.features)
        self.linear = nn.Linear(pooled_size(config), num_classes)
        nn.init.zeros_(self.linear.bias)
        self.ngrams: NgramLinear | None = None
        if config.ngrams:
            self.ngrams = NgramLinear(
                vocab_size,
                num_classes,
                order=config.ngrams,
                buckets=config.ngram_buckets or NGRAM_BUCKETS,
                rank=config.ngram_rank or 0,
            )
        branches = 2 if config.ngrams else 1
        self.register_buffer("scales", torch.full((branches,), 1 / branches))  # [K]

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits of a batch of texts.

        Args:
            ids: token ids padded with 0, int64 [B, T].
            lengths: true tokens of each text, int64 [B], each at least 1.

        Returns:
            Logits, [B, C].
        """
        return combine(self.branches(ids, lengths), self.scales)

    def branches(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits of each branch alone; arguments as for `forward`.

        Returns:
            Logits, [K, B, C], those of the LSTM first.
        """
        logits = [self.lstm_logits(ids, lengths)]
        if self.ngrams is not None:
            logits.append(self.ngrams(ids, lengths))
        return torch.stack(logits)

    def lstm_logits(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits of the LSTM alone, which training learns from.

        Args:
            ids: token ids padded with 0, int64 [B, T].
            lengths: true tokens of each text, int64 [B], each at least 1.

        Returns:
            Logits, [B, C].
        """
        return self.read(self.embed(self.drop_words(ids)), lengths)

    def drop_words(self, ids: Tensor) -> Tensor:
        """Read a share of the tokens as unknown, in training only; int64 [B, T] to the same."""
        if not (self.training and self.config.word_dropout):
            return ids
        return _word_dropout(ids, self.config.word_dropout)

    def read(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits of the LSTM for embeddings, [B, T, E], and lengths, [B]."""
        x = dropout(x, self.config.embedding_dropout, self.training)
        states = self.lstm.scan if self.pooling.any_order else self._states
        least = (
            int(lengths.min()) if lengths.device.type == "cpu" else 0
        )  # a GPU would be waited for
        pooled = self.pooling(states(x.to(self.compute_dtype), lengths), lengths, least)  # [B, F]
        pooled = dropout(pooled, self.config.output_dropout, self.training)
        logits: Tensor = self.linear(pooled)  # [B, C]
        return logits

    def _states(self, x: Tensor, lengths: Tensor) -> list[Tensor]:
        return [self.lstm.read(x, lengths)]


def network_of(
    weights: Mapping[str, Tensor], config: ModelConfig, *, multi_label: bool
) -> BiLSTMClassifier:
    """Make a network from its state dict and its shape, on the CPU and in evaluation mode."""
    # Not on the device "meta": drawing numbers there has torch import its compiler, for seconds.
    with torch.random.fork_rng(devices=[]):  # the caller's random state stays as it was
        model = BiLSTMClassifier(
            config,
            vocab_size=len(weights["embedding.weight"]),
            num_classes=len(weights["linear.weight"]),
            multi_label=multi_label,
        )
    model.load_state_dict(weights)
    return model.eval()


def pooled_size(config: ModelConfig) -> int:
    """Return how many numbers of a text the linear layer reads."""
    directions = 2 if config.bidirectional else 1
    return config.hidden_size * directions * (2 if config.pooling == "final+max" else 1)


def parameter_shapes(
    config: ModelConfig, *, vocab_size: int, num_classes: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the names and shapes of a network's state dict without making the network.

    Args:
        config: sizes and pooling.
        vocab_size: entries of the vocabulary (V).
        num_classes: labels (C).
    """
    hidden, size = config.hidden_size, config.embedding_size
    ends = ("", "_reverse") if config.bidirectional else ("",)
    features = hidden * len(ends)
    yield "embedding.weight", (vocab_size, size)
    for layer in range(config.num_layers):
        for end in ends:
            yield f"lstm.weight_ih_l{layer}{end}", (4 * hidden, features if layer else size)
            yield f"lstm.weight_hh_l{layer}{end}", (4 * hidden, hidden)
            yield f"lstm.bias_ih_l{layer}{end}", (4 * hidden,)
            yield f"lstm.bias_hh_l{layer}{end}", (4 * hidden,)
    if config.pooling == "attention":
        yield "pooling.hidden.weight", (features, features)
        yield "pooling.hidden.bias", (features,)
        yield "pooling.score.weight", (1, features)
    yield "linear.weight", (num_classes, pooled_size(config))
    yield "linear.bias", (num_classes,)
    if config.ngrams:
        buckets = (config.ngram_buckets or NGRAM_BUCKETS) if config.ngrams > 1 else 0
        yield "ngrams.table", (vocab_size + buckets, config.ngram_rank or num_classes)
        yield "ngrams.bias", (num_classes,)
        if config.ngram_rank:
            yield "ngrams.labels", (num_classes, config.ngram_rank)
    yield "scales", (2 if config.ngrams else 1,)


def combine(logits: Tensor, scales: Tensor) -> Tensor:
    """Add up the logits of the branches.

    Args:
        logits: of each branch, [K, N, C].
        scales: how much each counts, [K].

    Returns:
        [N, C].
    """
    return (logits * scales.to(logits.dtype)[:, None, None]).sum(dim=0)


def _word_dropout(ids: Tensor, share: float) -> Tensor:
    """Read a random share of the true tokens as `<unk>`."""
    draws = torch.rand(ids.shape, device=ids.device, generator=thread_generator())
    return ids.masked_fill((draws < share) & (ids != PAD_ID), UNK_ID)
