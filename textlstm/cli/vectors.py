"""textlstm vectors [OPTION ...]

List the word vectors that `train --vectors NAME` knows. They are fetched from the Hugging Face
Hub when they are first used, checked by size and hash, and kept in its cache.
"""

from __future__ import annotations

import argparse

from textlstm.cli.console import say
from textlstm.cli.tables import show
from textlstm.evaluation.tables import Table


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    from textlstm.text.named_vectors import KNOWN, shown_size

    rows = [("name", "words", "numbers", "download", "cached", "repository")]
    rows += [
        (
            *(name, f"{known.words:,}", str(known.numbers), shown_size(known.size)),
            "yes" if known.cached() else "no",
            known.repo if known.kind == "model" else f"{known.kind}s/{known.repo}",
        )
        for name, known in KNOWN.items()
    ]
    show(Table(rows, left=(0, 5)))
    say("next: textlstm train DATA --vectors NAME --out MODEL")
    return 0
