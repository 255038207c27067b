"""What the commands that train share: arguments, Ctrl-C, resume and the last lines."""

from __future__ import annotations

import argparse
import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from textlstm.cli.console import interrupt_code, messages, say
from textlstm.cli.parser import add_data
from textlstm.cli.paths import require_data
from textlstm.cli.train_options import read_train_options
from textlstm.errors import ConfigError, PeerError, TextLSTMError
from textlstm.training.launch import read_rank


def add_run(
    parser: argparse.ArgumentParser, result: str, data: str, *, part: str = "epoch"
) -> None:
    """Add the arguments of a run into a folder.

    Args:
        parser: gets them.
        result: what the run makes, such as 'model'.
        data: the help of DATA.
        part: of what the run consists; the best one is kept.
    """
    add_data(parser, data, nargs="*")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help=f"the {result} folder, new or empty"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue the unfinished run in DIR, with its data and options",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help=f"replace the {result} or run that DIR holds"
    )
    parser.add_argument(
        "--finish",
        action="store_true",
        help=f"make a {result} of the best {part} so far of the unfinished run in DIR",
    )


@contextlib.contextmanager
def errors_of_all() -> Iterator[None]:
    """Let only the first of several processes show an error in the block, which all of them meet.

    Raises:
        PeerError: in the other processes.
    """
    try:
        yield
    except TextLSTMError as error:
        if read_rank().is_main:
            raise
        raise PeerError(str(error)) from error


def run_command(
    arguments: argparse.Namespace,
    begin: Callable[..., object],
    *,
    command: str = "train",
    result: str = "model",
    following: str = "textlstm predict DIR 'some text', or textlstm evaluate DIR DATA",
    part: str = "epoch",
    read_options: Callable[[], dict[str, Any]] | None = None,
    is_unfinished: Callable[[], bool] | None = None,
) -> int:
    """Train, say how to go on, and return the exit code.

    Args:
        arguments: those of `add_run`; of them `out` is enough where `read_options` is given.
        begin: trains, with the options.
        command: the command that resumes it.
        result: what the run makes.
        following: the next command, in which DIR stands for the folder.
        part: as for `add_run`.
        read_options: returns the options; those of train, and the arguments of `add_run`, if not
            given.
        is_unfinished: whether there is a run to resume; that of a training if not given.
    """
    rank = read_rank()
    with errors_of_all():
        options = read_options() if read_options else _read(arguments)
    command = f"{'textlstm' if rank.size == 1 else 'torchrun ... -m textlstm'} {command}"
    out = shlex.quote(arguments.out)
    resume = f"to resume: {command} --resume --out {out}"
    unfinished = is_unfinished or (lambda: _is_unfinished(arguments))
    try:
        with messages(shown=rank.is_main):
            begin(**options)
    except KeyboardInterrupt as stop:
        if rank.is_main:
            if unfinished():
                say(f"for a {result} of the best {part} so far: {command} --finish --out {out}")
            say(resume if unfinished() else "interrupted")
        return interrupt_code(stop)
    if not rank.is_main:
        return 0
    say(f"the {result} is in {Path(arguments.out)}")
    if unfinished():
        say(f"--max-minutes has elapsed; the {result} is of the best epoch so far")
        say(f"to end the run with it: {command} --finish --out {out}")
        say(resume)
    else:
        say(f"next: {following.replace('DIR', out)}")
    return 0


def _read(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of train, and those of `add_run`."""
    if arguments.data is not None:
        require_data(arguments.data)
    elif not (arguments.resume or arguments.finish):
        raise ConfigError(
            "DATA is missing: pass a file, a folder or a Hub dataset, or `sample` for the bundled "
            "reviews"
        )
    given = {name: getattr(arguments, name) for name in ("out", "resume", "overwrite", "finish")}
    return {"source": arguments.data, **given, **read_train_options(arguments)}


def _is_unfinished(arguments: argparse.Namespace) -> bool:
    from textlstm.training.run_folder import RunFolder

    return RunFolder(arguments.out).is_unfinished()
