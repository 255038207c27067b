"""Plain-text tables whose columns stay aligned with wide characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def display_width(text: str) -> int:
    """Return the columns that a text takes on a terminal: 2 for a Chinese character."""
    return sum(map(_width, text))


def shorten(text: str, width: int) -> str:
    """Return a text as one line of at most `width` columns; a longer one ends in an ellipsis."""
    text = " ".join(text.split())
    if display_width(text) <= width:
        return text
    while display_width(text) > width - 1:
        text = text[:-1]
    return text + "…"


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Align the columns of a table: the first to the left, the others, numbers, to the right."""
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        blanks = [" " * (w - display_width(cell)) for cell, w in zip(row, widths, strict=True)]
        others = [blank + cell for blank, cell in zip(blanks[1:], row[1:], strict=True)]
        lines.append("  ".join([row[0] + blanks[0], *others]).rstrip())
    return "\n".join(lines)


def _width(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):  # marks and joiners take no column
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
