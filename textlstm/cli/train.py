"""textlstm train."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textlstm.cli.console import interrupt_code, messages, say, term_as_interrupt
from textlstm.cli.parser import add_data
from textlstm.cli.paths import require_data
from textlstm.cli.train_options import add_train_options, read_train_options
from textlstm.errors import ConfigError, PeerError, TextLSTMError
from textlstm.training.launch import read_rank

_DESCRIPTION = """\
Train a classifier and write its model folder.

DATA is a csv, tsv, json lines or parquet file or several, a .txt file of fastText lines
(__label__pos ...), a quoted pattern such as 'data/*.csv', a folder of such files by split or of
parts of one table, a folder with one folder of .txt files per label, a folder written by
save_to_disk, the name of a Hub dataset, - for stdin (json lines, csv or lines of fastText), or
`sample` for the bundled reviews.
With --resume and --finish it can be omitted.

Ctrl-C and SIGTERM stop the training after the current step; --resume continues from there,
as it does after a crash, and --finish makes a model of the best epoch so far."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.usage = "textlstm train [DATA] --out DIR [OPTION ...]"
    parser.description = _DESCRIPTION
    add_data(parser, "what to train on; several files are one table", nargs="*")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="the model folder, new or empty"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the unfinished run in DIR, with its data and options",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the model or run that DIR holds"
    )
    parser.add_argument(
        "--finish",
        action="store_true",
        help="make a model of the best epoch so far of the unfinished run in DIR",
    )
    add_train_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""

    def begin(**options: Any) -> None:
        from textlstm.training.train import train

        train(
            arguments.data,
            arguments.out,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
            finish=arguments.finish,
            **options,
        )

    return run_training(arguments.out, lambda: _options(arguments), begin)


def run_training(
    out: str, read_options: Callable[[], dict[str, Any]], begin: Callable[..., object]
) -> int:
    """Train, say how to go on, and return the exit code.

    Args:
        out: the model folder.
        read_options: returns the options of the training; its errors are told once.
        begin: trains, with these options and `observer`.
    """
    rank = read_rank()
    try:
        options = read_options()
    except TextLSTMError as error:
        if rank.is_main:
            raise
        raise PeerError(str(error)) from error  # all processes meet it
    from textlstm.cli.progress import Progress
    from textlstm.nn.memory import keep_freed_memory

    command = "textlstm" if rank.size == 1 else "torchrun ... -m textlstm"
    folder, out = out, shlex.quote(out)
    resume = f"to resume: {command} train --resume --out {out}"
    keep_freed_memory()
    try:
        # one of several processes, which waits for the others, would ignore SIGTERM
        with messages(shown=rank.is_main), term_as_interrupt(wanted=rank.size == 1):
            begin(observer=Progress() if rank.is_main else None, **options)
    except KeyboardInterrupt as stop:
        if rank.is_main:
            if _is_unfinished(folder):
                say(f"for a model of the best epoch so far: {command} train --finish --out {out}")
            say(resume if _is_unfinished(folder) else "interrupted")
        return interrupt_code(stop)
    if not rank.is_main:
        return 0
    say(f"the model is in {Path(folder)}")
    if _is_unfinished(folder):
        say("--max-minutes are over; the model is of the best epoch so far")
        say(f"to end the run with it: {command} train --finish --out {out}")
        say(resume)
    else:
        say(f"next: textlstm predict {out} 'some text', or textlstm evaluate {out} DATA")
    return 0


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.data is not None:
        require_data(arguments.data)
    elif not (arguments.resume or arguments.finish):
        raise ConfigError(
            "DATA is missing: pass a file, a folder or a Hub dataset, or `sample` for the bundled "
            "reviews"
        )
    return read_train_options(arguments)


def _is_unfinished(folder: str) -> bool:
    from textlstm.training.run_folder import RunFolder

    return RunFolder(folder).is_unfinished()
