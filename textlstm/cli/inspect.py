"""textlstm inspect MODEL [OPTION ...]

Show labels, network, data, training, results and settings of a model.
"""

from __future__ import annotations

import argparse
import shlex
import sys

from textlstm.cli.console import say
from textlstm.cli.model import add_model, load_model
from textlstm.cli.tables import show


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    description = load_model(arguments).describe()
    from textlstm.classifier.json_files import json_text
    from textlstm.classifier.model_card import description_table

    if arguments.json:
        sys.stdout.write(json_text(description))
    else:
        show(description_table(description))
        say(f"next: textlstm evaluate {shlex.quote(arguments.model)} DATA")
    return 0
