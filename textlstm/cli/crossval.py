"""textlstm crossval DATA [DATA ...] [OPTION ...]

Estimate by cross-validation how well a classifier learns from DATA without a test split.

Rows are split into folds, stratified by label. For each fold, a classifier is trained on the
other folds, of which a sample is held out to select the best epoch, and evaluated on the fold.
The table on stdout has a row for each fold, then mean, standard deviation, minimum and maximum.
No classifier is saved; `textlstm train DATA` trains one on all rows.

All options of train except --validation, --test and --test-fraction apply to each training.
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
from textlstm.cli.tables import show
from textlstm.cli.train_options import add_train_options, read_train_options
from textlstm.config import CrossvalConfig
from textlstm.errors import ConfigError, PeerError, TextLSTMError
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
    add_train_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    rank = read_rank()
    try:
        require_data(arguments.data)
        require_apart(arguments.json or "-", arguments.data)
        options = read_train_options(arguments)
        folds = read_flags(arguments, CrossvalConfig).folds
        done = _read(arguments.json) if arguments.resume else None
    except TextLSTMError as error:
        if rank.is_main:
            raise
        raise PeerError(str(error)) from error  # all processes meet it
    from textlstm.cli.progress import Progress
    from textlstm.nn.memory import keep_freed_memory
    from textlstm.training.crossval import cross_validate

    record = _Record(arguments.json)
    code = 0
    keep_freed_memory()
    try:
        with messages(shown=rank.is_main):
            cross_validate(
                arguments.data,
                folds=folds,
                done=done,
                on_fold=record.keep if rank.is_main else None,
                observer=Progress() if rank.is_main else None,
                **options,
            )
    except KeyboardInterrupt as stop:
        code = interrupt_code(stop)
    if rank.is_main:
        record.show()
        if code:
            record.say_how_to_resume(arguments)
        else:
            say(f"next: textlstm train {shlex.join(list_names(arguments.data))} --out DIR")
    return code


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


class _Record:
    """The folds that are done: saved after each, shown at the end.

    Args:
        path: file for the figures, - for stdout, None for nowhere.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._result: CrossValidation | None = None

    def keep(self, result: CrossValidation) -> None:
        """Save what is done."""
        first, self._result = self._result is None, result
        if self._path not in (None, "-"):
            write_text(str(self._path), self._json())
        if first and result.results:
            say(f"{len(result.results)} of {result.folds} folds are already done")

    def show(self) -> None:
        """Write the table, or with --json - the JSON, to stdout."""
        if self._result is None or not self._result.results:
            return
        from textlstm.training.crossval import crossval_tables

        if self._path == "-":
            sys.stdout.write(self._json())
        else:
            show(*crossval_tables(self._result))

    def say_how_to_resume(self, arguments: argparse.Namespace) -> None:
        """Show how to continue after an interruption."""
        if self._result is None or self._path in (None, "-"):
            say("interrupted")
            return
        words = arguments.words if arguments.resume else [*arguments.words, "--resume"]
        command = "textlstm" if read_rank().size == 1 else "torchrun ... -m textlstm"
        say(f"to resume: {command} {shlex.join(words)}")

    def _json(self) -> str:
        assert self._result is not None
        return json.dumps(self._result.to_dict(), indent=2, ensure_ascii=False) + "\n"
