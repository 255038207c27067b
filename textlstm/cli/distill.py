"""textlstm distill MODEL [MODEL ...] --out DIR [OPTION ...]

Train a small classifier that learns from the probabilities of MODEL, or the mean of several, and
from the labels of its data. Texts without labels (--unlabeled) make it learn more from MODEL.

Data, tokenizer, pooling, n-grams and seed are those of MODEL unless options say otherwise; with
--init-from, tokenizer and pooling are as in train. Resume an interrupted run with textlstm train
--resume --out DIR.
"""

from __future__ import annotations

import argparse
from typing import Any

import textlstm
from textlstm.cli.paths import require_data, require_model
from textlstm.cli.runs import run_command
from textlstm.cli.train_options import add_train_options, read_train_options
from textlstm.config import DISTILL_DEFAULTS, DISTILL_SHARED


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "model", nargs="+", metavar="MODEL", help="a model folder, or owner/name on the Hub"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="DATA",
        help="what to train on, as for train (default: the data of MODEL)",
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="the model folder, new or empty"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the model or run that DIR holds"
    )
    # None shows no default: it is what MODEL has
    defaults: dict[str, Any] = {**dict.fromkeys(DISTILL_SHARED), **DISTILL_DEFAULTS}
    add_train_options(parser, defaults=defaults, hidden=("teacher", "teacher_columns"))


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""

    def options() -> dict[str, Any]:
        for name in arguments.model:
            require_model(name)
        require_data(arguments.data or [])
        return read_train_options(arguments)

    def begin(**given: Any) -> None:
        data = arguments.data
        data = data[0] if data and len(data) == 1 else data
        given["overwrite"] = arguments.overwrite
        textlstm.distill(arguments.model, data, arguments.out, **given)

    return run_command(arguments, begin, read_options=options)
