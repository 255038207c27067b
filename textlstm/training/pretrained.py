"""Training from pretrained word vectors: vocabulary, embedding, and facts for the record.

Shapes: V vocabulary, E embedding.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from textlstm.config import TrainSettings
from textlstm.data.encoded import EncodedTexts
from textlstm.io.atomic import write_text
from textlstm.text.tokenizer import TextTokenizer
from textlstm.text.vocabulary import UNK_ID
from textlstm.text.word_vectors import Vectors, embedding_matrix, has_vector, read_vectors

logger = logging.getLogger(__name__)

FACTS = "vectors.json"
_CHUNK = 2**20  # tokens


@dataclass(frozen=True, eq=False)
class Pretrained:
    """The initial embedding.

    Args:
        path: the file of vectors.
        matrix: float32 [V, E].
        known: which entries have a vector from the file, bool [V].
        other_case: how many of them have that of another spelling.
    """

    path: Path
    matrix: np.ndarray
    known: np.ndarray
    other_case: int


def read_pretrained(
    settings: TrainSettings, tokenizer: TextTokenizer, *, extend: bool
) -> tuple[TextTokenizer, Pretrained | None]:
    """Read the vectors for a vocabulary, and extend it if the settings say so.

    Args:
        settings: of the run.
        tokenizer: trained, or that of the run which is resumed.
        extend: False where the tokenizer has been extended already.

    Returns:
        The tokenizer, with the frequent words of the file that it can read as one token; and
        the vectors, None if none are asked for.

    Raises:
        DataError: the file is missing or malformed, or has no vector that fits.
    """
    path = settings.training.vectors
    if path is None:
        return tokenizer, None
    logger.info("reading vectors from %s", path)
    words = tokenizer.vocabulary.get_itos()[UNK_ID:]
    count = (settings.tokenizer.extend_vocab or 0) if extend else 0
    vectors = read_vectors(
        path, words, extend=count, usable=lambda word: tokenizer.tokens(word) == [word]
    )
    if count:
        logger.info(
            "%s words of the %s most frequent in %s are added to the vocabulary",
            f"{len(vectors.extension):,}",
            f"{min(count, vectors.rows):,}",
            path,
        )
        tokenizer = tokenizer.extended(vectors.extension)
    return tokenizer, _pretrained(vectors, tokenizer, settings.training.seed)


def _pretrained(vectors: Vectors, tokenizer: TextTokenizer, seed: int) -> Pretrained:
    tokens = tokenizer.vocabulary.get_itos()
    matrix = embedding_matrix(tokens, vectors, seed=seed)  # [V, E]
    return Pretrained(vectors.path, matrix, has_vector(tokens, vectors), vectors.other_case)


def can_skip_reading(checkpoint: Path, work: Path) -> bool:
    """Whether a resumed run needs no file of vectors: its checkpoint has the embedding."""
    return checkpoint.is_file() and bool(_read_facts(work))


def _read_facts(work: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((work / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # lost or cut short: then the vectors are read again
        return {}
    return facts


def load_embedding(
    pretrained: Pretrained | None, embedding: nn.Embedding, train: EncodedTexts, work: Path
) -> dict[str, Any]:
    """Copy the vectors into an embedding and record what they cover.

    Args:
        pretrained: the vectors; None if there are none, or the checkpoint has them.
        embedding: gets them, [V, E].
        train: the texts to learn from.
        work: folder of the run, where the facts are kept for a resume.

    Returns:
        Facts for the record of the run; empty if it has no vectors.
    """
    if pretrained is None:
        return _read_facts(work)
    with torch.no_grad():
        embedding.weight.copy_(torch.from_numpy(pretrained.matrix))
    known = pretrained.known
    entries = max(1, len(known) - 2)  # without the specials
    covered = sum(
        int(np.count_nonzero(known[train.ids[start : start + _CHUNK]]))
        for start in range(0, len(train.ids), _CHUNK)
    ) / max(1, len(train.ids))
    logger.info(
        "vectors: %s of %s entries (%.1f%%) have one, as have %.1f%% of the tokens of train; "
        "%s are those of another spelling",
        f"{known.sum():,}",
        f"{entries:,}",
        100 * known.sum() / entries,
        100 * covered,
        f"{pretrained.other_case:,}",
    )
    facts = {
        "vectors": pretrained.path.name,
        "vocabulary_entries_with_a_vector": round(float(known.sum()) / entries, 6),
        "train_tokens_with_a_vector": round(covered, 6),
        "entries_with_the_vector_of_another_spelling": pretrained.other_case,
    }
    write_text(work / FACTS, json.dumps(facts) + "\n")
    return facts
