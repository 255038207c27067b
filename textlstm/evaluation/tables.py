"""Tables as plain text, whose columns stay aligned with wide characters."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field


def display_width(text: str) -> int:
    """Return the columns that a text takes on a terminal: 2 for a Chinese character."""
    return sum(map(_width, text))


def shorten(text: str, width: int) -> str:
    """Return a text as one line of at most `width` columns; a longer one ends in an ellipsis."""
    text = " ".join(text.split())
    if display_width(text) <= width:
        return text
    ends = itertools.accumulate(map(_width, text))
    return text[: sum(end < width for end in ends)] + "…"


@dataclass(frozen=True)
class Table:
    """Rows of cells: `str` makes plain text of them; `textlstm.cli.tables` shows them in colors.

    Args:
        rows: the cells, as many in each.
        head: whether the first row names the columns.
        left: the columns of words, aligned to the left; others, of numbers, to the right.
        name_width: in plain text, the first column is cut to it; a terminal folds the cells.
        styles: (row, column) -> color of a cell on a terminal, as rich names it.
    """

    rows: Sequence[Sequence[str]]
    head: bool = True
    left: Collection[int] = (0,)
    name_width: int = 10_000
    styles: Mapping[tuple[int, int], str] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = [[shorten(row[0], self.name_width), *row[1:]] for row in self.rows]
        return format_table(rows, self.left)


def format_blocks(blocks: Iterable[Table | str]) -> str:
    """Return tables and lines as plain text, with a blank line between them."""
    return "\n\n".join(map(str, blocks))


def format_table(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """Align the columns of a table: those in `left` to the left, others, numbers, to the right."""
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        blanks = [" " * (w - display_width(cell)) for cell, w in zip(row, widths, strict=True)]
        cells = [
            cell + blank if place in left else blank + cell
            for place, (cell, blank) in enumerate(zip(row, blanks, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _width(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):  # marks and joiners take no column
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
