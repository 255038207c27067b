"""The evaluation of a split, whose logits all processes compute together.

Shapes: N texts, B batch, T time (tokens), C classes, K branches of the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from textlstm.data.encoded import EncodedTexts, LabelledTexts, collate, sorted_batches
from textlstm.evaluation.calibration import calibration_facts, fit_scales
from textlstm.evaluation.cascade import Cascade, Compared, cascade_figures, fit_cascade
from textlstm.evaluation.metrics import Answers, evaluate_answers, evaluate_probabilities, joined
from textlstm.evaluation.thresholds import best_thresholds
from textlstm.nn.network import BiLSTMClassifier, combine
from textlstm.nn.probabilities import to_probabilities
from textlstm.training.distributed import World

if TYPE_CHECKING:
    from textlstm.classifier.classifier import TextClassifier

_FEW = 40  # logits of a text, from which on not all of those of a large split are kept
_MOST_LOGITS = 2**22  # that are kept
_LEAST_SAMPLE = 256  # texts


def add_test(classifier: TextClassifier, texts: Mapping[str, LabelledTexts], world: World) -> None:
    """Evaluate a classifier on the split 'test', if it is there, and record the figures in it."""
    if "test" not in texts:
        return
    found = evaluate_split(
        classifier.model,
        texts["test"],
        classifier.labels,
        batch_size=classifier.settings.training.batch_size,
        world=world,
        thresholds=classifier.thresholds,
        cascade=classifier.cascade,
    )
    assert found is not None
    classifier.record = dataclasses.replace(
        classifier.record,
        rows={**classifier.record.rows, "test": len(texts["test"])},
        metrics={**classifier.record.metrics, "test": found},
    )


def evaluate_split(
    model: BiLSTMClassifier,
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

    If the logits of a large split with many labels would not fit into some ten megabytes, they
    are computed and evaluated in parts. Scales are then fitted on an evenly spread sample of the
    texts, of which the figures of the calibration are, too; what a cascade skips on all.

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
    options: dict[str, Any] = {"batch_size": batch_size, "world": world}
    predict = partial(predict_logits, model, split.texts, len(labels), **options)
    parts = _parts(len(split), len(labels) * len(model.scales), split.multi_label)
    large, some = len(parts) > 1, parts[0]
    if large:  # a sample, evenly spread
        some = np.linspace(0, len(split) - 1, len(some)).astype(np.int64)
    logits = predict(rows=some, on_batch=(lambda done: on_batch(0)) if large else on_batch)
    if logits is None:  # [K, N, C], of the sample if there is one
        return None
    known, weights = split.labels[some], None if split.weights is None else split.weights[some]
    facts = {}
    if calibrate:
        fitted = fit_scales(logits, known, weights)
        model.scales.copy_(fitted)
        world.broadcast_([model.scales])  # other processors may round the last bit otherwise
        even = torch.full_like(fitted, 1 / len(fitted))
        facts = {"calibration": calibration_facts(logits, even, fitted, known, weights)}

    def on_part(done: int) -> bool:
        return on_batch(before + done)

    convert = partial(to_probabilities, multi_label=split.multi_label)
    scale = None
    if len(logits) > 1:
        scale = cascade.scale if cascade else float(fit_scales(logits[1:2], known, weights)[0])
    found, compared = [], []
    for part in parts:
        if large:
            before = int(part[0])
            logits = predict(rows=part, on_batch=on_part)
            if logits is None:
                return None
        own, branches = split.labels[part], torch.from_numpy(logits)  # [K, N, C]
        probabilities = convert(combine(branches, model.scales.cpu()))  # [N, C]
        if split.multi_label and thresholds is None:
            thresholds = best_thresholds(own, probabilities, weights)
        if large:
            found.append(Answers.of(own, probabilities))
        else:
            figures = evaluate_probabilities(own, probabilities, labels, weights, thresholds)
        if scale is not None:
            ngrams = convert(branches[1] * scale)  # [N, C]
            compared.append(Compared.of(ngrams, probabilities, thresholds, own))
    if large:
        figures = evaluate_answers(split.labels, joined(found), labels, split.weights)
    if scale is not None:
        texts = joined(compared)
        cascade = cascade or fit_cascade(scale, texts)
        facts["cascade"] = cascade_figures(cascade, texts, split.weights)
    return {**figures, **facts}


def _parts(texts: int, numbers: int, multi_label: bool) -> list[np.ndarray]:
    """Return the texts that are evaluated together, by the number of logits of each.

    Of few labels, or where a text may have several, that is all of them.
    """
    size = max(_LEAST_SAMPLE, _MOST_LOGITS // numbers)
    if multi_label or numbers <= _FEW or texts <= size:
        return [np.arange(texts)]
    return [np.arange(start, min(start + size, texts)) for start in range(0, texts, size)]


@torch.inference_mode()
def predict_logits(
    model: BiLSTMClassifier,
    texts: EncodedTexts,
    classes: int,
    *,
    batch_size: int,
    world: World,
    on_batch: Callable[[int], bool] = lambda done: True,
    rows: np.ndarray | None = None,
) -> np.ndarray | None:
    """Compute the logits of texts, each process every `world.size`-th batch.

    Args:
        model: has `branches`, (ids [B, T], lengths [B]) -> logits [K, B, C], and `scales`, [K];
            in evaluation mode.
        texts: the texts.
        classes: C.
        batch_size: texts of a batch.
        world: the processes.
        on_batch: called with the number of texts that all have done; False ends the work.
        rows: which texts, [N]; None for all.

    Returns:
        Logits of each branch, float32 [K, N, C], the same in all processes; None if
        `on_batch` returned False in one.

    Raises:
        FloatingPointError: logits are not finite.
    """
    device = model.scales.device
    rows = np.arange(len(texts)) if rows is None else rows
    logits = np.zeros((len(model.scales), len(rows), classes), np.float32)  # [K, N, C]
    batches = sorted_batches(texts.lengths[rows], batch_size=batch_size)
    done = 0
    for first in range(0, len(batches), world.size):
        together = batches[first : first + world.size]
        for places in together[world.rank : world.rank + 1]:
            ids, lengths = collate(texts, rows[places], few_shapes=True)  # [B, T], [B]
            logits[:, places] = model.branches(ids.to(device), lengths).cpu().numpy()  # [K, B, C]
        done += sum(map(len, together))
        if world.any(not on_batch(done))[0]:
            return None
    world.sum_([torch.from_numpy(logits)])  # zeros where others have computed
    if not np.isfinite(logits).all():
        raise FloatingPointError("logits that are not finite")
    return logits
