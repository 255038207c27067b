"""textlstm train [DATA ...] --out DIR [OPTION ...]

Train a classifier and write its model folder.

DATA is a csv, tsv, json lines or parquet file or several, a .txt file of fastText lines
(__label__pos ...), a quoted pattern such as 'data/*.csv', a folder of such files by split or of
parts of one table, a folder with one folder of .txt files per label, a folder written by
save_to_disk, the name of a Hub dataset, - for stdin (json lines, csv or lines of fastText), or
`sample` for the bundled reviews.
With --resume and --finish it can be omitted.

Ctrl-C and SIGTERM stop the training after the current step; --resume continues from there,
as it does after a crash, and --finish makes a model of the best epoch so far.
"""

from __future__ import annotations

import argparse

import textlstm
from textlstm.cli.runs import add_run, run_command
from textlstm.cli.train_options import add_train_options


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_run(parser, "model", "what to train on; several files are one table")
    add_train_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    return run_command(arguments, lambda **options: textlstm.train(**options))
