"""Paths of the command line, checked before anything heavy is imported."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection
from pathlib import Path

from textlstm.errors import DataError, ModelFolderError, OutputError, did_you_mean

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")  # owner/name


def require_data(names: str | list[str]) -> None:
    """Raise a `DataError` if a name is a path where nothing is, naming the closest file."""
    from textlstm.io.formats import looks_local

    for name in list_names(names):
        if name not in ("-", "sample") and not glob.has_magic(name) and not exists(name):
            hint = _near(name)
            if looks_local(name) or ("." in name and hint):  # a dot is rare in names of the Hub
                raise DataError(f"no such file or folder: {name}{hint}")


def is_text(name: str) -> bool:
    """Whether an argument is a text: of several words, and neither file nor pattern of files."""
    from textlstm.io.formats import COMPRESSIONS, SUFFIXES

    if exists(name) or name.lower().endswith((*SUFFIXES, *COMPRESSIONS)):
        return False
    found = glob.has_magic(name) and glob.glob(name, recursive=True)  # noqa: PTH207
    return not found and len(name.split()) > 1


def require_model(name: str) -> None:
    """Raise a `ModelFolderError` if `name` can be neither a folder nor a model on the Hub."""
    if not name:
        raise ModelFolderError("MODEL is empty: pass a model folder, or owner/name on the Hub")
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
    if not path:
        raise OutputError("--out is empty: pass the name to write")
    if exists(path) and not overwrite:
        raise OutputError(f"{path} exists: pass --overwrite to replace it, or choose another name")


def require_apart(out: str | Path, data: str | list[str]) -> None:
    """Raise an `OutputError` if a file would be replaced that is an input."""
    from textlstm.io.formats import expanded

    for name in list_names(data):
        there = exists(str(out)) and exists(name)
        if there and expanded(str(out)).samefile(expanded(name)):
            raise OutputError(f"{out} is the input: choose another name for the output")


def list_names(data: str | list[str]) -> list[str]:
    """Return the names in DATA, which is a str if it is one."""
    return [data] if isinstance(data, str) else data


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
