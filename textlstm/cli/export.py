"""textlstm export."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from textlstm.cli.console import messages, say
from textlstm.cli.evaluate import DATA_OPTIONS, load_labelled
from textlstm.cli.model import add_model, load_model
from textlstm.config import DataConfig
from textlstm.errors import ConfigError, OutputError
from textlstm.options import add_flags


def add_parser(commands: Any) -> None:
    """Add the command to the parser's `commands`."""
    parser = commands.add_parser(
        "export",
        help="write a model's vocabulary, weights or network for other tools",
        description="Write a model's vocabulary, weights or network so that other tools read it.",
    )
    add_model(parser)
    parser.add_argument(
        "--format",
        required=True,
        help="vocab: tokens with their counts, as text (.txt) or JSON (.json); "
        "safetensors: the weights (.safetensors); "
        "onnx: network, tokenizer, labels and a README as a folder that needs ONNX Runtime only; "
        "torch: the weights as a PyTorch state dict (.pt); "
        "torch-export: the network as a torch.export program (.pt2)",
    )
    parser.add_argument("--out", required=True, metavar="PATH", help="the file or folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace PATH if it exists")
    onnx = parser.add_argument_group("onnx")
    onnx.add_argument(
        "--quantize",
        metavar="KIND",
        help="int8: 8-bit weights and products; needs --data, to measure what it changes",
    )
    onnx.add_argument(
        "--data",
        metavar="DATA",
        help="labelled texts to measure accuracy and speed on, as for train",
    )
    onnx.add_argument(
        "--split", default="test", help="which split of DATA to measure on (default: %(default)s)"
    )
    add_flags(parser, DataConfig, "data", only=DATA_OPTIONS)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out; give the exit code."""
    require_free(arguments.out, overwrite=arguments.overwrite)
    if arguments.quantize is not None and arguments.data is None:
        raise ConfigError("--quantize changes results a little: pass --data to measure how much")
    from textlstm.export.formats import export_model

    split, name = None, ""
    with messages():
        classifier = load_model(arguments)
        if arguments.data is not None:
            split, notes = load_labelled(arguments, classifier)
            for note in notes:
                say(note)
            whole = Path(arguments.data).is_file()  # no splits in it
            name = arguments.data if whole else f"{arguments.data} ({arguments.split})"
        export_model(
            classifier,
            arguments.format,
            arguments.out,
            quantize=arguments.quantize,
            data=split,
            data_name=name,
            overwrite=arguments.overwrite,
        )
    say(f"the {arguments.format} export of {arguments.model} is in {arguments.out}")
    return 0


def require_free(path: str, *, overwrite: bool) -> None:
    """Raise an `OutputError` if a file would be lost."""
    if Path(path).exists() and not overwrite:
        raise OutputError(f"{path} exists: pass --overwrite to replace it, or choose another name")
