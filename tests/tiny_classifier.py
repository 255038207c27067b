"""What several tests classify with: a real network, untrained, on a handful of words."""

import random

import pytest
import torch

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.model_folder import RunRecord
from textlstm.config import TrainSettings
from textlstm.evaluation.cascade import Cascade
from textlstm.nn.device import has_bf16_lstm, seed_everything
from textlstm.nn.network import BiLSTMClassifier
from textlstm.text.tokenizer import TextTokenizer

needs_bf16 = pytest.mark.skipif(
    not has_bf16_lstm(), reason="this torch has no LSTM of bf16 for this CPU"
)

LABELS = ("bad", "good", "very good | <b>très</b>")
SENTENCE = "a the film was dull bright and slow not never very it all naïve 映画"
WORDS = SENTENCE.split()
METRICS = {
    "n": 4,
    "accuracy": 0.75,
    "balanced_accuracy": 0.7,
    "macro_f1": 0.71234,
    "micro_f1": 0.75,
    "weighted_f1": 0.74,
    "log_loss": 0.5,
    "ece": 0.1,
    "per_label": {
        label: {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": i}
        for i, label in enumerate(LABELS)
    },
    "confusion_matrix": [[0, 0, 0], [0, 1, 0], [1, 0, 2]],
    "labels": list(LABELS),
}
RECORD = RunRecord(
    source="data/film reviews",
    fingerprint="0123abcd",
    rows={"train": 1200, "validation": 4},
    notes=("2 rows of train have no label",),
    training={"best_epoch": 2, "reason": "early stopping", "minutes": 0.123456},
    metrics={"validation": METRICS},
    history=({"epoch": 1, "loss": 0.7}, {"epoch": 2, "loss": 0.5}),
)

CASCADE = Cascade(0.5, {"0.0005": None, "0.001": 0.95, "0.002": 0.9, "0.005": 0.8, "0.01": 0.75})
CASCADED = {
    **CASCADE.to_dict(),
    "skipped": {"0.0005": 0.0, "0.001": 0.25, "0.002": 0.5, "0.005": 0.5, "0.01": 0.75},
    "differ": {"0.0005": 0, "0.001": 0, "0.002": 0, "0.005": 0, "0.01": 1},
    "accuracy": {"0.0005": 0.75, "0.001": 0.75, "0.002": 0.75, "0.005": 0.75, "0.01": 0.5},
}


def texts(n, seed=0, longest=30):
    """Random texts of 1 to `longest` words."""
    chosen = random.Random(seed)
    return [
        " ".join(chosen.choices(WORDS, k=chosen.randint(0, longest))) or "film" for _ in range(n)
    ]


def tiny_classifier(
    *, seed=1, labels=LABELS, record=RECORD, thresholds=None, cascade=None, **options
):
    """A classifier whose probabilities differ well from text to text.

    With thresholds it gives a text any number of labels.
    """
    options = {
        "embedding_size": 5,
        "hidden_size": 6,
        "max_length": 20,
        "min_frequency": 1,
        "ngram_buckets": 50,
        "pooling": "final",
        "seed": seed,
        **options,
    }
    settings = TrainSettings.from_options(**options)
    tokenizer = TextTokenizer.train(lambda: [[SENTENCE]], settings.tokenizer)
    seed_everything(seed)
    model = BiLSTMClassifier(
        settings.model,
        vocab_size=len(tokenizer.vocabulary),
        num_classes=len(labels),
        multi_label=thresholds is not None,
    )
    with torch.no_grad():
        model.embedding.weight[1:].normal_()
        model.linear.weight.normal_(std=3)
        if model.ngrams is not None:
            model.ngrams.table[1:].normal_()
    return TextClassifier(
        model,
        tokenizer,
        labels,
        settings,
        thresholds=thresholds,
        cascade=cascade,
        record=record,
        device="cpu",
    )


def tiny_tagger(**options):
    """A classifier that gives some texts several labels and some none."""
    plain = {"thresholds": (0.4, 0.5, 0.6), "record": RunRecord(), "ngrams": 0}
    return tiny_classifier(**{**plain, **options})
