"""Which texts form a batch, and their ids as one padded tensor.

Shapes: B batch, T tokens of the longest text of a batch, N texts, K tokens of a batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from textlstm.data.encoded import EncodedTexts
from textlstm.text.vocabulary import PAD_ID

if TYPE_CHECKING:
    from torch import Tensor  # imported where it is needed: ONNX Runtime does without

_WINDOW = 100  # batches that are sorted by length together
_NOISE = 0.1  # a length counts as up to this share more or less, so that epochs differ


def collate(
    encoded: EncodedTexts, rows: np.ndarray, *, few_shapes: bool = False
) -> tuple[Tensor, Tensor]:
    """Read some texts as one padded batch.

    Args:
        encoded: where they are.
        rows: which ones, in the order wanted, int64 [B].
        few_shapes: pad up to one of at most 16 lengths per power of two, on average 3% more.
            Where freed memory is kept (see `textlstm.nn.memory`), blocks of ever new sizes
            would leave ever more holes between them; those of the same sizes are used again.

    Returns:
        ids int64 [B, T], padded with 0 at the end, and lengths int64 [B].
    """
    import torch

    ids, lengths = collate_arrays(encoded, rows, few_shapes=few_shapes)
    return torch.from_numpy(ids), torch.from_numpy(lengths)


def collate_arrays(
    encoded: EncodedTexts, rows: np.ndarray, *, few_shapes: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Do as `collate`, without torch."""
    starts = encoded.offsets[rows]
    lengths = np.asarray(encoded.offsets[rows + 1] - starts, np.int64)
    before = np.cumsum(lengths) - lengths  # tokens of the batch ahead of each text, [B]
    index = np.repeat(starts - before, lengths) + np.arange(lengths.sum())  # [K]
    longest = int(lengths.max(initial=0))
    if few_shapes:  # the next multiple of a sixteenth of the power of two below
        step = max(1, (1 << longest.bit_length()) >> 5)
        longest = -(-longest // step) * step
    padded = np.full((len(lengths), longest), PAD_ID, np.int64)  # [B, T]
    padded[np.arange(longest) < lengths[:, None]] = encoded.ids[index]  # row by row, as they lie
    return padded, lengths


def train_batches(
    lengths: np.ndarray, *, batch_size: int, seed: int, epoch: int, batch_tokens: int = 0
) -> list[np.ndarray]:
    """Divide rows into batches of like length, in random order.

    Rows are shuffled, sorted by slightly noisy length inside windows of 100 batches, cut into
    batches, and the batches shuffled. Like lengths save the work on padding; the noise keeps
    the same texts from meeting in every epoch. Batches differ by at most one row in size, so
    that none is left over with a few texts and a wild gradient. A batch of more tokens than the
    budget is cut into equal parts within it.

    Args:
        lengths: tokens of each row, [N].
        batch_size: most rows of a batch.
        seed: of the order.
        epoch: counted from 0; each has its own order.
        batch_tokens: most tokens of a batch, padding included; a longer text is a batch by
            itself. 0, the default, is no limit.

    Returns:
        Arrays of row numbers, int64 [B]. Every row is in exactly one. The same arguments
        always return the same batches, so that a resumed run continues where it stopped.
    """
    n = len(lengths)
    random = np.random.default_rng([seed, epoch])
    count = -(-n // batch_size)
    cuts = np.arange(count + 1) * n // max(1, count)
    window = np.repeat(np.arange(count) // _WINDOW, np.diff(cuts))  # [N]
    order = random.permutation(n)
    noisy = lengths[order] * random.uniform(1 - _NOISE, 1 + _NOISE, n)
    order = order[np.lexsort((noisy, window))]
    batches = np.split(order, cuts[1:-1]) if n else []
    if batch_tokens:
        batches = [part for rows in batches for part in _within(rows, lengths, batch_tokens)]
    return [batches[i] for i in random.permutation(len(batches))]


def _within(rows: np.ndarray, lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """Cut a batch into as many like parts as its padded size needs."""
    most = max(1, budget // int(lengths[rows].max()))  # rows of a part
    return np.array_split(rows, -(-len(rows) // most))


def sorted_batches(lengths: np.ndarray, *, batch_size: int) -> list[np.ndarray]:
    """Divide rows into batches by length, longest first, for evaluation and prediction.

    The longest first: if memory does not suffice, that shows at once.

    Args:
        lengths: tokens of each row, [N].
        batch_size: rows of a batch; the last may have fewer.

    Returns:
        Arrays of row numbers, int64 [B]. Every row is in exactly one.
    """
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
