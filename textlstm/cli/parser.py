"""The arguments of all commands. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from textlstm.cli import crossval, evaluate, export, inspect, predict, train, vocab
from textlstm.errors import PeerError
from textlstm.training.launch import read_place
from textlstm.version import __version__

ERROR_CODE = 2


def complain(message: str) -> None:
    """Write an error to stderr, in one line."""
    sys.stderr.write(f"textlstm: error: {' '.join(message.split())}\n")


class Parser(argparse.ArgumentParser):
    """A parser whose complaints take one line and name the help to look at."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)
        self.set_defaults(parser=self)  # the innermost one wins: that of the command

    def error(self, message: str) -> NoReturn:
        """Complain and end the process."""
        if not read_place().is_main:
            raise PeerError(message)
        complain(f"{message} (see {self.prog} --help)")
        raise SystemExit(ERROR_CODE)


def build_parser() -> Parser:
    """Make the parser of the command line; each command's function is in `run`."""
    parser = Parser(
        prog="textlstm",
        description="Train, evaluate, run and export text classifiers on a bidirectional LSTM.",
        epilog="textlstm COMMAND --help tells about a command. First steps:\n"
        "  textlstm train sample --out my-model\n"
        "  echo 'a wonderful film' | textlstm predict my-model -",
    )
    parser.add_argument("--version", action="version", version=f"textlstm {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (train, evaluate, crossval, predict, export, vocab, inspect):
        command.add_parser(commands)
    return parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line.

    Args:
        arguments: those of the process if not given.

    Returns:
        The values; `run` is the command's function, `words` the command line itself.
    """
    values, unknown = build_parser().parse_known_args(arguments)
    if unknown:
        parser = values.parser
        known = [flag for action in parser._actions for flag in action.option_strings]
        close = difflib.get_close_matches(unknown[0].partition("=")[0], known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    values.words = list(sys.argv[1:] if arguments is None else arguments)
    return values
