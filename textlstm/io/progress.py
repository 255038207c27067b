"""The progress of long work: how much is done, how fast, the time left, the best figure so far.

A `Display` is one piece of work: the steps of a training, the rows of a file, the trials of a
search. A `Screen` shows all that are open: a bar each on a terminal (by rich) and in a notebook
(HTML), a line now and then elsewhere. It is drawn at most five times a second. The command line
chooses the screen; without it there is none but that of a notebook.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, TypeVar

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_DRAWINGS = 0.2  # a drawing takes a millisecond
_BRIEF = 1.0  # seconds


class Display:
    """The progress of one piece of work, shown until it is closed; a context manager.

    Inside another's it is shown below that one and vanishes with its end, for example the steps
    of a training below the trials of a search:

        with Display("trials", total=50) as trials:
            for number in range(50):
                train(data)
                trials.update(number + 1, best="macro F1 0.9123, trial 4")

    Args:
        unit: what is counted, in the plural: 'steps', 'rows', 'trials'.
        total: how many there are; None if that is not known.
        done: how many an earlier run did.
        title: what is done now, such as 'epoch 3/20'.
        screen: where it is shown; that of `current_screen` if not given.
        opening: a line said at first where no bar is drawn.
        brief: show it only if the work takes more than a second, and until its end only.
    """

    def __init__(
        self,
        unit: str,
        total: int | None = None,
        *,
        done: int = 0,
        title: str = "",
        screen: Screen | None = None,
        opening: str = "",
        brief: bool = False,
    ) -> None:
        self.unit, self.total, self.done, self.title = unit, total, done, title
        self.opening, self.brief = opening, brief
        self.rate = self.note = self.best = ""
        self.first = done
        self.began = self.shown = time.monotonic()
        self._screen = screen or current_screen()
        self._screen.add(self)

    def update(self, done: int, **values: Any) -> None:
        """Show that more is done; costs next to nothing between two drawings.

        Args:
            done: how many are done, with those of an earlier run.
            **values: what changes of `total`, `first` (how many an earlier run did), `title`,
                `rate` (such as '812 texts/s'; by default `unit` per second), `note` (such as
                'loss 0.4321') and `best`, the best figure so far.
        """
        self.done = done
        self.__dict__.update(values)
        self._screen.changed(self)

    def close(self) -> None:
        """End the display; once more does nothing."""
        self._screen.remove(self)

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items, counting each as it is taken; of lists, their items are counted."""
        for item in items:
            yield item
            more = len(item) if isinstance(item, Sized) and not isinstance(item, str) else 1
            self.update(self.done + more)

    def is_due(self) -> bool:
        """Whether to show it."""
        return not self.brief or time.monotonic() - self.began >= _BRIEF

    def counts(self) -> str:
        """Return how much is done, such as '75/100 rows'."""
        return f"{self.done:,}{f'/{self.total:,}' if self.total else ''} {self.unit}"

    def times(self) -> str:
        """Return the time left, such as '0:12 left', or that passed where the end is not known."""
        passed = time.monotonic() - self.began
        if not self.total or self.done <= self.first:
            return clock(passed)
        if self.done >= self.total:
            return f"in {clock(passed)}"
        return f"{clock(passed / (self.done - self.first) * (self.total - self.done))} left"

    def details(self) -> list[str]:
        """Return rate, note and best figure, those that are known."""
        best = f"best {self.best}" if self.best else ""
        return [text for text in (self.rate or self._rate(), self.note, best) if text]

    def _rate(self) -> str:
        if self.done <= self.first:
            return ""
        speed = (self.done - self.first) / max(time.monotonic() - self.began, 1e-9)
        span, word = (1, "s") if speed >= 1 else (60, "min") if speed * 60 >= 1 else (3600, "h")
        return f"{speed * span:,.{0 if speed * span >= 10 else 1}f} {self.unit}/{word}"


class Screen:
    """Where displays are shown; this one shows nothing."""

    def __init__(self) -> None:
        self.displays: list[Display] = []  # the outermost first
        self._drawn = -1.0

    def add(self, display: Display) -> None:
        """Show a display below the others."""
        self.displays.append(display)
        if display.is_due():
            self.draw([each for each in self.displays if each.is_due()])

    def changed(self, display: Display) -> None:
        """Draw anew, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._drawn >= _SECONDS_BETWEEN_DRAWINGS and display.is_due():
            self._drawn = now
            self.draw([each for each in self.displays if each.is_due()])

    def remove(self, display: Display) -> None:
        """Show a display no more; the last one, unless it is brief, stays as it is."""
        if display in self.displays:
            shown = [each for each in self.displays if each.is_due()]
            self.displays.remove(display)
            if shown != [display] or display.brief:
                shown = [each for each in shown if each is not display]
            self.draw(shown)
            if not self.displays:
                self.end()

    def draw(self, displays: list[Display]) -> None:
        """Draw displays instead of those that were drawn before."""

    def end(self) -> None:
        """Leave what is drawn as it is: nothing more is shown."""


class Lines(Screen):
    """Shows a line of text for a display that was quiet for some seconds.

    Args:
        say: takes a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def add(self, display: Display) -> None:
        """Say what is begun."""
        super().add(display)
        if display.opening:
            self._say(display.opening)

    def changed(self, display: Display) -> None:
        """Say how far it is, now and then."""
        now = time.monotonic()
        if now - display.shown >= SECONDS_BETWEEN_LINES:
            display.shown = now
            rate, *others = [*display.details(), ""]
            left = display.times()
            shown = [display.counts(), rate, f"about {left}" if left.endswith("left") else ""]
            title = f"{display.title}: " if display.title else ""
            self._say(title + ", ".join(text for text in (*shown, *others) if text))


