"""Paths of the command line, checked before anything heavy is imported."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from textlstm.errors import DataError, ModelFolderError, OutputError, did_you_mean

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")  # owner/name


def require_data(names: str | list[str]) -> None:
    """Raise a `DataError` if a name is a path where nothing is, naming the closest file."""
    for name in [names] if isinstance(names, str) else names:
        _require_data(name)


def _require_data(name: str) -> None:
    if name in ("-", "sample") or any(mark in name for mark in "*?[") or exists(name):
        return
    from textlstm.io.formats import looks_local

    hint = _near(name)
    if looks_local(name) or ("." in name and hint):  # a dot is rare in names of the Hub
        raise DataError(f"no such file or folder: {name}{hint}")


def require_model(name: str) -> None:
    """Raise a `ModelFolderError` if `name` can be neither a folder nor a model on the Hub."""
    if exists(name):
        return
    hint = _near(name)
    if hint or not _HUB_NAME.fullmatch(name):
        raise ModelFolderError(f"no such model folder: {name}{hint}")


def require_file(name: str, known: Collection[str] = ()) -> None:
    """Raise a `DataError` if there is no file or folder `name`, naming the closest one.

    Args:
        name: a path.
        known: names that are good without a file.
    """
    if name not in known and not exists(name):
        raise DataError(f"no such file: {name}{did_you_mean(name, known) or _near(name)}")


def require_free(path: str, *, overwrite: bool) -> None:
    """Raise an `OutputError` if a file would be lost."""
    if exists(path) and not overwrite:
        raise OutputError(f"{path} exists: pass --overwrite to replace it, or choose another name")


def exists(name: str) -> bool:
    """Whether there is a file or folder of this name."""
    return os.path.exists(os.path.expanduser(name))  # noqa: PTH110, PTH111 (no name is an error)


def _near(name: str) -> str:
    """Return ' (did you mean ...?)' with the closest name in the same folder, or ''."""
    try:
        path = Path(os.path.expanduser(name))  # noqa: PTH111
        return did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
    except (OSError, ValueError):  # no such folder
        return ""
