"""The TOML file of `textlstm train --config`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from textlstm.cli.paths import require_file
from textlstm.config import TRAIN_OPTIONS, TRAIN_PARTS, TrainSettings
from textlstm.errors import ConfigError
from textlstm.options import names_of, reject_unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_settings(path: str) -> dict[str, Any]:
    """Read options.

    Args:
        path: a TOML file with options at the top, or in a table named as their part.

    Returns:
        Options by flat name.

    Raises:
        ConfigError: the file can't be read, an option does not exist, does not belong to its
            table or occurs twice, or its value is not valid.
    """
    require_file(path)
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # TOML's and UTF-8's errors
        raise ConfigError(f"{path} is not TOML: {error}") from error
    options: dict[str, Any] = {}
    try:
        for key, value in tables.items():
            if isinstance(value, dict) and key in TRAIN_PARTS:
                known, part = names_of(TRAIN_PARTS[key]), value
            else:
                known, part = ["preset", *TRAIN_OPTIONS, *TRAIN_PARTS], {key: value}
            reject_unknown(part, known)
            twice = [name for name in part if name in options]
            if twice:
                raise ConfigError(f"{twice[0]} occurs twice: keep one")
            options.update(part)
        TrainSettings.from_options(**options)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return options
