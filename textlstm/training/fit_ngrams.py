"""How the n-gram weights are found: logistic regression on features of naive Bayes' making.

From few texts, margins are better: a linear support vector machine, in which words also share what
is learned of the letters in them. A table with few numbers a row (see `textlstm.nn.ngrams`) is
learned step by step instead, together with the vectors of the labels.

Shapes: N texts, B texts of a chunk or batch, F rows of the table that these have, one after the
other, G places for the rows of a text, C classes, R rows of the table, K numbers of a row, L runs
of letters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from textlstm.config import TrainingConfig
from textlstm.data.encoded import EncodedTexts, LabelledTexts, collate
from textlstm.io.progress import Display
from textlstm.nn.layers import RowEmbedding
from textlstm.nn.loss import Taught, TextLoss
from textlstm.nn.ngrams import NgramLinear
from textlstm.nn.optimizers import LBFGS
from textlstm.training.gradients import known_of
from textlstm.training.optimizer import make_optimizer, set_rate

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NAME = "ngrams"  # of the file with the rows of the training texts
_ADDED = 1.0  # texts taken to have each n-gram, of each label, beside those counted
_SHARE = 0.5  # of its log-count ratio that a weight is drawn towards
_STRENGTH = 7.5  # how far weights may go from there; greater means freer
_PASSES = 40  # over the texts, at most
_TOLERANCE = 1e-5  # change of the loss of a text at which it is enough
_CHUNK = 2**20  # rows read together, of up to
_FEW = 20  # labels; fewer rows of more
_SEED = 1  # from here on of factors
_START = 0.05
_RATE = 0.02
_EPOCHS = (5, 200)
_READ = 180_000  # texts in all epochs together, within these bounds
_STEP = 256  # texts
_BATCH = 256  # texts whose rows are looked up together
_MARGIN_STRENGTH = 2.0  # how far weights may go from 0, where margins are fitted
_MARGIN_PASSES = 80
_MARGIN_TOLERANCE = 1e-6
_TELLING = 0.25  # power of a log-count ratio by which its row may weigh more
_LETTERS = (3, 6)  # of a run of letters, the ends of its word included,
_LETTER_SHARE = 0.3  # which weighs as much beside a word
_CONFIDENCE = 3.0  # logits are margins times it


def fit_ngrams(
    ngrams: NgramLinear,
    texts: LabelledTexts,
    loss: TextLoss,
    cache: Path | None = None,
    *,
    margins: bool = False,
    words: Sequence[str] = (),
) -> None:
    """Find the weights from the training texts, a part of them in memory at a time.

    The weight of a row is its log-count ratio, log(p / q), times a factor. Here p is how much of
    all that the label's texts have this row is, and q the same of the other labels' texts (Wang
    & Manning 2012). Factors minimise the loss plus their squared distance from a common value,
    which makes the solution unique: it depends on no seed and on no order. It is found by L-BFGS
    (Liu & Nocedal 1989). A row that no text has gets 0.

    With `margins`, weights minimise squared hinges, one label against the others (Fan et al.
    2008), plus their own squares; this solution is unique, too. Rare rows, and those that tell
    labels apart, may weigh more. All of it is in memory.

    If a row has few numbers, they and the vectors of the labels are found by Adam instead, from
    random numbers that are always the same.

    Args:
        ngrams: all of its weights are replaced.
        texts: what to learn from.
        loss: what is made small; of margins, its class weights count.
        cache: folder for a file of the texts' rows; None keeps them in memory.
        margins: whether to fit margins, which suits few texts; not with a teacher.
        words: with margins, the entries of the vocabulary, if they are whole words. The weight of
            a word is then its own and those of the letters in it.
    """
    rows = _rows_of(ngrams, texts.texts, cache)
    if ngrams.labels is not None:
        _fit_factors(ngrams, rows, texts, loss)
        return
    if margins and texts.taught is None:
        _fit_margins(ngrams, rows, texts, loss, words)
        return
    ratios, bias = _ratios(len(ngrams.table), len(ngrams.bias), rows, texts)
    factors = torch.full_like(ratios, _SHARE)
    state = [factors, bias]
    optimizer = _lbfgs([value.requires_grad_() for value in state], _PASSES, _TOLERANCE)

    display = Display("passes", _PASSES, title="n-grams", brief=True)

    def closure() -> Tensor:
        display.update(display.done + 1)
        value, by_table, by_bias = _gradients(ratios * factors.detach(), bias, rows, texts, loss)
        distance = factors.detach() - _SHARE
        factors.grad = by_table.mul_(ratios).add_(distance, alpha=1 / (_STRENGTH * len(texts)))
        bias.grad = by_bias
        penalty = distance.square().sum() / (2 * _STRENGTH * len(texts))
        return value + penalty

    with display:
        optimizer.step(closure)
    with torch.no_grad():
        ngrams.table.copy_(ratios * factors)
        ngrams.bias.copy_(bias)


def _rows_of(ngrams: NgramLinear, texts: EncodedTexts, cache: Path | None) -> EncodedTexts:
    """Look the rows of all texts up once; a text's rows stand as its ids would."""

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(texts), _BATCH):
            batch = np.arange(start, min(start + _BATCH, len(texts)))
            rows = ngrams.rows(*collate(texts, batch, few_shapes=True)).numpy()  # [B, G]
            found = rows != 0
            yield rows[found], found.sum(axis=1)

    if cache is None:
        return EncodedTexts.from_batches(batches())
    return EncodedTexts.write(cache, NAME, batches())


