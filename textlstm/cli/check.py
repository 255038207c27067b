"""textlstm check DATA [DATA ...] [OPTION ...]

Check data before training: labels, lengths, duplicates, texts in both train and test, wrong
encodings, unknown words, and more. Each warning says what the problem costs and what to do.

The report goes to stdout. With --strict the exit code is 1 if there is a warning.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING

from textlstm.cli.console import messages, say
from textlstm.cli.parser import add_data
from textlstm.cli.paths import list_names, require_data
from textlstm.cli.tables import show
from textlstm.config import DataConfig, TokenizerConfig
from textlstm.evaluation.tables import Table, shorten
from textlstm.options import add_flags, read_flags

if TYPE_CHECKING:
    from textlstm.data.checks import DataCheck

_SHOWN = 20  # labels


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_data(parser, "as for train")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if there is a warning")
    parser.add_argument("--json", action="store_true", help="write JSON")
    add_flags(parser, DataConfig, "data")
    add_flags(parser, TokenizerConfig, "tokenizer")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    require_data(arguments.data)
    data = read_flags(arguments, DataConfig)
    tokenizer = read_flags(arguments, TokenizerConfig)
    from textlstm.classifier.json_files import json_text
    from textlstm.data.checks import check_corpus
    from textlstm.data.corpus import load_corpus

    with messages():
        found = check_corpus(load_corpus(arguments.data, data), tokenizer)
    if arguments.json:
        sys.stdout.write(json_text(found.to_dict()))
    else:
        show(*check_tables(found))
    say(f"next: textlstm train {shlex.join(list_names(arguments.data))} --out DIR")
    return 1 if found.warnings and arguments.strict else 0


def check_tables(found: DataCheck) -> list[Table | str]:
    """Return a check as a table, the warnings last."""
    rows = ", ".join(f"{count:,} {name}" for name, count in found.rows.items())
    most = sorted(found.labels.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{shorten(label, 40)} {count:,}" for label, count in most[:_SHOWN])
    more = f" and {len(most) - _SHOWN:,} more, down to {most[-1][1]:,}" if most[_SHOWN:] else ""
    median, often, longest, limit = found.lengths.values()
    tokens = f"median {median:,}, 95% up to {often:,}, longest {longest:,} (cut at {limit:,})"
    lines = [
        ("data", found.source),
        *(("note", note) for note in found.notes),
        ("rows", rows),
        ("labels", f"{len(most)} in train: {shown}{more}"),
        ("tokens", tokens),
        ("unknown", f"{found.unknown:.2%} of the tokens in validation"),
        *(("warning", sentence) for sentence in found.warnings.values()),
    ]
    colors = {(i, 0): "yellow" for i, (name, _) in enumerate(lines) if name == "warning"}
    table = Table(lines, head=False, left=(0, 1), styles=colors)
    return [table] if found.warnings else [table, "no warnings"]
