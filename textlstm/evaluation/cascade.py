"""A cascade: the n-grams label the texts that they are certain of, the LSTM reads the others.

For each of a few shares, `fit_cascade` finds how certain the n-grams must be. What it promises: if
texts are drawn as those of the fit were, then with a confidence of 95%, at most this share of all
texts (skipped or not) gets another label than the whole model gives. The confidence is about the
draw of these texts, for each share on its own. It holds although the least certainty is chosen by
the same texts: the count of labels that differ can only grow as it falls, so that testing from the
most certain text down and stopping at the first failure needs no correction (testing in a fixed
sequence). It does not hold for texts of another kind.

Without torch, as ONNX Runtime predicts without it. Shapes: N texts, C labels.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textlstm.config import CASCADES, require_cascade
from textlstm.errors import ConfigError
from textlstm.evaluation.thresholds import between
from textlstm.nn.probabilities import answers, certainty, same_labels

logger = logging.getLogger(__name__)

_DOUBT = 0.05  # 1 - the confidence


@dataclass(frozen=True)
class Cascade:
    """When the n-grams alone label a text.

    Args:
        scale: what their logits are multiplied by; 1 / temperature.
        certainty: for each of `config.CASCADES` as a string, how certain they must be (see
            `textlstm.nn.probabilities.certainty`); None where no text may be skipped.
    """

    scale: float
    certainty: Mapping[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return {"scale": self.scale, "certainty": dict(self.certainty)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Cascade | None:
        """Return what `to_dict` returned as a cascade; other keys are ignored."""
        return None if values is None else cls(values["scale"], values["certainty"])

    @staticmethod
    def is_valid(values: Any) -> bool:
        """Whether a value is what `to_dict` returns."""
        table = values.get("certainty") if isinstance(values, Mapping) else None
        return (
            isinstance(table, Mapping)
            and {*table} == {name(share) for share in CASCADES}
            and all(c is None or (type(c) is float and 0 <= c <= 1) for c in table.values())
            and type(values.get("scale")) is float
            and values["scale"] > 0
        )


@dataclass(frozen=True)
class Shortcut:
    """A cascade at one of its shares: which texts the n-grams label alone.

    Args:
        scale: what their logits are multiplied by.
        least: how certain they must be; None where no text is skipped.
        thresholds: the decision threshold of each label, where a text may have several.
    """

    scale: float
    least: float | None
    thresholds: Sequence[float] | None = None

    def skips(self, ngrams: np.ndarray) -> np.ndarray:
        """Return which texts are skipped, bool [N], by the n-grams' probabilities, [N, C]."""
        if self.least is None:
            return np.zeros(len(ngrams), bool)
        sure: np.ndarray = certainty(ngrams, self.thresholds).astype(np.float64) >= self.least
        return sure


def find_shortcut(
    share: float | None,
    cascade: Cascade | None,
    thresholds: Sequence[float] | None,
    *,
    ngrams: int,
) -> Shortcut | None:
    """Return what a model skips if a share of the labels may differ.

    Args:
        share: one of `config.CASCADES`; None to skip nothing.
        cascade: that of the model, if it has one.
        thresholds: the decision threshold of each label, where a text may have several.
        ngrams: maximum tokens of an n-gram of the model, 0 for none.

    Returns:
        The certainty that is asked of the n-grams; None to run the whole model on every text.

    Raises:
        ConfigError: the model has no cascade, or not for this share.
    """
    require_cascade(share)
    if share is None:
        return None
    if not ngrams:
        raise ConfigError(
            f"cascade = {share:g}: the model has no n-grams, which would label texts: leave "
            "cascade out, or train again with n-grams"
        )
    if cascade is None:
        raise ConfigError(
            f"cascade = {share:g}: the model has none, as it was trained by an earlier textlstm: "
            "fit it with `textlstm calibrate MODEL DATA` (then export again what was exported)"
        )
    least = cascade.certainty[name(share)]
    if least is None:
        logger.warning(
            "cascade = %g skips no text: the texts that it was fitted on are too few to tell, or "
            "the labels by the n-grams differ too often; textlstm calibrate fits it on more",
            share,
        )
    return Shortcut(cascade.scale, least, thresholds)


