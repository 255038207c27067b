"""HTML forms for notebooks."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping
from typing import Any

from textlstm.classifier.model_card import format_description


class History(tuple[Mapping[str, Any], ...]):
    """The epochs of a training run: a tuple that notebooks show as a table."""

    def _repr_html_(self) -> str:
        names = list(dict.fromkeys(name for epoch in self for name in epoch))
        rows = ["".join(f"<th>{html.escape(name)}</th>" for name in names)]
        for epoch in self:
            values = (epoch.get(name, "") for name in names)
            shown = (f"{v:.4g}" if isinstance(v, float) else html.escape(str(v)) for v in values)
            rows.append("".join(f"<td>{text}</td>" for text in shown))
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def probability_bars(probabilities: Mapping[str, float], chosen: Collection[str]) -> str:
    """Return a table with a bar for each probability, the largest first.

    Args:
        probabilities: label to probability.
        chosen: the predicted labels, which are bold.
    """
    rows = []
    for label, value in sorted(probabilities.items(), key=lambda item: -item[1]):
        name = html.escape(label)
        name = f"<b>{name}</b>" if label in chosen else name
        bar = f'<div style="background:#4c72b0;height:0.8em;width:{value * 10:.2f}em"></div>'
        rows.append(f"<tr><td>{name}</td><td>{value:.4f}</td><td>{bar}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def facts_table(description: Mapping[str, Any]) -> str:
    """Return the facts of a model, the result of `TextClassifier.describe`, as a table."""
    rows = []
    for line in format_description(description).splitlines():
        name, _, value = line.partition("  ")
        cells = (f"<td>{html.escape(text.strip())}</td>" for text in (name, value))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"
