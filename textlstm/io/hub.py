"""What all downloads from the Hugging Face Hub share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from huggingface_hub.utils import (  # type: ignore[attr-defined]
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

PROBE_SECONDS = 10.0


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Keep the progress bars of the Hub's client off the terminal."""
    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
