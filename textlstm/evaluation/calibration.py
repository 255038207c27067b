"""How much each branch of a model counts, and how sure the model is.

One number per branch, fitted on validation, which no branch has learned from. For one branch that
is temperature scaling (Guo et al. 2017), its number being 1 / temperature; for more it is also
the mixture of the branches.

Shapes: K branches, N texts, C classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from textlstm.evaluation.reliability import calibration_error, right_and_sure
from textlstm.nn.loss import MultiLabelLoss, TextLoss
from textlstm.nn.network import combine
from textlstm.nn.optimizers import LBFGS
from textlstm.nn.probabilities import to_probabilities

BRANCHES = ("lstm", "ngrams")
_LEAST, _MOST = 0.02, 20.0  # of a scale
_PRIOR = 1.0  # weight of the prior at 1, in texts: for small or faultless validation sets
_STEPS = 100
_FEW = 20  # labels; with more, this many logits are
_AT_ONCE = 2**20  # looked at together


def fit_scales(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> Tensor:
    """Fit the scales that make validation most probable.

    Args:
        logits: of each branch, float32 [K, N, C].
        labels: label ids, int64 [N]; of several labels a text, bool [N, C].
        weights: how much each text counts, [N]; None for all the same.

    Returns:
        float32 [K], from 0.02 to 20. The square of each one's logarithm counts against it like
        half the loss of one text (of several labels: of one answer), so that it stays finite where
        validation has no error.
    """
    targets = torch.from_numpy(labels)
    counted = None if weights is None else torch.from_numpy(weights / weights.mean()).double()
    loss = (MultiLabelLoss if labels.ndim == 2 else TextLoss)(None, 0.0)
    count, _, classes = logits.shape
    size = max(1, _AT_ONCE // (count * classes)) if classes > _FEW else len(labels)
    parts = [slice(start, start + size) for start in range(0, len(labels), size)]
    exponents = torch.zeros(len(logits), dtype=torch.float64, requires_grad=True)
    optimizer = LBFGS([exponents], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        more = _PRIOR / (2 * targets.numel()) * exponents.square().sum()
        value = torch.zeros((), dtype=torch.float64)
        for part in parts:
            branches = torch.from_numpy(logits[:, part]).double()  # [K, N of the part, C]
            weight = None if counted is None else counted[part]
            mean = loss(combine(branches, exponents.exp()), targets[part], weight)
            own = mean * (branches.shape[1] / len(targets)) + more
            own.backward()
            more = torch.zeros_like(more)
            value += own.detach()
        return value

    with torch.enable_grad():
        optimizer.step(closure)
    found = exponents.detach().exp().clamp(_LEAST, _MOST).float()
    return found if bool(found.isfinite().all()) else torch.ones(len(logits))


def calibration_facts(
    logits: np.ndarray,
    before: Tensor,
    after: Tensor,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return the effect of scales on the expected calibration error.

    Args:
        logits: of each branch, float32 [K, N, C].
        before: scales, [K].
        after: others, [K].
        labels: as for `fit_scales`.
        weights: as for `fit_scales`.

    Returns:
        scales (of each branch by its name, after), ece_before and ece_after.
    """
    errors = []
    for scales in (before, after):
        found = combine(torch.from_numpy(logits), scales)  # [N, C]
        probabilities = to_probabilities(found, multi_label=labels.ndim == 2)
        errors.append(calibration_error(*right_and_sure(labels, probabilities, weights)))
    return {
        "scales": dict(zip(BRANCHES, after.tolist(), strict=False)),
        "ece_before": errors[0],
        "ece_after": errors[1],
    }
