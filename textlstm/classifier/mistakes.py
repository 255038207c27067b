"""A table of the most confident mistakes of a classifier.

Shapes: N texts, C classes (labels), V vocabulary entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textlstm.data.encoded import EncodedTexts
from textlstm.data.split import Split
from textlstm.evaluation.mistakes import find_mistakes, likely_label_errors
from textlstm.nn.probabilities import answers, predicted_labels
from textlstm.text.tokenizer import TextTokenizer


@dataclass(frozen=True)
class Mistakes:
    """The mistakes in some texts.

    Args:
        texts: how many texts were evaluated.
        mistakes: how many of them got another label than theirs.
        likely: how many of these labels are likely wrong themselves.
        rows: the most confident mistakes, the greatest margin first: `row` (its number among the
            rows, from 1), `text`, `label`, `prediction`, `score` (the probability of the
            prediction), `label_score` (that of the label), `likely_label_error` and
            `nearest_text` (the most similar training text of the predicted label, or None).
    """

    texts: int
    mistakes: int
    likely: int
    rows: list[dict[str, Any]]


def list_mistakes(
    tokenizer: TextTokenizer,
    split: Split,
    probabilities: np.ndarray,
    names: Sequence[str],
    thresholds: Sequence[float] | None,
    training: Split | None,
    *,
    top: int,
) -> Mistakes:
    """List the most confident mistakes.

    Args:
        tokenizer: text to ids, for the likeness of texts.
        split: N texts with their labels.
        probabilities: of them, float32 [N, C].
        names: label names [C].
        thresholds: the decision thresholds, where a text may have several labels.
        training: the texts to find similar ones in; may be `split` itself. None for none.
        top: most rows of the table.

    Returns:
        The table, and counts.
    """
    found = find_mistakes(split.labels, probabilities, thresholds)
    likely = likely_label_errors(split.labels, probabilities)
    chosen = found[:top]
    rows = describe_texts(split, probabilities, names, thresholds, chosen)
    nearest: list[str | None] = [None] * len(rows)
    if training is not None and rows:
        predicted = answers(probabilities[chosen], thresholds)
        texts = [row["text"] for row in rows]
        nearest = _nearest(tokenizer, texts, chosen, predicted, training, split)
    for row, place, near in zip(rows, chosen, nearest, strict=True):
        row |= {"likely_label_error": bool(likely[place]), "nearest_text": near}
    return Mistakes(len(split), len(found), int(likely[found].sum()), rows)


def describe_texts(
    split: Split,
    probabilities: np.ndarray,
    names: Sequence[str],
    thresholds: Sequence[float] | None,
    chosen: np.ndarray,
) -> list[dict[str, Any]]:
    """Return some texts with their labels and predictions.

    Args:
        split: N texts with their labels.
        probabilities: of them, float32 [N, C].
        names: label names [C].
        thresholds: the decision thresholds, where a text may have several labels.
        chosen: which texts, int64 [n].

    Returns:
        Of each `row`, `text`, `label`, `prediction`, `score` and `label_score` of `Mistakes`.
    """
    scores = probabilities[chosen]
    ordered = np.sort(chosen)
    texts = [text for batch in split.select(ordered).texts() for text in batch]
    return [
        {
            "row": int(number),
            "text": texts[place],
            "label": _joined(names, label),
            "prediction": "; ".join(prediction),
            "score": float(score),
            "label_score": float(label_score),
        }
        for number, place, label, (prediction, score), label_score in zip(
            split.numbers()[chosen],
            np.searchsorted(ordered, chosen),
            split.labels[chosen],
            predicted_labels(scores, names, thresholds),
            label_scores(split.labels[chosen], scores),
            strict=True,
        )
    ]


def label_scores(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the probability of the label that each text has, or of exactly its labels, [N]."""
    if labels.ndim == 1:
        found: np.ndarray = np.take_along_axis(probabilities, labels[:, None], 1)[:, 0]
        return found
    return np.asarray(np.where(labels, probabilities, 1 - probabilities).prod(axis=1))


def _nearest(
    tokenizer: TextTokenizer,
    texts: list[str],
    chosen: np.ndarray,
    predicted: np.ndarray,
    training: Split,
    split: Split,
) -> list[str | None]:
    """Return the most similar training text of the label predicted for each text.

    Similarity is the cosine of TF-IDF vectors of tokens. None where no such training text has a
    token in common with the text.
    """
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfTransformer

    counts = []
    for batches in ([texts], training.texts()):
        each = EncodedTexts.from_batches(map(tokenizer.encode_batch, batches))
        ones, shape = np.ones(len(each.ids)), (len(each), len(tokenizer.vocabulary))
        counts.append(csr_matrix((ones, each.ids, each.offsets), shape=shape))
        counts[-1].sum_duplicates()  # one entry for all of a token's occurrences in a text
    weights = TfidfTransformer(sublinear_tf=True).fit(counts[1])
    own, others = map(weights.transform, counts)  # [n, V], [N, V]
    rows: list[int | None] = []
    for row, labels in enumerate(predicted):
        if training.labels.ndim == 1:
            same: Any = training.labels == labels  # [N]
        elif labels.any():
            same = training.labels[:, labels].any(axis=1)
        else:
            same = ~training.labels.any(axis=1)
        if training is split:
            same[chosen[row]] = False
        likeness = (others @ own[row].T).toarray()[:, 0] * same  # [N]
        rows.append(int(likeness.argmax()) if likeness.max(initial=0) > 0 else None)
    found = sorted({row for row in rows if row is not None})
    places = np.array(found, np.int64)
    read = [text for batch in training.select(places).texts() for text in batch]
    known = dict(zip(found, read, strict=True))
    return [None if row is None else known[row] for row in rows]


def _joined(names: Sequence[str], label: Any) -> str:
    if np.ndim(label):
        return "; ".join(name for name, has in zip(names, label, strict=True) if has)
    return names[int(label)]
