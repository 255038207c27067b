"""Results on stdout: tables in colors that keep to the width of a terminal, else plain text."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from textlstm.evaluation.tables import Table, format_blocks

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

_LEAST = 8  # columns of a cell of words on a narrow terminal


def terminal() -> Console | None:
    """Return rich's console for stdout; None if that is no terminal, which gets plain text."""
    if not sys.stdout.isatty() or os.environ.get("TERM") in ("dumb", "unknown"):
        return None
    from rich.console import Console

    options: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
    return Console(file=sys.stdout, force_terminal=True, force_jupyter=False, **options)


def show(*blocks: Table | str) -> None:
    """Write tables and lines to stdout, with a blank line between them."""
    console = terminal()
    if console is None:
        sys.stdout.write(format_blocks(blocks) + "\n")
        return
    for place, block in enumerate(blocks):
        if place:
            console.print()
        console.print(_colored(block) if isinstance(block, Table) else block)


def _colored(table: Table) -> RichTable:
    """Return a table for a terminal: cells of words are folded where it is narrow."""
    from rich.cells import cell_len
    from rich.table import Table as RichTable
    from rich.text import Text

    found = RichTable(
        box=None, padding=(0, 1), pad_edge=False, show_header=table.head, header_style="bold"
    )
    first = table.rows[0] if table.head else [""] * len(table.rows[0])
    for place, name in enumerate(first):
        words = place in table.left
        widest = max(cell_len(row[place]) for row in table.rows)
        found.add_column(
            Text(name),
            justify="left" if words else "right",
            overflow="fold",
            no_wrap=not words,
            min_width=min(widest, _LEAST) if words else None,
            style="bold" if place == 0 and not table.head else "",
        )
    for number, row in enumerate(table.rows):
        if number or not table.head:
            cells = enumerate(" ".join(cell.split()) for cell in row)
            found.add_row(*(Text(c, style=table.styles.get((number, i), "")) for i, c in cells))
    return found
