"""The report of a classifier: a page to look at, and its figures as JSON beside it.

Shapes: N texts, C classes (labels), K branches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from textlstm.classifier.explain import explain_text
from textlstm.classifier.json_files import REPORT, json_text
from textlstm.classifier.mistakes import describe_texts, label_scores, list_mistakes
from textlstm.classifier.predictor import BATCH_SIZE, predict_branches
from textlstm.data.encoded import EncodedTexts
from textlstm.data.split import Split
from textlstm.errors import ConfigError
from textlstm.evaluation.metrics import evaluate_probabilities
from textlstm.io.atomic import write_text
from textlstm.nn.network import combine
from textlstm.nn.probabilities import to_probabilities
from textlstm.report.figures import EvaluatedTexts, data_figures, report_figures, uncertain_texts
from textlstm.text.vocabulary import UNK_ID
from textlstm.version import __version__

if TYPE_CHECKING:
    from textlstm.classifier.classifier import TextClassifier

_TOP = 10  # texts of each list
_STEPS = (16, 64)  # of an explanation, so that twenty of them don't take long
_MOST_EXPLAINED = 1000  # tokens of a text
_MOST_NUMBERS = 2**22  # logits of all branches that a report is made from
_LEAST_EVALUATED = 256  # texts
_FREQUENT = 12  # labels that are named with their number


def require_page(path: str | Path) -> Path:
    """Check that a report can be written, before the work for it.

    Args:
        path: the page.

    Returns:
        The path.

    Raises:
        ConfigError: its name does not end in .html.
        MissingDependencyError: the extra `report` is not installed.
    """
    import textlstm.report.page  # noqa: F401

    if Path(path).suffix != ".html":
        raise ConfigError(f"report = {str(path)!r}: must end in .html")
    return Path(path)


def report_training(
    folder: Path, classifier: TextClassifier, split: Split, encoded: EncodedTexts
) -> Path:
    """Write the report of a training into the model folder, from `sampled` validation texts.

    Args:
        folder: the model folder.
        classifier: the model.
        split: the validation texts.
        encoded: the same texts as ids.

    Returns:
        The page.

    Raises:
        MissingDependencyError: the extra `report` is not installed.
        OutputError: a file can't be written.
    """
    page = require_page(folder / REPORT[0])
    source = classifier.record.source
    data = f"the validation split of {source}" if source else "the validation split"
    some, note = sampled(classifier, split)
    evaluated = evaluate_texts(classifier, some, encoded=None if note else encoded)
    write_report(page, classifier, some, evaluated, name=folder.resolve().name, data=data + note)
    return page


def sampled(classifier: TextClassifier, split: Split) -> tuple[Split, str]:
    """Return what a report is made from, and words that say so, if it is not all of a split.

    Where the logits of all texts would need much memory, as with thousands of labels, it is an
    evenly spread sample.
    """
    total, numbers = len(split), len(classifier.labels) * len(classifier.model.scales)
    most = max(_LEAST_EVALUATED, _MOST_NUMBERS // numbers)
    if total <= most:
        return split, ""
    rows = np.linspace(0, total - 1, most).astype(np.int64)
    return split.select(rows), f" (a sample of its {total:,})"


def evaluate_texts(
    classifier: TextClassifier,
    split: Split,
    *,
    encoded: EncodedTexts | None = None,
    other: TextClassifier | None = None,
    batch_size: int = BATCH_SIZE,
) -> EvaluatedTexts:
    """Predict labelled texts by the whole model, by its n-grams alone, and by a second model.

    Args:
        classifier: the model.
        split: N texts with their labels.
        encoded: the same texts as ids, if there are such already.
        other: the second model.
        batch_size: texts per step.

    Returns:
        What the models say.

    Raises:
        ConfigError: the second model has other labels.
    """
    if encoded is None:
        with tempfile.TemporaryDirectory(prefix="textlstm-", ignore_cleanup_errors=True) as work:
            batches = map(classifier.tokenizer.encode_batch, split.texts())
            encoded = EncodedTexts.write(Path(work), "report", batches)
            return evaluate_texts(
                classifier, split, encoded=encoded, other=other, batch_size=batch_size
            )
    model, several = classifier.model, classifier.multi_label
    logits = torch.from_numpy(predict_branches(model, encoded, batch_size=batch_size))  # [K, N, C]
    ngrams = None
    if model.ngrams is not None:
        scale = classifier.cascade.scale if classifier.cascade else float(model.scales[1])
        ngrams = to_probabilities(logits[1] * scale, multi_label=several)
    unknown = np.add.reduceat(encoded.ids == UNK_ID, encoded.offsets[:-1])  # [N]
    compared = _of_other(classifier, other, split, batch_size) if other else (None, None)
    return EvaluatedTexts(
        names=classifier.labels,
        labels=split.labels,
        whole=to_probabilities(combine(logits, model.scales.cpu()), multi_label=several),
        ngrams=ngrams,
        other=compared[0],
        thresholds=classifier.thresholds,
        other_thresholds=compared[1],
        lengths=np.array(encoded.lengths),
        unknown=unknown / encoded.lengths,
    )


def _of_other(
    classifier: TextClassifier, other: TextClassifier, split: Split, batch_size: int
) -> tuple[np.ndarray, list[float] | None]:
    """Return the probabilities [N, C] and thresholds of a second model by the first's labels."""
    kinds = other.multi_label, classifier.multi_label
    if set(other.labels) != set(classifier.labels) or kinds[0] != kinds[1]:
        names = sorted(set(other.labels) ^ set(classifier.labels))[:5]
        raise ConfigError(
            f"the two models do not have the same labels (of one alone: {', '.join(names)}): "
            "compare models that were trained on the same labels"
        )
    columns = [other.labels.index(name) for name in classifier.labels]
    batches = other.predict_batches(split.texts(), batch_size=batch_size)
    thresholds = None if other.thresholds is None else [other.thresholds[i] for i in columns]
    return np.concatenate(list(batches))[:, columns], thresholds


