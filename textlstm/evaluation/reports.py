"""The result of an evaluation as scikit-learn's report and in the form of the library `evaluate`.

Both are scikit-learn's own, of answers with the same counts as those that were evaluated.

Shapes: N texts, C classes (labels).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn import metrics as sk

from textlstm.errors import ConfigError, require_choice

AVERAGES = ("macro", "micro", "weighted", "binary")


def classification_report(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report of scikit-learn's `classification_report(..., output_dict=True)`.

    Args:
        metrics: the result of `TextClassifier.evaluate`.

    Returns:
        For each label, in the order of the model, precision, recall, f1-score and support; the
        same under 'macro avg' and 'weighted avg', and 'accuracy'. As in scikit-learn, a label that
        is neither present nor predicted is left out. Where a text may have several labels there
        are all labels, and 'micro avg' instead of 'accuracy'.
    """
    report: dict[str, Any] = sk.classification_report(**_arguments(metrics), output_dict=True)
    report.pop("samples avg", None)  # not to be known from counts
    return report


def report_text(metrics: Mapping[str, Any], *, digits: int = 2) -> str:
    """Return that report as the text of scikit-learn's `classification_report`.

    Args:
        metrics: the result of `TextClassifier.evaluate`.
        digits: decimal places.

    Returns:
        A table of several lines.
    """
    text: str = sk.classification_report(**_arguments(metrics), digits=digits)
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.lstrip().startswith("samples avg "))


def flat_metrics(metrics: Mapping[str, Any], *, average: str = "macro") -> dict[str, float]:
    """Return accuracy, precision, recall and F1 in one flat dictionary, as `evaluate` does.

    The keys are those of the library `evaluate` for `combine(["accuracy", "precision", "recall",
    "f1"])`.

    Args:
        metrics: the result of `TextClassifier.evaluate`.
        average: over the labels: 'macro', 'micro', 'weighted', or 'binary': of two labels the
            second alone.

    Returns:
        accuracy, precision, recall, f1.

    Raises:
        ConfigError: there is no such average, or 'binary' and not two labels.
    """
    require_choice("average", average, AVERAGES)
    if average == "binary" and (len(metrics["labels"]) != 2 or "hamming_loss" in metrics):
        raise ConfigError(
            f"average = 'binary' with {len(metrics['labels'])} labels: it needs two, of which a "
            "text has one; pass 'macro', 'micro' or 'weighted'"
        )
    true, predicted = _answers(metrics)
    values = sk.precision_recall_fscore_support(true, predicted, average=average, zero_division=0)
    names = ("precision", "recall", "f1")
    return {"accuracy": metrics["accuracy"], **dict(zip(names, map(float, values), strict=False))}


def _arguments(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `classification_report`."""
    true, predicted = _answers(metrics)
    shown = np.arange(true.shape[1]) if true.ndim == 2 else np.union1d(true, predicted)
    return {
        "y_true": true,
        "y_pred": predicted,
        "labels": shown,
        "target_names": [metrics["labels"][label] for label in shown],
        "zero_division": 0,
    }


def _answers(metrics: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return true and predicted labels with the counts of an evaluation.

    Returns:
        Two of label ids, int64 [N]; of several labels a text, bool [N, C], in which which labels
        meet in a text is arbitrary.
    """
    if "confusions" in metrics:
        true, predicted, counts = np.array(metrics["confusions"]).T
        return np.repeat(true, counts), np.repeat(predicted, counts)
    if "confusion_matrix" in metrics:
        counts = np.array(metrics["confusion_matrix"])  # [C, C]
        true, predicted = (
            np.repeat(ids.ravel(), counts.ravel()) for ids in np.indices(counts.shape)
        )
        return true, predicted
    rows = metrics["per_label"].values()
    answers = np.zeros((2, metrics["n"], len(rows)), bool)
    for label, row in enumerate(rows):
        support, right = row["support"], round(row["recall"] * row["support"])
        every = round(right / row["precision"]) if right else row.get("predicted", 0)
        answers[0, :support, label] = True
        answers[1, :right, label] = True
        answers[1, support : support + every - right, label] = True
    return answers[0], answers[1]
