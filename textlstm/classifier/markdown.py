"""Text as Markdown: tables, lists, and names that are shown as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def bullets(items: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and values."""
    return "\n".join(f"- {cell(name)}: {cell(value)}" for name, value in items)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; every row has as many cells as the head."""
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(text) for text in row) + " |" for row in lines)


def cell(text: str) -> str:
    """Escape text so that Markdown shows it as it is, on one line."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", line(text))


def code(text: str) -> str:
    """Return text as a code span."""
    return f"`{line(text.replace('`', ' '))}`"


def line(text: str) -> str:
    """Replace all white space by single spaces."""
    return " ".join(text.split())


def encodable(text: str) -> str:
    """Write out lone surrogates, of names that are not UTF-8, which no UTF-8 file can hold."""
    return text.encode("utf-8", "backslashreplace").decode()
