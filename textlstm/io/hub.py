"""What all downloads from the Hugging Face Hub share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import huggingface_hub.utils

PROBE_SECONDS = 10.0


@contextlib.contextmanager
def without_bars(library: Any = huggingface_hub.utils) -> Iterator[None]:
    """Keep the progress bars of the Hub's client, or of `datasets.utils`, off the terminal."""
    disabled = library.are_progress_bars_disabled()
    library.disable_progress_bars()
    try:
        yield
    finally:
        if not disabled:
            library.enable_progress_bars()
