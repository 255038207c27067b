"""textlstm pretrain [DATA ...] --out DIR [OPTION ...]

Learn tokenizer, embedding and LSTM from texts without labels, and write a base for
`train --init-from DIR`.

DATA is named as for train; labels are ignored. A fifth of the tokens is hidden, and the network
learns to predict them from both sides. The more text of the kind that will be classified, the
better. Ctrl-C and SIGTERM stop it after the current step; --resume continues from there.
"""

from __future__ import annotations

import argparse

import textlstm
from textlstm.cli.runs import add_run, run_command
from textlstm.cli.train_options import add_train_options
from textlstm.config import PRETRAIN_DEFAULTS, PRETRAIN_OPTIONS


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_run(parser, "base", "texts to learn from, with or without labels")
    add_train_options(parser, only=PRETRAIN_OPTIONS, defaults=PRETRAIN_DEFAULTS)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    return run_command(
        arguments,
        lambda **options: textlstm.pretrain(**options),
        command="pretrain",
        result="base",
        following="textlstm train DATA --init-from DIR --out MODEL",
    )
