"""Whether an exported network computes what the network does.

Shapes: B batch, T time (tokens), C classes, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from textlstm.errors import ExportError
from textlstm.nn.network import BiLSTMClassifier
from textlstm.nn.probabilities import probabilities_of

LARGEST_DIFFERENCE = 1e-4  # of a logit or a probability
LONGEST = 600  # tokens

Batch = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
Exported = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], tuple[np.ndarray, np.ndarray]]

_MOST_TEXTS = 32


@dataclass(frozen=True)
class Parity:
    """What a comparison found.

    Args:
        batches: how many were compared.
        texts: texts in them.
        logits: largest difference of a logit.
        probabilities: largest difference of a probability.
    """

    batches: int
    texts: int
    logits: float
    probabilities: float


def plain_copy(model: BiLSTMClassifier) -> BiLSTMClassifier:
    """Copy a network to the CPU, in evaluation mode and in float32 throughout."""
    copied = copy.deepcopy(model).cpu().float().eval()
    copied.compute_dtype = torch.float32
    return copied.requires_grad_(False)


def compare(
    model: BiLSTMClassifier,
    exported: Exported,
    *,
    tokens: int = 20_000,
    part: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Parity:
    """Compare an exported network with the network on random batches, always the same ones.

    Args:
        model: the network, as returned by `plain_copy`.
        exported: returns logits and probabilities, [B, C] each, for ids [B, T] and lengths [B].
        tokens: about how many are read, padding included; lengths are from 1 to 600.
        part: returns the logits to compare with, [B, C]; the whole network if not given.

    Returns:
        The differences.
    """
    texts = batches = 0
    worst = {"logits": 0.0, "probabilities": 0.0}
    for ids, lengths in random_batches(model.embedding.num_embeddings, tokens):
        with torch.inference_mode():
            logits = (part or model)(torch.from_numpy(ids), torch.from_numpy(lengths))  # [B, C]
            probabilities = probabilities_of(logits, multi_label=model.multi_label)
        expected = {"logits": logits.numpy(), "probabilities": probabilities.numpy()}
        for (name, wanted), found in zip(expected.items(), exported(ids, lengths), strict=True):
            difference = np.abs(found - wanted).max() if found.shape == wanted.shape else np.inf
            worst[name] = float(np.maximum(worst[name], difference))  # NaN stays NaN
        batches += 1
        texts += len(lengths)
    return Parity(batches, texts, **worst)


def require_parity(parity: Parity, what: str) -> None:
    """Raise an `ExportError` if an exported network is not the network.

    Args:
        parity: what `compare` found.
        what: names the export in the message.
    """
    fits = [found < LARGEST_DIFFERENCE for found in (parity.logits, parity.probabilities)]
    if not all(fits):  # NaN does not fit
        raise ExportError(
            f"the {what} differs from the model by {parity.logits:.2g} in logits and "
            f"{parity.probabilities:.2g} in probabilities, on {parity.texts} random texts; it must "
            f"be below {LARGEST_DIFFERENCE:g}, so nothing was written: check the model's weights "
            "for inf and NaN, or try other versions of the libraries"
        )


def random_batches(vocab_size: int, tokens: int) -> Iterator[Batch]:
    """Yield batches of random ids, with random ids for padding too.

    Args:
        vocab_size: V.
        tokens: about how many to yield; a few batches of corner cases always come first.

    Yields:
        ids [B, T] and lengths [B]: lengths from 1 to 600, B from 1 to 64.
    """
    random = np.random.default_rng(1)
    # texts, longest of them, columns of padding after it
    corners = [(1, 1, 0), (1, 2, 3), (3, 1, 0), (4, 1, 5), (1, LONGEST, 0), (2, LONGEST, 0)]
    corners += [(5, 30, 11), (64, 9, 0), (7, 64, 1)]
    while tokens > 0 or corners:
        if corners:
            texts, most, more = corners.pop(0)
        else:
            most = round(float(np.exp(random.uniform(0, np.log(LONGEST)))))
            texts = int(random.integers(1, _MOST_TEXTS + 1))
            texts = max(1, min(texts, tokens // most))
            more = int(random.integers(0, 3))
        lengths = random.integers(1, most + 1, texts)
        lengths[random.integers(texts)] = most
        yield random.integers(0, vocab_size, (texts, most + more)), lengths
        tokens -= texts * (most + more)
