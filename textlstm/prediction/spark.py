"""The classifier as a function for Spark's `predict_batch_udf`.

    from functools import partial
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql.types import DoubleType, StringType, StructField, StructType
    from textlstm.prediction.spark import make_predict_fn

    classify = predict_batch_udf(
        partial(make_predict_fn, "/shared/my-model"),
        return_type=StructType([
            StructField("label", StringType()),
            StructField("score", DoubleType()),
            StructField("error", StringType()),
        ]),
        batch_size=4096,
    )
    reviews.withColumn("found", classify("text")).select("*", "found.*")

A model that gives a text any number of labels has `ArrayType(StringType())` for `label`.

Spark calls `make_predict_fn` once in each of its Python workers, which must have textlstm
installed and see the model folder. This module does not import Spark.

Shapes: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.labelling import ERROR_COLUMN, TEXT_COLUMN, Labeller
from textlstm.config import PredictionConfig
from textlstm.io.readers import Row
from textlstm.prediction.engines import torch_engine

PredictFn = Callable[["np.ndarray | Sequence[Any]"], dict[str, np.ndarray]]
COLUMNS = ("label", "score", ERROR_COLUMN)


def make_predict_fn(
    folder: str | Path,
    *,
    device: str = "auto",
    precision: str = "fp32",
    threads: int | None = 1,
    min_score: float = 0.0,
    cascade: float | None = None,
) -> PredictFn:
    """Load a model and return a function that labels a batch of texts.

    Args:
        folder: the model folder.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        precision: 'fp32', 'bf16' or 'auto'.
        threads: CPU threads of this process; Spark runs one process for each core. None keeps
            torch's own number.
        min_score: a label with a lower score is left out, with the reason in `error`.
        cascade: share of texts whose label may differ, as the n-grams alone label those that they
            are certain of; None for none.

    Returns:
        A function of N cells that returns the columns `label`, `score` and `error`, object [N]
        each. A cell that is not a text (such as null) gets no label, and the reason in `error`.
        If a text may have several labels, `label` holds lists.

    Raises:
        ModelFolderError: the folder can't be read.
        ConfigError: there is no such device or precision, or the model has no cascade.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    classifier = TextClassifier.load(folder, device=device, precision=precision)
    config = PredictionConfig(min_score=min_score, cascade=cascade)
    engine = torch_engine(classifier, config)
    labeller = Labeller(classifier.labels, (TEXT_COLUMN,), config, thresholds=classifier.thresholds)

    def predict(texts: np.ndarray | Sequence[Any]) -> dict[str, np.ndarray]:
        given = [Row(n, {TEXT_COLUMN: text}) for n, text in enumerate(texts, 1)]
        rows = labeller.label(given, *engine.predict(engine.encode(labeller.texts(given))))
        columns = {}
        for name in COLUMNS:
            columns[name] = np.empty(len(rows), object)  # [N]
            for i, row in enumerate(rows):  # of lists, numpy would make a table
                columns[name][i] = row.get(name)
        return columns

    return predict
