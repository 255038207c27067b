"""Every setting of textlstm, defined once (see `textlstm.options`).

The names are the same as flags of the command line (`--vocab-size`), keys of a `--config`
file (`vocab_size`) and keyword arguments in Python (`vocab_size=`).
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from textlstm.errors import ConfigError, require_choice
from textlstm.options import Settings, build, names_of, option, reject_unknown

TOKENIZERS = ("word", "basic_english", "whitespace", "char", "bpe", "wordpiece", "unigram")
TRUNCATIONS = ("head", "tail", "both")
POOLINGS = ("final", "max", "final+max", "mean", "attention")
SCHEDULES = ("one-cycle", "cosine", "plateau", "constant")
PRECISIONS = ("auto", "fp32", "bf16")
ENGINES = ("torch", "onnx", "ray")
VECTORS = ("glove-50", "glove-100", "glove-200", "glove-300", "fasttext-en", "wiki-news")
NGRAM_BUCKETS = 2**18
"""Default of `ngram_buckets`, as long as the labels are few."""
CASCADES = (0.0005, 0.001, 0.002, 0.005, 0.01)
"""Shares of texts whose label a cascade may change, as training fits them."""
NGRAM_FITS = ("ratios", "margins")
MONITORS = ("macro_f1", "accuracy", "loss")
FEW_TEXTS = 4_500
"""Up to so many training texts are learned from with the preset 'small', if none is named."""
_MOST = 2**31 - 1  # of a size or a seed


def require_cascade(share: float | None) -> None:
    """Raise a `ConfigError` if a share is not one of `CASCADES`."""
    if share is not None:
        require_choice("cascade", share, CASCADES)


@dataclass(frozen=True)
class TableConfig(Settings):
    """Which columns of which table are read."""

    text_column: tuple[str, ...] = option(
        (),
        "column with the text; several are joined by a space (default: detected)",
        metavar="COLUMN",
    )
    label_separator: str | None = option(
        None,
        "separates several labels in one cell, such as ';' (default: one label per cell)",
        metavar="MARK",
    )
    delimiter: str | None = option(
        None, "separates the columns of a csv, such as ';' (default: detected)", metavar="MARK"
    )
    dataset_config: str | None = option(None, "configuration of a Hub dataset", metavar="NAME")
    dataset_revision: str | None = option(
        None, "branch, tag or commit of a Hub dataset", metavar="REVISION"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        mark = self.label_separator
        if mark is not None and (not mark or "\n" in mark or "\r" in mark):
            raise ConfigError(
                f"label_separator = {mark!r}: must be at least one character and no line break, "
                "such as ';'"
            )
        mark = self.delimiter
        if mark is not None and (len(mark) != 1 or mark in '\r\n"'):
            raise ConfigError(f"delimiter = {mark!r}: must be one character, such as ';' or a tab")


@dataclass(frozen=True)
class DataConfig(TableConfig):
    """Where texts and labels are found in the data."""

    label_column: str | None = option(
        None, "column with the label (default: detected)", metavar="COLUMN"
    )
    numeric_labels: bool = option(
        False, "train even if the labels look like a measurement, such as a price or a time"
    )
    teacher_columns: tuple[str, ...] = option(
        (),
        "columns with a teacher's probability of each label: COLUMN, whose name is or ends in the "
        "label's name, or LABEL=COLUMN",
        metavar="COLUMN",
    )
    unlabeled: tuple[str, ...] = option(
        (),
        "data without labels; the teacher labels it, or else a first model that is trained only on "
        f"the labelled data (more than {FEW_TEXTS:,} texts and --init-from: the model itself)",
        metavar="DATA",
    )
    validation: str | None = option(
        None, "data to validate on, instead of a part of train", metavar="FILE"
    )
    test: str | None = option(None, "data for the final figures", metavar="FILE")
    test_fraction: float = option(
        0.0, "share of train held out for the final figures", low=0, high=0.9
    )
    validation_fraction: float = option(
        0.1, "share of train held out where the data has no validation", low=0.001, high=0.9
    )


@dataclass(frozen=True)
class TokenizerConfig(Settings):
    """How a text becomes ids."""

    tokenizer: str = option(
        "word", f"{', '.join(TOKENIZERS)}, or a tokenizer.json", metavar="KIND|FILE"
    )
    vocab: str | None = option(
        None,
        "vocabulary file, text or JSON (default: counted on train)",
        metavar="FILE",
    )
    vocab_size: int = option(
        30_000, "maximum number of entries, with <pad> and <unk>", low=3, high=_MOST
    )
    min_frequency: int = option(2, "minimum count of an entry in train", low=1)
    extend_vocab: int | None = option(
        None,
        "with --vectors: also add the N first (most frequent) words of their file to the "
        "vocabulary (default: 50000)",
        low=0,
    )
    max_length: int = option(400, "maximum number of tokens of a text; the rest is cut", low=1)
    truncation: str = option(
        "both",
        "which tokens of a longer text are kept: its start, its end or both",
        choices=TRUNCATIONS,
    )


@dataclass(frozen=True)
class ModelConfig(Settings):
    """The shape of the network and its dropout."""

    embedding_size: int = option(
        100, "size of the embedding; that of --vectors, if any", low=1, high=_MOST
    )
    hidden_size: int = option(128, "LSTM units per direction", low=1, high=_MOST)
    num_layers: int = option(2, "stacked LSTM layers", low=1, high=1024)
    bidirectional: bool = option(True, "read the text from both ends")
    pooling: str = option(
        "final+max",
        "how the states of a text are combined into one vector; from a base, max unless passed",
        choices=POOLINGS,
    )
    ngrams: int = option(
        2,
        "longest n-gram, in tokens, of the linear model added to the LSTM; 0 for no such model",
        low=0,
        high=5,
    )
    ngram_buckets: int | None = option(
        None,
        f"hash buckets for n-grams of two or more tokens (default: {NGRAM_BUCKETS}, fewer for more "
        "than 20 labels)",
        low=1,
        high=2**28,
    )
    ngram_rank: int | None = option(
        None,
        "rank of the factorized n-gram weights; 0 for one weight per n-gram and label (default: 0, "
        "or 64 for more than about 90 labels)",
        low=0,
        high=4096,
    )
    word_dropout: float = option(0.05, "share of tokens replaced by <unk>", low=0, high=0.99)
    embedding_dropout: float = option(0.3, "dropout on embeddings", low=0, high=0.99)
    dropout: float = option(0.3, "dropout between LSTM layers", low=0, high=0.99)
    output_dropout: float = option(0.3, "dropout before the linear layer", low=0, high=0.99)


@dataclass(frozen=True)
class TrainingConfig(Settings):
    """How the weights are trained."""

    epochs: int | None = option(
        None, "maximum number of epochs (default: 1 to 20, fewer for larger data)", low=1
    )
    total_tokens: int = option(20_000_000, "without --epochs: tokens in all epochs together", low=1)
    batch_size: int = option(64, "maximum number of texts per step", low=1)
    batch_tokens: int = option(
        32_768, "maximum number of tokens per step, with padding; 0 for no limit", low=0
    )
    learning_rate: float = option(4e-3, "peak learning rate of AdamW", low=1e-9)
    weight_decay: float = option(0.01, "decoupled weight decay of AdamW", low=0)
    clip_norm: float = option(1.0, "maximum norm of the gradient", low=1e-9)
    schedule: str = option("one-cycle", "learning rate schedule", choices=SCHEDULES)
    monitor: str = option(
        "macro_f1", "validation figure that selects the best epoch", choices=MONITORS
    )
    patience: int = option(
        6, "epochs without improvement before training stops", low=1, resumable=True
    )
    vectors: str | None = option(
        None,
        f"pretrained word vectors to start from: {', '.join(VECTORS)}, fetched once; or a file of "
        "GloVe, word2vec or fastText",
        metavar="NAME|FILE",
    )
    init_from: str | None = option(
        None,
        "base or model to start from: its tokenizer, embedding and LSTM (see pretrain)",
        metavar="BASE",
    )
    freeze_vectors: int = option(
        0, "epochs in which pretrained vectors are not trained; -1 for all", low=-1
    )
    vector_rate: float = option(
        0.3,
        "learning rate of pretrained vectors, or of a base's embedding, as a share of "
        "--learning-rate",
        low=0,
        high=10,
    )
    adversarial: float | None = option(
        None,
        "size of the adversarial change of the embeddings, as a share of their norm; doubles the "
        "training time; 0 turns it off (default: 0.05 to 0.15, growing with the number of epochs)",
        low=0,
        high=1,
    )
    ngram_fit: str = option(
        "ratios",
        "how the n-grams are fitted: logistic regression of log-count ratios, or a support vector "
        "machine that also compares the letters of words, which suits few texts",
        choices=NGRAM_FITS,
    )
    class_weights: tuple[str, ...] = option(
        (), "'balanced', or label=weight for some labels (others 1)", metavar="WEIGHT"
    )
    calibrate: bool = option(
        True, "after each epoch, fit confidence and the weight of each branch on validation"
    )
    teacher: tuple[str, ...] = option(
        (),
        "model whose probabilities to learn from in addition to the labels; with several, their "
        "mean",
        metavar="MODEL",
    )
    teacher_weight: float = option(
        0.7, "share of the teacher in the loss of a text with a label", low=0, high=1
    )
    teacher_temperature: float = option(
        1.0, "temperature that divides the logits of teacher and model", low=0.1, high=100
    )
    label_smoothing: float = option(0.0, "label smoothing", low=0, high=0.9)
    max_minutes: float | None = option(
        None, "stop cleanly after this many minutes", low=0, resumable=True
    )
    checkpoint_minutes: float = option(
        5.0, "minutes between checkpoints within an epoch", low=0, resumable=True
    )
    report: bool = option(
        True, "write report.html, a page to look at, beside the model", resumable=True
    )
    tensorboard: str | None = option(
        None,
        "write the curves of the training into DIR, for `tensorboard --logdir DIR`",
        metavar="DIR",
        resumable=True,
    )
    precision: str = option(
        "auto", "number format of the LSTM; auto is bf16 where it is native", choices=PRECISIONS
    )
    seed: int = option(1, "random seed", low=0, high=_MOST)
    threads: int | None = option(
        None, "CPU threads (default: all cores)", low=1, high=1024, resumable=True
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:N", metavar="DEVICE", resumable=True)


@dataclass(frozen=True)
class PredictionConfig(TableConfig):
    """What `predict` reads and adds."""

    split: str | None = option(
        None, "split of the dataset (default: its only one)", metavar="SPLIT"
    )
    output_column: str | None = option(
        None,
        "name of the added column of labels (default: label, or predicted_label if the input has "
        "a column label)",
        metavar="COLUMN",
    )
    score_column: str | None = option(
        None,
        "name of the added column of scores (default: score, or predicted_score if the input has "
        "a column score)",
        metavar="COLUMN",
    )
    label_separator: str | None = option(
        None,
        "separates several labels in csv and tsv (default: as in training, else ;)",
        metavar="MARK",
    )
    top_k: int = option(1, "number of labels per row, best first", low=1)
    min_score: float = option(
        0.0,
        "leave the label empty, with the reason in error, if its score is lower",
        low=0,
        high=1,
        metavar="SCORE",
    )
    probabilities: bool = option(False, "add the probability of every label")
    cascade: float | None = option(
        None,
        "let the n-grams alone label texts that they are certain of, so that at most this share "
        f"of all labels differs: {', '.join(map(str, CASCADES))} (default: the whole model labels "
        "every text)",
        metavar="SHARE",
    )
    engine_column: str | None = option(
        None,
        "add a column that says which part of the model labelled the row: ngrams or lstm",
        metavar="COLUMN",
    )
    batch_size: int = option(64, "texts per step", low=1)
    # of many rows, those that a cascade leaves to the LSTM still make batches of like length
    chunk_rows: int = option(16384, "maximum number of rows saved and written together", low=1)
    engine: str = option(
        "torch", "compute with PyTorch, ONNX Runtime or a Ray cluster", choices=ENGINES
    )
    address: str | None = option(
        None,
        "Ray cluster to join (default: start one on this machine)",
        metavar="ADDRESS",
        resumable=True,
    )
    workers: int | None = option(
        None,
        "actors of the engine ray (default: as many as fit the cluster)",
        low=1,
        resumable=True,
    )
    precision: str = option(
        "fp32",
        "number format of the LSTM; int8 only with `predict --engine onnx`",
        choices=(*PRECISIONS, "int8"),
    )
    threads: int | None = option(
        None, "CPU threads (default: all cores)", low=1, high=1024, resumable=True
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:N", metavar="DEVICE", resumable=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_cascade(self.cascade)


@dataclass(frozen=True)
class CrossvalConfig(Settings):
    """How data is split for cross-validation."""

    folds: int = option(
        10, "number of folds; each is evaluated by a model trained on the others", low=2
    )


@dataclass(frozen=True)
class TuneConfig(Settings):
    """How long settings are searched for, and how large the model may be."""

    minutes: float = option(
        30.0, "time for all trials together, those before a resume included", low=0
    )
    trials: int | None = option(
        None, "maximum number of trials (default: as many as the time allows)", low=1
    )
    max_mb: float | None = option(
        None,
        "maximum size of the model (weights, tokenizer and vocabulary) in megabytes; larger ones "
        "are not trained",
        low=0,
        metavar="MB",
    )


PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "min_frequency": 1,
        "hidden_size": 64,
        "num_layers": 1,
        "pooling": "max",
        "batch_size": 16,
        "total_tokens": 500_000,
        "ngram_fit": "margins",
        "monitor": "loss",
    },
    "fast": {"adversarial": 0.0},
    "default": {},
    "best": {"max_length": 800, "total_tokens": 50_000_000},
}
"""Options by size of the data and training time; options beside a preset override it."""


PRETRAIN_OPTIONS = (
    *("text_column", "delimiter", "dataset_config", "dataset_revision"),
    *("tokenizer", "vocab", "vocab_size", "min_frequency", "extend_vocab", "max_length"),
    *("embedding_size", "hidden_size", "num_layers", "bidirectional"),
    *("epochs", "total_tokens", "batch_size", "batch_tokens", "learning_rate", "vectors"),
    *("init_from", "max_minutes", "checkpoint_minutes", "tensorboard", "precision", "seed"),
    *("threads", "device"),
)
"""The options that `pretrain` has; they mean what they do in `train`."""

PRETRAIN_DEFAULTS: dict[str, Any] = {
    "total_tokens": 100_000_000,
    "batch_tokens": 4096,
    "learning_rate": 0.003,
    "embedding_dropout": 0.1,
    "dropout": 0.1,
    "output_dropout": 0.1,
    "ngrams": 0,
    "adversarial": 0.0,
    "monitor": "loss",
}
"""What a pretraining has instead of the defaults of a training. Its steps are small: in one pass
over 17 million tokens, 16 texts in each lead to a perplexity of 84, and 64 to one of 115."""

DISTILL_DEFAULTS = {"hidden_size": 64, "num_layers": 1}
"""What a student has, whatever its teacher has."""

DISTILL_SHARED = (
    *("text_column", "label_column", "label_separator", "delimiter", "numeric_labels"),
    *("dataset_config", "dataset_revision", "validation", "test"),
    *("test_fraction", "validation_fraction", "seed"),
    *("tokenizer", "vocab_size", "min_frequency", "max_length", "truncation"),
    *("bidirectional", "pooling", "ngrams", "ngram_buckets", "ngram_rank"),
)
"""What a student shares with its teacher. The same rows are held out, since the teacher has learned
the others by heart."""


def with_preset(options: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the option 'preset' by its options; other options override them.

    Args:
        options: flat names and values.

    Returns:
        The same without 'preset'.

    Raises:
        ConfigError: there is no such preset.
    """
    given = dict(options)
    name = given.pop("preset", "default")
    require_choice("preset", name, PRESETS)
    return {**PRESETS[name], **given}


