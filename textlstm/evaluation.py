"""Probabilities of the texts of a split, which all processes judge together.

Shapes: N texts, B batch, T time (tokens), C classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from textlstm.batching import collate, sorted_batches
from textlstm.distributed import World
from textlstm.encoded import EncodedTexts
from textlstm.outputs import to_probabilities


@torch.inference_mode()
def judge(
    model: nn.Module,
    texts: EncodedTexts,
    classes: int,
    *,
    multi_label: bool,
    batch_size: int,
    world: World,
    go_on: Callable[[int], bool] = lambda done: True,
) -> np.ndarray | None:
    """Judge texts, each process every `world.size`-th batch.

    Args:
        model: (ids [B, T], lengths [B]) -> logits [B, C]; in evaluation mode.
        texts: N texts.
        classes: C.
        multi_label: whether a text may have any number of labels.
        batch_size: texts of a batch.
        world: the processes.
        go_on: asked now and then, with the number of texts done by all; False ends the work.

    Returns:
        Probabilities, float32 [N, C], the same in all processes; None if `go_on` said no in one.
    """
    device = next(model.parameters()).device
    probabilities = np.zeros((len(texts), classes), np.float32)  # [N, C]
    batches = sorted_batches(texts.lengths, batch_size=batch_size)
    done = 0
    for first in range(0, len(batches), world.size):
        together = batches[first : first + world.size]
        for rows in together[world.rank : world.rank + 1]:
            ids, lengths = collate(texts, rows, few_shapes=True)  # [B, T], [B]
            logits = model(ids.to(device), lengths)  # [B, C]
            probabilities[rows] = to_probabilities(logits, multi_label=multi_label)
        done += sum(map(len, together))
        if world.any(not go_on(done))[0]:
            return None
    world.sum_([torch.from_numpy(probabilities)])  # where others have judged there are zeros
    return probabilities
