"""The argument MODEL of the commands that use a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from textlstm.cli.paths import require_model
from textlstm.errors import ModelFolderError

if TYPE_CHECKING:
    from textlstm.classifier.classifier import TextClassifier


def add_model(parser: argparse.ArgumentParser, *, local: bool = False) -> None:
    """Add MODEL to a command, and --revision unless it must be `local`."""
    if local:
        parser.add_argument("model", metavar="MODEL", help="a model folder on this machine")
        parser.set_defaults(revision=None)
        return
    parser.add_argument("model", metavar="MODEL", help="a model folder, or owner/name on the Hub")
    parser.add_argument("--revision", help="branch, tag or commit of a MODEL on the Hub")


def is_onnx_folder(name: str) -> bool:
    """Whether MODEL is a folder that `export --format onnx` wrote."""
    return (Path(name) / "model.onnx").is_file()


def load_model(
    arguments: argparse.Namespace, *, device: str = "cpu", precision: str = "fp32"
) -> TextClassifier:
    """Load MODEL, which is downloaded from the Hub if there is no such folder."""
    require_model(arguments.model)
    if is_onnx_folder(arguments.model):
        raise ModelFolderError(
            f"{arguments.model} is an ONNX export, which predict and evaluate read: pass the model "
            "folder that it was exported from"
        )
    from textlstm.classifier.classifier import TextClassifier

    return TextClassifier.from_pretrained(
        arguments.model, revision=arguments.revision, device=device, precision=precision
    )