@dataclass(frozen=True)
class _Chunk:
    """Some texts.

    Args:
        rows: of all of them, int64 [F].
        starts: where each text's begin, int64 [B].
        counts: how many each text has, int64 [B].
        targets: label ids [B], or which labels the texts have, bool [B, C].
        weights: how much each text counts, [B]; None for all the same.
        taught: a teacher's predictions for them.
    """

    rows: Tensor
    starts: Tensor
    counts: Tensor
    targets: Tensor
    weights: Tensor | None
    taught: Taught | None


def _chunks(rows: EncodedTexts, texts: LabelledTexts, classes: int) -> Iterator[_Chunk]:
    """Read all texts, some at a time."""
    size = _CHUNK * _FEW // max(classes, _FEW)
    start = 0
    while start < len(texts):
        behind = np.searchsorted(rows.offsets, rows.offsets[start] + size, side="right") - 1
        stop = max(start + 1, int(behind))
        offsets = rows.offsets[start : stop + 1].astype(np.int64)
        yield _Chunk(
            torch.from_numpy(rows.ids[offsets[0] : offsets[-1]].astype(np.int64)),
            torch.from_numpy(offsets[:-1] - offsets[0]),
            torch.from_numpy(np.diff(offsets)),
            *known_of(texts, slice(start, stop)),
        )
        start = stop


def _ratios(
    count: int, classes: int, rows: EncodedTexts, texts: LabelledTexts
) -> tuple[Tensor, Tensor]:
    """Return the log-count ratio of each row and label, [R, C], and the initial biases, [C]."""
    every = torch.zeros(count)  # texts that have the row
    having = torch.zeros(count, classes)  # those of each label
    shares = torch.zeros(classes)
    for chunk in _chunks(rows, texts, classes):
        weights = torch.ones(len(chunk.starts)) if chunk.weights is None else chunk.weights
        marks = chunk.targets
        if marks.ndim == 1:
            marks = nn.functional.one_hot(marks, len(shares))
        if chunk.taught is not None:
            own = chunk.taught.label_shares[:, None]  # [B, 1]
            marks = torch.lerp(chunk.taught.probabilities, marks.float(), own)
        counted = marks * weights[:, None]  # [B, C]
        every.index_add_(0, chunk.rows, weights.repeat_interleave(chunk.counts))
        having.index_add_(0, chunk.rows, counted.repeat_interleave(chunk.counts, dim=0))
        shares += counted.sum(dim=0)
    p = having + _ADDED
    q = every[:, None] - having + _ADDED
    ratios = (p / p.sum(dim=0)).log_() - (q / q.sum(dim=0)).log_()
    ratios[every == 0] = 0.0
    yes = (shares + 1) / (len(texts) + 2)
    return ratios, yes.logit() if texts.multi_label else yes.log()


