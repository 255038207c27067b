"""Training from a base or from word vectors: tokenizer, weights, and facts for the record.

Shapes: V vocabulary, E embedding.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from textlstm.classifier.base import Base, read_base
from textlstm.classifier.json_files import FILES
from textlstm.config import TokenizerConfig, TrainSettings
from textlstm.errors import VocabularyError
from textlstm.io.atomic import write_text
from textlstm.text.tokenizer import Batches, TextTokenizer
from textlstm.text.vocabulary import UNK_ID, Vocabulary
from textlstm.text.word_vectors import embedding_matrix, has_vector, read_vectors

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


def make_start(
    settings: TrainSettings, tokenizer: TextTokenizer | None, texts: Batches
) -> tuple[TextTokenizer, Pretrained | Base | None]:
    """Make the tokenizer of a run, and read what its network starts from.

    Args:
        settings: of the run.
        tokenizer: that of the run which is resumed; None for a new one.
        texts: those to learn from.

    Returns:
        The tokenizer, and vectors or a base, None if the settings name neither.

    Raises:
        DataError: the file of vectors is missing or malformed, or has no vector that fits.
        ModelFolderError: the base can't be read.
    """
    config, base, path = settings.tokenizer, settings.training.init_from, settings.training.vectors
    if base is not None:
        start = read_base(base)
        return start.tokenizer.cut(config.max_length, config.truncation), start
    count = 0  # of words to add; the tokenizer of a run that is resumed has them
    if tokenizer is None:
        logger.info("building the vocabulary")
        tokenizer, count = TextTokenizer.train(texts, config), config.extend_vocab or 0
    if path is None:
        return tokenizer, None
    logger.info("reading vectors from %s", path)
    words = tokenizer.vocabulary.get_itos()[UNK_ID:]
    tokens = tokenizer.tokens
    vectors = read_vectors(path, words, extend=count, usable=lambda word: tokens(word) == [word])
    if count:
        logger.info(
            "%s words of the %s most frequent in %s are added to the vocabulary",
            f"{len(vectors.extension):,}",
            f"{min(count, vectors.rows):,}",
            path,
        )
        tokenizer = tokenizer.extended(vectors.extension)
    entries = tokenizer.vocabulary.get_itos()
    matrix = embedding_matrix(entries, vectors, seed=settings.training.seed)  # [V, E]
    known = has_vector(entries, vectors)
    return tokenizer, Pretrained(vectors.path, matrix, known, vectors.other_case)


def save_tokenizer(tokenizer: TextTokenizer, work: Path) -> None:
    """Keep the tokenizer of a run in its work folder, unless one is there."""
    path = work / FILES.tokenizer
    if not path.is_file():
        work.mkdir(parents=True, exist_ok=True)
        tokenizer.vocabulary.save(work / FILES.vocabulary)
        tokenizer.save(path)  # last: where it is, both are


def load_tokenizer(work: Path, config: TokenizerConfig) -> TextTokenizer | None:
    """Load the tokenizer of a run that is resumed; None if it was lost or is damaged."""
    if not (work / FILES.tokenizer).is_file():
        return None
    try:
        return TextTokenizer.load(
            work / FILES.tokenizer,
            max_length=config.max_length,
            truncation=config.truncation,
            vocabulary=Vocabulary.load(work / FILES.vocabulary),
        )
    except VocabularyError:  # damaged: it is made again
        (work / FILES.tokenizer).unlink()
        return None


def can_skip_reading(checkpoint: Path, work: Path) -> bool:
    """Whether a resumed run needs no file of vectors: its checkpoint has the embedding."""
    return checkpoint.is_file() and bool(_read_facts(work))


def _read_facts(work: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((work / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # lost or cut short: then the vectors are read again
        return {}
    return facts


def load_start(
    start: Pretrained | Base | None, model: nn.Module, ids: np.ndarray, work: Path
) -> dict[str, Any]:
    """Copy what a training starts from into its network and record what that is.

    Args:
        start: vectors or a base; None if there are none, or the checkpoint has them.
        model: has an `embedding`, and an `lstm` for a base.
        ids: those of all texts to learn from, flat.
        work: folder of the run, where the facts are kept for a resume.

    Returns:
        Facts for the record of the run; empty if it starts from nothing.
    """
    if start is None:
        return _read_facts(work)
    if isinstance(start, Base):
        model.load_state_dict(start.weights, strict=False)
        facts: dict[str, Any] = {"init_from": start.name}
    else:
        facts = _load_vectors(start, cast(nn.Embedding, model.embedding), ids)
    write_text(work / FACTS, json.dumps(facts) + "\n")
    return facts


def _load_vectors(vectors: Pretrained, embedding: nn.Embedding, ids: np.ndarray) -> dict[str, Any]:
    with torch.no_grad():
        embedding.weight.copy_(torch.from_numpy(vectors.matrix))
    known = vectors.known
    entries = max(1, len(known) - 2)  # without the specials
    covered = sum(
        int(np.count_nonzero(known[ids[start : start + _CHUNK]]))
        for start in range(0, len(ids), _CHUNK)
    ) / max(1, len(ids))
    logger.info(
        "vectors: %s of %s entries (%.1f%%) have one, as have %.1f%% of the tokens of train; "
        "%s are those of another spelling",
        f"{known.sum():,}",
        f"{entries:,}",
        100 * known.sum() / entries,
        100 * covered,
        f"{vectors.other_case:,}",
    )
    return {
        "vectors": vectors.path.name,
        "vocabulary_entries_with_a_vector": round(float(known.sum()) / entries, 6),
        "train_tokens_with_a_vector": round(covered, 6),
        "entries_with_the_vector_of_another_spelling": vectors.other_case,
    }
