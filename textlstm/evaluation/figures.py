"""The figures of an evaluation as rows of words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FIGURES = {
    "n": "texts",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "hamming_loss": "hamming loss",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "weighted_f1": "weighted F1",
    "samples_f1": "samples F1",
    "log_loss": "log loss",
    "ece": "calibration error",
}
"""Key in the result of `evaluate_probabilities` -> the words for it."""
LABEL_HEAD = ("label", "precision", "recall", "F1", "texts", "threshold")


def figure_rows(metrics: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the words and the value of each overall figure."""
    for key, words in FIGURES.items():
        if key in metrics:
            yield [words, f"{metrics[key]:,}" if key == "n" else f"{metrics[key]:.4f}"]


def label_rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return a row for each label, after one with the names of the columns."""
    rows = []
    for label, row in metrics["per_label"].items():
        figures = [f"{row[key]:.4f}" for key in ("precision", "recall", "f1")]
        threshold = [f"{row['threshold']:.4f}"] if "threshold" in row else []
        rows.append([label, *figures, f"{row['support']:,}", *threshold])
    return [list(LABEL_HEAD[: len(rows[0])]), *rows]
