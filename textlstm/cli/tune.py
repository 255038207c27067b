"""textlstm tune [DATA ...] --out DIR [OPTION ...]

Search for settings that are better on validation than the defaults, and keep the best model.

Trainings run one after the other, the first with the default settings; those that fall behind
are stopped early. DIR is then the model folder of the best one, with a table of all (trials.csv),
a page to look at (tune.html) and settings.toml, with which train --config makes the same model.
A test split is evaluated once, at the end.

Options of train that you pass keep their value. Of the others, learning rate, batch size,
epochs, the sizes of the network, pooling, n-grams, --min-frequency, dropout and regularization
are tuned. Ctrl-C and SIGTERM stop the search; --resume continues it, as it does after a crash,
and --finish keeps the best model so far.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textlstm.cli.console import is_verbose
from textlstm.cli.runs import add_run, run_command
from textlstm.cli.train_options import add_train_options
from textlstm.config import MONITORS, TuneConfig
from textlstm.io.progress import Display
from textlstm.options import add_flags, names_of

_CHATTY = ("loop", "fit", "fit_ngrams", "pretrained")  # modules that log each training


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_run(parser, "model", "what to train on, as for train", part="trial")
    add_flags(parser, TuneConfig, "tuning")
    add_train_options(parser)
    parser.add_argument(
        "--metric",
        dest="monitor",
        choices=MONITORS,
        default=argparse.SUPPRESS,
        help="validation figure to improve, the same as --monitor",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    limits = {name: vars(arguments)[name] for name in names_of(TuneConfig) if name in arguments}

    def begin(**options: Any) -> None:
        import logging

        from textlstm.training.tune import tune

        for name in () if is_verbose() else _CHATTY:
            logging.getLogger(f"textlstm.training.{name}").setLevel(logging.WARNING)
        with Display("trials", limits.get("trials")) as trials:

            def show(row: Mapping[str, Any], best: Mapping[str, Any] | None) -> None:
                known = ""
                if best:
                    figure = best["metric"].replace("macro_f1", "macro F1")
                    known = f"{figure} {best[best['metric']]:.4f}, trial {best['trial']}"
                trials.update(trials.done + 1, best=known)

            tune(on_trial=show, **limits, **options)

    def is_unfinished() -> bool:
        from textlstm.io.work_folder import WorkFolder

        return WorkFolder(Path(arguments.out)).is_begun()

    return run_command(arguments, begin, command="tune", part="trial", is_unfinished=is_unfinished)
