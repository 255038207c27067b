"""Device, precision, threads and seed of a process."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator

import torch

from textlstm.config import PRECISIONS
from textlstm.errors import ConfigError, require_choice
from textlstm.nn.cpu import cpu_flags

_process = os.getpid()  # that torch may have started threads in


def pick_device(name: str) -> torch.device:
    """Turn the option `device` into a device that is there.

    Args:
        name: 'auto' (CUDA where there is a GPU, else the CPU), 'cpu', 'cuda' or 'cuda:N'.

    Returns:
        The device.

    Raises:
        ConfigError: no such device, or this machine or this torch does not have it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device = {name!r}: must be auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            raise ConfigError(
                f"device = {name!r}: torch {torch.__version__} sees no CUDA device here; "
                "choose auto or cpu, or install a torch built for this GPU"
            )
        if (device.index or 0) >= count:
            more = f" to cuda:{count - 1}" if count > 1 else ""
            raise ConfigError(
                f"device = {name!r}: this machine has {count} GPU{'s' * (count != 1)}: "
                f"choose auto, cpu or cuda:0{more}"
            )
    return device


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """Turn the option `precision` into the dtype that the LSTM computes in.

    Args:
        name: 'fp32', 'bf16', or 'auto': bf16 where the processor or GPU multiplies it natively.
        device: where the model lies.

    Returns:
        `torch.float32` or `torch.bfloat16`. Weights are fp32 in either case.

    Raises:
        ConfigError: there is no such precision, or this torch has no LSTM of bf16 on this CPU.
    """
    require_choice("precision", name, PRECISIONS)
    if name == "auto":
        native = torch.cuda.is_bf16_supported() if device.type == "cuda" else _native_bf16()
        name = "bf16" if native else "fp32"
    elif name == "bf16" and device.type == "cpu" and not has_bf16_lstm():
        raise ConfigError(
            f"precision = 'bf16': torch {torch.__version__} can't compute an LSTM in bf16 on this "
            "processor: choose fp32, or install a newer torch"
        )
    return torch.bfloat16 if name == "bf16" else torch.float32


@functools.lru_cache(maxsize=1)
def has_bf16_lstm() -> bool:
    """Whether this torch computes an LSTM in bf16 on this CPU; torch 2.3 needs AVX-512 for it."""
    size = 8
    zeros = torch.zeros(4 * size, size, dtype=torch.bfloat16)
    weights = [zeros, zeros, zeros[:, 0], zeros[:, 0]]
    start = zeros[None, :1]  # [1, B, H]
    try:
        with torch.no_grad():
            torch.lstm(start, (start, start), weights, True, 1, 0.0, False, False, False)
    except RuntimeError:
        return False
    return True


def _native_bf16() -> bool:
    """Whether this CPU has bf16 products: AVX-512 BF16 or AMX."""
    return not cpu_flags().isdisjoint(("avx512_bf16", "amx_bf16"))


@contextlib.contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Compute with `count` CPU threads inside the block; None leaves torch's own number.

    Sums are split among threads, so another number may change the last bits of a result.
    """
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def mind_fork() -> None:
    """Make a forked process compute with one thread, when it first asks.

    The threads that its parent computed with are not in it, and torch would wait for them for
    ever (pytorch issue 17199). `num_proc` of the `datasets` library forks.
    """
    global _process
    if _process != os.getpid():
        _process = os.getpid()
        torch.set_num_threads(1)


def seed_everything(seed: int) -> None:
    """Seed what this library draws from: torch on the CPU and on every GPU.

    Call it before a model is made; the order of batches has its own seed and generator.
    """
    torch.manual_seed(seed)
