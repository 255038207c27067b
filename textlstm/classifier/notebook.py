"""What notebooks and terminals show of predictions, figures, epochs and models."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textlstm.errors import DataError
from textlstm.evaluation.figures import figure_rows, label_rows
from textlstm.evaluation.metrics import format_metrics
from textlstm.evaluation.tables import format_table, shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from textlstm.classifier.classifier import Prediction

_MOST_ROWS = 20  # of a table; of a longer one
_ENDS = 5  # first and last rows are shown
_MOST_LABELS = 20  # of a matrix
_MOST_BARS = 10
_MOST_CONFUSED = 30  # labels of a picture, if there are too many for all
_BLUE = "43,108,176"  # is seen on light and on dark
_TEXT, _LABEL = 150, 40  # columns
_TERMINAL = 60


class Predictions(list["Prediction"]):
    """The predictions for several texts: a list that is shown as a table, a long one in part."""

    def __repr__(self) -> str:
        rows = [_prediction(self, place, _TERMINAL) for place in _places(len(self))]
        table = format_table([("text", "label", "score"), *(row[1:] for row in rows)], left=(0, 1))
        return f"{table}\n({_counted(len(self), 'prediction')})"

    def _repr_html_(self) -> str:
        rows = [_prediction(self, place, _TEXT) for place in _places(len(self))]
        table = _table(["", "text", "label", "score"], rows, words=(1, 2))
        return f"{table}<p>{_counted(len(self), 'prediction')}</p>"


class Metrics(dict[str, Any]):
    """The figures of an evaluation: a plain dictionary that prints as tables and can be drawn."""

    def __str__(self) -> str:
        return format_metrics(self)

    def _repr_html_(self) -> str:
        figures = list(figure_rows(self))
        parts = [_table([row[0] for row in figures], [[row[1] for row in figures]], words=())]
        if "per_label" in self:
            head, *rows = label_rows(self)
            more = len(rows) - _MOST_ROWS
            if more > 0:
                rows.sort(key=lambda row: float(row[3]))
                rows = rows[:_MOST_ROWS]
            parts.append(_table(head, [[shorten(row[0], _LABEL), *row[1:]] for row in rows]))
            if more > 0:
                parts.append(f"<p>the labels with the lowest F1; {more:,} more are not shown</p>")
        if len(self.get("confusion_matrix", ())) in range(1, _MOST_LABELS + 1):
            parts.append(_matrix(self["confusion_matrix"], self["labels"]))
        return "".join(parts)

    def plot_confusion(self) -> Figure:
        """Draw how often each label is predicted for each label.

        Returns:
            A figure of matplotlib: the confusion matrix, each row shaded by shares of its label;
            of more than 200 labels that of the 30 most confused ones. Where a text may have
            several labels, how often each is found, missed and wrongly assigned.

        Raises:
            MissingDependencyError: the extra `report` is not installed.
            DataError: the figures were made by an old version or are damaged.
        """
        if "hamming_loss" in self:
            return _draw("counts_by_label", lambda: (self["per_label"],))
        if "confusions" in self:
            return _draw("confusion", lambda: _most_confused(self["confusions"], self["labels"]))
        return _draw("confusion", lambda: (self["confusion_matrix"], self["labels"]))

    def plot_reliability(self) -> Figure:
        """Draw how often answers are right beside the probability that the model gives them.

        Returns:
            A figure of matplotlib, made of the 15 bins of the calibration error.

        Raises:
            MissingDependencyError: the extra `report` is not installed.
            DataError: the figures were made by an old version or are damaged.
        """
        return _draw("reliability", lambda: (self["reliability"],))


class History(tuple[Mapping[str, Any], ...]):
    """The epochs of a training run: a tuple that is shown as a table and can be drawn."""

    best_epoch: Any = 0
    """The epoch, from 1, whose weights were kept; 0 if that is not known."""

    def _repr_html_(self) -> str:
        names = list(dict.fromkeys(name for epoch in self for name in epoch))
        rows = [[self._cell(place, name) for name in names] for place in _places(len(self))]
        return _table(names, rows, words=()) + f"<p>{_counted(len(self), 'epoch')}</p>"

    def _cell(self, place: int | None, name: str) -> str:
        if place is None:
            return "…"
        epoch = self[place]
        value = epoch.get(name, "")
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        kept = self.best_epoch and epoch.get("epoch") == self.best_epoch
        return _Markup(f"<b>{html.escape(text)}</b>") if kept else text

    def plot(self) -> Figure:
        """Draw the losses and the scores over the epochs.

        Returns:
            A figure of matplotlib.

        Raises:
            MissingDependencyError: the extra `report` is not installed.
            DataError: there is no epoch, or none with a loss or score.
        """
        return _draw("learning_curves", lambda: (self, self.best_epoch))


def prediction_html(prediction: Prediction) -> str:
    """Return the text and a bar for each probability, the largest first; those chosen are bold."""
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    rows = []
    for label, value in ranked[:_MOST_BARS]:
        name = html.escape(shorten(label, _LABEL))
        name = f"<b>{name}</b>" if label in prediction.labels else name
        style = f"background:rgb({_BLUE});height:0.8em;width:{value * 10:.2f}em"
        rows.append([_Markup(name), f"{value:.4f}", _Markup(f'<div style="{style}"></div>')])
    more = len(ranked) - len(rows)
    parts = [f'<p dir="auto">{html.escape(shorten(prediction.text, _TEXT))}</p>']
    parts += [f"<p>no label: {html.escape(prediction.error)}</p>"] if prediction.error else []
    parts += [_table((), rows)] if rows else []
    parts += [f"<p>and {more:,} more labels</p>"] if more else []
    return "".join(parts)


def facts_table(description: Mapping[str, Any]) -> str:
    """Return the facts of a model, the result of `TextClassifier.describe`, as a table."""
    from textlstm.classifier.model_card import description_table  # loads the Hub client

    return _table((), description_table(description).rows, words=(0, 1))


class _Markup(str):
    """A text that is HTML already."""

    __slots__ = ()


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], words: Collection[int] = (0,)
) -> str:
    """Return a table, in which the columns `words` are no numbers."""

    def line(row: Sequence[str], tag: str) -> str:
        cells = []
        for place, text in enumerate(row):
            inner = text if isinstance(text, _Markup) else html.escape(text)
            side = 'left" dir="auto' if place in words else "right"  # notebooks have all right
            cells.append(f'<{tag} style="text-align:{side}">{inner}</{tag}>')
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    top = f"<thead>{line(head, 'th')}</thead>" if head else ""
    return f'<div style="overflow-x:auto"><table>{top}<tbody>{body}</tbody></table></div>'


def _matrix(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Return the confusion matrix, each cell shaded by its share of its row."""
    names = [shorten(label, _LABEL) for label in labels]
    rows = []
    for name, counts in zip(names, matrix, strict=True):
        shares = [count / (sum(counts) or 1) for count in counts]
        style = "margin:-.2em;padding:.2em .5em;background:rgba({},{:.2f})"
        cells = [
            _Markup(f'<div style="{style.format(_BLUE, share * 0.6)}">{count:,}</div>')
            for count, share in zip(counts, shares, strict=True)
        ]
        rows.append([name, *cells])
    return _table(["label \\ predicted", *names], rows)


