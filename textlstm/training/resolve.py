"""Options that are left open, and what they are for the vectors and the texts at hand."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from textlstm.classifier.base import base_settings
from textlstm.config import FEW_TEXTS, NGRAM_BUCKETS, PRESETS, ModelConfig, TrainSettings
from textlstm.errors import ConfigError
from textlstm.text.tokenizer import WHOLE_WORDS
from textlstm.text.vector_files import vector_size

logger = logging.getLogger(__name__)

EXTENSION = 50_000  # words of the vectors that become entries
OF_A_BASE = ("vectors", "vocab", "tokenizer", "vocab_size", "min_frequency", "extend_vocab")
SIZES = ("embedding_size", "hidden_size", "num_layers", "bidirectional")
_POOLING = "max"  # after a base, whose final states have learned of words rather than of texts
_EPOCHS = (2, 20)
_ONE_EPOCH = 1_000_000  # tokens in all epochs: with so few to read, one epoch may do
_FEW = 20  # labels, of which the n-gram table has the default size
_MOST_NUMBERS = 3 * 2**20  # of the table for more labels,
_MOST_FACTORS = 2**23  # if a row has one per label, or else RANK
_LEAST_BUCKETS = 2**15
RANK = 64
_ADVERSARIAL = ((4, 0.05), (20, 0.15))  # (epochs, strength) of two trainings


def read_options(options: Mapping[str, Any]) -> TrainSettings:
    """Make the settings of a new run; with vectors, `embedding_size` is theirs.

    Args:
        options: flat names and values, as for `TrainSettings.from_options`.

    Returns:
        The settings; `epochs` and `adversarial` may still be open.

    Raises:
        ConfigError: an option is invalid, or contradicts the base, the teacher, or the vectors or
            their absence.
        ModelFolderError: the base can't be read.
        DataError: the file of vectors is missing, or its beginning is malformed.
        MissingDependencyError: curves are wanted, and tensorboard is not installed.
    """
    settings = resolve(TrainSettings.from_options(**options))
    if settings.training.tensorboard is not None:
        from textlstm.training import tensorboard  # noqa: F401 - raises if it is not installed
    default, data = TrainSettings().to_options(), settings.data
    asked = {name: value for name, value in options.items() if value != default.get(name)}
    if settings.training.teacher and data.teacher_columns:
        raise ConfigError("teacher and teacher_columns exclude each other: pass one of them")
    if not (settings.training.teacher or data.teacher_columns or data.unlabeled):
        names: Sequence[str] = ("teacher_weight", "teacher_temperature")
        _require(names, asked, "a teacher: pass teacher, teacher_columns or unlabeled")
    if settings.training.init_from is not None:
        return _from_base(settings.training.init_from, options, settings)
    path, extend = settings.training.vectors, settings.tokenizer.extend_vocab
    if path is None:
        _require(("extend_vocab",), asked, "a file of word vectors: pass vectors")
        need = "pretrained vectors: pass vectors or init_from"
        _require(("freeze_vectors", "vector_rate"), asked, need)
        return settings
    kind = settings.tokenizer.tokenizer
    if extend and kind not in WHOLE_WORDS:
        raise ConfigError(
            f"extend_vocab = {extend} does not go with tokenizer = {kind!r}, whose entries are not "
            f"whole words: leave it out, or use {', '.join(WHOLE_WORDS)}"
        )
    size = vector_size(path)
    asked = options.get("embedding_size", size)
    if asked != size:
        raise ConfigError(
            f"embedding_size = {asked}, but the vectors in {path} have {size} numbers: leave "
            "embedding_size out, or use other vectors"
        )
    return settings.replace(embedding_size=size)


def _require(names: Sequence[str], asked: Mapping[str, Any], need: str) -> None:
    """Raise a `ConfigError` if one of some options is asked for, which needs something else."""
    for name in names:
        if value := asked.get(name):
            raise ConfigError(f"{name} = {value} needs {need}")


def _from_base(name: str, options: Mapping[str, Any], settings: TrainSettings) -> TrainSettings:
    """Return the settings with the tokenizer and the sizes of a base or a model.

    Unless asked for, the pooling is one that suits a base.
    """
    for other in OF_A_BASE:
        if options.get(other) is not None:
            raise ConfigError(
                f"{other} = {options[other]} does not go with init_from = {name!r}, which has a "
                "tokenizer and an embedding of its own: leave one of them out"
            )
    base, without_labels = base_settings(name)
    sizes = {size: getattr(base.model, size) for size in SIZES}
    for size, value in sizes.items():
        if options.get(size, value) != value:
            raise ConfigError(
                f"{size} = {options[size]}, but the base {name} has {value}: leave {size} out, or "
                "pretrain another base"
            )
    own = settings.tokenizer
    tokenizer = replace(base.tokenizer, max_length=own.max_length, truncation=own.truncation)
    pooling = {"pooling": _POOLING} if without_labels and "pooling" not in options else {}
    return replace(settings.replace(**sizes, **pooling), tokenizer=tokenizer)


def for_texts(settings: TrainSettings, count: int) -> TrainSettings:
    """Settle the options that follow from the number of texts.

    Args:
        settings: as asked for.
        count: texts to learn from.

    Returns:
        The settings; options that were not passed are those of the preset 'small' if texts are
        few and no vectors, base or teacher are there to learn from. With texts without labels,
        n-grams are not fitted by margins, since they also learn from probabilities.
    """
    options = settings.to_options()
    more = any(options[name] for name in ("vectors", "init_from", "teacher", "teacher_columns"))
    given, settings = settings.given, replace(settings, given=None)
    if given is None or more or count > FEW_TEXTS:
        return settings
    logger.info("up to %s texts: the default is the preset 'small'", f"{FEW_TEXTS:,}")
    others = {*given, "ngram_fit"} if options["unlabeled"] else given
    small = {name: value for name, value in PRESETS["small"].items() if name not in others}
    return settings.replace(**small)


def resolve(
    settings: TrainSettings,
    train_tokens: int | None = None,
    *,
    vocab_size: int = 0,
    classes: int = 0,
) -> TrainSettings:
    """Settle the options that are left open.

    Args:
        settings: as asked for.
        train_tokens: tokens of the training texts; None before they are known, which leaves
            `epochs` and `adversarial`, and the size of the n-gram table, open.
        vocab_size: entries of the vocabulary.
        classes: labels.

    Returns:
        The settings that the run uses; they are saved, shown, and compared when it is resumed.
    """
    tokenizer, training = settings.tokenizer, settings.training
    settled: dict[str, Any] = {}
    if tokenizer.extend_vocab is None:
        words = tokenizer.vocab is None and tokenizer.tokenizer in WHOLE_WORDS
        settled["extend_vocab"] = EXTENSION if words and training.vectors is not None else 0
    if train_tokens is not None:
        epochs = training.epochs or epochs_for(train_tokens, training.total_tokens)
        strength = training.adversarial
        strength = adversarial_for(epochs) if strength is None else strength
        settled |= {"epochs": epochs, "adversarial": strength}
        settled |= ngram_table_for(settings.model, vocab_size, classes)
    return settings.replace(**settled)


def ngram_table_for(model: ModelConfig, vocab_size: int, classes: int) -> dict[str, int]:
    """Return a size of the n-gram table that suits the number of labels, as options.

    A number for each label and n-gram is best for few labels (2 to 90). For more, the table would
    grow without limit, and so would the memory to fit it.

    Args:
        model: settings whose `ngram_buckets` and `ngram_rank` may be open.
        vocab_size: entries of the vocabulary, which have rows of their own.
        classes: labels.
    """
    buckets, rank = model.ngram_buckets, model.ngram_rank
    if rank is None:
        least = vocab_size + (buckets or _LEAST_BUCKETS)
        rank = 0 if classes <= _FEW or least * classes <= _MOST_NUMBERS else RANK
    if buckets is None:
        rows = _MOST_FACTORS // rank if rank else _MOST_NUMBERS // max(classes, 1)
        buckets = min(NGRAM_BUCKETS, max(_LEAST_BUCKETS, rows - vocab_size))
        buckets = NGRAM_BUCKETS if classes <= _FEW and not rank else buckets
    return {"ngram_buckets": buckets, "ngram_rank": rank}


def epochs_for(tokens: int, total: int) -> int:
    """Return the default number of epochs.

    A large corpus teaches in few epochs what a small one takes many for, and time is then about
    the same for all but very large ones.

    Args:
        tokens: those of the training texts.
        total: how many to read in all epochs together.

    Returns:
        As many epochs as come nearest to the total, from 2 to 20; from 1 if the total is at most a
        million, as that of the preset small: beside its n-grams, a second epoch of 3,150 reviews
        brought nothing.
    """
    least, most = _EPOCHS
    least = 1 if total <= _ONE_EPOCH else least
    return max(least, min(most, round(total / max(tokens, 1))))


def adversarial_for(epochs: int) -> float:
    """Return how far embeddings are moved against the model by default.

    A text that is moved far takes long to learn, and holds overfitting down the more: 0.15 is best
    where a small corpus is read 20 times, and too much for a large one that is read 4 times.

    Args:
        epochs: maximum number of epochs.

    Returns:
        A share of the embeddings' size: 0.05 up to 4 epochs, then linear to 0.15 at 20.
    """
    (few, near), (many, far) = _ADVERSARIAL
    return near + (far - near) * (min(max(epochs, few), many) - few) / (many - few)
