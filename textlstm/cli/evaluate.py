"""textlstm evaluate."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

from textlstm.cli.console import messages, say
from textlstm.cli.model import add_model, load_model
from textlstm.config import DataConfig, PredictionConfig
from textlstm.errors import DataError
from textlstm.io.atomic import write_text
from textlstm.options import add_flags, build

if TYPE_CHECKING:
    from textlstm.classifier.classifier import TextClassifier
    from textlstm.data.corpus import Split

DATA_OPTIONS = (
    *("text_column", "label_column", "label_separator"),
    *("dataset_config", "dataset_revision"),
)
_RUN = ("batch_size", "precision", "threads", "device")


def add_parser(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    parser = commands.add_parser(
        "evaluate",
        help="judge a classifier on labelled data",
        usage="textlstm evaluate MODEL DATA [OPTION ...]",
        description="Judge a classifier on labelled data; the table goes to stdout.",
    )
    add_model(parser)
    parser.add_argument("data", metavar="DATA", help="as for train; a single file is judged whole")
    parser.add_argument(
        "--split", default="test", help="which split of DATA to judge (default: %(default)s)"
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the figures as JSON too; - writes only them, to stdout",
    )
    add_flags(parser, DataConfig, "data", only=DATA_OPTIONS)
    add_flags(parser, PredictionConfig, "running", only=_RUN)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out; give the exit code."""
    given = {name: value for name, value in vars(arguments).items() if name in _RUN}
    running = build(PredictionConfig, given)
    from textlstm.evaluation.metrics import format_metrics
    from textlstm.nn.device import cpu_threads

    with messages(), cpu_threads(running.threads):
        classifier = load_model(arguments, device=running.device, precision=running.precision)
        split, notes = load_labelled(arguments, classifier)
        for note in notes:
            say(note)
        metrics = classifier.evaluate(split, batch_size=running.batch_size)
    text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
    if arguments.json == "-":
        sys.stdout.write(text)
        return 0
    sys.stdout.write(format_metrics(metrics) + "\n")
    if arguments.json:
        write_text(arguments.json, text)
    return 0


def load_labelled(
    arguments: argparse.Namespace, classifier: TextClassifier
) -> tuple[Split, list[str]]:
    """Read the split, its columns as given, else as in training, else guessed."""
    given = {name: value for name, value in vars(arguments).items() if name in DATA_OPTIONS}
    trained = classifier.settings.data
    if arguments.data != classifier.record.source:  # the same columns in another place
        trained = dataclasses.replace(trained, dataset_config=None, dataset_revision=None)
    from textlstm.data.corpus import load_split

    def load(config: DataConfig) -> tuple[Split, list[str]]:
        return load_split(
            arguments.data,
            arguments.split,
            config,
            classifier.labels,
            multi_label=classifier.multi_label,
        )

    config = dataclasses.replace(trained, **given)
    guessed = dataclasses.replace(DataConfig(), **given)
    try:
        return load(config)
    except DataError as error:
        if config == guessed:
            raise
        try:
            return load(guessed)
        except DataError:
            raise error from None
