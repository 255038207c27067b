"""textlstm evaluate MODEL DATA [DATA ...] [OPTION ...]

Evaluate a classifier on labelled data; the table goes to stdout.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textlstm.cli.console import messages, say
from textlstm.cli.model import add_model, is_onnx_folder, load_model
from textlstm.cli.parser import add_data
from textlstm.cli.paths import list_names, require_apart, require_data, require_model
from textlstm.cli.tables import show, terminal
from textlstm.config import DATA_OPTIONS, DataConfig, PredictionConfig
from textlstm.errors import ConfigError
from textlstm.io.atomic import write_text
from textlstm.options import add_flags, read_flags

if TYPE_CHECKING:
    from textlstm.classifier.classifier import TextClassifier
    from textlstm.data.corpus import Split
    from textlstm.prediction.engines import Model

_RUN = ("cascade", "batch_size", "precision", "threads", "device")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_model(parser)
    add_data(parser, "as for train; all rows of files")
    parser.add_argument("--split", help="split of DATA to evaluate (default: test)")
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="also write the figures as JSON; - writes only them, to stdout",
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="also write a page to look at, FILE.html, and its figures beside it, FILE.json",
    )
    parser.add_argument(
        "--compare", metavar="MODEL2", help="a second model, to compare with in the report"
    )
    add_flags(parser, DataConfig, "data", only=DATA_OPTIONS)
    add_flags(parser, PredictionConfig, "computing", only=_RUN)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    config = read_flags(arguments, PredictionConfig, _RUN)
    require_model(arguments.model)
    require_data(arguments.data)
    _check_report(arguments, config)
    if arguments.json:
        require_apart(arguments.json, arguments.data)
    from textlstm.classifier.json_files import json_text
    from textlstm.evaluation.metrics import metric_tables

    with messages():
        if is_onnx_folder(arguments.model):
            metrics = _evaluate_onnx(arguments, config)
        else:
            from textlstm.nn.device import cpu_threads

            with cpu_threads(config.threads):
                classifier = load_model(arguments, device=config.device, precision=config.precision)
                split = load_split(arguments, classifier)
                run_options: Any = {"cascade": config.cascade, "batch_size": config.batch_size}
                if arguments.report:
                    metrics = _report(arguments, config, classifier, split)
                else:
                    metrics = classifier.evaluate(split, **run_options)
    if arguments.json == "-":
        sys.stdout.write(json_text(metrics))
        return 0
    console = terminal()
    show(*(metric_tables(metrics, console.width) if console else metric_tables(metrics)))
    if arguments.json:
        write_text(arguments.json, json_text(metrics))
    say(f"next: textlstm predict {shlex.quote(arguments.model)} INPUT --out OUTPUT")
    return 0


def _check_report(arguments: argparse.Namespace, config: PredictionConfig) -> None:
    """Raise an error if the report can't be written as it is asked for."""
    if arguments.compare:
        require_model(arguments.compare)
        if not arguments.report:
            raise ConfigError("--compare is a part of the report: pass --report FILE.html, too")
    if not arguments.report:
        return
    if config.cascade is not None or is_onnx_folder(arguments.model):
        raise ConfigError(
            "--report is of the whole model: pass no --cascade, and as MODEL the folder that "
            "training wrote, not an ONNX export of it"
        )
    from textlstm.classifier.report import require_page

    require_page(arguments.report)
    for suffix in (".html", ".json"):
        require_apart(Path(arguments.report).with_suffix(suffix), arguments.data)


def _report(
    arguments: argparse.Namespace,
    config: PredictionConfig,
    classifier: TextClassifier,
    split: Split,
) -> dict[str, Any]:
    """Write the report, and return the figures of the evaluation."""
    from textlstm.classifier.classifier import TextClassifier
    from textlstm.classifier.report import evaluate_texts, sampled, write_report

    other = None
    if arguments.compare:
        options: Any = {"device": config.device, "precision": config.precision}
        other = TextClassifier.from_pretrained(arguments.compare, **options)
    some, note = sampled(classifier, split)
    evaluated = evaluate_texts(classifier, some, other=other, batch_size=config.batch_size)
    name, second = Path(arguments.model).resolve().name, ""
    if arguments.compare:
        second = Path(arguments.compare).resolve().name
    if name == second:
        name, second = arguments.model, arguments.compare
    data = ", ".join(list_names(arguments.data))
    data += f" ({arguments.split})" if arguments.split else ""
    found = write_report(
        arguments.report, classifier, some, evaluated, name=name, data=data + note, other=second
    )
    say(f"wrote {arguments.report}{note}")
    if note:
        return classifier.evaluate(split, batch_size=config.batch_size)
    metrics: dict[str, Any] = found["metrics"]
    return metrics


def _evaluate_onnx(arguments: argparse.Namespace, config: PredictionConfig) -> dict[str, Any]:
    """Evaluate a folder that `export --format onnx` wrote."""
    from textlstm.evaluation.metrics import evaluate_parts
    from textlstm.export.onnx_model import OnnxModel
    from textlstm.prediction.engines import make_engine

    model = OnnxModel(arguments.model)
    engine = make_engine(model, dataclasses.replace(config, engine="onnx"))
    split = load_split(arguments, model)
    parts = (engine.predict(engine.encode(batch))[0] for batch in split.texts())
    return evaluate_parts(split.labels, parts, model.labels, thresholds=model.thresholds)


def load_split(arguments: argparse.Namespace, model: Model, default: str = "test") -> Split:
    """Read the split to evaluate."""
    from textlstm.classifier.labelled import load_labelled

    options = {name: value for name, value in vars(arguments).items() if name in DATA_OPTIONS}
    named: Any = {"split": arguments.split, "default": default}
    return load_labelled(arguments.data, model, **named, options=options)
