"""textlstm predict."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from textlstm.cli.console import counting, messages, say
from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError
from textlstm.options import add_flags, build, names_of

_DESCRIPTION = """\
Label the rows of a file, or the lines of stdin.

INPUT is a csv, tsv, json lines or parquet file, or - for stdin, where each line is a text.
All columns are kept; label, score and error are added. A row without a usable text gets no
label, and the reason in error (in json lines, other rows have no error)."""


def add_parser(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    parser = commands.add_parser(
        "predict",
        help="label texts",
        usage="textlstm predict MODEL INPUT --out OUTPUT [OPTION ...]",
        description=_DESCRIPTION,
    )
    parser.add_argument("model", metavar="MODEL", help="the model folder")
    parser.add_argument("input", metavar="INPUT", help="the file to read, or -")
    parser.add_argument(
        "--out",
        metavar="OUTPUT",
        help="the file to write: csv, tsv, json lines or parquet by its suffix; - writes json "
        "lines to stdout, as is done for INPUT - if nothing else is said",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUTPUT if it exists")
    add_flags(parser, PredictionConfig, "prediction")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out; give the exit code."""
    out = arguments.out or ("-" if arguments.input == "-" else None)
    if out is None:
        raise ConfigError("--out is missing: name the file to write, or - for stdout")
    names = names_of(PredictionConfig)
    config = build(PredictionConfig, {k: v for k, v in vars(arguments).items() if k in names})
    from textlstm.classifier import TextClassifier
    from textlstm.classify import classify_file, classify_lines
    from textlstm.runtime import cpu_threads

    with messages(), cpu_threads(config.threads):
        classifier = TextClassifier.load(
            arguments.model, device=config.device, precision=config.precision
        )
        target = sys.stdout.buffer if out == "-" else out
        if arguments.input == "-":  # no count of rows between the lines that somebody types
            summary = classify_lines(
                classifier, sys.stdin.buffer, target, config, overwrite=arguments.overwrite
            )
        else:
            with counting("rows") as progress:
                summary = classify_file(
                    classifier,
                    arguments.input,
                    target,
                    config,
                    overwrite=arguments.overwrite,
                    progress=progress,
                )
    failed = sum(summary.failed.values())
    if failed:
        reasons = ", ".join(f"{reason} ({n:,})" for reason, n in summary.failed.most_common(3))
        say(f"{failed:,} of {summary.rows:,} rows got no label: {reasons}; see their error")
    if out != "-":
        say(f"{summary.rows:,} rows are in {out}")
    return 0
