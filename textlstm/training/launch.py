"""The rank that `torchrun` gives a process among several."""

from __future__ import annotations

import os
from typing import NamedTuple


class Rank(NamedTuple):
    """A process among those that train one model.

    Args:
        rank: its number, from 0.
        size: how many processes there are.
        local_rank: its number on its machine, from 0.
        local_size: how many of them are on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process logs and writes."""
        return self.rank == 0


def read_rank() -> Rank:
    """Read the rank of this process from the environment.

    Returns:
        Its rank; that of a single process unless RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT
        are all set, as `torchrun` does.
    """
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        return Rank()
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local_rank = int(os.environ.get("LOCAL_RANK", rank))
    return Rank(rank, size, local_rank, int(os.environ.get("LOCAL_WORLD_SIZE", size)))
