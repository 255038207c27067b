"""How good probabilities are: figures by scikit-learn, and a table of them for a terminal.

Shapes: N texts, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from textlstm.errors import ConfigError, DataError
from textlstm.evaluation.figures import figure_rows, label_rows
from textlstm.evaluation.reliability import calibration_error, reliability, right_and_sure
from textlstm.evaluation.tables import Table, display_width, format_blocks, format_table, shorten
from textlstm.nn.probabilities import answers

T = TypeVar("T", bound=Any)

_LEAST = float(np.finfo(np.float32).eps)  # least probability that log_loss takes, 2**-23
_MOST_IN_MATRIX = 20  # labels; a larger confusion matrix fits no terminal
_MOST_IN_JSON = 200  # labels; a larger confusion matrix is mostly zeros
_AT_ONCE = 2**20  # probabilities looked at together
_WIDTH = 100  # columns of a terminal
_NAME_WIDTH = 30


def evaluate_probabilities(
    labels: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    weights: np.ndarray | None = None,
    thresholds: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Compare probabilities with the true labels.

    Args:
        labels: true label ids, int64 [N]; where a text may have several which it has, bool
            [N, C].
        probabilities: of each label, [N, C]; of one label a text, a row sums to 1.
        names: label names, C of them.
        weights: how much each text counts in the figures, float [N]; None for all the same. Counts
            (n, support, confusion_matrix) are not weighted.
        thresholds: the decision threshold of each label, where a text may have several, [C].

    Returns:
        Plain values, ready for JSON. Of one label a text:
        n: number of texts.
        accuracy, balanced_accuracy (mean recall over the labels present), macro_f1, micro_f1,
        weighted_f1: as scikit-learn gives them, so a label that is neither present nor
        predicted does not count.
        log_loss: mean negative log probability of the true label, natural logarithm,
        probabilities clipped at 2**-23.
        ece: expected calibration error, 15 bins of equal width (Guo et al. 2017).
        reliability: those bins, see `textlstm.evaluation.reliability.reliability`.
        per_label: for each name precision, recall, f1 (0 where undefined) and support.
        confusion_matrix: counts, C lists of C; rows are true labels, columns predicted ones. Of
        more than 200 labels instead of it confusions: lists of the ids of a true and a predicted
        label and the count of both, where it is not 0.
        labels: the names, in the order of the matrix.

        Of several labels a text:
        n, macro_f1, micro_f1, weighted_f1, per_label (with the threshold of each and the number
        of texts it was predicted for) and labels as above, but that a label neither present nor
        predicted counts with an F1 of 0.
        accuracy: share of texts with exactly the true labels.
        hamming_loss: share of wrong answers to whether a text has a label.
        samples_f1: mean of the texts' F1, which is 1 where there are no labels and none predicted.
        log_loss: mean over texts and labels of the negative log probability of the right answer.
        ece, reliability: as above, of the probability of each label beside how often it is there.

    Raises:
        DataError: there are no texts, or a probability is not finite.
    """
    assert probabilities.shape[1] == len(names)
    return evaluate_parts(labels, [probabilities], names, weights, thresholds)