def _gradients(
    table: Tensor, bias: Tensor, rows: EncodedTexts, texts: LabelledTexts, loss: TextLoss
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss per text, and its gradients by the table [R, C] and by the bias [C]."""
    value = torch.zeros(())
    by_table = torch.zeros_like(table)
    by_bias = torch.zeros_like(table[0])
    for chunk in _chunks(rows, texts, len(bias)):
        scale = chunk.counts.clamp(min=1).float().rsqrt()[:, None]  # [B, 1]
        total = nn.functional.embedding_bag(chunk.rows, table, chunk.starts, mode="sum")
        logits = (total * scale + bias.detach()).requires_grad_()  # [B, C]
        with torch.enable_grad():
            part = loss(logits, chunk.targets, chunk.weights, chunk.taught) * loss.divisor(
                chunk.targets
            )
            (by_logits,) = torch.autograd.grad(part, logits)  # [B, C]
        value += part.detach()
        by_rows = (by_logits * scale).repeat_interleave(chunk.counts, dim=0)  # [F, C]
        by_table.index_add_(0, chunk.rows, by_rows)
        by_bias += by_logits.sum(dim=0)
    return value / len(texts), by_table / len(texts), by_bias / len(texts)


class _Margins(TextLoss):
    """Sum of the squared hinges of all labels, each against the others."""

    def _by_labels(self, logits: Tensor, targets: Tensor) -> Tensor:
        has = targets
        if targets.ndim == 1:
            has = nn.functional.one_hot(targets, logits.shape[1]).bool()
        lacking = (1 - torch.where(has, logits, -logits)).clamp(min=0).square()  # [B, C]
        if self.class_weights is None:
            return lacking.sum(dim=1)
        if targets.ndim == 1:
            return lacking.sum(dim=1) * self.class_weights[targets]
        weights = torch.where(has, self.class_weights, torch.ones_like(self.class_weights))
        return (lacking * weights).sum(dim=1)

    def divisor(self, targets: Tensor) -> Tensor | int:
        return 1


def _fit_margins(
    ngrams: NgramLinear,
    rows: EncodedTexts,
    texts: LabelledTexts,
    loss: TextLoss,
    words: Sequence[str],
) -> None:
    """Fit margins of the rows that occur, and with words of the letters in these, in place."""
    known, ids = np.unique(rows.ids, return_inverse=True)  # [R], of a smaller table
    rows = EncodedTexts(ids.reshape(-1), rows.offsets)
    classes = len(ngrams.bias)
    table = torch.zeros(len(known), classes)
    sizes, size = _sizes(rows, texts, len(known), classes, plus=1.0)
    parts = [torch.zeros_like(table), torch.zeros(classes), torch.zeros(0, classes)]
    scales = [sizes / size, torch.zeros(0, classes)]
    runs = _letters([words[row] if row < len(words) else "" for row in known.tolist()])  # [R, L]
    if count := runs.shape[1]:
        found = _letters_of(rows, runs)
        scales[1] = _LETTER_SHARE / size * _sizes(found, texts, count, classes, plus=0.0)[0]
        parts[2] = torch.zeros(count, classes)
    letters, owner = (torch.from_numpy(part).long() for part in runs.T.tocsr().nonzero())
    own, bias, shared = (part.requires_grad_() for part in parts)
    optimizer = _lbfgs([own, bias, shared], _MARGIN_PASSES, _MARGIN_TOLERANCE)
    rest = 1 / (_MARGIN_STRENGTH * len(texts))
    hinges = _Margins(loss.class_weights, 0.0)

    def weights() -> Tensor:
        spread = (scales[1] * shared.detach())[letters]
        return (scales[0] * own.detach()).index_add_(0, owner, spread)

    def closure() -> Tensor:
        value, by_table, bias.grad = _gradients(weights(), bias, rows, texts, hinges)
        by_letters = torch.zeros_like(shared).index_add_(0, letters, by_table[owner])
        own.grad = by_table * scales[0] + rest * own.detach()
        shared.grad = by_letters * scales[1] + rest * shared.detach()
        return value + rest / 2 * sum(part.detach().square().sum() for part in (own, shared))

    optimizer.step(closure)
    with torch.no_grad():
        ngrams.table.zero_()
        ngrams.table[torch.from_numpy(known).long()] = _CONFIDENCE * weights()
        ngrams.bias.copy_(_CONFIDENCE * bias)


def _lbfgs(values: list[Tensor], passes: int, tolerance: float) -> LBFGS:
    return LBFGS(
        values,
        max_iter=passes,
        max_eval=passes,
        history_size=5,
        tolerance_grad=0.0,
        tolerance_change=tolerance,
        line_search_fn="strong_wolfe",
    )


def _sizes(
    rows: EncodedTexts, texts: LabelledTexts, count: int, classes: int, *, plus: float
) -> tuple[Tensor, float]:
    """Return how much each row may weigh, [R, C], and the norm of a text, in the mean."""
    having = np.bincount(rows.ids, minlength=count)  # texts, [R]
    rare = torch.from_numpy(np.log((1 + len(rows)) / (1 + having)) + plus).float()
    ratios = _ratios(count, classes, rows, texts)[0].abs_()
    telling = (ratios / ratios.square().mean().sqrt().clamp(min=1e-6)) ** _TELLING
    squares = rare.square()[torch.from_numpy(rows.ids.astype(np.int64))].double()
    share = torch.from_numpy(1 / np.maximum(rows.lengths, 1).repeat(rows.lengths))
    return rare[:, None] * telling, float((squares * share).sum() / len(rows)) ** 0.5


def _letters(words: Sequence[str]) -> csr_matrix:
    """Return which words have which runs of letters that several words have, [R, L]."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import CountVectorizer  # slow to import

    least, most = _LETTERS

    def runs(word: str) -> list[str]:
        marked = f"<{word}>" if word else ""
        return [
            marked[start : start + size]
            for size in range(least, most + 1)
            for start in range(len(marked) - size + 1)
        ]

    try:
        return CountVectorizer(analyzer=runs, min_df=2, binary=True).fit_transform(words)
    except ValueError:  # there are none
        return csr_matrix((len(words), 0))


def _letters_of(rows: EncodedTexts, letters: csr_matrix) -> EncodedTexts:
    """Return the runs of letters of each text, each once."""
    from scipy.sparse import csr_matrix

    words = (np.ones(len(rows.ids)), rows.ids, rows.offsets)
    having = csr_matrix(words, (len(rows), letters.shape[0])) @ letters  # [N, L]
    having.sort_indices()
    return EncodedTexts(having.indices, having.indptr.astype(np.int64))


def _fit_factors(
    ngrams: NgramLinear, rows: EncodedTexts, texts: LabelledTexts, loss: TextLoss
) -> None:
    """Learn the rows of the table and the vectors of the labels, in place."""
    assert ngrams.labels is not None
    random = torch.Generator().manual_seed(_SEED)
    count, size = ngrams.table.shape
    table = RowEmbedding(count, size, padding_idx=0)  # [R, K]
    labels = nn.Linear(size, len(ngrams.bias))  # K to C
    with torch.no_grad():
        table.weight.uniform_(-_START, _START, generator=random)[0] = 0.0
        labels.weight.zero_()
        labels.bias.zero_()
    optimizer = make_optimizer(nn.ModuleList([table, labels]), TrainingConfig(weight_decay=0.0))
    least, most = _EPOCHS
    epochs = max(least, min(most, _READ // len(texts)))
    seen, every = 0, epochs * len(texts)
    display = Display("texts", every, title="n-grams", brief=True)
    for _ in range(epochs):
        order = torch.randperm(len(texts), generator=random).numpy()
        for start in range(0, len(texts), _STEP):
            batch = order[start : start + _STEP]
            ids, counts = collate(rows, batch)  # [B, G], [B]
            set_rate(optimizer, _RATE * (1 - seen / every))
            seen += len(batch)
            optimizer.zero_grad(set_to_none=True)
            with torch.enable_grad():
                total = table(ids).sum(dim=1)  # [B, K]
                logits = labels(total * counts.clamp(min=1).float().rsqrt()[:, None])  # [B, C]
                loss(logits, *known_of(texts, batch)).backward()
            optimizer.step()
            display.update(seen)
    display.close()
    with torch.no_grad():
        seen_rows = torch.zeros(count, dtype=torch.bool)
        for chunk in _chunks(rows, texts, 1):
            seen_rows[chunk.rows] = True
        ngrams.table.copy_(table.weight * seen_rows[:, None])
        ngrams.labels.copy_(labels.weight)
        ngrams.bias.copy_(labels.bias)
