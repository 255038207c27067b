"""textlstm export MODEL --format FORMAT --out PATH [OPTION ...]

Write the vocabulary, weights or network of a model for other tools. The formats:

  vocab:         tokens with their counts, as text (.txt) or JSON (.json)
  safetensors:   the weights (.safetensors)
  onnx:          a folder with network, tokenizer, labels and a README; to use it, ONNX Runtime,
                 tokenizers and numpy are enough
  torch:         the weights as a PyTorch state dict (.pt)
  torch-export:  the network as a torch.export program (.pt2)
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from textlstm.cli.console import messages, say
from textlstm.cli.evaluate import load_split
from textlstm.cli.model import add_model, load_model
from textlstm.cli.paths import require_data, require_free, require_model
from textlstm.config import DATA_OPTIONS, DataConfig
from textlstm.errors import ConfigError, OutputError, require_choice
from textlstm.options import add_flags

_NEXT = {
    "vocab": "textlstm vocab show {out}",
    "onnx": "read {out}/README.md, which has a program that uses the export",
    "safetensors": "safetensors.torch.load_file({path!r}) in Python",
    "torch": "torch.load({path!r}, weights_only=True) in Python",
    "torch-export": "torch.export.load({path!r}).module() in Python",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_model(parser)
    parser.add_argument(
        "--format",
        required=True,
        metavar="{" + ",".join(_NEXT) + "}",
        help="what to write, see above",
    )
    parser.add_argument("--out", required=True, metavar="PATH", help="the file or folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace PATH if it exists")
    onnx = parser.add_argument_group("onnx")
    onnx.add_argument(
        "--quantize",
        metavar="{int8}",
        help="int8: 8-bit weights and products; needs --data to measure the difference",
    )
    onnx.add_argument(
        "--data",
        metavar="DATA",
        help="labelled texts to measure accuracy and speed on, as for train",
    )
    onnx.add_argument("--split", help="split of DATA to measure on (default: test)")
    add_flags(parser, DataConfig, "data", only=DATA_OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    require_choice("format", arguments.format, _NEXT)
    if arguments.quantize is not None:
        require_choice("quantize", arguments.quantize, ("int8",))
        if arguments.data is None:
            raise ConfigError(
                "--quantize changes results slightly: pass --data to measure how much"
            )
    for name in ("split", *DATA_OPTIONS) if arguments.data is None else ():
        if getattr(arguments, name, None) is not None:
            raise ConfigError(f"--{name.replace('_', '-')} is for --data: pass that, too")
    require_free(arguments.out, overwrite=arguments.overwrite)
    require_model(arguments.model)
    if Path(arguments.model).resolve() in (out := Path(arguments.out).resolve(), *out.parents):
        raise OutputError(f"{out} is in the folder of the model: choose another name")
    if arguments.data is not None:
        require_data(arguments.data)
    from textlstm.export.formats import export_model

    split, name = None, ""
    with messages():
        classifier = load_model(arguments)
        if arguments.data is not None:
            split = load_split(arguments, classifier)
            whole = Path(arguments.data).is_file()  # it has no splits
            name = arguments.data if whole else f"{arguments.data} ({arguments.split or 'test'})"
        export_model(
            classifier,
            arguments.format,
            arguments.out,
            quantize=arguments.quantize,
            data=split,
            data_name=name,
            overwrite=arguments.overwrite,
        )
    say(f"exported {arguments.model} to {arguments.out}")
    out = arguments.out
    say("next: " + _NEXT[arguments.format].format(out=shlex.quote(out), path=out))
    return 0