def write_report(
    path: str | Path,
    classifier: TextClassifier,
    split: Split,
    evaluated: EvaluatedTexts,
    *,
    name: str,
    data: str,
    other: str = "",
) -> dict[str, Any]:
    """Write the page and, beside it, its figures as JSON.

    Args:
        path: the page; the JSON has the same name with .json.
        classifier: the model.
        split: the texts that were evaluated.
        evaluated: what `evaluate_texts` returned for them.
        name: of the model.
        data: of the texts.
        other: name of the second model.

    Returns:
        The figures.

    Raises:
        MissingDependencyError: the extra `report` is not installed.
        OutputError: a file can't be written.
    """
    from textlstm.report.page import render_page

    path = Path(path)
    found = report_of(classifier, split, evaluated, other=other)
    found = {"model": name, "data": data, "json_name": path.with_suffix(".json").name, **found}
    page = render_page(found).encode("utf-8", "replace").decode()  # a path may be no UTF-8
    write_text(path.with_suffix(".json"), json_text(found))
    write_text(path, page)
    return found


def report_of(
    classifier: TextClassifier, split: Split, evaluated: EvaluatedTexts, *, other: str = ""
) -> dict[str, Any]:
    """Return the figures of a report, ready for JSON; arguments as for `write_report`."""
    names, record = classifier.labels, classifier.record
    shown = evaluated.whole, names, evaluated.thresholds
    metrics = evaluate_probabilities(
        evaluated.labels, evaluated.whole, names, thresholds=evaluated.thresholds
    )
    mistakes = list_mistakes(classifier.tokenizer, split, *shown, None, top=_TOP)
    uncertain = describe_texts(split, *shown, uncertain_texts(evaluated)[:_TOP])
    for row in (*mistakes.rows, *uncertain):
        row["explanation"] = _explanation(classifier, row["text"])
    known = {"source": record.source, "rows": dict(record.rows), "notes": list(record.notes)}
    facts = data_figures(evaluated, known)
    counts: Mapping[str, int] = facts["labels"]
    splits = {name: dict(row) for name, row in record.metrics.items() if name != "validation"}
    return {
        "version": __version__,
        "n": len(split),
        "several": classifier.multi_label,
        "metrics": metrics,
        **report_figures(evaluated),
        "other_splits": {name: row for name, row in splits.items() if "accuracy" in row},
        "comparison": _comparison(split, evaluated, other) if other else None,
        "history": [dict(row) for row in record.history],
        "best_epoch": record.training.get("best_epoch", 0),
        "mistakes": {"n": mistakes.mistakes, "likely": mistakes.likely, "rows": mistakes.rows},
        "uncertain": uncertain,
        "explained": _MOST_EXPLAINED,
        "facts": facts,
        "frequent": sorted(counts.items(), key=lambda item: -item[1])[:_FREQUENT],
        "max_length": classifier.settings.tokenizer.max_length,
        "network": repr(classifier),
        "tokenizer": classifier.tokenizer.kind,
    }


def _explanation(classifier: TextClassifier, text: str) -> dict[str, Any] | None:
    """Return the contributions of the words of a text; None for a very long one."""
    if len(classifier.tokenizer.read(text)) > _MOST_EXPLAINED:
        return None
    found = explain_text(classifier, text, steps=_STEPS).to_dict()
    return {name: value for name, value in found.items() if name != "text"}


def _comparison(split: Split, evaluated: EvaluatedTexts, other: str) -> dict[str, Any]:
    """Return the texts that one model gets right and the other wrong, the clearest first."""
    assert evaluated.other is not None
    first, second = evaluated.right(evaluated.whole), evaluated.right(evaluated.other)
    labels = evaluated.labels
    gap = label_scores(labels, evaluated.whole) - label_scores(labels, evaluated.other)
    lists: dict[str, Sequence[Any]] = {}
    alone = {"only_first": (first & ~second, -gap), "only_second": (second & ~first, gap)}
    for key, (differ, gaps) in alone.items():
        rows = np.flatnonzero(differ)
        chosen = rows[np.argsort(gaps[rows], kind="stable")][:_TOP]
        ours = describe_texts(split, evaluated.whole, evaluated.names, evaluated.thresholds, chosen)
        theirs = describe_texts(
            split, evaluated.other, evaluated.names, evaluated.other_thresholds, chosen
        )
        lists[key] = [
            {**row, "other_prediction": also["prediction"], "other_score": also["score"]}
            for row, also in zip(ours, theirs, strict=True)
        ]
    return {"model": other, **lists}
