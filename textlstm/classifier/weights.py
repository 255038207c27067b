"""Safetensors files: written the same for the same tensors, checked before they are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from textlstm.errors import ModelFolderError, OutputError
from textlstm.io.atomic import atomic_path

Shapes = Iterable[tuple[str, tuple[int, ...]]]
"""Names and shapes of tensors."""


def save_weights(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write tensors as safetensors, all or nothing; equal contents give equal bytes.

    Args:
        path: the file.
        tensors: name to tensor, of any kind and on any device.
        metadata: strings stored beside them.

    Raises:
        OutputError: the file can't be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(plain, temporary, dict(metadata))
        except SafetensorError as error:  # a full disk, among others
            raise OutputError(f"cannot write {path}: {error}") from error
        _sort_metadata(temporary)


def load_weights(path: str | Path, shapes: Shapes | None = None) -> dict[str, Tensor]:
    """Read a safetensors file.

    Args:
        path: the file; it exists.
        shapes: the names and shapes that it must hold, and no others; they are compared with
            the file's header before any tensor is read. None accepts all.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        ModelFolderError: the file is damaged or not a safetensors file, its tensors have other
            names or shapes, or a number is not finite.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            if shapes is not None:
                _require_shapes(path, found, shapes)
            weights = {name: file.get_tensor(name) for name in found}
    except (SafetensorError, OSError, ValueError) as error:
        if isinstance(error, ModelFolderError):
            raise
        raise ModelFolderError(
            f"{path} is truncated, damaged or no safetensors file ({error}): "
            "copy it again, or train again"
        ) from error
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise ModelFolderError(
                f"{path}: {name} holds numbers that are not finite (NaN or infinity): copy the "
                "model folder again, or train it again"
            )
    return weights


def _require_shapes(path: str | Path, found: Mapping[str, tuple[int, ...]], shapes: Shapes) -> None:
    """Raise a `ModelFolderError` for the first tensor that is missing, superfluous or misshapen."""
    expected: dict[str, tuple[int, ...]] = {}

    def fail(name: str, has: object, wanted: object) -> None:
        raise ModelFolderError(
            f"{path}: {name} is {has}, but config.json and vocab.txt ask for {wanted}: copy the "
            "whole model folder again, or train it again"
        )

    for name, shape in shapes:  # stops at the first, as a damaged config may ask for a million
        if found.get(name) != shape:
            fail(name, list(found[name]) if name in found else "missing", list(shape))
        expected[name] = shape
    for name in sorted(found.keys() - expected.keys()):
        fail(name, list(found[name]), "no such tensor")


def _sort_metadata(path: Path) -> None:
    """Sort the metadata of a safetensors file, whose order its writer leaves to chance.

    The file opens with the header's length (8 bytes, little endian) and the header, JSON that
    spaces may follow.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        metadata = header.get("__metadata__", {})
        header["__metadata__"] = {name: metadata[name] for name in sorted(metadata)}
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= size:  # always so, as the same strings only change places
            file.seek(8)
            file.write(text.ljust(size))
