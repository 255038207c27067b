"""Every setting of textlstm, defined once (see `textlstm.options`).

The names are the same as flags of the command line (`--vocab-size`), keys of a `--config`
file (`vocab_size`) and keyword arguments in Python (`vocab_size=`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from textlstm.errors import ConfigError
from textlstm.options import Settings, build, names_of, option, reject_unknown

TOKENIZERS = (
    "word",
    "basic_english",
    "whitespace",
    "char",
    "bpe",
    "wordpiece",
    "unigram",
)
TRUNCATIONS = ("head", "tail", "both")
POOLINGS = ("final", "max", "mean", "attention")
SCHEDULES = ("one-cycle", "cosine", "plateau", "constant")
PRECISIONS = ("auto", "fp32", "bf16")
ENGINES = ("torch", "onnx", "ray")
MONITORS = ("macro_f1", "accuracy", "loss")


def require_separator(mark: str | None) -> None:
    """Raise a `ConfigError` if a mark cannot stand between labels."""
    if mark is not None and (not mark or "\n" in mark or "\r" in mark):
        raise ConfigError(
            f"label_separator = {mark!r}: must be at least one character and no line end, "
            "such as ';'"
        )


@dataclass(frozen=True)
class DataConfig(Settings):
    """Where texts and labels are found in the data."""

    text_column: tuple[str, ...] = option(
        (), "column(s) with the text, joined by a space; guessed if not given", metavar="COLUMN"
    )
    label_column: str | None = option(
        None, "column with the label; guessed if not given", metavar="COLUMN"
    )
    label_separator: str | None = option(
        None,
        "what stands between several labels in one cell of text; lists need none",
        metavar="MARK",
    )
    dataset_config: str | None = option(None, "configuration of a Hub dataset", metavar="NAME")
    dataset_revision: str | None = option(
        None, "branch, tag or commit of a Hub dataset", metavar="REVISION"
    )
    validation_fraction: float = option(
        0.1, "share of train cut off for validation where there is none", low=0.001, high=0.9
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_separator(self.label_separator)


@dataclass(frozen=True)
class TokenizerConfig(Settings):
    """How a text becomes ids."""

    tokenizer: str = option(
        "word", f"{', '.join(TOKENIZERS)}, or a tokenizer.json", metavar="KIND|FILE"
    )
    vocab: str | None = option(
        None, "vocabulary file (text or JSON) to use instead of counting train", metavar="FILE"
    )
    vocab_size: int = option(30_000, "most entries, <pad> and <unk> included", low=3)
    min_frequency: int = option(2, "least count in train of an entry", low=1)
    extend_vocab: int | None = option(
        None,
        "take also the N first (most frequent) words of the vectors as entries; 50000 if not given",
        low=0,
    )
    max_length: int = option(400, "most tokens read of a text", low=1)
    truncation: str = option("both", "which tokens of a longer text are read", choices=TRUNCATIONS)


@dataclass(frozen=True)
class ModelConfig(Settings):
    """The shape of the network and its dropout."""

    embedding_size: int = option(100, "numbers per token; with vectors, theirs", low=1)
    hidden_size: int = option(128, "LSTM units per direction", low=1)
    num_layers: int = option(2, "stacked LSTM layers", low=1)
    bidirectional: bool = option(True, "read the text from both ends")
    pooling: str = option("max", "how states become one vector", choices=POOLINGS)
    ngrams: int = option(
        2,
        "most tokens of an n-gram in the linear model beside the LSTM; 0 for none",
        low=0,
        high=5,
    )
    ngram_buckets: int = option(
        262_144, "rows that the n-grams of more than one token share", low=1, high=2**28
    )
    word_dropout: float = option(0.05, "share of tokens read as <unk>", low=0, high=0.99)
    embedding_dropout: float = option(0.3, "dropout on embeddings", low=0, high=0.99)
    dropout: float = option(0.3, "dropout between LSTM layers", low=0, high=0.99)
    output_dropout: float = option(0.3, "dropout before the linear layer", low=0, high=0.99)


@dataclass(frozen=True)
class TrainingConfig(Settings):
    """How the weights are found."""

    epochs: int | None = option(
        None, "most passes over train; 2 to 20, the fewer the larger it is, if not given", low=1
    )
    total_tokens: int = option(
        20_000_000, "tokens to read in all epochs together where their number is not given", low=1
    )
    batch_size: int = option(64, "most texts a step", low=1)
    batch_tokens: int = option(
        32_768, "most tokens a step, padding included; 0 for no limit", low=0
    )
    learning_rate: float = option(4e-3, "peak learning rate of AdamW", low=1e-9)
    weight_decay: float = option(0.01, "decoupled weight decay of AdamW", low=0)
    clip_norm: float = option(1.0, "largest norm of the gradient", low=1e-9)
    schedule: str = option("one-cycle", "course of the learning rate", choices=SCHEDULES)
    monitor: str = option(
        "macro_f1", "validation figure that picks the best epoch", choices=MONITORS
    )
    patience: int = option(
        6, "epochs without a better figure before stopping", low=1, resumable=True
    )
    vectors: str | None = option(
        None,
        "pretrained word vectors to begin with: GloVe, word2vec or fastText .vec",
        metavar="FILE",
    )
    freeze_vectors: int = option(
        0, "epochs in which the vectors stay as they are; -1 for all", low=-1
    )
    vector_rate: float = option(
        0.3, "learning rate of the vectors, as a share of the others'", low=0, high=10
    )
    adversarial: float | None = option(
        None,
        "also learn from each text with its embeddings moved by this share of their size to where "
        "the loss is greater; doubles the time; 0 for not; 0.05 to 0.15, the more the more epochs, "
        "if not given",
        low=0,
        high=1,
    )
    class_weights: tuple[str, ...] = option(
        (), "'balanced', or label=weight for some labels (others 1)", metavar="WEIGHT"
    )
    calibrate: bool = option(
        True, "fit on validation how sure the model is, and how much each branch counts"
    )
    label_smoothing: float = option(0.0, "share of a label given to all labels", low=0, high=0.9)
    max_minutes: float | None = option(
        None, "stop in good order after this many minutes", low=0, resumable=True
    )
    checkpoint_minutes: float = option(
        5.0, "minutes between checkpoints in an epoch", low=0, resumable=True
    )
    precision: str = option(
        "auto", "numbers that the LSTM computes with; auto is bf16 where native", choices=PRECISIONS
    )
    seed: int = option(1, "seed of everything random", low=0, high=2**31 - 1)
    threads: int | None = option(
        None, "CPU threads; the machine's cores if not given", low=1, resumable=True
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:N", metavar="DEVICE", resumable=True)


@dataclass(frozen=True)
class PredictionConfig(Settings):
    """What `predict` reads and adds."""

    text_column: tuple[str, ...] = option(
        (), "column(s) with the text, joined by a space; guessed if not given", metavar="COLUMN"
    )
    split: str | None = option(None, "split of a dataset; not needed if it has one only")
    dataset_config: str | None = option(None, "configuration of a Hub dataset", metavar="NAME")
    dataset_revision: str | None = option(
        None, "branch, tag or commit of a Hub dataset", metavar="REVISION"
    )
    output_column: str | None = option(
        None,
        "name of the added column of labels; if not given, label, or predicted_label where the "
        "input has a column label",
        metavar="COLUMN",
    )
    score_column: str | None = option(
        None,
        "name of the added column of scores; if not given, score, or predicted_score where the "
        "input has a column score",
        metavar="COLUMN",
    )
    label_separator: str | None = option(
        None,
        "what stands between several labels in csv and tsv; that of the training, else ;",
        metavar="MARK",
    )
    top_k: int = option(1, "how many labels a row gets, best first", low=1)
    probabilities: bool = option(False, "add the probability of every label")
    batch_size: int = option(64, "texts a step", low=1)
    chunk_rows: int = option(4096, "most rows that are kept and written together", low=1)
    engine: str = option("torch", "what computes; ray on a cluster", choices=ENGINES)
    address: str | None = option(
        None, "Ray cluster to join; one is started on this machine if not given", resumable=True
    )
    workers: int | None = option(
        None,
        "actors of the engine ray; as many as the cluster has room for if not given",
        low=1,
        resumable=True,
    )
    precision: str = option(
        "fp32",
        "numbers that the LSTM computes with; int8 is for the engine onnx",
        choices=(*PRECISIONS, "int8"),
    )
    threads: int | None = option(
        None, "CPU threads; the machine's cores if not given", low=1, resumable=True
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:N", metavar="DEVICE", resumable=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_separator(self.label_separator)


@dataclass(frozen=True)
class CrossvalConfig(Settings):
    """How data is cut for cross-validation."""

    folds: int = option(
        10, "parts of the data; each is judged by a model trained on the others", low=2
    )


PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"adversarial": 0.0},
    "default": {},
    "best": {"max_length": 800, "total_tokens": 50_000_000},
}
"""Options by what training may cost; any of them can be given beside a preset."""


def with_preset(options: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the option 'preset' by what it stands for; options that are given go before it.

    Args:
        options: flat names and values.

    Returns:
        The same without 'preset'.

    Raises:
        ConfigError: there is no such preset.
    """
    given = dict(options)
    name = given.pop("preset", "default")
    if name not in PRESETS:
        raise ConfigError(f"preset = {name!r}: must be one of {', '.join(PRESETS)}")
    return {**PRESETS[name], **given}


@dataclass(frozen=True)
class TrainSettings:
    """Everything `train` can be told.

    Args:
        data: where texts and labels are.
        tokenizer: how a text becomes ids.
        model: the network.
        training: how its weights are found.
    """

    data: DataConfig = field(default_factory=DataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    @classmethod
    def from_options(cls, **options: Any) -> TrainSettings:
        """Make settings from flat option names, as the command line and TOML give them.

        Args:
            **options: any of `TRAIN_OPTIONS`; what is absent takes its default, or what `preset`,
                one of `PRESETS`, has for it.

        Returns:
            The settings.

        Raises:
            ConfigError: a name is unknown or a value is bad.
        """
        options = with_preset(options)
        reject_unknown(options, TRAIN_OPTIONS)
        parts = {
            part: build(kind, {name: options[name] for name in names_of(kind) if name in options})
            for part, kind in TRAIN_PARTS.items()
        }
        return cls(**parts)  # type: ignore[arg-type]

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


TRAIN_PARTS: dict[str, type[Settings]] = {
    "data": DataConfig,
    "tokenizer": TokenizerConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
}
TRAIN_OPTIONS: list[str] = names_of(*TRAIN_PARTS.values())