def name(share: float) -> str:
    """Return the name of a share in tables."""
    return f"{share:g}"


@dataclass(frozen=True)
class Compared:
    """The n-grams alone beside the whole model: all that a cascade is fitted on.

    Args:
        certainty: how certain the n-grams are (see `textlstm.nn.probabilities.certainty`), [N].
        differ: whether their labels are others than those of the whole model, bool [N].
        right: whether the n-grams label a text rightly, bool [N]; None if that is not known.
        whole_right: the same of the whole model.
    """

    certainty: np.ndarray
    differ: np.ndarray
    right: np.ndarray | None = None
    whole_right: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        ngrams: np.ndarray,
        whole: np.ndarray,
        thresholds: Sequence[float] | None = None,
        labels: np.ndarray | None = None,
    ) -> Compared:
        """Compare probabilities, each [N, C].

        Args:
            ngrams: by the n-grams alone.
            whole: by the whole model.
            thresholds: the decision threshold of each label, where a text may have several.
            labels: true label ids, int64 [N], or which labels the texts have, bool [N, C]; None
                where they are not known.
        """
        said = [answers(probabilities, thresholds) for probabilities in (ngrams, whole)]
        right = [] if labels is None else [same_labels(each, labels) for each in said]
        return cls(certainty(ngrams, thresholds), ~same_labels(*said), *right)


def fit_cascade(scale: float, texts: Compared) -> Cascade:
    """Find how certain the n-grams must be.

    Args:
        scale: of the n-gram logits.
        texts: N texts.

    Returns:
        For each share the least certainty at which so few labels differ that the upper bound of
        Clopper & Pearson (1934) is not above it; in the middle between two texts.
    """
    found = texts.certainty
    order = np.argsort(-found, kind="stable")
    found = found[order]
    wrong = np.cumsum(texts.differ[order])  # if so many are skipped
    below = np.append(found[1:], found[-1:])
    apart = np.append(found[1:] < found[:-1], True)  # equals are skipped together
    table: dict[str, float | None] = {}
    for share in CASCADES:
        fits = np.flatnonzero(apart & (wrong <= most_differing(len(found), share)))
        table[name(share)] = None
        if len(fits):
            table[name(share)] = between(float(below[fits[-1]]), float(found[fits[-1]]))
    return Cascade(scale, table)


def cascade_figures(
    cascade: Cascade, texts: Compared, weights: np.ndarray | None = None
) -> dict[str, Any]:
    """Return what a cascade does on texts.

    Args:
        cascade: the cascade.
        texts: N texts.
        weights: how much each text counts in the accuracy, [N]; None for all the same.

    Returns:
        `cascade.to_dict()` and, for each share by its name: skipped (share of texts), differ
        (number of labels that differ from those of the whole model), and accuracy, if it is known.
    """
    figures: dict[str, Any] = {**cascade.to_dict(), "skipped": {}, "differ": {}, "accuracy": {}}
    for share, least in cascade.certainty.items():
        skipped = texts.certainty.astype(np.float64) >= (np.inf if least is None else least)
        figures["skipped"][share] = float(skipped.mean())
        figures["differ"][share] = int((skipped & texts.differ).sum())
        if texts.right is not None and texts.whole_right is not None:
            right = np.where(skipped, texts.right, texts.whole_right)
            figures["accuracy"][share] = float(np.average(right, weights=weights))
    return figures


def most_differing(texts: int, share: float) -> int:
    """Return of how many texts the label may differ, so that 95% sure no more than a share do.

    That is the greatest count whose upper bound of Clopper & Pearson is not above the share; -1
    if there are too few texts for any.
    """
    below = 0.0  # probability of so few, if the share were exact
    for count in range(texts + 1):
        ways = math.lgamma(texts + 1) - math.lgamma(count + 1) - math.lgamma(texts - count + 1)
        below += math.exp(ways + count * math.log(share) + (texts - count) * math.log1p(-share))
        if below > _DOUBT:
            return count - 1
    return texts
