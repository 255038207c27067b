"""Fit the cascade of a trained classifier on further texts.

Shapes: N texts, B batch, T time (tokens), C classes, K branches.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import torch

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.predictor import BATCH_SIZE, predict_branches
from textlstm.data.encoded import EncodedTexts
from textlstm.errors import ConfigError, DataError
from textlstm.evaluation.calibration import fit_scales
from textlstm.evaluation.cascade import Cascade, Compared, cascade_figures, fit_cascade
from textlstm.evaluation.metrics import evaluate_probabilities
from textlstm.nn.network import combine
from textlstm.nn.probabilities import to_probabilities

RESULTS = "calibration"  # among the splits whose results a model keeps


def fit_cascade_of(
    classifier: TextClassifier,
    texts: Iterable[list[str]],
    labels: np.ndarray | None = None,
    *,
    batch_size: int = BATCH_SIZE,
) -> dict[str, Any]:
    """Refit the cascade of a classifier: when the n-grams alone label a text.

    Args:
        classifier: its cascade and its results are replaced; weights stay.
        texts: lists of texts that training did not learn from, N in all, of the kind that will be
            predicted.
        labels: true label ids, int64 [N], or which labels the texts have, bool [N, C]. Without
            them the scale of the n-grams stays that of the present cascade.
        batch_size: texts per step.

    Returns:
        The result of `textlstm.evaluation.cascade.cascade_figures`.

    Raises:
        ConfigError: the model has no n-grams, or it has no cascade and there are no labels.
        DataError: there are no texts.
    """
    before, model = classifier.cascade, classifier.model
    if model.ngrams is None:
        raise ConfigError(
            "the model has no n-grams, which a cascade needs: train again with --ngrams 1 or more"
        )
    if labels is None and before is None:
        raise ConfigError(
            "the model has no cascade, and without labels none can be fitted: pass labelled texts"
        )
    encoded = EncodedTexts.from_batches(map(classifier.tokenizer.encode_batch, texts))
    if not len(encoded):
        raise DataError("0 texts to fit the cascade on: pass data with texts")
    logits = predict_branches(model, encoded, batch_size=batch_size)  # [K, N, C]
    branches = torch.from_numpy(logits)
    convert = partial(to_probabilities, multi_label=model.multi_label)
    whole = convert(combine(branches, model.scales.cpu()))  # [N, C]
    thresholds, results = classifier.thresholds, {"n": len(encoded)}
    if labels is None:
        assert before is not None
        scale = before.scale
    else:
        scale = float(fit_scales(logits[1:2], labels)[0])
        results = evaluate_probabilities(labels, whole, classifier.labels, thresholds=thresholds)
    compared = Compared.of(convert(branches[1] * scale), whole, thresholds, labels)
    figures = cascade_figures(fit_cascade(scale, compared), compared)
    kept = {  # without the figures of the cascade that is replaced
        split: {name: value for name, value in metrics.items() if name != "cascade"}
        for split, metrics in classifier.record.metrics.items()
    }
    metrics = {**kept, RESULTS: {**results, "cascade": figures}}
    classifier.record = dataclasses.replace(classifier.record, metrics=metrics)
    classifier.cascade = Cascade.from_dict(figures)
    return figures
