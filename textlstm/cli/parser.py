"""The arguments of all commands. Only the module of the command that is run is imported."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from textlstm.errors import PeerError, did_you_mean
from textlstm.training.launch import read_rank
from textlstm.version import __version__

ERROR_CODE = 2

COMMANDS = {
    "check": "check data before training",
    "train": "train a classifier",
    "pretrain": "pretrain a base on texts without labels, for train to start from",
    "distill": "train a small classifier on the probabilities of a larger one",
    "tune": "search for better settings, and keep the best model",
    "evaluate": "evaluate a classifier on labelled data",
    "crossval": "cross-validate on data without a test split",
    "predict": "label texts",
    "calibrate": "refit the cascade of a model on more data",
    "mistakes": "list the most confident mistakes and likely label errors",
    "explain": "show which words speak for a label",
    "export": "write the vocabulary, weights or network for other tools",
    "inspect": "show what a model is and how it was trained",
    "vocab": "build or show a vocabulary",
    "vectors": "list the word vectors that are known by name",
    "config": "print all options of train as a TOML file",
    "completion": "print a completion script for your shell",
}
"""Each command, with its line in the list of commands. Its module has the same name, `configure`,
`run`, and a docstring that is shown as its usage and its description."""

_TRAINING = ("train", "pretrain", "distill", "tune", "crossval", "mistakes")

_EPILOG = """\
`textlstm COMMAND --help` lists the options of a command. First steps:
  textlstm train sample --out my-model
  textlstm predict my-model "a wonderful film\""""


def complain(message: str) -> None:
    """Write an error to stderr, in one line."""
    sys.stderr.write(f"textlstm: error: {' '.join(message.split())}\n")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """argparse's own without its import of `shutil`, which loads all compressions."""

    def __init__(self, prog: str) -> None:
        width = os.environ.get("COLUMNS", "")
        if not width.isdecimal():
            width = "80"
            with contextlib.suppress(OSError, ValueError):  # stdout is not a terminal
                width = str(os.get_terminal_size(sys.stdout.fileno()).columns)
        super().__init__(prog, width=max(40, int(width) - 2))


class Parser(argparse.ArgumentParser):
    """A parser whose errors take one line and name the help to read."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", _Formatter)
        super().__init__(allow_abbrev=False, **options)
        self.set_defaults(parser=self)  # the innermost one wins: that of the command

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raise an error for a value that is none of the choices (argparse calls this)."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            self.error(f"unknown command {value!r}{did_you_mean(value, action.choices)}")
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        """Write the error and end the process."""
        if not read_rank().is_main:
            raise PeerError(message)
        complain(f"{message} (see {self.prog} --help)")
        raise SystemExit(ERROR_CODE)


class Names(argparse.Action):
    """A positional of any number of names: a str, a list of several, or None if there is none."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the names, after those that are there."""
        there = getattr(namespace, self.dest, None)
        names = [*([there] if isinstance(there, str) else there or []), *values]
        setattr(namespace, self.dest, names if len(names) > 1 else names[0] if names else None)


def positive(text: str) -> int:
    """Parse a whole number above 0."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


positive.__name__ = "whole number above 0"  # argparse prints this name


def add_data(parser: argparse.ArgumentParser, help: str, nargs: str = "+") -> None:
    """Add the argument DATA to a command."""
    parser.add_argument("data", nargs=nargs, action=Names, metavar="DATA", help=help)


def build_parser(*chosen: str) -> Parser:
    """Make the parser of the command line.

    Args:
        chosen: the commands that get their options; the others only get their line in the help.

    Returns:
        The parser; the function of a command is in `run`.
    """
    parser = Parser(
        prog="textlstm",
        description="Train, evaluate, run and export text classifiers on a bidirectional LSTM.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"textlstm {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, help_line in COMMANDS.items():
        command = commands.add_parser(name, help=help_line)
        if name in chosen:
            add_verbosity(command, default=False)
            module = importlib.import_module(f"textlstm.cli.{name}")
            usage, _, description = (module.__doc__ or "").partition("\n\n")
            command.usage, command.description = usage or None, description.strip() or None
            command.set_defaults(run=getattr(module, "run", None), trains=name in _TRAINING)
            module.configure(command)
    return parser


def add_verbosity(parser: argparse.ArgumentParser, *, default: Any = argparse.SUPPRESS) -> None:
    """Add --quiet and --verbose to a command, or without `default` to a command of a command."""
    flags = {
        "quiet": "show only warnings and errors on stderr",
        "verbose": "show the time and origin of each message, and the traceback of errors",
    }
    group = parser.add_mutually_exclusive_group()
    for name, help_line in flags.items():
        group.add_argument(
            f"-{name[0]}", f"--{name}", action="store_true", default=default, help=help_line
        )


def shown_flags(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Return the flags of a parser that its help lists."""
    return {
        flag: action
        for action in parser._actions
        if action.help is not argparse.SUPPRESS
        for flag in action.option_strings
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line.

    Args:
        arguments: default: those of the process.

    Returns:
        The values; `run` is the function of the command, `trains` whether that may train, `words`
        the command line itself.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    command = next((word for word in words if not word.startswith("-")), "")
    parser = build_parser(command)
    if not words:
        parser.print_help(sys.stderr)
        parser.error("the command is missing")
    values, unknown = parser.parse_known_args(words)
    parser = values.parser
    if several := [action for action in parser._actions if isinstance(action, Names)]:
        # argparse leaves over those behind an option
        left = [word for word in unknown if word == "-" or not word.startswith("-")]
        several[0](parser, values, left)
        unknown = [word for word in unknown if word not in left]
    if unknown:
        hint = did_you_mean(unknown[0].partition("=")[0], shown_flags(parser))
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    values.words = words
    return values
