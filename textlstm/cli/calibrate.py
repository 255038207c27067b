"""textlstm calibrate MODEL DATA [DATA ...] [OPTION ...]

Refit the cascade of MODEL on DATA: when the n-grams alone may label a text (predict --cascade).

Training fits it on validation. Do it afterwards for a model of an earlier textlstm, or with
more texts: to promise that at most 1 label in 1,000 differs takes 3,000 texts or more. DATA must
be texts like those to be predicted, which training did not learn from. The table on stdout has
for each share of labels that may differ how many texts skip the LSTM and what that changes.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from textlstm.cli.console import messages, say
from textlstm.cli.evaluate import load_split
from textlstm.cli.model import add_model, is_onnx_folder, load_model
from textlstm.cli.parser import add_data
from textlstm.cli.paths import require_data, require_model
from textlstm.cli.tables import show
from textlstm.config import DATA_OPTIONS, DataConfig, PredictionConfig
from textlstm.errors import ConfigError
from textlstm.evaluation.tables import Table
from textlstm.options import add_flags, read_flags

_RUN = ("batch_size", "threads", "device")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_model(parser, local=True)
    add_data(parser, "as for evaluate")
    parser.add_argument("--split", help="split of DATA (default: validation)")
    parser.add_argument(
        "--unlabeled",
        action="store_true",
        help="use only the texts of DATA (of train, if it has splits); scores stay as they are",
    )
    add_flags(parser, DataConfig, "data", only=DATA_OPTIONS)
    add_flags(parser, PredictionConfig, "computing", only=_RUN)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    config = read_flags(arguments, PredictionConfig, _RUN)
    require_model(arguments.model)
    if is_onnx_folder(arguments.model) or not Path(arguments.model).is_dir():
        raise ConfigError(
            f"{arguments.model}: must be a model folder on this machine, which the command "
            "rewrites (calibrate the model before you export or upload it)"
        )
    if arguments.unlabeled and arguments.split:
        raise ConfigError("--split is for data with labels: pass the file of the texts")
    require_data(arguments.data)
    from textlstm.classifier.calibrate import fit_cascade_of
    from textlstm.classifier.model_card import cascade_rows
    from textlstm.nn.device import cpu_threads

    with messages(), cpu_threads(config.threads):
        classifier = load_model(arguments, device=config.device)
        size = config.batch_size
        if arguments.unlabeled:
            from textlstm.data.corpus import load_texts

            data = read_flags(arguments, DataConfig, DATA_OPTIONS)
            texts, notes, _ = load_texts(arguments.data, data)
            for note in notes:
                say(note)
            figures = fit_cascade_of(classifier, texts(), batch_size=size)
        else:
            split = load_split(arguments, classifier, default="validation")
            figures = fit_cascade_of(classifier, split.texts(), split.labels, batch_size=size)
        classifier.save(arguments.model)
    head = ["may differ", "least certainty", "skipped", "labels differ", "accuracy"]
    show(Table([head, *cascade_rows({"cascade": figures})]))
    say(f"next: textlstm predict {shlex.quote(arguments.model)} INPUT --out OUTPUT --cascade SHARE")
    return 0
