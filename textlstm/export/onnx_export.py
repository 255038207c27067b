"""The ONNX export: a folder that classifies texts without textlstm and torch.

Shapes: B batch, T time (tokens), N texts, C classes.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.labelled import LabelledSplit, model_ids
from textlstm.classifier.predictor import BATCH_SIZE
from textlstm.data.encoded import EncodedTexts, collate, sorted_batches
from textlstm.errors import ConfigError, DataError, ExportError, OutputError
from textlstm.evaluation.metrics import evaluate_probabilities
from textlstm.export.onnx_card import Measured, OnnxReport, onnx_card
from textlstm.export.onnx_graph import QUANTIZATIONS, build_graph, build_ngram_graph
from textlstm.export.onnx_model import (
    CASCADE,
    LABELS,
    MODEL,
    NGRAMS,
    SETTINGS,
    THRESHOLDS,
    TOKENIZER,
)
from textlstm.export.onnx_session import OnnxSession
from textlstm.export.parity import (
    LARGEST_DIFFERENCE,
    compare,
    plain_copy,
    random_batches,
    require_parity,
)
from textlstm.io.atomic import atomic_folder, require_replaceable, write_text
from textlstm.nn.network import BiLSTMClassifier
from textlstm.nn.probabilities import answers, same_labels

logger = logging.getLogger(__name__)

CARD = "README.md"
FILES = (MODEL, TOKENIZER, LABELS, SETTINGS, CARD, THRESHOLDS, NGRAMS, CASCADE)
_DEFAULT_COST = 680_000  # LSTM weights of the default settings
_GATE_TOKENS = 40_000  # two seconds with the default settings
_POOR_AGREEMENT = 0.98


def export_onnx(
    classifier: TextClassifier,
    folder: str | Path,
    *,
    quantize: str | None = None,
    data: LabelledSplit | None = None,
    data_name: str = "",
    overwrite: bool = False,
) -> OnnxReport:
    """Write a folder with `model.onnx`, tokenizer, labels and a README that shows their use.

    A multi-label model comes with its thresholds, one with a cascade with `ngrams.onnx`.

    The model is compared with the network on random batches first; if it is not the same,
    nothing is written.

    Args:
        classifier: the model.
        folder: the folder to write; it appears once it is complete.
        quantize: 'int8' for 8-bit weights and products: about a quarter of the size, faster,
            and not quite the same results.
        data: labelled texts to measure accuracy and speed on; `quantize` needs them.
        data_name: their name in the README.
        overwrite: replace an earlier export that is there.

    Returns:
        The measurements; the README has them too.

    Raises:
        ConfigError: there is no such quantization, or it lacks data.
        OutputError: the folder holds something else, or can't be written.
        ExportError: the exported model is not equal to the network.
    """
    if quantize not in (None, *QUANTIZATIONS):
        raise ConfigError(f"quantize = {quantize!r}: must be {' or '.join(QUANTIZATIONS)}")
    if quantize and data is None:
        raise ConfigError(
            f"quantize = {quantize!r} changes results a little: pass data, labelled texts to "
            "measure how much"
        )
    ids = None if data is None else model_ids(data, classifier)
    folder = Path(folder)
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} exists: pass overwrite to replace it, or another name")
    require_replaceable(folder, FILES.__contains__)
    model = plain_copy(classifier.model)
    threads = torch.get_num_threads()
    content = build_graph(model).SerializeToString()
    session = OnnxSession(content, threads=threads)
    parity = compare(model, session, tokens=_gate_tokens(model.lstm))
    require_parity(parity, "ONNX model")
    logger.info(
        "the ONNX model is equal to the network: largest difference %.1e on %d texts",
        max(parity.logits, parity.probabilities),
        parity.texts,
    )
    report = OnnxReport(parity, threads, data_name)
    if data is not None:
        encoded = map(classifier.tokenizer.encode_batch, data.texts())
        texts = EncodedTexts.from_batches(encoded)
        if not len(texts):
            raise DataError("the data to measure on has no texts: choose another split or file")
        assert ids is not None
        probabilities, before = _measure(content, session, texts, ids, classifier)
        report = replace(report, texts=len(texts), float32=before)
        if quantize:
            content = build_graph(model, int8=True).SerializeToString()
            session = OnnxSession(content, threads=threads)
            require_independence(session, model.embedding.num_embeddings)
            found, after = _measure(content, session, texts, ids, classifier)
            both = (answers(each, classifier.thresholds) for each in (found, probabilities))
            agreement = float(same_labels(*both).mean())
            report = replace(report, int8=after, agreement=agreement)
            _report(len(texts), agreement, before, after)
    cascade = classifier.cascade
    with atomic_folder(folder, replaceable=FILES.__contains__) as temporary:
        (temporary / MODEL).write_bytes(content)
        if cascade is not None:
            (temporary / NGRAMS).write_bytes(_ngrams(model, cascade.scale, threads))
            write_text(temporary / CASCADE, json.dumps(cascade.to_dict()))
        classifier.tokenizer.save(temporary / TOKENIZER)
        write_text(temporary / LABELS, json.dumps(list(classifier.labels), ensure_ascii=False))
        write_text(temporary / SETTINGS, json.dumps(classifier.settings.to_dict(), indent=1))
        if classifier.thresholds is not None:
            write_text(temporary / THRESHOLDS, json.dumps(list(classifier.thresholds)))
        write_text(temporary / CARD, onnx_card(folder.resolve().name, classifier, report))
    return report


def _ngrams(model: BiLSTMClassifier, scale: float, threads: int) -> bytes:
    """Return the ONNX model of the n-grams alone, compared with the network's."""
    content: bytes = build_ngram_graph(model, scale).SerializeToString()

    def part(ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        assert model.ngrams is not None
        logits: torch.Tensor = model.ngrams(ids, lengths) * scale
        return logits

    parity = compare(model, OnnxSession(content, threads=threads), part=part)
    require_parity(parity, "ONNX model of the n-grams")
    return content


def require_independence(session: OnnxSession, vocab_size: int) -> None:
    """Raise an `ExportError` if a text's result depends on the texts in its batch.

    Args:
        session: the exported model.
        vocab_size: entries of the vocabulary.
    """
    ids, lengths = next(
        batch for batch in random_batches(vocab_size, 0) if len(set(batch[1].tolist())) > 4
    )
    together, _ = session(ids, lengths)  # [B, C]
    alone = [session(ids[i : i + 1, :n], lengths[i : i + 1])[0] for i, n in enumerate(lengths)]
    difference = float(np.abs(np.concatenate(alone) - together).max())
    if not difference < LARGEST_DIFFERENCE:
        raise ExportError(
            f"the int8 model changes a logit by {difference:.2g} in another batch, so "
            "nothing was written: export without quantize, or update onnxruntime"
        )


def _gate_tokens(lstm: torch.nn.Module) -> int:
    """Return the number of tokens to compare on, fewer for a larger network."""
    cost = sum(weight.numel() for weight in lstm.parameters())
    return round(_GATE_TOKENS * min(1.0, _DEFAULT_COST / cost))


def _measure(
    content: bytes,
    session: OnnxSession,
    texts: EncodedTexts,
    labels: np.ndarray,
    classifier: TextClassifier,
) -> tuple[np.ndarray, Measured]:
    """Return probabilities [N, C] and their figures."""
    names = classifier.labels
    probabilities = np.empty((len(texts), len(names)), np.float32)  # [N, C]
    seconds = 0.0
    for rows in sorted_batches(texts.lengths, batch_size=BATCH_SIZE):
        ids, lengths = (part.numpy() for part in collate(texts, rows))  # [B, T], [B]
        began = time.perf_counter()
        _, probabilities[rows] = session(ids, lengths)
        seconds += time.perf_counter() - began
    metrics = evaluate_probabilities(labels, probabilities, names, thresholds=classifier.thresholds)
    speed = len(texts) / max(seconds, 1e-9)
    return probabilities, Measured(metrics["accuracy"], metrics["macro_f1"], speed, len(content))


def _report(texts: int, agreement: float, before: Measured, after: Measured) -> None:
    figures = after.accuracy, before.accuracy, after.size / 1e6, before.size / 1e6
    logger.info(
        "int8 gives %.2f%% of %d texts the same labels; accuracy %.4f, was %.4f; %.1f MB, was %.1f",
        *(100 * agreement, texts, *figures),
    )
    if agreement < _POOR_AGREEMENT:
        logger.warning(
            "int8 changes %.1f%% of the labels: look at the figures in %s before you use it",
            100 * (1 - agreement),
            CARD,
        )
