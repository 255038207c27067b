"""textlstm evaluate."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from typing import TYPE_CHECKING

from textlstm.cli.console import messages, say
from textlstm.cli.model import add_model, load_model
from textlstm.cli.paths import require_data, require_model
from textlstm.config import DataConfig, PredictionConfig
from textlstm.io.atomic import write_text
from textlstm.options import add_flags, build

if TYPE_CHECKING:
    from textlstm.classifier.classifier import TextClassifier
    from textlstm.data.corpus import Split

DATA_OPTIONS = (
    *("text_column", "label_column", "label_separator", "delimiter"),
    *("dataset_config", "dataset_revision"),
)
_RUN = ("batch_size", "precision", "threads", "device")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command, and its function."""
    parser.usage = "textlstm evaluate MODEL DATA [OPTION ...]"
    parser.description = "Evaluate a classifier on labelled data; the table goes to stdout."
    add_model(parser)
    parser.add_argument("data", metavar="DATA", help="as for train; all rows of a single file")
    parser.add_argument("--split", help="split of DATA to evaluate (default: test)")
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="also write the figures as JSON; - writes only them, to stdout",
    )
    add_flags(parser, DataConfig, "data", only=DATA_OPTIONS)
    add_flags(parser, PredictionConfig, "computing", only=_RUN)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    given = {name: value for name, value in vars(arguments).items() if name in _RUN}
    config = build(PredictionConfig, given)
    require_model(arguments.model)
    require_data(arguments.data)
    from textlstm.evaluation.metrics import format_metrics
    from textlstm.nn.device import cpu_threads

    with messages(), cpu_threads(config.threads):
        classifier = load_model(arguments, device=config.device, precision=config.precision)
        split, notes = load_labelled(arguments, classifier)
        for note in notes:
            say(note)
        metrics = classifier.evaluate(split, batch_size=config.batch_size)
    text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
    if arguments.json == "-":
        sys.stdout.write(text)
        return 0
    sys.stdout.write(format_metrics(metrics) + "\n")
    if arguments.json:
        write_text(arguments.json, text)
    say(f"next: textlstm predict {shlex.quote(arguments.model)} INPUT --out OUTPUT")
    return 0


def load_labelled(
    arguments: argparse.Namespace, classifier: TextClassifier
) -> tuple[Split, list[str]]:
    """Read the split to evaluate (see `textlstm.classifier.labelled.load_labelled`)."""
    from textlstm.classifier import labelled

    return labelled.load_labelled(
        arguments.data,
        classifier.labels,
        trained=classifier.settings.data,
        trained_source=classifier.record.source,
        multi_label=classifier.multi_label,
        split=arguments.split,
        options={name: value for name, value in vars(arguments).items() if name in DATA_OPTIONS},
    )
