"""All the state of a training run in one file that is always whole.

The file is safetensors: tensors in groups ('model/…', 'best/…', 'optimizer/…', 'random/…'),
everything else as JSON in its metadata. It is written beside the old one and renamed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from textlstm.classifier.weights import save_weights
from textlstm.config import TrainingConfig
from textlstm.data.encoded import LabelledTexts
from textlstm.errors import ModelFolderError
from textlstm.options import resumable_names
from textlstm.training.distributed import World

FORMAT = "textlstm checkpoint 1"
_GROUPS = ("model", "best", "optimizer", "random")


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run.

    Args:
        tensors: group -> name -> tensor; the groups are 'model' (weights as they are), 'best'
            (weights of the best epoch, empty before the first), 'optimizer' and 'random'.
        state: everything else, as plain values.
    """

    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; at any moment the file is the old one or the new one.

    Args:
        path: the file.
        checkpoint: what to write.

    Raises:
        OutputError: the file can't be written.
    """
    flat = {
        f"{group}/{name}": tensor
        for group, tensors in checkpoint.tensors.items()
        for name, tensor in tensors.items()
    }
    save_weights(path, flat, {"format": FORMAT, "state": json.dumps(checkpoint.state)})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: the file.

    Returns:
        What was saved, on the CPU, in memory of its own.

    Raises:
        ModelFolderError: the file is missing, cut short or not a checkpoint of this version.
    """
    if not path.is_file():
        raise ModelFolderError(f"no checkpoint {path}: start the run again with --overwrite")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # copies, since what is read is a view of the file
            flat = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFolderError(
            f"{path} is damaged ({error}): start over with --overwrite"
        ) from error
    if metadata.get("format") != FORMAT:
        raise ModelFolderError(
            f"{path} is not a checkpoint of this version (its format is "
            f"{metadata.get('format')!r}, not {FORMAT!r}): start over with --overwrite"
        )
    tensors: dict[str, dict[str, Tensor]] = {group: {} for group in _GROUPS}
    for key, tensor in flat.items():
        group, _, name = key.partition("/")
        tensors[group][name] = tensor
    return Checkpoint(tensors, json.loads(metadata["state"]))


def run_signature(
    config: TrainingConfig,
    labels: Sequence[str],
    model: nn.Module,
    splits: Mapping[str, LabelledTexts],
) -> dict[str, Any]:
    """Return what the weights of a run depend on, by name, as plain values for JSON."""
    free = resumable_names(TrainingConfig)
    signature = {k: value for k, value in config.to_dict().items() if k not in free}
    for name, part in splits.items():
        signature[f"{name} texts"] = len(part)
        signature[f"{name} tokens"] = len(part.texts.ids)
        signature[f"{name} labels (crc32)"] = zlib.crc32(part.labels.astype("<i8").tobytes())
        if part.weights is not None:
            signature[f"{name} weights (crc32)"] = zlib.crc32(part.weights.astype("<f8").tobytes())
        if part.taught is not None:
            taught = np.ascontiguousarray(part.taught)  # a file of the run is not copied
            signature[f"{name} teacher (crc32)"] = zlib.crc32(taught.data)
    shapes = {f"weight {name}": list(value.shape) for name, value in model.state_dict().items()}
    return {**signature, "labels": list(labels), **shapes}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return an optimizer's state as 'parameter number.key' -> tensor."""
    return {
        f"{number}.{key}": value
        for number, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore what `optimizer_tensors` returned; settings such as the rate stay as they are."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def random_states(device: torch.device, world: World) -> dict[str, Tensor]:
    """Return the states of torch's generators in all processes, as 'cpu.rank' and 'cuda.rank'."""
    own = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        own["cuda"] = torch.cuda.get_rng_state(device)
    return {
        f"{name}.{rank}": state
        for name, each in own.items()
        for rank, state in enumerate(world.gather(each))
    }


def restore_random_states(states: Mapping[str, Tensor], device: torch.device, world: World) -> None:
    """Restore this process's part of what `random_states` returned in as many processes."""
    torch.set_rng_state(states[f"cpu.{world.rank}"])
    if device.type == "cuda" and f"cuda.{world.rank}" in states:
        torch.cuda.set_rng_state(states[f"cuda.{world.rank}"], device)
