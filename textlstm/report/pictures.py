"""Figures to pictures: of matplotlib, or SVG to be put into a page.

In a page, lines and texts have the colour of its text (`currentColor`), marks one of its colours
(`var(--c1)`, ...), so that one picture serves light, dark and paper. Needs matplotlib.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from textlstm.errors import MissingDependencyError
from textlstm.evaluation.tables import display_width, shorten

try:
    from matplotlib import style
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
except ImportError as error:
    raise MissingDependencyError(
        f"pictures need the package matplotlib ({error}): pip install 'textlstm[report]'"
    ) from error

_TEXT, _FIRST, _SECOND, _THIRD, _ON_FIRST = "#1d2229", "#2b6cb0", "#c05621", "#8a7f2a", "#fffffe"
_COLORS = {_TEXT: "currentColor", _FIRST: "var(--c1)", _SECOND: "var(--c2)", _THIRD: "var(--c3)"}
_COLORS[_ON_FIRST] = "var(--card)"
_COLORED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "textlstm",
    "text.parse_math": False,  # a label may hold dollars
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "legend.frameon": False,
    "grid.alpha": 0.18,
    "grid.color": _TEXT,
    **dict.fromkeys(_COLORED, _TEXT),
}
_WIDTH, _HEIGHT = 4.3, 3.0  # inches; on a phone texts are then still as tall as those beside them
_MOST_NAMED = 30  # labels of a matrix
_MOST_COUNTED = 10
_NAME = 16  # columns of a name
_PIXEL = (0.25, 0.55, 0.85)  # is seen on light and on dark


@contextlib.contextmanager
def _styled() -> Iterator[None]:
    """Draw in our style alone; letters that matplotlib's font lacks are in the fonts of a page."""
    with style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _svg(figure: Figure, **options: Any) -> str:
    with _styled(), io.StringIO() as file:
        figure.savefig(file, format="svg", metadata={"Date": None}, **options)
        return file.getvalue()


class NotebookFigure(Figure):
    """A figure of matplotlib that notebooks show even if pyplot is not imported.

    It is unknown to pyplot, so it is shown once. Its SVG has the browser's fonts, and so all
    scripts.
    """

    def _repr_svg_(self) -> str:
        return _svg(self)


def to_svg(draw: Callable[..., tuple[Figure, str]], *arguments: Any) -> str:
    """Return a picture as SVG for a page, with its text alternative.

    Args:
        draw: a function below; it returns a figure of matplotlib and its text alternative.
        *arguments: what is drawn.
    """
    with _styled():
        figure, description = draw(*arguments)
    return _inline(_svg(figure, transparent=True), draw.__name__, description)


def to_figure(draw: Callable[..., tuple[Figure, str]], *arguments: Any) -> Figure:
    """Return a picture as a figure of matplotlib, on white; arguments as for `to_svg`."""
    with _styled():
        figure, _ = draw(*arguments)
        figure.draw_without_rendering()  # so that ticks get our style, too
    return figure


