"""Logits of the texts of a split, which all processes compute together.

Shapes: N texts, B batch, T time (tokens), C classes, K branches of the model.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from textlstm.data.batches import collate, sorted_batches
from textlstm.data.encoded import EncodedTexts
from textlstm.nn.network import Branched
from textlstm.training.distributed import World


@torch.inference_mode()
def predict_logits(
    model: Branched,
    texts: EncodedTexts,
    classes: int,
    *,
    batch_size: int,
    world: World,
    on_batch: Callable[[int], bool] = lambda done: True,
) -> np.ndarray | None:
    """Compute the logits of texts, each process every `world.size`-th batch.

    Args:
        model: has `branches`, (ids [B, T], lengths [B]) -> logits [K, B, C], and `scales`, [K];
            in evaluation mode.
        texts: N texts.
        classes: C.
        batch_size: texts of a batch.
        world: the processes.
        on_batch: called with the number of texts that all have done; False ends the work.

    Returns:
        Logits of each branch, float32 [K, N, C], the same in all processes; None if
        `on_batch` returned False in one.
    """
    device = model.scales.device
    logits = np.zeros((len(model.scales), len(texts), classes), np.float32)  # [K, N, C]
    batches = sorted_batches(texts.lengths, batch_size=batch_size)
    done = 0
    for first in range(0, len(batches), world.size):
        together = batches[first : first + world.size]
        for rows in together[world.rank : world.rank + 1]:
            ids, lengths = collate(texts, rows, few_shapes=True)  # [B, T], [B]
            logits[:, rows] = model.branches(ids.to(device), lengths).cpu().numpy()  # [K, B, C]
        done += sum(map(len, together))
        if world.any(not on_batch(done))[0]:
            return None
    world.sum_([torch.from_numpy(logits)])  # zeros where others have computed
    return logits
