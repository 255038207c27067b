"""A report as one HTML file, without scripts and without anything loaded from elsewhere.

Needs jinja2; the pages themselves are `page.html` and `tuning.html` beside this module.
"""

from __future__ import annotations

import html
import itertools
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from textlstm.errors import MissingDependencyError
from textlstm.report import pictures
from textlstm.report.pictures import to_svg
from textlstm.text.rules import CONTINUATION, FROM_FILE

try:
    from jinja2 import Environment, PackageLoader, StrictUndefined
except ImportError as error:
    raise MissingDependencyError(
        f"report.html needs the package jinja2 ({error}): pip install 'textlstm[report]'"
    ) from error

SYSTEMS = {
    "model": "this model",
    "ngrams": "its n-grams alone",
    "majority": "the most frequent label",
    "other": "the other model",
}
_LEVELS = 8  # of shading
_MOST_WORDS = 200  # of a text that are shown
_MOST_CHARACTERS = 1200
_MOST_ROWS = 2000  # of the table by label
_STRONGEST = 5
# what the tokens of each kind of tokenizer hold for a space, one of these
_SPACES = {"char": (" ",), "bpe": ("▁",), "unigram": ("▁",), FROM_FILE: ("▁", "Ġ", " ")}


def render_page(found: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        found: the figures, all that is in the JSON beside the page (see
            `textlstm.classifier.report.report_of`).
    """
    rows = sorted(found["metrics"]["per_label"].items(), key=lambda item: float(item[1]["f1"]))
    return _render(
        "page.html", **found, systems=SYSTEMS, pictures=_pictures(found), rows=rows[:_MOST_ROWS]
    )


def render_tuning(found: Mapping[str, Any]) -> str:
    """Return the page of a tuning.

    Args:
        found: `model` and `data` by name; `version`; `figure`, the one that is improved, and its
            `words`; whether to `minimize` it; `rows`, those of the trials, and `best` among them;
            `defaults` by option; `importances`, the share of options in the differences between
            trials, if that is known; `metrics` of the best model per split.
    """
    figure, rows = found["figure"], [row for row in found["rows"] if found["figure"] in row]
    done = [row for row in rows if row["ended"] not in ("pruned", "diverged")]
    named = figure, found["words"]
    drawn = {"trials": to_svg(pictures.trials, rows, *named, found["minimize"])}
    if found["importances"]:
        drawn["importances"] = to_svg(pictures.importances, found["importances"])
    if len(done) > 1:
        drawn["slices"] = to_svg(pictures.slices, done, *named, list(found["defaults"]))
    return _render("tuning.html", **found, pictures=drawn)


def _render(name: str, **values: Any) -> str:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=PackageLoader("textlstm", "report"),
    )
    environment.filters |= {"shaded": shaded, "strongest": strongest}
    environment.filters |= {"start": _start, "p": _p_value}
    return environment.get_template(name).render(values)


def _pictures(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the pictures by name; those without figures are left out."""
    metrics, history = found["metrics"], found["history"]
    drawn = {
        "scores": to_svg(pictures.scores, found["scores"], SYSTEMS),
        "reliability": to_svg(pictures.reliability, metrics["reliability"]),
        "by_length": to_svg(pictures.by_length, found["by_length"]),
        "by_unknown": to_svg(pictures.by_unknown, found["by_unknown"]),
    }
    if history:
        drawn["learning"] = to_svg(pictures.learning_curves, history, found["best_epoch"])
    if found["several"]:
        drawn["confusion"] = to_svg(pictures.counts_by_label, metrics["per_label"])
    elif "confusion_matrix" in metrics:  # of very many labels there is none
        shown = metrics["confusion_matrix"], metrics["labels"]
        drawn["confusion"] = to_svg(pictures.confusion, *shown)
    return drawn


def shaded(words: Sequence[Mapping[str, Any]], kind: str = FROM_FILE) -> str:
    """Return the first words of a text as HTML, each shaded by its contribution.

    Args:
        words: `token`, `known` and `contribution` of each.
        kind: of the tokenizer; spaces are guessed from the tokens for 'file' only.
    """
    largest = max((abs(word["contribution"]) for word in words), default=0.0) or 1.0
    shown, parts = words[:_MOST_WORDS], []
    tokens = _spaced([word["token"] for word in shown], kind)
    for word, text in zip(shown, tokens, strict=True):
        level = round(abs(word["contribution"]) / largest * _LEVELS)
        kinds = [f"{'p' if word['contribution'] > 0 else 'n'}{level}"] if level else []
        kinds += [] if word["known"] else ["u"]
        space, text = text[: len(text) - len(text.lstrip())], html.escape(text.lstrip())
        parts += [space, f'<span class="{" ".join(kinds)}">{text}</span>' if kinds else text]
    if len(words) > _MOST_WORDS:
        parts.append(f" … and {len(words) - _MOST_WORDS:,} more words")
    return "".join(parts)


def strongest(words: Sequence[Mapping[str, Any]], sign: int) -> str:
    """Return as HTML the words that speak most for a label (sign 1) or against it (-1)."""
    totals: dict[str, float] = {}
    for word in words:
        totals[word["token"]] = totals.get(word["token"], 0.0) + sign * word["contribution"]
    ranked = sorted(totals.items(), key=lambda item: -item[1])[:_STRONGEST]
    found = [
        f"“<bdi>{html.escape(token)}</bdi>” {sign * total:+.2f}"
        for token, total in ranked
        if total >= 0.005
    ]
    return ", ".join(found) or "none"


def _spaced(tokens: Sequence[str], kind: str) -> list[str]:
    """Return the tokens as they follow each other in a text, with the spaces before them."""
    for mark in _SPACES.get(kind, ()):
        if kind != FROM_FILE or any(mark in token for token in tokens):
            return [token.replace(mark, " ") for token in tokens]
    found = list(tokens[:1])
    for before, token in itertools.pairwise(tokens):
        if kind in ("wordpiece", FROM_FILE) and token.startswith(CONTINUATION):
            found.append(token.removeprefix(CONTINUATION))
        else:
            wide = all(unicodedata.east_asian_width(c) in "WF" for c in (before[-1], token[0]))
            found.append(token if wide else f" {token}")
    return found


def _start(text: str) -> str:
    """Return the beginning of a text that is not shaded."""
    more = len(text) - _MOST_CHARACTERS
    return text if more <= 0 else f"{text[:_MOST_CHARACTERS]} … and {more:,} more characters"


def _p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
