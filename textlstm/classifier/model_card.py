"""The facts of a model as text: the model card, and lines for a terminal.

Both are written from the result of `TextClassifier.describe` and claim nothing else.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from textlstm.classifier.json_files import FILES
from textlstm.classifier.markdown import bullets, cell, encodable, line, table
from textlstm.evaluation.figures import FIGURES, figure_rows, label_rows
from textlstm.evaluation.tables import Table

Description = Mapping[str, Any]

_SHOWN_LABELS = 20
_MOST_LABELS = 200  # in a card


def model_card(name: str, description: Description, *, on_hub: bool = False) -> str:
    """Write the model card, a README.md with the metadata block that the Hub reads.

    Args:
        name: of the model folder, or 'owner/name' on the Hub.
        description: the result of `TextClassifier.describe`.
        on_hub: whether it is for the Hub.

    Returns:
        Markdown. The metadata follows the Hub's specification: `library_name`, `pipeline_tag`,
        `tags`, for a dataset of the Hub `datasets`, and `model-index` if there are results.
    """
    title = name.rpartition("/")[2] if on_hub else name
    parts = [
        f"---\n{_metadata(title, description).to_yaml()}\n---",
        f"# {line(name)}",
        _summary(description),
        "## Use",
        _use(name, multi_label=description["multi_label"], on_hub=on_hub),
        "## Data",
        bullets(_data(description)),
        "## Results",
        *_results(description),
        *_cascades(description),
        "## Training",
        bullets(_facts(description["training"])),
        "## Settings",
        table(["option", "value"], _settings(description)),
        "## Made with",
        bullets(description["versions"].items()),
    ]
    return encodable("\n\n".join(filter(None, parts)) + "\n")


def description_table(description: Description) -> Table:
    """Return the facts of a model, the result of `TextClassifier.describe`, as a table."""
    settings, several = description["settings"], description["multi_label"]
    rows = [
        ("labels", _label_list(description["labels"])),
        ("kind", f"{'any number of labels' if several else 'one label'} per text"),
        ("network", _network(description)),
        ("tokenizer", _tokenizer(description)),
        *(("data: " + name, value) for name, value in _data(description)),
        *(("training: " + name, value) for name, value in _facts(description["training"])),
    ]
    for split, metrics in description["metrics"].items():
        figures = ", ".join(f"{word} {value}" for word, value in figure_rows(metrics))
        rows.append((f"results: {split}", figures))
    for split, metrics in description["metrics"].items():
        for share, _, skipped, differ, accuracy in cascade_rows(metrics):
            known = f", accuracy {accuracy}" if accuracy else ""
            facts = f"{skipped} skip the LSTM, labels that differ: {differ}{known}"
            rows.append((f"cascade {share}: {split}", facts))
    rows.append(("made with", ", ".join(" ".join(i) for i in description["versions"].items())))
    for part in settings:
        given = [f"{name}={_value(value)}" for name, value in settings[part].items()]
        rows.append((f"settings: {part}", " ".join(given)))
    return Table([(name, line(value)) for name, value in rows], head=False, left=(0, 1))


def _metadata(name: str, description: Description) -> ModelCardData:
    data, options = description["data"], description["settings"]["data"]
    dataset = data["source"].rstrip("/").rpartition("/")[2] or "unnamed"
    results = [
        EvalResult(
            task_type="text-classification",
            dataset_name=dataset,
            dataset_type=data["dataset_id"] or re.sub(r"[^\w.-]+", "-", dataset),
            dataset_config=options["dataset_config"],
            dataset_revision=options["dataset_revision"],
            dataset_split=split,
            metric_type=kind,
            metric_name=FIGURES[key],
            metric_value=round(metrics[key], 4),
        )
        for split, metrics in description["metrics"].items()
        for kind, key in (("accuracy", "accuracy"), ("f1", "macro_f1"))
        if key in metrics
    ]
    return ModelCardData(
        library_name="textlstm",
        pipeline_tag="text-classification",
        tags=["textlstm", "text-classification", "lstm", "bilstm", "pytorch"],
        datasets=[data["dataset_id"]] if data["dataset_id"] else None,
        model_name=name if results else None,
        eval_results=results or None,
    )


def _summary(description: Description) -> str:
    number = "any number of" if description["multi_label"] else "one of"
    return (
        f"A text classifier trained with textlstm. It assigns a text {number} "
        f"{_label_list([*map(cell, description['labels'])], _MOST_LABELS, ' labels')}.\n\n"
        + bullets([("Network", _network(description)), ("Tokenizer", _tokenizer(description))])
    )


def _network(description: Description) -> str:
    model = description["settings"]["model"]
    return (
        f"embedding of {model['embedding_size']}, {model['num_layers']} "
        f"{'bidirectional' if model['bidirectional'] else 'one-way'} LSTM layer"
        f"{'s' if model['num_layers'] > 1 else ''} of {model['hidden_size']} units per direction, "
        f"{model['pooling']} pooling, linear; {description['sizes']['parameters']:,} parameters"
    )


def _tokenizer(description: Description) -> str:
    tokenizer = description["settings"]["tokenizer"]
    return (
        f"{tokenizer['tokenizer']}, {description['sizes']['vocabulary']:,} entries; texts "
        f"are truncated to {tokenizer['max_length']} tokens (truncation: {tokenizer['truncation']})"
    )


def _use(name: str, *, multi_label: bool, on_hub: bool) -> str:
    folder = line(name)
    load = "from_pretrained" if on_hub else "load"
    return f"""In Python{"" if on_hub else ", from the parent folder"}:

