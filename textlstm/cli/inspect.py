"""textlstm inspect."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from textlstm.cli.model import add_model, load_model


def add_parser(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    parser = commands.add_parser(
        "inspect",
        help="tell what a model is and how it was made",
        description="Tell what a model is: labels, network, data, training, results, settings.",
    )
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="tell it as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out; give the exit code."""
    from textlstm.classifier.model_card import format_description

    description = load_model(arguments).describe()
    if arguments.json:
        text = json.dumps(description, indent=2, ensure_ascii=False)
    else:
        text = format_description(description)
    sys.stdout.write(text + "\n")
    return 0