@dataclass(frozen=True)
class TrainSettings:
    """All settings of a training.

    Args:
        data: where texts and labels are.
        tokenizer: how a text becomes ids.
        model: the network.
        training: how its weights are found.
        given: names of the options that were passed; None if all are settled. The others may
            follow from the number of texts (see `textlstm.training.resolve.for_texts`).
    """

    data: DataConfig = field(default_factory=DataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    given: frozenset[str] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_options(cls, **options: Any) -> TrainSettings:
        """Make settings from flat option names, as the command line and TOML have them.

        Args:
            **options: any of `TRAIN_OPTIONS`; others keep their default, or the value that
                `preset`, one of `PRESETS`, has for them.

        Returns:
            The settings.

        Raises:
            ConfigError: a name is unknown or a value is bad.
        """
        given = None if "preset" in options else frozenset(options)
        options = with_preset(options)
        reject_unknown(options, TRAIN_OPTIONS)
        if isinstance(options.get("vectors"), str | os.PathLike):
            name = os.fspath(options["vectors"])
            known = name in VECTORS and not Path(name).exists()
            options["vectors"] = name if known else str(Path(name).absolute())
        if isinstance(options.get("tensorboard"), str | os.PathLike):
            options["tensorboard"] = str(Path(options["tensorboard"]).absolute())
        for name, kept in _NAMES.items():
            options |= {name: absolute_names(options[name], kept)} if name in options else {}
        parts = {
            part: build(kind, {name: options[name] for name in names_of(kind) if name in options})
            for part, kind in TRAIN_PARTS.items()
        }
        return cls(**parts, given=given)  # type: ignore[arg-type]

    def replace(self, **options: Any) -> TrainSettings:
        """Return the settings with other values of some options, by flat name."""
        parts = {part: getattr(self, part) for part in TRAIN_PARTS}
        for name, value in options.items():
            part = next(part for part, kind in TRAIN_PARTS.items() if name in names_of(kind))
            parts[part] = replace(parts[part], **{name: value})
        return replace(self, **parts)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return the settings for JSON, one table per part."""
        return {part: getattr(self, part).to_dict() for part in TRAIN_PARTS}

    def to_options(self) -> dict[str, Any]:
        """Return the settings by flat name, as `from_options` takes them."""
        return {name: value for part in self.to_dict().values() for name, value in part.items()}

    @classmethod
    def from_dict(cls, tables: dict[str, dict[str, Any]]) -> TrainSettings:
        """Make settings from what `to_dict` returned; raises `ConfigError` for unknown names."""
        reject_unknown(tables, TRAIN_PARTS)
        for part, table in tables.items():
            if not isinstance(table, dict):
                raise ConfigError(f"{part} = {table!r}: must be a table of options")
        parts = {part: build(kind, tables.get(part, {})) for part, kind in TRAIN_PARTS.items()}
        return cls(**parts)  # type: ignore[arg-type]


DATA_OPTIONS = (*names_of(TableConfig), "label_column")
"""The options of `DataConfig` that say where texts and labels are."""


_NAMES: dict[str, Sequence[str]] = {
    **dict.fromkeys(("teacher", "init_from", "vocab"), ()),
    **dict.fromkeys(("unlabeled", "validation", "test"), ("sample",)),
    "tokenizer": TOKENIZERS,
}
"""Options that may name files or folders, and names that never do."""


def absolute_names(value: Any, kept: Sequence[str]) -> Any:
    """Return names so that files, folders and patterns among them hold in any working folder.

    Args:
        value: a name or several; anything else is returned as it is.
        kept: names that never stand for files.
    """
    if isinstance(value, list | tuple):
        return tuple(absolute_names(name, kept) for name in value)
    if not isinstance(value, str | os.PathLike) or os.fspath(value) in kept:
        return value
    name = os.fspath(value)
    if Path(name).exists():
        return str(Path(name).absolute())
    if glob.has_magic(name) and "://" not in name and not name.startswith("~"):
        return str(Path(glob.escape(str(Path.cwd())), name))
    return value


TRAIN_PARTS: dict[str, type[Settings]] = {
    "data": DataConfig,
    "tokenizer": TokenizerConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
}
TRAIN_OPTIONS: list[str] = names_of(*TRAIN_PARTS.values())


class TrainOptions(TypedDict, total=False):
    """The options of `train` by name, for editors and type checkers."""

    preset: str
    text_column: str | Sequence[str]
    label_separator: str | None
    delimiter: str | None
    dataset_config: str | None
    dataset_revision: str | None
    label_column: str | None
    numeric_labels: bool
    teacher_columns: str | Sequence[str]
    unlabeled: str | Sequence[str]
    validation: str | None
    test: str | None
    test_fraction: float
    validation_fraction: float
    tokenizer: str
    vocab: str | None
    vocab_size: int
    min_frequency: int
    extend_vocab: int | None
    max_length: int
    truncation: str
    embedding_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    pooling: str
    ngrams: int
    ngram_buckets: int | None
    ngram_rank: int | None
    word_dropout: float
    embedding_dropout: float
    dropout: float
    output_dropout: float
    epochs: int | None
    total_tokens: int
    batch_size: int
    batch_tokens: int
    learning_rate: float
    weight_decay: float
    clip_norm: float
    schedule: str
    monitor: str
    patience: int
    vectors: str | os.PathLike[str] | None
    init_from: str | os.PathLike[str] | None
    freeze_vectors: int
    vector_rate: float
    adversarial: float | None
    ngram_fit: str
    class_weights: str | Sequence[str]
    calibrate: bool
    teacher: Any
    teacher_weight: float
    teacher_temperature: float
    label_smoothing: float
    max_minutes: float | None
    checkpoint_minutes: float
    report: bool
    tensorboard: str | os.PathLike[str] | None
    precision: str
    seed: int
    threads: int | None
    device: str