```python
from textlstm import TextClassifier

classifier = TextClassifier.{load}({json.dumps(folder, ensure_ascii=False)})
for prediction in classifier.predict(["first text", "second text"]):
    print(prediction.{"labels" if multi_label else "label"}, prediction.score)
```

On the command line:

```bash
textlstm predict {shlex.quote(folder)} texts.csv --out labelled.csv
textlstm evaluate {shlex.quote(folder)} labelled-texts.csv
```"""


def _data(description: Description) -> Iterator[tuple[str, str]]:
    data = description["data"]
    if data["source"]:
        yield "source", data["source"]
    if data["fingerprint"]:
        yield "fingerprint", data["fingerprint"]
    if data["rows"]:
        yield "rows", ", ".join(f"{split} {count:,}" for split, count in data["rows"].items())
    for note in data["notes"]:
        yield "note", note


def _results(description: Description) -> Iterator[str]:
    splits = description["metrics"]
    if not splits:
        yield "No results were recorded."
        return
    figures = {split: dict(figure_rows(metrics)) for split, metrics in splits.items()}
    words = [word for word in FIGURES.values() if any(word in row for row in figures.values())]
    yield table(
        ["", *splits], [[word, *(figures[s].get(word, "") for s in splits)] for word in words]
    )
    for split, metrics in splits.items():
        if "per_label" in metrics:
            yield f"By label, {line(split)}:"
            head, *rows = label_rows(metrics)
            more = len(rows) - _MOST_LABELS
            yield table(head, rows[:_MOST_LABELS])
            if more > 0:
                yield f"The other {more:,} labels are in `{FILES.metrics}`."


def _cascades(description: Description) -> Iterator[str]:
    tables = {split: list(cascade_rows(m)) for split, m in description["metrics"].items()}
    if not any(tables.values()):
        return
    yield "## Cascade"
    yield (
        "With `--cascade SHARE` the n-grams alone label the texts that they are certain of, and "
        "only the\nothers are read by the LSTM. At most this share of all texts gets another label "
        "than from the\nwhole model, with a confidence of 95% for texts like those that the "
        "certainty was fitted on;\nwhere they were too few to tell, no text is skipped."
    )
    for split, rows in tables.items():
        if rows:
            yield f"On {line(split)}:"
            yield table(["share", "least certainty", "skipped", "labels differ", "accuracy"], rows)


def cascade_rows(metrics: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield a row for each share: share, certainty, skipped, labels that differ, accuracy."""
    found = metrics.get("cascade", {"certainty": {}})
    for share, least in found["certainty"].items():
        accuracy = found["accuracy"].get(share)
        yield [
            share,
            "too few texts" if least is None else f"{least:.6g}",
            f"{found['skipped'][share]:.1%}",
            f"{found['differ'][share]:,}",
            "" if accuracy is None else f"{accuracy:.4f}",
        ]


def _facts(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        yield name.replace("_", " "), _value(value)


def _settings(description: Description) -> Iterator[list[str]]:
    for part, options in description["settings"].items():
        for name, value in options.items():
            yield [f"{part}.{name}", _value(value)]


def _value(value: Any) -> str:
    """Return a plain value in a few characters."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " ".join(map(_value, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _label_list(labels: Sequence[str], most: int = _SHOWN_LABELS, unit: str = "") -> str:
    shown, more = ", ".join(labels[:most]), len(labels) - most
    return f"{len(labels)}{unit}: {shown}" + (f" and {more} more" if more > 0 else "")
