"""The n-grams' part of the ONNX graph, as `textlstm.nn.ngrams` has it.

Shapes: B batch, T time (tokens), G = T * order places for the n-grams of a text, C classes,
R rows of the table, K numbers of a row.
"""

from __future__ import annotations

import numpy as np

from textlstm.export.onnx_nodes import FLOAT, Graph, as_numpy
from textlstm.nn.ngrams import NgramLinear


def add_ngrams(graph: Graph, ngrams: NgramLinear, scale: float, *, int8: bool) -> str:
    """Add the linear model of n-grams.

    Args:
        graph: has the inputs `input_ids` and `lengths`.
        ngrams: the model.
        scale: what its logits are multiplied by.
        int8: whether the table is stored in 8 bits; its sums are then of whole numbers, exact.

    Returns:
        The name of the logits, [B, C].
    """
    rows = _rows(graph, ngrams)  # [B, G]
    # of few numbers a row, the scale goes to what they are multiplied by
    table = as_numpy(ngrams.table) * np.float32(scale if ngrams.labels is None else 1)  # [R, K]
    step = np.float32(1.0)
    if int8:
        step = np.float32(np.abs(table).max(initial=0.0) / 127 or 1.0)
        table = np.rint(table / step).astype(np.int8)
    found = graph.add("Gather", graph.weight("ngrams.table", table), rows, axis=0)  # [B, G, K]
    if int8:
        found = graph.add("Cast", found, to=FLOAT)
    places = graph.shape("ngrams.places", 1)
    total = graph.add("ReduceSum", found, places, keepdims=0)  # [B, K]
    true = graph.add("Not", graph.add("Equal", rows, graph.weight("ngrams.none", np.int64(0))))
    marks = graph.add("Cast", true, to=FLOAT)  # [B, G]
    distinct = graph.add("ReduceSum", marks, places, keepdims=1)  # [B, 1]
    at_least = graph.add("Max", distinct, graph.weight("ngrams.one", np.float32(1)))
    root = graph.add("Div", graph.add("Sqrt", at_least), graph.weight("ngrams.step", step))
    bias = graph.weight("ngrams.bias", as_numpy(ngrams.bias) * np.float32(scale))
    found = graph.add("Div", total, root)
    if ngrams.labels is not None:
        labels = as_numpy(ngrams.labels).T * np.float32(scale)  # [K, C]
        found = graph.add("MatMul", found, graph.weight("ngrams.labels", labels))
    return graph.add("Add", found, bias)


def _rows(graph: Graph, ngrams: NgramLinear) -> str:
    """Add the rows of the table that texts have, each once, else 0: int64 [B, G]."""
    none = graph.weight("ngrams.none", np.int64(0))
    one = graph.weight("ngrams.unit", np.int64(1))
    time = graph.add("Gather", graph.add("Shape", "input_ids"), one, axis=0)
    steps = graph.add("Range", none, time, one)  # [T]
    ends = graph.add("Unsqueeze", "lengths", graph.shape("ngrams.axis", 1))  # [B, 1]
    inside = graph.add("Less", steps, ends)  # [B, T]
    kinds = [graph.add("Where", inside, "input_ids", none)]
    for order in range(2, ngrams.order + 1):
        key = "input_ids"
        for back, number in enumerate(ngrams.factors[: order - 1], start=1):
            factor = graph.weight(f"ngrams.factor{back}", np.int64(number))
            earlier = _shifted(graph, "input_ids", back)  # [B, T]
            key = graph.add("Add", key, graph.add("Mul", earlier, factor))
        bucket = graph.add("Mod", key, graph.weight("ngrams.buckets", np.int64(ngrams.buckets)))
        row = graph.add("Add", bucket, graph.weight("ngrams.words", np.int64(ngrams.vocab_size)))
        kinds.append(graph.add("Where", inside, row, none))
    every = graph.add("Concat", *kinds, axis=1)  # [B, G]
    places = graph.add("Gather", graph.add("Shape", every), graph.shape("ngrams.axis", 1), axis=0)
    ordered, _ = graph.add_many(
        "TopK", (every, places), ["ngrams_sorted", "ngrams_order"], axis=1, largest=0, sorted=1
    )
    again = graph.add("Equal", ordered, _shifted(graph, ordered, 1))
    return graph.add("Where", again, none, ordered)


def _shifted(graph: Graph, values: str, places: int) -> str:
    """Add int64 [B, X] moved to the right, with 0 on the left."""
    padding = graph.shape(f"ngrams.padding{places}", 0, places, 0, -places)
    return graph.add("Pad", values, padding)
