"""The evaluation of a split, whose logits all processes compute together.

Shapes: N texts, B batch, T time (tokens), C classes, K branches of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from textlstm.data.encoded import EncodedTexts, LabelledTexts, collate, sorted_batches
from textlstm.evaluation.calibration import calibration_facts, evaluate_cascade, fit_scales
from textlstm.evaluation.cascade import Cascade
from textlstm.evaluation.metrics import evaluate_probabilities
from textlstm.evaluation.thresholds import best_thresholds
from textlstm.nn.network import Branched, combine
from textlstm.nn.probabilities import to_probabilities
from textlstm.training.distributed import World


def evaluate_split(
    model: Branched,
    split: LabelledTexts,
    labels: Sequence[str],
    *,
    batch_size: int,
    world: World,
    on_batch: Callable[[int], bool] = lambda done: True,
    thresholds: Sequence[float] | None = None,
    cascade: Cascade | None = None,
    calibrate: bool = False,
) -> dict[str, Any] | None:
    """Evaluate a model as it is, all processes together.

    Args:
        model: as for `predict_logits`.
        split: texts whose labels are known.
        labels: label names, C of them.
        batch_size: texts of a batch.
        world: the processes.
        on_batch: as for `predict_logits`.
        thresholds: where a text may have several labels, those of `best_thresholds`; the best
            for this split itself if not given.
        cascade: of a model with n-grams; fitted on this split itself if not given.
        calibrate: whether to set the scales of the model by the logits first.

    Returns:
        What `evaluate_probabilities` returns, with what changed the scales under `calibration`
        and, for a model with n-grams, what `cascade_figures` returns under `cascade`; None if
        `on_batch` returned False in one process.

    Raises:
        FloatingPointError: logits are not finite.
    """
    logits = predict_logits(
        model, split.texts, len(labels), batch_size=batch_size, world=world, on_batch=on_batch
    )  # [K, N, C]
    if logits is None:
        return None
    if not np.isfinite(logits).all():
        raise FloatingPointError("logits that are not finite")
    facts = {}
    if calibrate:
        fitted = fit_scales(logits, split.labels, split.weights)
        model.scales.copy_(fitted)
        world.broadcast_([model.scales])  # other processors may round the last bit otherwise
        before = torch.full_like(fitted, 1 / len(fitted))
        found = calibration_facts(logits, before, fitted, split.labels, split.weights)
        facts = {"calibration": found}
    combined = combine(torch.from_numpy(logits), model.scales.cpu())  # [N, C]
    probabilities = to_probabilities(combined, multi_label=split.multi_label)
    if split.multi_label and thresholds is None:
        thresholds = best_thresholds(split.labels, probabilities, split.weights)
    figures = evaluate_probabilities(split.labels, probabilities, labels, split.weights, thresholds)
    if len(logits) > 1:
        known = (split.labels, thresholds, split.weights)
        facts["cascade"] = evaluate_cascade(logits[1], probabilities, *known, cascade=cascade)
    return {**figures, **facts}


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
