"""A small model that learns from the probabilities of a larger one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textlstm.classifier.classifier import TextClassifier
from textlstm.config import (
    DISTILL_DEFAULTS,
    DISTILL_SHARED,
    TOKENIZERS,
    TRAIN_PARTS,
    TrainOptions,
    TrainSettings,
    with_preset,
)
from textlstm.data.corpus import Source
from textlstm.errors import ConfigError
from textlstm.options import documents
from textlstm.training.observer import Observer
from textlstm.training.resolve import OF_A_BASE, SIZES
from textlstm.training.train import train

if TYPE_CHECKING:
    from typing_extensions import Unpack

Model = str | os.PathLike[str] | TextClassifier

_OF_ITS_DATA = ("dataset_config", "dataset_revision", "validation", "test", "test_fraction")


@documents(*TRAIN_PARTS.values(), defaults=DISTILL_DEFAULTS)
def distill(
    model: Model | Sequence[Model],
    source: Source | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    observer: Observer | None = None,
    **options: Unpack[TrainOptions],
) -> TextClassifier:
    """Train a small classifier on the probabilities of a larger one, and on the labels.

    Args:
        model: the teacher: a classifier, a model folder or a name on the Hub; or a list of them,
            whose mean is learned.
        source: the data, as for `textlstm.train`; that of the teacher if not given.
        out: the model folder; None keeps the model in memory only.
        overwrite: replace the model or run in `out`.
        observer: callbacks for steps and epochs; if not given, a notebook shows a bar.
        **options: settings by name, listed below. By default data, tokenizer, pooling, n-grams
            and seed are as the (first) teacher's, `hidden_size` is 64 and `num_layers` 1. Its other
            splits and their sizes are not taken over to other data.

    Returns:
        The student.

    Raises:
        TextLSTMError: as `textlstm.train`.
    """
    models = [model] if isinstance(model, str | os.PathLike | TextClassifier) else list(model)
    if not models:
        raise ConfigError("distill needs a model to learn from: pass its folder")
    if "teacher" in options:
        raise ConfigError(
            f"teacher = {options['teacher']!r}: distill learns from its models: pass it as one of "
            "them"
        )
    first = models[0]
    if not isinstance(first, TextClassifier):
        first = TextClassifier.from_pretrained(os.fspath(first), device="cpu")
    own = student_options(first.settings)
    if source is not None and not _is_named(source, first.record.source):
        own = {name: value for name, value in own.items() if name not in _OF_ITS_DATA}
    if options.get("init_from") is not None:  # which has them
        others = (*OF_A_BASE, *SIZES, "pooling")
        own = {name: value for name, value in own.items() if name not in others}
    asked: dict[str, Any] = {**own, **with_preset(options), "teacher": models}
    source = _data_of(first) if source is None else source
    return train(source, out, overwrite=overwrite, observer=observer, **asked)


def _is_named(source: Source, name: str) -> bool:
    """Whether data is that of a name, which may be spelled in another way."""
    if isinstance(source, list) and len(source) == 1:
        source = source[0]
    if not isinstance(source, str | os.PathLike):
        return False
    return os.fspath(source) == name or Path(source).resolve() == Path(name).resolve()


def _data_of(model: TextClassifier) -> str:
    """Return the name of the data of a model; raise a `ConfigError` if it can't be read again."""
    record, name = model.record, model.record.source
    named = record.dataset_id or name == "sample" or any(mark in name for mark in "*?[")
    if not (named or (name and Path(name).expanduser().exists())):
        raise ConfigError(
            f"the data of the model, {name or 'unknown'}, can't be read again: pass data (--data)"
        )
    return name


def student_options(settings: TrainSettings) -> dict[str, Any]:
    """Return the options with which a student is trained by default.

    Args:
        settings: those of its teacher.

    Returns:
        Settings by name. A file that is no longer there is left out.
    """
    own = settings.to_options()
    shared = {name: own[name] for name in DISTILL_SHARED}
    for name in ("validation", "test", "tokenizer"):
        if shared[name] not in (None, *TOKENIZERS) and not Path(shared[name]).exists():
            del shared[name]
    return {**shared, **DISTILL_DEFAULTS}
