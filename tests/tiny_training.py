"""What several tests train with: a model and data so small that a step takes a millisecond."""

import numpy as np
import torch
from torch import nn

from textlstm.config import TrainingConfig
from textlstm.data.encoded import EncodedTexts, LabelledTexts
from textlstm.nn.device import seed_everything
from textlstm.training.distributed import ALONE
from textlstm.training.trainer import Trainer

NAMES = ("bad", "good")
TIMES = ("seconds", "texts_per_second")


class TinyModel(nn.Module):
    """Mean of embeddings, dropout, linear: same signature as the classifier."""

    def __init__(self, vocab_size=20, classes=2):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 4, padding_idx=0)
        self.linear = nn.Linear(4, classes)
        self.register_buffer("scales", torch.ones(1))

    def branches(self, ids, lengths):
        return self(ids, lengths)[None]

    def lstm_logits(self, ids, lengths):
        return self(ids, lengths)

    def forward(self, ids, lengths):
        x = nn.functional.dropout(self.embedding(ids), 0.2, self.training)  # [B, T, E]
        return self.linear(x.sum(dim=1) / lengths[:, None])  # [B, C]


def texts(n, seed=0, classes=2, longest=7):
    """Random texts; the label is told by the share of low ids, with some noise."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, longest + 1, n)
    ids = random.integers(1, 20, lengths.sum()).astype(np.int32)
    starts = np.cumsum(lengths) - lengths
    low = np.add.reduceat(ids < 10, starts) / lengths
    labels = np.clip((low * classes).astype(np.int64), 0, classes - 1)
    noisy = random.random(n) < 0.1
    labels[noisy] = random.integers(0, classes, noisy.sum())
    return LabelledTexts(EncodedTexts.from_batches([(ids, lengths)]), labels)


TRAIN, VALIDATION = texts(44, seed=1), texts(30, seed=2)  # 6 batches of 8 or fewer


def trainer(
    folder=None,
    *,
    model=None,
    train=TRAIN,
    validation=VALIDATION,
    unlabeled=None,
    names=NAMES,
    observer=None,
    world=ALONE,
    **options,
):
    """A trainer on the tiny data; `folder` gets the checkpoint and the history."""
    seed_everything(options.get("seed", 1))
    settings = {"epochs": 4, "batch_size": 8, "learning_rate": 0.05, "device": "cpu"}
    settings |= {
        "threads": 1,
        "calibrate": False,
        "adversarial": 0.0,
        **options,
    }  # more only get into each other's way on tiny tensors
    more = {} if unlabeled is None else {"unlabeled": unlabeled}
    return Trainer(
        model or TinyModel(),
        {"train": train, "validation": validation, **more},
        TrainingConfig(**settings),
        labels=names,
        checkpoint=folder and folder / "checkpoint.safetensors",
        history=folder and folder / "history.jsonl",
        observer=observer,
        world=world,
    )


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one, other):
    """Whether two dicts of tensors are the same, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def timeless(history):
    """The history without what a clock decides."""
    return [{k: v for k, v in record.items() if k not in TIMES} for record in history]
