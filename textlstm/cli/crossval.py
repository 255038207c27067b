"""textlstm crossval DATA [DATA ...] [OPTION ...]

Estimate by cross-validation how well a classifier learns from DATA without a test split.

Rows are split into folds, stratified by label. For each fold, a classifier is trained on the
other folds, of which a sample is held out to select the best epoch, and evaluated on the fold.
The table on stdout has a row for each fold, then mean, standard deviation, minimum and maximum.
No classifier is saved; `textlstm train DATA` trains one on all rows.

All options below but --folds, --json and --resume are those of train and apply to each training.
Ctrl-C and SIGTERM stop it with a table of the finished folds; with --json FILE, --resume
continues with the others.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from textlstm.cli.console import interrupt_code, messages, say
from textlstm.cli.parser import add_data
from textlstm.cli.paths import list_names, require_apart, require_data
from textlstm.cli.runs import errors_of_all
from textlstm.cli.tables import show
from textlstm.cli.train_options import add_train_options, read_train_options
from textlstm.config import CrossvalConfig
from textlstm.errors import ConfigError
from textlstm.io.atomic import write_text
from textlstm.options import add_flags, read_flags
from textlstm.training.launch import read_rank

if TYPE_CHECKING:
    from textlstm.training.crossval import CrossValidation


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_data(parser, "as for train; only its train split is used")
    add_flags(parser, CrossvalConfig, "folds")
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the figures as JSON after each fold; - writes only them, to stdout",
    )
    parser.add_argument(
        "--resume", action="store_true", help="skip the folds that are already in FILE"
    )
    add_train_options(parser, hidden=("validation", "test", "test_fraction"))


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    rank = read_rank()
    with errors_of_all():
        require_data(arguments.data)
        require_apart(arguments.json or "-", arguments.data)
        options = read_train_options(arguments)
        folds = read_flags(arguments, CrossvalConfig).folds
        done = _read(arguments.json) if arguments.resume else None
    from textlstm.classifier.json_files import json_text
    from textlstm.training.crossval import cross_validate, crossval_tables

    file = None if arguments.json == "-" else arguments.json
    result: CrossValidation | None = None  # the folds that are done

    def keep(found: CrossValidation) -> None:
        nonlocal result
        if result is None and found.results:
            say(f"{len(found.results)} of {found.folds} folds are already done")
        result = found
        if file:
            write_text(file, json_text(found.to_dict()))

    code = 0
    try:
        with messages(shown=rank.is_main):
            cross_validate(
                arguments.data,
                folds=folds,
                done=done,
                on_fold=keep if rank.is_main else None,
                **options,
            )
    except KeyboardInterrupt as stop:
        code = interrupt_code(stop)
    if not rank.is_main:
        return code
    if result and result.results:
        if arguments.json == "-":
            sys.stdout.write(json_text(result.to_dict()))
        else:
            show(*crossval_tables(result))
    if code:
        say(_how_to_resume(arguments) if result and file else "interrupted")
    else:
        say(f"next: textlstm train {shlex.join(list_names(arguments.data))} --out DIR")
    return code


def _how_to_resume(arguments: argparse.Namespace) -> str:
    words = arguments.words if arguments.resume else [*arguments.words, "--resume"]
    command = "textlstm" if read_rank().size == 1 else "torchrun ... -m textlstm"
    return f"to resume: {command} {shlex.join(words)}"


def _read(path: str | None) -> CrossValidation | None:
    """Read what --json of an earlier run wrote; None if there is no such file."""
    if path is None or path == "-":
        raise ConfigError("--resume continues with the folds in a file: name it with --json FILE")
    from textlstm.training.crossval import CrossValidation

    try:
        return CrossValidation.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot resume from {path}: {reason}") from error
