"""Texts as callers pass them: checked, and in batches."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

from textlstm.errors import ConfigError
from textlstm.io.progress import Display, Screen
from textlstm.io.readers import bad_text

logger = logging.getLogger(__name__)

_BATCH = 1000  # texts


def iterate(items: Iterable[Any]) -> Iterator[Any]:
    """Iterate over `items` after a check that they are a list of texts and not one text."""
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
        shown = repr(items)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise ConfigError(f"texts = {shown}: must be a list of strings; for one text pass [text]")
    return iter(items)


def in_batches(texts: Iterable[str], *, blanks: bool = False) -> Iterator[list[str]]:
    """Cut a stream of texts into lists; the check of `texts` itself is done at once."""
    iterator = iterate(texts)
    total = len(texts) if isinstance(texts, Sized) else None  # a stream's own reader shows it

    def batches() -> Iterator[list[str]]:
        screen = None if total else Screen()
        with Display("texts", total, brief=True, screen=screen) as display:
            while batch := list(itertools.islice(iterator, _BATCH)):
                yield checked_texts(batch, display.done, blanks=blanks)
                display.update(display.done + len(batch))

    return batches()


def checked_texts(texts: Iterable[str], first: int = 0, *, blanks: bool = False) -> list[str]:
    """Return texts as a list; raise a `ConfigError` that names the first item that is no text.

    Args:
        texts: the texts.
        first: position of the first of them in the caller's texts.
        blanks: whether a text may be white space alone.
    """
    batch = list(iterate(texts))
    for place, text in enumerate(batch, first):
        reason = bad_text(text)
        if reason:
            raise ConfigError(f"texts[{place}] = {text!r:.60}: must be a string ({reason})")
        if not (blanks or text.strip()):
            raise ConfigError(
                f"texts[{place}] = {text!r:.60} is blank: leave it out, or call "
                "`TextClassifier.predict`, which keeps its place without a label"
            )
    return batch


def warn_of_blanks(blank: int, rows: int, outcome: str) -> None:
    """Log how many texts are blank, if any, and what becomes of them."""
    if blank:
        logger.warning("blank texts: %s of %s (%s)", f"{blank:,}", f"{rows:,}", outcome)
