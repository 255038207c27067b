"""textlstm inspect MODEL [OPTION ...]

Show labels, network, data, training, results and settings of a model.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import sys
import textwrap

from textlstm.cli.console import say
from textlstm.cli.model import add_model, load_model

_NAME = re.compile(r"(?:.*?  +)?")  # in `name  value`


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    description = load_model(arguments).describe()
    from textlstm.classifier.model_card import format_description

    if arguments.json:
        text = json.dumps(description, indent=2, ensure_ascii=False)
    else:
        text = format_description(description)
        if sys.stdout.isatty():
            text = wrap(text, shutil.get_terminal_size().columns)
    sys.stdout.write(text + "\n")
    if not arguments.json:
        say(f"next: textlstm evaluate {shlex.quote(arguments.model)} DATA")
    return 0


def wrap(text: str, width: int) -> str:
    """Break lines of `name  value` to a width; what follows is indented below the value."""
    lines = []
    for line in text.splitlines():
        name = _NAME.match(line)[0]  # type: ignore[index]
        indent = min(len(name), width // 2)
        if name:
            line = f"{name.rstrip().ljust(indent - 2)}  {line[len(name) :]}"
        lines += textwrap.wrap(line, width, subsequent_indent=" " * indent) or [""]
    return "\n".join(lines)
