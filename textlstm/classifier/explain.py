"""Explanation of a prediction: the contribution of each word to the logit of a label.

The n-gram branch is linear, so its contributions are exact. Those of the LSTM are integrated
gradients over the embeddings (Sundararajan et al. 2017), from a text of zero embeddings. Together
they add up to the change of the logit from the baseline; the remaining error is part of the
result. Occlusion is the change of the logit when a word is replaced by the unknown token.

Shapes: S steps, T time (tokens), E embedding, G places for n-grams, C classes.
"""

from __future__ import annotations

import copy
import html
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from textlstm.errors import require_choice
from textlstm.nn.network import BiLSTMClassifier
from textlstm.text.vocabulary import UNK_ID

if TYPE_CHECKING:
    from textlstm.classifier.classifier import TextClassifier

METHODS = ("gradients", "occlusion")
TOLERANCE = 0.01  # of the change of the logit
STEPS = (16, 64, 256, 1024)  # until the contributions add up
_TOKENS_AT_ONCE = 16_384  # about 20 kB each, with gradients
_LEAST_CHANGE = 0.05  # of a logit; the error is relative to at least this


@dataclass(frozen=True)
class Word:
    """A word of a text, or a piece of one for subword tokenizers.

    Args:
        token: as the tokenizer reads it.
        known: whether it is in the vocabulary.
        contribution: to the logit of the label, of both branches.
        lstm: the part of the LSTM.
        ngrams: the part of the n-grams.
    """

    token: str
    known: bool
    contribution: float
    lstm: float
    ngrams: float