class Terminal(Screen):
    """Shows bars on stderr, which is a terminal; lines of text go above them.

    The cursor stays visible, so that a process that is killed leaves a terminal in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self._live: Any = None

    def draw(self, displays: list[Display]) -> None:
        """Draw displays instead of those that were drawn before."""
        if displays and self._live is None:
            self._live = _begin_live()
        if self._live is not None:
            self._live.update(_bars(displays), refresh=True)

    def end(self) -> None:
        """Leave what is drawn as it is: nothing more is shown."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def write(self, line: str) -> None:
        """Write a line on stderr, above the bars."""
        if self._live is None:
            sys.stderr.write(line + "\n")
        else:
            self._live.console.print(line, markup=False, soft_wrap=True)


def _begin_live() -> Any:
    from rich.console import Console
    from rich.live import Live

    class Visible(Console):
        def show_cursor(self, show: bool = True) -> bool:
            return False

    console = Visible(
        stderr=True,
        highlight=False,
        emoji=False,
        force_terminal=True,
        force_interactive=True,
        force_jupyter=False,
    )
    live = Live(
        console=console,
        auto_refresh=False,
        redirect_stdout=False,  # it may be a file, and the console is stderr
        vertical_overflow="visible",
    )
    live.start()
    return live


def _bars(displays: list[Display]) -> Any:
    """Return a bar for each display, and below it a line of details."""
    from rich.cells import cell_len
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = []
    ends = [f"{display.counts()}  {display.times()}" for display in displays]
    titles = [display.title for display in displays]
    widths = [max(map(cell_len, column), default=0) for column in (titles, ends)]
    for display, end in zip(displays, ends, strict=True):
        line = Table.grid(expand=True, padding=(0, 1))
        if widths[0]:
            line.add_column(width=widths[0], no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(width=widths[1], no_wrap=True, justify="right")
        bar: Any = Text()
        if display.total:
            done = display.done
            bar = ProgressBar(display.total, done, complete_style="cyan", finished_style="green")
        cells = [Text(display.title, style="bold")] if widths[0] else []
        line.add_row(*cells, bar, Text(end))
        parts.append(line)
        if details := display.details():
            parts.append(Text(", ".join(details), style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


class Notebook(Screen):
    """Shows bars below the cell of a notebook; those of one cell after each other in one place."""

    def __init__(self) -> None:
        super().__init__()
        self._cell = -1
        self._handle: Any = None
        self._last = ("", "")  # what is to stay, as plain text and HTML

    def add(self, display: Display) -> None:
        """Show a display below the others of its cell."""
        cell = sys.modules["IPython"].get_ipython().execution_count
        if cell != self._cell:
            self.displays, self._cell, self._handle, self._last = [], cell, None, ("", "")
        super().add(display)

    def draw(self, displays: list[Display]) -> None:
        """Draw displays instead of those that were drawn before."""
        if not displays and self._handle is None:
            return
        from IPython.display import display as show

        drawn = ("\n".join(map(_in_words, displays)), "".join(map(_in_html, displays)))
        if all(each.brief for each in displays):  # below what they follow
            drawn = ("\n".join(filter(None, [self._last[0], drawn[0]])), self._last[1] + drawn[1])
        else:
            self._last = drawn
        data = dict(zip(("text/plain", "text/html"), drawn, strict=True))
        if self._handle is None:
            self._handle = show(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _in_words(display: Display) -> str:
    parts = [display.title, display.counts(), display.times(), *display.details()]
    return " ".join(parts).strip()


def _in_html(display: Display) -> str:
    import html  # not needed by the command line

    title, end, details = map(
        html.escape,
        (display.title, f"{display.counts()}, {display.times()}", ", ".join(display.details())),
    )
    amount = f' value="{display.done}" max="{display.total}"' if display.total else ""
    bar = f'<progress{amount} aria-label="{title or html.escape(display.unit)}"></progress>'
    return f"<div>{title} {bar} {end}<br><small>{details}</small></div>"


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def is_terminal() -> bool:
    """Whether stderr is a terminal on which a bar can be drawn."""
    # what a notebook runs by `!command` has a terminal, whose output it can't draw over
    plain = os.environ.get("TERM") in ("dumb", "unknown") or "JPY_PARENT_PID" in os.environ
    return sys.stderr.isatty() and not plain


TERMINAL = Terminal()
_NOTEBOOK = Notebook()
_chosen: list[Screen] = []


def current_screen() -> Screen:
    """Return the screen that `shown_on` has chosen, else a notebook if this is one, else none."""
    if _chosen:
        return _chosen[-1]
    return _NOTEBOOK if in_notebook() else Screen()


@contextlib.contextmanager
def shown_on(screen: Screen) -> Iterator[None]:
    """Show the displays that are made in the block on a screen, until its end at most."""
    _chosen.append(screen)
    try:
        yield
    finally:
        _chosen.remove(screen)
        for display in screen.displays[::-1]:
            display.close()


def clock(seconds: float) -> str:
    """Format a time as 3:05 or 1:03:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
