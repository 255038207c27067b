"""textlstm predict."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from textlstm.cli.console import counting, messages, say
from textlstm.cli.model import add_model, load_model
from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError
from textlstm.options import add_flags, build, names_of

if TYPE_CHECKING:
    from textlstm.classifier.labelling import Summary

_DESCRIPTION = """\
Label rows, or the lines of stdin.

INPUT is a csv, tsv, json lines or parquet file (also .gz or .zst), a folder of such files or a
quoted pattern of their names, a folder of save_to_disk, the name of a Hub dataset, or - for
stdin, where each line is a text. The files of a folder must have the same columns.

OUTPUT is a file of one of these formats, by its suffix, or a folder, which gets parquet parts.
All columns are kept; label, score and error are added. A row without a usable text gets no
label, and the reason in error (in json lines, other rows have no error).

OUTPUT appears when it is whole. Until then what is done is kept beside it; after Ctrl-C, a
crash or a full disk, the same command with --resume goes on, and OUTPUT comes out the same."""


def add_parser(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    parser = commands.add_parser(
        "predict",
        help="label texts",
        usage="textlstm predict MODEL INPUT --out OUTPUT [OPTION ...]",
        description=_DESCRIPTION,
    )
    add_model(parser)
    parser.add_argument("input", metavar="INPUT", help="what to read, or -")
    parser.add_argument(
        "--out",
        metavar="OUTPUT",
        help="what to write: a csv, tsv, json lines or parquet file, or a folder; - writes json "
        "lines to stdout, as is done for INPUT - if nothing else is said",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUTPUT if it exists")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run of OUTPUT that was broken off"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 2 if any row got no label; OUTPUT is written all the same",
    )
    add_flags(parser, PredictionConfig, "prediction")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out; give the exit code."""
    out = arguments.out or ("-" if arguments.input == "-" else None)
    if out is None:
        raise ConfigError("--out is missing: name the file to write, or - for stdout")
    if arguments.resume and "-" in (arguments.input, out):
        stream = "read stdin again" if arguments.input == "-" else "go on with stdout"
        raise ConfigError(f"--resume cannot {stream}: name a file")
    names = names_of(PredictionConfig)
    config = build(PredictionConfig, {k: v for k, v in vars(arguments).items() if k in names})
    from textlstm.prediction.files import unfinished

    try:
        with messages(), _term_as_interrupt():
            summary = _classify(arguments, out, config)
    except KeyboardInterrupt as stop:
        if out != "-" and arguments.input != "-" and unfinished(out):
            again = [] if arguments.resume else ["--resume"]
            say(f"to go on: {shlex.join(['textlstm', *arguments.words, *again])}")
        else:
            say("interrupted")
        return 143 if isinstance(stop, _Terminated) else 130
    failed = sum(summary.failed.values())
    if failed:
        reasons = ", ".join(f"{reason} ({n:,})" for reason, n in summary.failed.most_common(3))
        more = ", ..." if len(summary.failed) > 3 else ""
        say(f"{failed:,} of {summary.rows:,} rows got no label: {reasons}{more}; see their error")
    if out != "-":
        say(f"{summary.rows:,} rows are in {out}")
    return 2 if failed and arguments.strict else 0


def _classify(arguments: argparse.Namespace, out: str, config: PredictionConfig) -> Summary:
    from textlstm.nn.device import cpu_threads
    from textlstm.prediction.files import classify_file, classify_lines

    here = config.engine == "torch"  # other engines take the weights from this model
    with cpu_threads(config.threads):
        classifier = load_model(
            arguments,
            device=config.device if here else "cpu",
            precision=config.precision if here else "fp32",
        )
        target = sys.stdout.buffer if out == "-" else out
        options: dict[str, Any] = {"overwrite": arguments.overwrite}
        if arguments.input == "-":  # no count of rows between the lines that somebody types
            return classify_lines(classifier, sys.stdin.buffer, target, config, **options)
        with counting("rows") as progress:
            options.update(resume=arguments.resume, progress=progress)
            return classify_file(classifier, arguments.input, target, config, **options)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a run like Ctrl-C."""


@contextlib.contextmanager
def _term_as_interrupt() -> Iterator[None]:
    def handle(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if ours:
        signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
