"""Communication between the processes that train one model.

`torchrun` starts the processes and sets the rank of each in environment variables. Tensors on a
CPU travel by gloo, those on a GPU by nccl. A world of one process, the default, sends nothing and
costs nothing, so that callers read the same for one and for many.

Shapes: N rows of a batch, V rows of a table, K rows that were read.
"""

from __future__ import annotations

import atexit
import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from textlstm.errors import ConfigError, PeerError, TrainingError
from textlstm.nn.device import pick_device
from textlstm.training.launch import Rank, read_rank

# A process that ends is noticed at once, since its connections close. This is for one that hangs.
_PATIENCE = timedelta(minutes=10)
_NO_LIMIT = timedelta(days=365)  # data of any size may be prepared while the others wait


class World(Rank):
    """The processes of a training, and the rank of this one.

    All methods but `share` and `device` are collective: every process must call them, in the
    same order, with tensors of the same shapes. They raise `PeerError` if another has ended.
    """

    def share(self, rows: np.ndarray) -> np.ndarray:
        """Return this process's part of a batch; it may be empty.

        Args:
            rows: row numbers, ordered by length, [N].

        Returns:
            Every `size`-th of them, so that all processes get like lengths.
        """
        return rows[self.rank :: self.size]

    def device(self, name: str) -> torch.device:
        """Return the device of the option `device` that this process has for itself.

        Args:
            name: as for `pick_device`.

        Returns:
            The device; of several GPUs, the one with this process's number on the machine, which
            'cuda' means from now on.

        Raises:
            ConfigError: it is not there, or several processes would share a GPU.
        """
        device = pick_device(name)
        if self.size == 1 or device.type == "cpu":
            return device
        if ":" in name:
            raise ConfigError(
                f"device = {name!r}: {self.size} processes take a GPU each: choose cuda or cpu"
            )
        count = torch.cuda.device_count()
        if self.local_size > count:
            raise ConfigError(
                f"device = {name!r}: this machine has {self.local_size} processes and {count} "
                "GPUs: start as many as there are GPUs, or choose cpu"
            )
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        """Run the block in the first process, and then in all others, which wait without limit.

        If it raises anything in the block, the others raise `PeerError` before it.
        """
        if not self.is_main:
            good = torch.zeros(1)
            with _in_contact():
                message = dist.irecv(good, 0)
                assert message is not None
                message.wait(_NO_LIMIT)
            if not good:
                raise PeerError("the first process of this training has failed; see its error")
            yield
            return
        good = torch.zeros(1)
        try:
            yield
            good += 1
        finally:
            for other in range(1, self.size):
                with contextlib.suppress(RuntimeError):  # it has ended, as the next call will show
                    dist.send(good, other)

    def any(self, *flags: bool) -> list[bool]:
        """Return, for each flag, whether it is set in any process."""
        if self.size == 1:
            return list(flags)
        votes = torch.tensor(flags, dtype=torch.uint8)
        with _in_contact():
            dist.all_reduce(votes, dist.ReduceOp.MAX)
        return [bool(vote) for vote in votes.tolist()]

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Add up the tensors of all processes, in place and as one message.

        Args:
            tensors: of one dtype and device. All processes get the same bits.
        """
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _in_contact():
            dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def broadcast_(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of the first process, in rank."""
        if self.size == 1:
            return
        with _in_contact():
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def union(self, rows: Tensor, count: int) -> Tensor:
        """Return the rows that any process has read.

        Args:
            rows: those of this process, int64 [K].
            count: rows of the table, V.

        Returns:
            Those of all, each once, ascending, int64.
        """
        read = torch.zeros(count, dtype=torch.uint8, device=rows.device)  # [V]
        read[rows] = 1
        if self.size > 1:
            with _in_contact():
                dist.all_reduce(read, dist.ReduceOp.MAX)
        return read.nonzero().flatten()

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return a tensor as each process has it, in the order of their ranks."""
        if self.size == 1:
            return [tensor]
        tensors = [torch.empty_like(tensor) for _ in range(self.size)]
        with _in_contact():
            dist.all_gather(tensors, tensor)
        return tensors


ALONE = World()


def join() -> World:
    """Find the other processes of this training, if there are any.

    Returns:
        The world of those that were started together (see `read_rank`), or that are in the
        process group which exists already.

    Raises:
        TrainingError: there should be others, and they can't be reached.
    """
    rank = read_rank()
    if dist.is_available() and dist.is_initialized():
        rank = rank._replace(rank=dist.get_rank(), size=dist.get_world_size())
    elif rank.size > 1:
        on_gpu = torch.cuda.is_available() and dist.is_nccl_available()
        try:
            dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=_PATIENCE)
        except (RuntimeError, ValueError) as error:
            raise TrainingError(
                f"the {rank.size} processes of this training do not find each other ({error}): "
                "start them with torchrun"
            ) from error
        atexit.register(_leave)
    return World(*rank)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@contextlib.contextmanager
def _in_contact() -> Iterator[None]:
    """Raise a `PeerError` for a lost connection, where gloo and nccl raise `RuntimeError`."""
    try:
        yield
    except RuntimeError as error:
        what = re.sub(r"^\[[^\]]*\] ", "", str(error)).split(". ")[0]  # without the C++ file
        raise PeerError(
            f"another process of this training has ended ({what}): see its error, unless it was "
            "killed"
        ) from error
