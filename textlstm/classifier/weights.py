"""Safetensors files: written the same for the same tensors, checked before they are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from textlstm.errors import ModelFolderError
from textlstm.io.atomic import atomic_path

Shapes = Iterable[tuple[str, tuple[int, ...]]]
"""Names and shapes of tensors."""

_KINDS = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


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
    # not save, which needs the memory of all tensors twice, nor save_file, which leaves a file of
    # its own when it is killed and the order of the metadata to chance
    names = sorted(plain, key=lambda name: (-plain[name].element_size(), name))  # all are aligned
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name in names:
        start, end = end, end + plain[name].nbytes
        kind, shape = _KINDS[plain[name].dtype], list(plain[name].shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(plain[name].reshape(-1).view(torch.uint8).numpy().data)


def load_weights(path: str | Path, shapes: Shapes) -> dict[str, Tensor]:
    """Read a safetensors file.

    Args:
        path: the file; it exists.
        shapes: the names and shapes that it must hold, and no others; they are compared with
            the file's header before any tensor is read.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        ModelFolderError: the file is damaged or not a safetensors file, its tensors have other
            names or shapes, or a number is not finite.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
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