def evaluate_parts(
    labels: np.ndarray,
    parts: Iterable[np.ndarray],
    names: Sequence[str],
    weights: np.ndarray | None = None,
    thresholds: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Do as `evaluate_probabilities`, which see, with probabilities that come in parts.

    Of one label a text, only one part is in memory at a time.

    Args:
        labels: as there.
        parts: the probabilities of some texts after the others, each [n, C].
        names: as there.
        weights: as there.
        thresholds: as there.

    Raises:
        ConfigError: there are not as many labels as texts.
        DataError: there are no texts, or a probability is not finite.
    """
    found: list[Any] = []
    count, size = 0, max(1, _AT_ONCE // len(names))
    for part in parts:
        if not np.isfinite(part).all():
            raise DataError(
                "probabilities are not finite: the model's weights are damaged; train it again"
            )
        own = labels[count : count + len(part)]
        count += len(part)
        if thresholds is not None:
            found.append(part)
        elif len(own) == len(part):
            cuts = (slice(start, start + size) for start in range(0, len(part), size))
            found += [Answers.of(own[cut], part[cut]) for cut in cuts]
    if count != len(labels):
        raise ConfigError(f"{count} texts and {len(labels)} labels: must be as many")
    if count == 0:
        raise DataError("0 texts to evaluate: evaluation needs at least one text with a label")
    if thresholds is not None:
        return _of_several(labels, np.concatenate(found), names, weights, thresholds)
    return evaluate_answers(labels, joined(found), names, weights)


@dataclass(frozen=True)
class Answers:
    """What the figures of one label a text are made of.

    Args:
        predicted: the most probable label, int64 [N].
        confidence: its probability, [N].
        of_label: the probability of the true label, clipped, float64 [N].
    """

    predicted: np.ndarray
    confidence: np.ndarray
    of_label: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, probabilities: np.ndarray) -> Answers:
        """Reduce probabilities, [N, C], of texts whose label ids, [N], are known."""
        clipped = np.clip(probabilities.astype(np.float64), _LEAST, None)
        clipped /= clipped.sum(axis=1, keepdims=True)  # a row of float32 sums to 1 roughly
        own = np.take_along_axis(clipped, labels[:, None], 1)[:, 0]
        return cls(answers(probabilities, None), probabilities.max(axis=1), own)


def joined(parts: Sequence[T]) -> T:
    """Put dataclasses of arrays, each of some texts, behind each other."""
    arrays = ([getattr(part, each.name) for part in parts] for each in fields(parts[0]))
    whole: T = type(parts[0])(*map(np.concatenate, arrays))
    return whole


def evaluate_answers(
    labels: np.ndarray,
    found: Answers,
    names: Sequence[str],
    weights: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return what `evaluate_probabilities` returns of one label a text; arguments as there."""
    from sklearn import metrics as sk  # slow to import

    predicted = found.predicted  # [N]
    precision, recall, f1, counted = sk.precision_recall_fscore_support(
        labels, predicted, labels=np.arange(len(names)), zero_division=0, sample_weight=weights
    )  # each [C]; each average of F1 would count all again
    support = np.bincount(labels, minlength=len(names))  # [C]
    occurs = (support > 0) | (np.bincount(predicted, minlength=len(names)) > 0)
    accuracy = float(sk.accuracy_score(labels, predicted, sample_weight=weights))
    sure = predicted == labels, found.confidence, weights
    return {
        "n": len(labels),
        "accuracy": accuracy,
        "balanced_accuracy": float(recall[support > 0].mean()),
        "macro_f1": float(f1[occurs].mean()),
        "micro_f1": accuracy,
        "weighted_f1": float(np.average(f1, weights=counted)),
        "log_loss": _log_loss(found.of_label, weights),
        "ece": calibration_error(*sure),
        "reliability": reliability(*sure),
        "per_label": _rows(names, precision, recall, f1, support),
        **_confusions(labels, predicted, len(names)),
        "labels": list(names),
    }


def _confusions(labels: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, Any]:
    """Return how often each pair of a true and a predicted label occurs."""
    if classes <= _MOST_IN_JSON:
        from sklearn import metrics as sk

        matrix = sk.confusion_matrix(labels, predicted, labels=np.arange(classes))
        return {"confusion_matrix": matrix.tolist()}
    pairs, counts = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    return {"confusions": np.vstack([pairs, counts]).T.tolist()}


def _of_several(
    labels: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    weights: np.ndarray | None,
    thresholds: Sequence[float],
) -> dict[str, Any]:
    """`evaluate_probabilities` for texts of several labels, bool [N, C]."""
    from sklearn import metrics as sk  # slow to import

    predicted = answers(probabilities, thresholds)  # [N, C]
    wrong = predicted != labels
    # one more column, which is not evaluated: scikit-learn takes a single one for two classes
    padded = [np.pad(part, ((0, 0), (0, 1))) for part in (labels, predicted)]
    options = {"labels": np.arange(len(names)), "zero_division": 0, "sample_weight": weights}
    precision, recall, f1, _ = sk.precision_recall_fscore_support(*padded, **options)
    means = {
        f"{average}_f1": float(sk.f1_score(*padded, average=average, **options))
        for average in ("macro", "micro", "weighted")
    }
    of_texts = sk.f1_score(*padded, average="samples", **{**options, "zero_division": 1})
    per_label = _rows(names, precision, recall, f1, labels.sum(axis=0))
    counts = predicted.sum(axis=0).tolist()
    for row, threshold, count in zip(per_label.values(), thresholds, counts, strict=True):
        row |= {"threshold": float(threshold), "predicted": count}
    right = np.where(labels, probabilities.astype(np.float64), 1.0 - probabilities)
    losses = -np.log(np.clip(right, _LEAST, None))
    sure = right_and_sure(labels, probabilities, weights)
    return {
        "n": len(labels),
        "accuracy": float(np.average(~wrong.any(axis=1), weights=weights)),
        "hamming_loss": float(np.average(wrong.mean(axis=1), weights=weights)),
        **means,
        "samples_f1": float(of_texts),
        "log_loss": float(np.average(losses.mean(axis=1), weights=weights)),
        "ece": calibration_error(*sure),
        "reliability": reliability(*sure),
        "per_label": per_label,
        "labels": list(names),
    }


def _rows(names: Sequence[str], *figures: np.ndarray) -> dict[str, dict[str, Any]]:
    """Return precision, recall, F1 and support of each label, all [C], by its name."""
    keys = ("precision", "recall", "f1", "support")
    table = zip(*(figure.tolist() for figure in figures), strict=True)
    return {name: dict(zip(keys, row, strict=True)) for name, row in zip(names, table, strict=True)}


def _log_loss(of_label: np.ndarray, weights: np.ndarray | None) -> float:
    most = np.finfo(np.float64).eps
    return float(np.average(-np.log(np.clip(of_label, most, 1 - most)), weights=weights))


def format_metrics(metrics: dict[str, Any]) -> str:
    """Return the tables of `metric_tables` as plain text, without a final line end."""
    return format_blocks(metric_tables(metrics))


def metric_tables(metrics: dict[str, Any], width: int = _WIDTH) -> list[Table | str]:
    """Return the result of `evaluate_probabilities` as tables.

    Args:
        metrics: its result.
        width: columns of the terminal.

    Returns:
        Overall figures, a row per label, and of one label a text the confusion matrix. Of more
        than 20 labels, the row with the worst F1 comes first and the matrix is replaced by a note.
    """
    overall = Table(list(figure_rows(metrics)), head=False)
    if "per_label" not in metrics:  # of texts without labels
        return [overall]
    head, *rows = label_rows(metrics)
    if len(rows) > _MOST_IN_MATRIX:  # too long to read from top to bottom: the worst first
        rows.sort(key=lambda row: float(metrics["per_label"][row[0]]["f1"]))
    blocks: list[Table | str] = [overall, Table([head, *rows], name_width=_NAME_WIDTH)]
    if "hamming_loss" in metrics:
        return blocks
    if len(rows) <= _MOST_IN_MATRIX:
        return [*blocks, _matrix(metrics, width)]
    return [
        *blocks,
        f"(labels by F1, worst first; the confusion matrix of {len(rows)} labels is only in the "
        "JSON)",
    ]


def _matrix(metrics: dict[str, Any], width: int) -> Table:
    """Return the confusion matrix; columns are numbered if their names are too wide."""
    names = [shorten(name, _NAME_WIDTH) for name in metrics["labels"]]
    counts = metrics["confusion_matrix"]
    cells = [[str(count) for count in row] for row in counts]
    head = "true \\ predicted"
    rows = [[head, *names], *([n, *row] for n, row in zip(names, cells, strict=True))]
    if max(map(display_width, format_table(rows).splitlines())) > width:
        numbers = [str(i + 1) for i in range(len(names))]
        numbered = [f"{i:>2} {name}" for i, name in zip(numbers, names, strict=True)]
        rows = [[head, *numbers], *([n, *row] for n, row in zip(numbered, cells, strict=True))]
    colors = {
        (true + 1, predicted + 1): "green" if true == predicted else "" if count else "dim"
        for true, row in enumerate(counts)
        for predicted, count in enumerate(row)
    }
    return Table(rows, styles=colors)
