"""What an evaluation found, in the shapes of scikit-learn's report and of the library `evaluate`.

Shapes: C classes (labels).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from textlstm.errors import ConfigError

_KEYS = {"precision": "precision", "recall": "recall", "f1": "f1-score"}  # here, in scikit-learn
AVERAGES = ("macro", "micro", "weighted", "binary")


def classification_report(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Give the report of scikit-learn's `classification_report(..., output_dict=True)`.

    Args:
        metrics: what `TextClassifier.evaluate` gave.

    Returns:
        For each label, in the order of the model, precision, recall, f1-score and support; the
        same under 'macro avg' and 'weighted avg', and 'accuracy'. As in scikit-learn, a label that
        is neither present nor predicted is left out. Where a text may have several labels there
        are all labels, and 'micro avg' stands for 'accuracy'.
    """
    rows, means = _parts(metrics)
    return {**rows, **means}


def report_text(metrics: Mapping[str, Any], *, digits: int = 2) -> str:
    """Give that report as the text that scikit-learn's `classification_report` gives.

    Args:
        metrics: what `TextClassifier.evaluate` gave.
        digits: behind the point.

    Returns:
        A table of several lines.
    """
    rows, means = _parts(metrics)
    total = int(means["macro avg"]["support"])
    width = max(len("weighted avg"), digits, *map(len, rows))
    lines = [" " * (width + 1) + "".join(f" {key:>9}" for key in [*_KEYS.values(), "support"])]
    for part in (rows, means):
        lines.append("")
        for name, row in part.items():
            if name == "accuracy" and part is means:
                figures = [" " * 9, " " * 9, f"{row:>9.{digits}f}", f"{total:>9}"]
            else:
                figures = [f"{row[key]:>9.{digits}f}" for key in _KEYS.values()]
                figures.append(f"{row['support']:>9}")
            lines.append(f"{name:>{width}} " + "".join(f" {figure}" for figure in figures))
    return "\n".join(lines) + "\n"


def flat_metrics(metrics: Mapping[str, Any], *, average: str = "macro") -> dict[str, float]:
    """Give accuracy, precision, recall and F1 in one flat dictionary, as `evaluate` does.

    The library `evaluate` gives one of the same keys for `combine(["accuracy", "precision",
    "recall", "f1"])`.

    Args:
        metrics: what `TextClassifier.evaluate` gave.
        average: of the labels: 'macro', 'micro', 'weighted', or 'binary': of two labels the
            second alone.

    Returns:
        accuracy, precision, recall, f1.

    Raises:
        ConfigError: there is no such average, or 'binary' and not two labels.
    """
    if average not in AVERAGES:
        raise ConfigError(f"average = {average!r}: must be one of {', '.join(AVERAGES)}")
    if average == "binary":
        names: Sequence[str] = metrics["labels"]
        if len(names) != 2 or "confusion_matrix" not in metrics:
            raise ConfigError(
                f"average = 'binary' with {len(names)} labels: it takes two, of which a text has "
                "one; take 'macro', 'micro' or 'weighted'"
            )
        found = {key: metrics["per_label"][names[1]][key] for key in _KEYS}
    elif average == "micro" and "confusion_matrix" in metrics:
        found = dict.fromkeys(_KEYS, metrics["accuracy"])  # every mistake misses and is false
    else:
        row = _parts(metrics)[1][f"{average} avg"]
        found = {key: row[theirs] for key, theirs in _KEYS.items()}
    return {"accuracy": metrics["accuracy"], **found}


def _parts(metrics: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the rows of the report: those of labels, and those of all together."""
    found = {name: metrics["per_label"][name] for name in _shown(metrics)}
    support = np.array([row["support"] for row in found.values()])  # [C]
    total = int(support.sum())
    if "confusion_matrix" in metrics:
        means: dict[str, Any] = {"accuracy": metrics["accuracy"]}
    else:
        means = {"micro avg": _row(_micro(metrics), total)}
    for name, weights in {"macro avg": np.ones(len(found)), "weighted avg": support}.items():
        means[name] = _row(_mean(list(found.values()), weights), total)
    return {name: _row(row, row["support"]) for name, row in found.items()}, means


def _shown(metrics: Mapping[str, Any]) -> list[str]:
    """Name the labels of the report."""
    names: list[str] = metrics["labels"]
    if "confusion_matrix" not in metrics:
        return names
    matrix = np.array(metrics["confusion_matrix"])  # [C, C]
    met = matrix.sum(axis=0) + matrix.sum(axis=1)  # [C]
    return [name for name, count in zip(names, met.tolist(), strict=True) if count]


def _mean(rows: Sequence[Mapping[str, float]], weights: np.ndarray) -> dict[str, float]:
    """Give the mean of each figure over labels; 0 where no label counts."""
    if not weights.any():
        return dict.fromkeys(_KEYS, 0.0)
    return {key: float(np.average([row[key] for row in rows], weights=weights)) for key in _KEYS}


def _micro(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Give precision, recall and F1 of the answers to all labels together."""
    rows = metrics["per_label"].values()
    present = sum(row["support"] for row in rows)
    f1: float = metrics["micro_f1"]
    if not f1:
        return dict.fromkeys(_KEYS, 0.0)
    recall = sum(row["recall"] * row["support"] for row in rows) / present
    precision = f1 * recall / (2 * recall - f1)  # as f1 = 2pr / (p + r)
    return {"precision": precision, "recall": recall, "f1": f1}


def _row(figures: Mapping[str, float], support: int) -> dict[str, float]:
    return {**{theirs: figures[key] for key, theirs in _KEYS.items()}, "support": support}
