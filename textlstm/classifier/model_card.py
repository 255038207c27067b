"""What is known of a model, as text: the model card, and lines for a terminal.

Both are written from what `TextClassifier.describe` gives and claim nothing else.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from textlstm.evaluation.figures import FIGURES

Description = Mapping[str, Any]

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_YAML_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}  # not strings if bare
_SHOWN_LABELS = 20


def model_card(name: str, description: Description, *, on_hub: bool = False) -> str:
    """Write the model card, a README.md with the metadata block that the Hub reads.

    Args:
        name: of the model folder, or 'owner/name' on the Hub.
        description: what `TextClassifier.describe` gives.
        on_hub: whether it is for the Hub.

    Returns:
        Markdown. The metadata follows the Hub's specification: `library_name`, `pipeline_tag`,
        `tags`, for a dataset of the Hub `datasets`, and `model-index` if there are results.
    """
    title = name.rpartition("/")[2] if on_hub else name
    parts = [
        "\n".join(["---", *_yaml(_metadata(title, description)), "---"]),
        f"# {_line(name)}",
        _summary(description),
        "## Use",
        _use(name, multi_label=description["multi_label"], on_hub=on_hub),
        "## Data",
        _bullets(_data(description)),
        "## Results",
        *_results(description),
        "## Training",
        _bullets(_facts(description["training"])),
        "## Settings",
        _table(["option", "value"], _settings(description)),
        "## Made with",
        _bullets(description["versions"].items()),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    # a name that is not UTF-8 holds lone surrogates, which no UTF-8 file can
    return text.encode("utf-8", "backslashreplace").decode()


def format_description(description: Description) -> str:
    """Lay out what is known of a model as lines for a terminal.

    Args:
        description: what `TextClassifier.describe` gives.

    Returns:
        Lines without a final line end.
    """
    settings = description["settings"]
    rows = [
        ("labels", _label_list(description["labels"])),
        ("kind", f"{'any number of labels' if description['multi_label'] else 'one label'} a text"),
        ("network", _network(description)),
        ("tokenizer", _tokenizer(description)),
        *(("data: " + name, value) for name, value in _data(description)),
        *(("training: " + name, value) for name, value in _facts(description["training"])),
    ]
    for split, metrics in description["metrics"].items():
        figures = ", ".join(f"{word} {value}" for word, value in _figures(metrics))
        rows.append((f"results: {split}", figures))
    rows.append(("made with", ", ".join(" ".join(i) for i in description["versions"].items())))
    for part in settings:
        given = [f"{name}={_value(value)}" for name, value in settings[part].items()]
        rows.append((f"settings: {part}", " ".join(given)))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {_line(value)}" for name, value in rows)


def _metadata(name: str, description: Description) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "library_name": "textlstm",
        "pipeline_tag": "text-classification",
        "tags": ["textlstm", "text-classification", "lstm", "bilstm", "pytorch"],
    }
    if description["data"]["dataset_id"]:
        metadata["datasets"] = [description["data"]["dataset_id"]]
    results: list[dict[str, Any]] = [
        {
            "task": {"type": "text-classification"},
            "dataset": {**_dataset(description), "split": split},
            "metrics": [
                {"type": kind, "name": FIGURES[key], "value": round(metrics[key], 4)}
                for kind, key in (("accuracy", "accuracy"), ("f1", "macro_f1"))
                if key in metrics
            ],
        }
        for split, metrics in description["metrics"].items()
    ]
    if results:
        metadata["model-index"] = [{"name": name, "results": results}]
    return metadata


def _dataset(description: Description) -> dict[str, str]:
    """Name the data: as on the Hub; else the last part of a path, also fit for an identifier."""
    name = description["data"]["source"].rstrip("/").rpartition("/")[2] or "unnamed"
    identifier = description["data"]["dataset_id"] or re.sub(r"[^\w.-]+", "-", name)
    options = description["settings"]["data"]
    place = {"config": options["dataset_config"], "revision": options["dataset_revision"]}
    return {
        "name": name,
        "type": identifier,
        **{key: value for key, value in place.items() if value is not None},
    }


def _summary(description: Description) -> str:
    number = "any number of" if description["multi_label"] else "one of"
    return (
        f"A text classifier trained with textlstm. It gives a text {number} "
        f"{len(description['labels'])} labels: "
        f"{', '.join(_cell(label) for label in description['labels'])}.\n\n"
        + _bullets([("Network", _network(description)), ("Tokenizer", _tokenizer(description))])
    )


def _network(description: Description) -> str:
    model = description["settings"]["model"]
    return (
        f"embedding of {model['embedding_size']}, {model['num_layers']} "
        f"{'bidirectional' if model['bidirectional'] else 'one-way'} LSTM layer"
        f"{'s' if model['num_layers'] > 1 else ''} of {model['hidden_size']} units a direction, "
        f"{model['pooling']} pooling, linear; {description['sizes']['parameters']:,} parameters"
    )


def _tokenizer(description: Description) -> str:
    tokenizer = description["settings"]["tokenizer"]
    return (
        f"{tokenizer['tokenizer']}, {description['sizes']['vocabulary']:,} entries; at most "
        f"{tokenizer['max_length']} tokens of a text are read (truncation: "
        f"{tokenizer['truncation']})"
    )


def _use(name: str, *, multi_label: bool, on_hub: bool) -> str:
    folder = _line(name)
    load = "from_pretrained" if on_hub else "load"
    return "\n".join(
        [
            "In Python:" if on_hub else "In Python, from the folder that holds this one:",
            "",
            "```python",
            "from textlstm import TextClassifier",
            "",
            f"classifier = TextClassifier.{load}({json.dumps(folder, ensure_ascii=False)})",
            'for prediction in classifier.predict(["first text", "second text"]):',
            f"    print(prediction.{'labels' if multi_label else 'label'}, prediction.score)",
            "```",
            "",
            "On the command line:",
            "",
            "```bash",
            f"textlstm predict {shlex.quote(folder)} texts.csv --out labelled.csv",
            f"textlstm evaluate {shlex.quote(folder)} labelled-texts.csv",
            "```",
        ]
    )


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
    figures = {split: dict(_figures(metrics)) for split, metrics in splits.items()}
    words = [word for word in FIGURES.values() if any(word in row for row in figures.values())]
    yield _table(
        ["", *splits], [[word, *(figures[s].get(word, "") for s in splits)] for word in words]
    )
    for split, metrics in splits.items():
        if "per_label" in metrics:
            yield f"By label, {_line(split)}:"
            rows = list(_per_label(metrics))
            columns = ["label", "precision", "recall", "F1", "texts", "threshold"]
            yield _table(columns[: len(rows[0])], rows)


def _per_label(metrics: Mapping[str, Any]) -> Iterator[list[str]]:
    for label, row in metrics["per_label"].items():
        figures = [f"{row[key]:.4f}" for key in ("precision", "recall", "f1")]
        threshold = [f"{row['threshold']:.4f}"] if "threshold" in row else []
        yield [label, *figures, f"{row['support']:,}", *threshold]


def _figures(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, word in FIGURES.items():
        if key in metrics:
            yield word, f"{metrics[key]:,}" if key == "n" else f"{metrics[key]:.4f}"


def _facts(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        yield name.replace("_", " "), _value(value)


def _settings(description: Description) -> Iterator[list[str]]:
    for part, options in description["settings"].items():
        for name, value in options.items():
            yield [f"{part}.{name}", _value(value)]


def _value(value: Any) -> str:
    """Show a plain value in a few characters."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " ".join(map(_value, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _label_list(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:_SHOWN_LABELS])
    more = len(labels) - _SHOWN_LABELS
    return f"{len(labels)}: {shown}" + (f" and {more} more" if more > 0 else "")


def _bullets(items: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- {_cell(name)}: {_cell(value)}" for name, value in items)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Give text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", _line(text))


def _line(text: str) -> str:
    return " ".join(text.split())


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """Give YAML lines for dictionaries, lists, strings and numbers."""
    pairs: Iterable[tuple[str | None, Any]]
    pairs = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    for key, item in pairs:
        lead = indent + ("- " if key is None else f"{_scalar(key)}: ")
        if not isinstance(item, dict | list):
            yield lead + _scalar(item)
        elif key is None:  # its first line stands behind the dash
            first, *rest = _yaml(item, indent + "  ")
            yield lead + first.lstrip()
            yield from rest
        else:
            yield lead.rstrip()
            yield from _yaml(item, indent + "  ")


def _scalar(value: Any) -> str:
    """Write a string bare where YAML reads it as that string, else in double quotes."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in quoted)