def _places(n: int) -> list[int | None]:
    """Return which of n rows are shown; None stands for those left out."""
    if n <= _MOST_ROWS:
        return list(range(n))
    return [*range(_ENDS), None, *range(n - _ENDS, n)]


def _prediction(found: Predictions, place: int | None, width: int) -> tuple[str, ...]:
    if place is None:
        return ("…",) * 4
    row = found[place]
    label = ", ".join(row.labels) if row.error is None else f"({row.error})"
    score = "" if row.score is None else f"{row.score:.4f}"
    return f"{place:,}", shorten(row.text, width), shorten(label, _LABEL), score


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _most_confused(
    cells: Sequence[Sequence[int]], labels: Sequence[str]
) -> tuple[list[list[int]], list[str], int]:
    """Return the confusion matrix of the labels with most mistakes, their names, and of how many.

    Args:
        cells: the ids of a true and a predicted label, and the count of both.
        labels: all names.
    """
    wrong: Counter[int] = Counter()
    for true, predicted, count in cells:
        wrong.update(dict.fromkeys((true, predicted), count * (true != predicted)))
    chosen = sorted(label for label, _ in wrong.most_common(_MOST_CONFUSED))
    counts = {(true, predicted): count for true, predicted, count in cells}
    matrix = [[counts.get((true, predicted), 0) for predicted in chosen] for true in chosen]
    return matrix, [labels[label] for label in chosen], len(labels)


def _draw(name: str, figures: Callable[[], tuple[Any, ...]]) -> Figure:
    """Draw one of `textlstm.report.pictures`, of what `figures` returns."""
    from textlstm.report import pictures  # needs an extra

    try:
        found: Figure = pictures.to_figure(getattr(pictures, name), *figures())
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"the figures for a picture ({name.replace('_', ' ')}) are missing or damaged "
            f"({type(error).__name__}: {error}): evaluate again with classifier.evaluate(DATA), "
            "or train again"
        ) from error
    return found