@dataclass(frozen=True)
class Explanation:
    """The contribution of each word of a text to the logit of a label.

    Args:
        text: the text.
        label: the label explained.
        probability: of the label.
        method: 'gradients' or 'occlusion'.
        logit: of the label.
        baseline: the logit from which contributions are counted; None for occlusion.
        error: |contributions - change of the logit|, as a share of that change; None for
            occlusion, whose contributions don't add up.
        words: the words in order, after truncation.
    """

    text: str
    label: str
    probability: float
    method: str
    logit: float
    baseline: float | None
    error: float | None
    words: tuple[Word, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as plain values for JSON."""
        return {**asdict(self), "words": [asdict(word) for word in self.words]}

    def shades(self) -> list[float]:
        """Return the strength of each word from -1 to 1, relative to the strongest word."""
        largest = max((abs(word.contribution) for word in self.words), default=0.0) or 1.0
        return [word.contribution / largest for word in self.words]

    def summary(self) -> str:
        """Return label, logit and the check of completeness in one line."""
        line = f"{self.label}: probability {self.probability:.4f}, logit {self.logit:+.3f}"
        if self.baseline is None or self.error is None:
            return f"{line}; contributions by occlusion"
        change = self.logit - self.baseline
        return (
            f"{line} = baseline {self.baseline:+.3f} + contributions {change:+.3f} "
            f"(completeness error {self.error:.2%})"
        )

    def __repr__(self) -> str:
        words = " ".join(f"{word.token}({word.contribution:+.2f})" for word in self.words[:20])
        return f"Explanation({self.summary()}: {words}{' …' if len(self.words) > 20 else ''})"

    def _repr_html_(self) -> str:
        """Return the words with green behind what speaks for the label, red behind the rest."""
        spans = []
        for word, shade in zip(self.words, self.shades(), strict=True):
            color = "0,128,0" if shade > 0 else "200,0,0"
            style = f"background:rgba({color},{abs(shade) * 0.6:.2f});padding:0 2px"
            if not word.known:
                style += ";text-decoration:underline dotted"
            title = f"{word.contribution:+.3f}" + ("" if word.known else ", unknown")
            spans.append(f'<span style="{style}" title="{title}">{html.escape(word.token)}</span>')
        return f"<p><b>{html.escape(self.summary())}</b></p><p>{' '.join(spans)}</p>"


def explain_text(
    classifier: TextClassifier,
    text: str,
    *,
    label: str | None = None,
    method: str = METHODS[0],
    steps: tuple[int, ...] = STEPS,
) -> Explanation:
    """Explain the prediction for one text; see `TextClassifier.explain`, and `explain_tokens`."""
    model, labels = classifier.model, classifier.labels
    probabilities = classifier.predict_proba([text])[0]  # [C]
    label = labels[int(probabilities.argmax())] if label is None else label
    require_choice("label", label, labels)
    require_choice("method", method, METHODS)
    index = labels.index(label)
    pairs = classifier.tokenizer.read(text)
    ids = [number for _, number in pairs]
    lstm, ngrams, logit, baseline = explain_tokens(model, ids, index, method, steps)
    both = lstm + ngrams
    total = float(both.sum())
    error = None if baseline is None else completeness_error(total, logit - baseline)
    words = tuple(
        Word(token, number != UNK_ID, *map(float, parts))
        for (token, number), *parts in zip(pairs, both, lstm, ngrams, strict=True)
    )
    probability = float(probabilities[index])
    return Explanation(text, labels[index], probability, method, logit, baseline, error, words)


@torch.no_grad()
def explain_tokens(
    model: BiLSTMClassifier,
    ids: list[int],
    label: int,
    method: str,
    steps: tuple[int, ...] = STEPS,
) -> tuple[np.ndarray, np.ndarray, float, float | None]:
    """Return the contributions of the tokens of one text to a logit.

    Args:
        model: the network, in evaluation mode; it is explained in float32.
        ids: token ids, T of them.
        label: the id of the label.
        method: one of `METHODS`.
        steps: of the integral: the next number is tried until the contributions add up.

    Returns:
        The contributions of the LSTM and of the n-grams, float64 [T] each; the logit; and the
        baseline, None for occlusion.
    """
    plain = copy.copy(model)  # shares the weights; only its precision is its own
    plain.compute_dtype = torch.float32
    device = plain.linear.weight.device
    tokens = torch.tensor([ids], device=device)  # [1, T]
    lengths = torch.tensor([len(ids)])
    scales = plain.scales.double().cpu()
    logits = plain.branches(tokens, lengths)[:, 0, label].double().cpu()  # [K]
    logit = float(logits @ scales)
    if method == "occlusion":
        lstm, ngrams = _occlude(plain, tokens, label, logits)
        return lstm * float(scales[0]), ngrams * float(scales[-1]), logit, None
    lstm, start = _integrate(plain, tokens, label, float(logits[0]), float(scales[0]), steps)
    ngrams, bias = np.zeros(len(ids)), 0.0
    if plain.ngrams is not None:
        ngrams = _of_ngrams(plain, tokens, lengths, label) * float(scales[1])
        bias = float(plain.ngrams.bias[label]) * float(scales[1])
    return lstm * float(scales[0]), ngrams, logit, start * float(scales[0]) + bias


def completeness_error(total: float, change: float) -> float:
    """Return how far contributions are from the change of the logit, as a share of it."""
    return abs(total - change) / max(abs(change), _LEAST_CHANGE)


def _integrate(
    model: BiLSTMClassifier,
    ids: Tensor,
    label: int,
    logit: float,
    scale: float,
    steps: tuple[int, ...],
) -> tuple[np.ndarray, float]:
    """Return the integrated gradients of the LSTM's logit, [T], and the logit at the baseline.

    The integral is a Gauss-Legendre sum, with more steps until the contributions add up.
    """
    x = model.embed(ids)  # [1, T, E]
    start = float(model.read(torch.zeros_like(x), torch.tensor([x.shape[1]]))[0, label])
    found = np.zeros(x.shape[1])
    for count in steps:
        points, weights = np.polynomial.legendre.leggauss(count)  # on [-1, 1]
        gradient = torch.zeros_like(x[0], dtype=torch.float64)  # [T, E]
        at_once = max(1, _TOKENS_AT_ONCE // x.shape[1])
        for first in range(0, count, at_once):
            part = slice(first, first + at_once)
            alpha = torch.from_numpy((points[part] + 1) / 2).to(x)  # [S]
            share = torch.from_numpy(weights[part] / 2).to(x.device)  # [S], float64
            with torch.enable_grad():
                inputs = (alpha[:, None, None] * x).requires_grad_()  # [S, T, E]
                lengths = torch.full((len(alpha),), x.shape[1])
                total = model.read(inputs, lengths)[:, label].sum()
                (each,) = torch.autograd.grad(total, inputs)  # [S, T, E]
            gradient += (each.double() * share[:, None, None]).sum(dim=0)
        found = (gradient * x[0].double()).sum(dim=1).cpu().numpy()  # [T]
        if completeness_error(found.sum() * scale, (logit - start) * scale) < TOLERANCE / 2:
            break
    return found, start


def _of_ngrams(model: BiLSTMClassifier, ids: Tensor, lengths: Tensor, label: int) -> np.ndarray:
    """Return the exact contributions of the n-gram branch, [T].

    A row of the table is shared equally by its occurrences in the text, and each of these by the
    tokens of its n-gram.
    """
    ngrams = model.ngrams
    assert ngrams is not None
    time = ids.shape[1]
    places = ngrams.rows_of_places(ids, lengths)[0].cpu().numpy()  # [orders, T]
    rows, inverse, counts = np.unique(places, return_inverse=True, return_counts=True)
    values = ngrams.column(torch.from_numpy(rows).to(ids.device), label).double().cpu().numpy()
    values[rows == 0] = 0.0
    distinct = max(1, int((rows != 0).sum()))
    shares = (values / counts / math.sqrt(distinct))[inverse].reshape(places.shape)  # [orders, T]
    found = np.zeros(time)
    for order, row in enumerate(shares, start=1):
        for last, share in enumerate(row):
            inside = slice(max(0, last - order + 1), last + 1)
            found[inside] += share / (inside.stop - inside.start)
    return found


def _occlude(
    model: BiLSTMClassifier, ids: Tensor, label: int, logits: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Return the change of each branch's logit without each token, [T] each."""
    time = ids.shape[1]
    found = []
    at_once = max(1, _TOKENS_AT_ONCE // time)
    for first in range(0, time, at_once):
        places = torch.arange(first, min(first + at_once, time), device=ids.device)
        without = ids.repeat(len(places), 1)
        without[torch.arange(len(places), device=ids.device), places] = UNK_ID
        lengths = torch.full((len(places),), time)
        found.append(model.branches(without, lengths)[:, :, label].double().cpu())  # [K, S]
    change = (logits[:, None] - torch.cat(found, dim=1)).numpy()  # [K, T]
    return change[0], change[1] if len(change) > 1 else np.zeros(time)
