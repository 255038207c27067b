"""textlstm config [OPTION ...]

Print all options of train as a TOML file, each with its help and default, as comments: delete
the # before those that you change.

  textlstm config > settings.toml
  textlstm train DATA --out DIR --config settings.toml
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import textwrap
from typing import Any

from textlstm.config import PRESETS, TRAIN_PARTS

_EXAMPLES: dict[str, Any] = {
    "label_column": "label",
    "label_separator": ";",
    "delimiter": ";",
    "validation": "validation.csv",
    "test": "test.csv",
    "dataset_config": "en",
    "dataset_revision": "main",
    "vocab": "vocab.txt",
    "extend_vocab": 50_000,
    "epochs": 10,
    "vectors": "glove-100",
    "adversarial": 0.1,
    "max_minutes": 60,
    "threads": 2,
}
"""Values for options whose default is none, which TOML can't express."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    sys.stdout.write(format_settings())
    return 0


def format_settings() -> str:
    """Return all options of train as TOML in which every option is a comment."""
    lines = [
        "# Options of `textlstm train`, for --config. Flags override them.",
        "",
        f"# {', '.join(PRESETS)}: sets of options",
        '#preset = "default"',
    ]
    for part, kind in TRAIN_PARTS.items():
        lines += ["", f"[{part}]", f"# {(kind.__doc__ or '').splitlines()[0]}"]
        for field in dataclasses.fields(kind):  # type: ignore[arg-type]
            help_text, choices = field.metadata["help"], field.metadata["choices"]
            if choices:
                help_text += f" ({', '.join(choices)})"
            value = _EXAMPLES.get(field.name, field.default)
            if value is None:
                value = 1 if field.type.startswith("int") else str(field.metadata["metavar"])
            lines += [
                "",
                *textwrap.wrap(f"# {help_text}", 96, subsequent_indent="# "),
            ]
            lines.append(f"#{field.name} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
