"""The options of a training: a flag for each, and a file that may hold them."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from typing import Any

from textlstm.cli.paths import require_data, require_file, require_model
from textlstm.cli.settings_file import read_settings
from textlstm.config import FEW_TEXTS, PRESETS, TRAIN_OPTIONS, TRAIN_PARTS, VECTORS
from textlstm.options import add_flags, names_of


def add_train_options(
    parser: argparse.ArgumentParser,
    only: Collection[str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    hidden: Collection[str] = (),
) -> None:
    """Add --config and a flag for every option of a training.

    Args:
        parser: gets them.
        only: names of the options to add; default: all, and --preset.
        defaults: as for `textlstm.options.add_flags`.
        hidden: as for `textlstm.options.add_flags`.
    """
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="TOML file with options, as `textlstm config` prints it; flags override it",
    )
    if only is None:
        parser.add_argument(
            "--preset",
            choices=list(PRESETS),
            default=argparse.SUPPRESS,
            help="set of options; other options override it (default: small for up to "
            f"{FEW_TEXTS:,} texts without vectors, a base or a teacher, else default, whose values "
            "are shown below)",
        )
    for part, kind in TRAIN_PARTS.items():
        if only is None or set(only) & set(names_of(kind)):
            add_flags(parser, kind, part, only=only, defaults=defaults, hidden=hidden)


def read_train_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options by name; flags override the file.

    Raises:
        ConfigError: the file can't be read, or has an unknown option or a value that is not valid.
        DataError: the file of the vocabulary, the vectors or unlabeled texts is missing.
        ModelFolderError: a teacher is missing.
    """
    known = {"preset", *TRAIN_OPTIONS}
    options = read_settings(arguments.config) if arguments.config else {}
    options.update((k, v) for k, v in vars(arguments).items() if k in known)
    if options.get("vocab"):
        require_file(options["vocab"])
    if options.get("init_from"):
        require_model(options["init_from"])
    if options.get("vectors"):
        require_file(options["vectors"], VECTORS)
    for name in _names(options, "teacher"):
        require_model(name)
    require_data(_names(options, "unlabeled"))
    return options


def _names(options: Mapping[str, Any], name: str) -> list[str]:
    """Return the values of an option that may have several; a file may hold one as a string."""
    value = options.get(name) or ()
    return [value] if isinstance(value, str) else list(value)
