"""Writing files so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from textlstm.errors import OutputError, system_errors


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`.

    Args:
        path: the file to write; its folder is created if it is missing.

    Yields:
        The path to write to, in the same folder and with the same suffix.

    Raises:
        OutputError: the folder can't be written to, or the disk is full.
    """
    target = Path(path)
    temporary = target.parent / f".{target.stem}-{secrets.token_hex(4)}{target.suffix}"
    with system_errors(OutputError, f"cannot write {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        try:
            mode = temporary.stat().st_mode  # what the umask allows
            yield temporary
            temporary.chmod(mode)  # a library may have written a new file that others can't read
            sync(temporary)
            temporary.replace(target)
            sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(
    path: str | os.PathLike[str], *, replaceable: Callable[[str], object] = lambda name: False
) -> Iterator[Path]:
    """Yield a new folder beside `path`; on success it is synced and renamed to `path`.

    Args:
        path: the folder to write. An existing folder is replaced as a whole, and only if it is
            empty or holds nothing but replaceable files.
        replaceable: whether a file of some name may be replaced.

    Yields:
        The folder to write into.

    Raises:
        OutputError: `path` is a file or a folder with other files, it can't be written to, or
            the disk is full.
    """
    target = Path(path).resolve()
    require_replaceable(target, replaceable)
    temporary = target.parent / f".{target.name}-{secrets.token_hex(4)}"
    old = temporary.with_name(f"{temporary.name}-old")
    with system_errors(OutputError, f"cannot write {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        try:
            yield temporary
            for file in sorted(temporary.iterdir()):
                sync(file)
            sync(temporary)
            require_replaceable(target, replaceable)
            if target.exists():
                target.replace(old)  # one folder can't be renamed onto another that has files
            temporary.replace(target)
            sync(target.parent)
        finally:
            if old.exists() and not target.exists():
                old.replace(target)
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def require_replaceable(folder: Path, replaceable: Callable[[str], object]) -> None:
    """Raise an `OutputError` if a file or a folder with other files than these is there."""
    if folder.is_dir():
        with system_errors(OutputError, f"cannot read {folder}"):
            others = sorted(p.name for p in folder.iterdir() if not replaceable(p.name))
        if others:
            raise OutputError(
                f"{folder} holds other files ({', '.join(others[:3])}): choose another folder"
            )
    elif folder.exists():
        raise OutputError(f"{folder} is not a folder: choose another name")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text with Unix line ends, all or nothing (see `atomic_path`)."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk (fsync)."""
    is_folder = path.is_dir()
    try:
        # Windows syncs only what was opened for writing
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        if not is_folder:  # Windows can't open folders, and some file systems can't sync them
            raise
