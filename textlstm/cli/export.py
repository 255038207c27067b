"""textlstm export."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from textlstm.cli.console import messages, say
from textlstm.errors import OutputError


def add_parser(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    parser = commands.add_parser(
        "export",
        help="write a model's vocabulary or weights for other tools",
        description="Write a model's vocabulary or weights as a file that other tools read.",
    )
    parser.add_argument("model", metavar="MODEL", help="the model folder")
    parser.add_argument(
        "--format",
        required=True,
        help="vocab: tokens with their counts, as text (.txt) or JSON (.json); "
        "safetensors: the weights (.safetensors)",
    )
    parser.add_argument("--out", required=True, metavar="PATH", help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace PATH if it exists")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out; give the exit code."""
    require_free(arguments.out, overwrite=arguments.overwrite)
    from textlstm.classifier import TextClassifier
    from textlstm.export import export_model

    with messages():
        classifier = TextClassifier.load(arguments.model, device="cpu")
        export_model(classifier, arguments.format, arguments.out)
    say(f"the {arguments.format} export of {arguments.model} is in {arguments.out}")
    return 0


def require_free(path: str, *, overwrite: bool) -> None:
    """Raise an `OutputError` if a file would be lost."""
    if Path(path).exists() and not overwrite:
        raise OutputError(f"{path} exists: pass --overwrite to replace it, or choose another name")
