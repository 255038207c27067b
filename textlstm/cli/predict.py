"""textlstm predict MODEL [INPUT ...] --out OUTPUT [OPTION ...]

Label the rows of a file, the lines of stdin, or a text.

INPUT is a csv, tsv, json lines, parquet or .txt file (also .gz or .zst) or several, a folder of
tables or with one folder of .txt files per label, a quoted pattern, a folder written by
save_to_disk, the name of a Hub dataset, or - for stdin, where each line is a text. Several files
must have the same columns. A quoted INPUT with spaces that is no file is a text itself; --text
TEXT is always one.

OUTPUT is a csv, tsv or json lines file (also .gz or .zst) or a parquet file, chosen by its
suffix, or a folder, which gets parquet parts. All columns are kept; label, score and error are
added. A row without a usable text, or a json line that repeats a key, gets no label, and error
says why (in json lines, only such rows have error). In parquet, a column whose values have no
common type is written as text: strings stay as they are unless they would parse as JSON; other
values become JSON.

OUTPUT appears only once it is complete. Until then, finished rows are kept beside it: after
Ctrl-C, a crash or a full disk, the same command with --resume continues, with an equal result.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import shlex
import sys
from typing import TYPE_CHECKING, Any

from textlstm.cli.console import interrupt_code, messages, say
from textlstm.cli.model import add_model, is_onnx_folder, load_model
from textlstm.cli.parser import Names
from textlstm.cli.paths import exists, is_text, list_names, require_data, require_model
from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError
from textlstm.io.progress import Display, Screen
from textlstm.options import add_flags, read_flags

if TYPE_CHECKING:
    from textlstm.classifier.labelling import Summary


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_model(parser)
    parser.add_argument(
        "input", nargs="*", action=Names, metavar="INPUT", help="files, a folder, - or a text"
    )
    parser.add_argument("--text", metavar="TEXT", help="label this text instead of INPUT")
    parser.add_argument(
        "--out",
        metavar="OUTPUT",
        help="a csv, tsv, json lines or parquet file, or a folder; - writes json lines to stdout "
        "(default for stdin and texts: -)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUTPUT if it exists")
    parser.add_argument(
        "--resume", action="store_true", help="continue the interrupted run that writes OUTPUT"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 2 if any row has no label; OUTPUT is written anyway",
    )
    add_flags(parser, PredictionConfig, "prediction")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    text = _literal_text(arguments)
    streamed = text is not None or arguments.input == "-"
    out = arguments.out or ("-" if streamed else None)
    if out is None:
        words = list_names(arguments.input)
        hint = ""
        if not any(map(exists, words)):
            shown = shlex.quote(" ".join(words))
            hint = f"; --text {shown} labels {'that word' if len(words) == 1 else 'that text'}"
        raise ConfigError(f"--out is missing: pass the file to write, or - for stdout{hint}")
    if arguments.resume and (streamed or out == "-"):
        raise ConfigError("--resume needs files: pass a file as INPUT and as --out")
    require_model(arguments.model)
    if text is None:
        require_data(arguments.input)
    config = read_flags(arguments, PredictionConfig)
    from textlstm.prediction.files import unfinished

    try:
        with messages():
            summary = _classify(arguments, out, config, text)
    except KeyboardInterrupt as stop:
        if out != "-" and not streamed and unfinished(out):
            again = [] if arguments.resume else ["--resume"]
            say(f"to resume: {shlex.join(['textlstm', *arguments.words, *again])}")
        else:
            say("interrupted")
        return interrupt_code(stop)
    failed = sum(summary.failed.values())
    if failed:
        reasons = ", ".join(f"{reason} ({n:,})" for reason, n in summary.failed.most_common(3))
        more = ", ..." if len(summary.failed) > 3 else ""
        rows = f"{summary.rows:,} " + ("row has" if summary.rows == 1 else "rows have")
        say(f"{failed:,} of {rows} no label: {reasons}{more}; see column error")
    if out != "-":
        say(f"wrote {summary.rows:,} row{'s' * (summary.rows != 1)} to {out}")
    shown = shlex.quote(arguments.model)
    if text and text.strip() and not is_onnx_folder(arguments.model):
        say(f"next: textlstm explain {shown} {shlex.quote(text)}")
    else:
        say(f"next: textlstm evaluate {shown} DATA, on texts with labels")
    return 2 if failed and arguments.strict else 0


def _literal_text(arguments: argparse.Namespace) -> str | None:
    """Return the text that is itself on the command line; None if INPUT is to be read."""
    if (arguments.text is None) == (arguments.input is None):
        raise ConfigError("pass either INPUT or --text: a file, a folder, - for stdin, or a text")
    if arguments.text is not None:
        return str(arguments.text)
    name = arguments.input
    if isinstance(name, list):
        if "-" in name:
            raise ConfigError("- is stdin, which goes with no other INPUT: pass it alone")
        return None
    return name if not name.strip() or is_text(name) else None


def _classify(
    arguments: argparse.Namespace, out: str, config: PredictionConfig, text: str | None
) -> Summary:
    from textlstm.prediction.files import classify_file, classify_lines

    with contextlib.ExitStack() as stack:
        classifier: Any
        if is_onnx_folder(arguments.model):
            from textlstm.export.onnx_model import OnnxModel

            classifier = OnnxModel(arguments.model)
            if config.engine == "torch":  # the default
                config = dataclasses.replace(config, engine="onnx")
        else:
            from textlstm.nn.device import cpu_threads

            stack.enter_context(cpu_threads(config.threads))
            here = config.engine == "torch"  # other engines only take the weights from this model
            classifier = load_model(
                arguments,
                device=config.device if here else "cpu",
                precision=config.precision if here else "fp32",
            )
        target = sys.stdout.buffer if out == "-" else out
        options: dict[str, Any] = {"overwrite": arguments.overwrite}
        if text is not None:  # a line break in it is a space
            line = " ".join(text.splitlines()) + "\n"
            lines = io.BytesIO(line.encode("utf-8", "surrogatepass"))
            return classify_lines(classifier, lines, target, config, **options)
        if arguments.input == "-":  # no progress between typed lines
            return classify_lines(classifier, sys.stdin.buffer, target, config, **options)
        # rows that go to a terminal show by themselves how far it is
        screen = Screen() if out == "-" and sys.stdout.isatty() else None
        with Display("rows", screen=screen) as rows:
            options["on_progress"] = lambda done, total, before: rows.update(
                done, total=total, first=before
            )
            options["resume"] = arguments.resume
            return classify_file(classifier, arguments.input, target, config, **options)