def _inline(svg: str, name: str, description: str) -> str:
    """Return an SVG file as an element of a page with a text alternative."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)

    def styled(tag: re.Match[str]) -> str:
        found = re.sub(r'(\bid="|"#|url\(#)', rf"\g<1>{name}-", tag[0])  # ids are of the whole page
        found = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", found)
        for color, word in _COLORS.items():
            found = found.replace(color, word)
        return found

    svg = re.sub(r"<[^>]*>", styled, svg)  # not in the texts between tags
    width = re.search(r'width="([\d.]+)pt"', svg)
    assert width is not None
    svg = re.sub(r'(width|height)="[\d.]+pt"\s*', "", svg, count=2)
    words = description.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    pixels = float(width[1]) * 4 / 3
    head = f'<svg role="img" aria-label="{words}" style="max-width:{pixels:.0f}px" '
    return svg.replace("<svg ", head, 1)


def _axes(width: float = _WIDTH, height: float = _HEIGHT) -> tuple[Figure, Axes]:
    figure = NotebookFigure((width, height), layout="constrained")
    return figure, figure.add_subplot()


def _errors(rows: Sequence[Mapping[str, Any]], values: np.ndarray) -> np.ndarray:
    """Return how far the intervals of values reach down and up, [2, n]."""
    ends = np.array([[row[end] for row in rows] for end in ("low", "high")])
    reach: np.ndarray = np.abs(ends - values)
    return reach


def scores(found: Mapping[str, Any], words: Mapping[str, str]) -> tuple[Figure, str]:
    """Draw accuracy and macro F1 of several systems with their intervals."""
    figure, axes = _axes(_WIDTH, 0.9 + 0.55 * len(found))
    said = []
    kinds = (("accuracy", _FIRST, "o", -0.12), ("macro F1", _SECOND, "D", 0.12))
    for kind, color, marker, shift in kinds:
        rows = [row[kind.replace(" F1", "_f1")] for row in found.values()]
        values = np.array([row["value"] for row in rows])
        places, ends = np.arange(len(rows)) + shift, _errors(rows, values)
        marks: Any = {"fmt": marker, "color": color, "capsize": 3, "markersize": 6}
        axes.errorbar(values, places, xerr=ends, label=kind, **marks)
        said += [
            f"{words[name]}, {kind} {row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
            for name, row in zip(found, rows, strict=True)
        ]
    axes.set_yticks(range(len(found)), [shorten(words[name], 22) for name in found])
    axes.invert_yaxis()
    axes.margins(y=0.25)
    axes.grid(axis="x")
    figure.legend(loc="outside upper right", ncols=2)
    return figure, "Scores with 95% intervals: " + "; ".join(said)


def learning_curves(history: Sequence[Mapping[str, Any]], best: int) -> tuple[Figure, str]:
    """Draw the losses and the validation scores over epochs, one above the other."""
    figure = NotebookFigure((_WIDTH, 4.2), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    epochs = [row["epoch"] for row in history]
    said = []
    kinds = (
        (above, "train_loss", "training loss", _FIRST, "o-"),
        (above, "validation_loss", "validation loss", _SECOND, "s--"),
        (below, "validation_accuracy", "accuracy", _FIRST, "o-"),
        (below, "validation_macro_f1", "macro F1", _SECOND, "s--"),
    )
    for axes, key, words, color, line in kinds:
        values = [row.get(key, np.nan) for row in history]
        if not np.isnan(values).all():
            axes.plot(epochs, values, line, color=color, label=words, markersize=4)
            said.append(f"{words} from {values[0]:.3f} to {values[-1]:.3f}")
    if not said:
        raise ValueError("no epoch has a loss or score")
    for axes in (above, below):
        axes.grid()
        if axes.lines:
            axes.legend()
        if best:
            axes.axvline(best, color=_TEXT, alpha=0.4, linestyle=":")
    below.set_xlabel("epoch" + " (dotted: the one that was kept)" * bool(best))
    below.xaxis.get_major_locator().set_params(integer=True)
    kept = f"{len(epochs)} epochs, {best or 'none'} kept"
    return figure, f"Learning curves of {kept}: {'; '.join(said)}"


def confusion(
    matrix: Sequence[Sequence[int]], names: Sequence[str], total: int = 0
) -> tuple[Figure, str]:
    """Draw a confusion matrix, each row as shares of its label; `total` if names are not all."""
    counts = np.array(matrix)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))  # [C, C]
    few = len(names) <= _MOST_NAMED
    size = min(2.2 + 0.42 * len(names), 6.2)
    figure, axes = _axes(size, size)
    axes.set_aspect("equal")
    axes.spines[["top", "right"]].set_visible(True)
    if few:
        for row, column in np.argwhere(counts):
            share = float(shares[row, column])
            place = (column - 0.5, row - 0.5)
            axes.add_patch(Rectangle(place, 1, 1, facecolor=_FIRST, alpha=share, linewidth=0))
            if len(names) <= _MOST_COUNTED:
                text, color = f"{counts[row, column]:,}", _ON_FIRST if share > 0.7 else _TEXT
                axes.text(column, row, text, ha="center", va="center", color=color)
    else:  # as pixels: many labels would make many shapes
        pixels = np.zeros((*counts.shape, 4))
        pixels[:] = (*_PIXEL, 0.0)
        pixels[..., 3] = np.sqrt(shares)  # so that rare mistakes are seen
        axes.imshow(pixels, interpolation="none")
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    shown = [shorten(name, _NAME) for name in names]
    if few:
        wide = len(names) > 3 or max(map(display_width, shown)) > 8
        axes.set_xticks(range(len(names)), shown, rotation=90 if wide else 0)
        axes.set_yticks(range(len(names)), shown)
    else:
        axes.set(xticks=[], yticks=[])
    axes.tick_params(length=0)
    note = f" (of {total:,} labels the {len(names)} most confused)" if total else ""
    axes.set(xlabel=f"predicted{note}", ylabel="label")
    right = np.trace(counts) / max(1, counts.sum())
    return figure, (
        f"Confusion matrix of {len(names)} labels: {right:.1%} of the texts are on the diagonal, "
        "where the prediction is the label; the table below names the mistakes"
    )


def counts_by_label(per_label: Mapping[str, Mapping[str, Any]]) -> tuple[Figure, str]:
    """Draw for each label how often it is found, missed and wrongly assigned."""
    rows = sorted(per_label.items(), key=lambda item: -item[1]["support"])[:_MOST_NAMED]
    hits = np.array([round(row["recall"] * row["support"]) for _, row in rows])
    parts = {
        "found": (hits, _FIRST),
        "missed": (np.array([row["support"] for _, row in rows]) - hits, _SECOND),
        "wrongly assigned": (np.array([row["predicted"] for _, row in rows]) - hits, _THIRD),
    }
    figure, axes = _axes(_WIDTH, 1.2 + 0.3 * len(rows))
    start = np.zeros(len(rows))
    for words, (values, color) in parts.items():
        axes.barh(range(len(rows)), values, 0.7, left=start, color=color, label=words)
        start = start + values
    axes.set_yticks(range(len(rows)), [shorten(name, _NAME) for name, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    more = len(per_label) - len(rows)
    axes.set_xlabel("texts" + (f" (the {len(rows)} most frequent labels)" if more else ""))
    figure.legend(loc="outside upper right", ncols=3)
    said = (f"{int(values.sum()):,} {words}" for words, (values, _) in parts.items())
    return figure, f"For {len(rows)} labels: {', '.join(said)}; see the table below"


def reliability(bins: Sequence[Mapping[str, float]]) -> tuple[Figure, str]:
    """Draw how often answers are right beside how sure the model is, and how many they are."""
    figure = NotebookFigure((_WIDTH, 4.2), layout="constrained")
    axes, below = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    sure = np.array([row["confidence"] for row in bins])
    right = np.array([row["accuracy"] for row in bins])
    axes.plot([0, 1], [0, 1], ":", color=_TEXT, alpha=0.6, label="as sure as right")
    ends = _errors(bins, right)
    axes.errorbar(sure, right, yerr=ends, fmt="o-", color=_FIRST, capsize=3, label="the model")
    axes.set(ylabel="share that is right", ylim=(-0.03, 1.03), xlim=(0, 1.03))
    axes.legend()
    axes.grid()
    below.bar(sure, [row["n"] for row in bins], 0.04, color=_FIRST)
    below.set(xlabel="probability that the model gives", ylabel="answers")
    said = (f"at {s:.2f} right {r:.2f}" for s, r in zip(sure, right, strict=True))
    return figure, "Reliability, probability beside share that is right: " + ", ".join(said)


def by_length(groups: Sequence[Mapping[str, Any]]) -> tuple[Figure, str]:
    """Draw the accuracy of short and long texts."""
    return _by_groups(groups, "tokens", 1, "")


def by_unknown(groups: Sequence[Mapping[str, Any]]) -> tuple[Figure, str]:
    """Draw the accuracy by the share of unknown words."""
    return _by_groups(groups, "share of unknown words", 100, "%")


def _by_groups(
    groups: Sequence[Mapping[str, Any]], words: str, scale: int, unit: str
) -> tuple[Figure, str]:
    figure, axes = _axes()
    ranges = [[f"{scale * group[end]:,.0f}" for end in ("from", "to")] for group in groups]
    names = ["–".join(dict.fromkeys(ends)) + unit for ends in ranges]
    right = np.array([group["accuracy"] for group in groups])
    places = np.arange(len(groups))
    axes.bar(places, right, 0.7, color=_FIRST, alpha=0.55)
    axes.errorbar(places, right, yerr=_errors(groups, right), fmt="none", color=_TEXT, capsize=3)
    labels = [f"{name}\n{group['n']:,}" for name, group in zip(names, groups, strict=True)]
    axes.set_xticks(places, labels, fontsize=8.5)
    axes.set(ylim=(0, 1.04), xlabel=f"{words}; below it, texts", ylabel="accuracy")
    axes.grid(axis="y")
    said = (f"{name}: {share:.3f}" for name, share in zip(names, right, strict=True))
    return figure, f"Accuracy by {words}: " + ", ".join(said)


def trials(
    rows: Sequence[Mapping[str, Any]], figure: str, words: str, minimize: bool
) -> tuple[Figure, str]:
    """Draw the figure of each trial of a tuning, and the best until then."""
    image, axes = _axes()
    done = [row for row in rows if row["ended"] not in ("pruned", "diverged")]
    early = [row for row in rows if row["ended"] in ("pruned", "diverged")]
    kinds = {"trained to its end": (done, _FIRST, "o"), "stopped early": (early, _SECOND, "x")}
    for name, (kind, color, marker) in kinds.items():
        values = [row[figure] for row in kind]
        axes.plot([row["trial"] for row in kind], values, marker, color=color, label=name)
    best = np.minimum if minimize else np.maximum
    reached = best.accumulate([row[figure] for row in done]) if done else np.zeros(0)
    axes.step([row["trial"] for row in done], reached, where="post", color=_TEXT, alpha=0.5)
    axes.set(xlabel="trial", ylabel=f"{words} on validation")
    axes.locator_params(axis="x", integer=True)
    axes.grid()
    image.legend(loc="outside upper right", ncols=2)
    said = f", from {reached[0]:.4f} to {reached[-1]:.4f} at best" if done else ""
    return image, f"{words} of {len(rows)} trials{said}; the table below has each"


def importances(shares: Mapping[str, float]) -> tuple[Figure, str]:
    """Draw the share of each option in the differences between trials."""
    image, axes = _axes(_WIDTH, 0.8 + 0.25 * len(shares))
    axes.barh(range(len(shares)), list(shares.values()), 0.7, color=_FIRST)
    axes.set_yticks(range(len(shares)), list(shares))
    axes.invert_yaxis()
    axes.set_xlabel("share of the variance")
    axes.grid(axis="x")
    said = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    return image, f"Importance of each option: {said}"


def slices(
    rows: Sequence[Mapping[str, Any]], figure: str, words: str, names: Sequence[str]
) -> tuple[Figure, str]:
    """Draw the figure of trials against the value of each option."""
    columns = 3
    lines = -(-len(names) // columns)
    image = NotebookFigure((2.3 * columns, 1.8 * lines), layout="constrained")
    grid = list(image.subplots(lines, columns, sharey=True, squeeze=False).flat)
    for axes, name in zip(grid, names, strict=False):
        values = [row["settings"][name] for row in rows]
        several = sorted(set(values)) if len(set(values)) < 6 else []
        places = [several.index(value) for value in values] if several else values
        axes.plot(places, [row[figure] for row in rows], "o", color=_FIRST, markersize=3.5)
        if several:
            axes.set_xticks(range(len(several)), list(map(str, several)), rotation=30, fontsize=8)
            axes.set_xlim(-0.5, len(several) - 0.5)
        axes.set_title(name, fontsize=9.5)
        axes.tick_params(labelsize=8)
        axes.grid(axis="y")
    for axes in grid[len(names) :]:
        axes.remove()
    return image, f"{words} of {len(rows)} trials against the value of {', '.join(names)}"
