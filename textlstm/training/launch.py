"""The place that `torchrun` gives a process among several."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A process among those that train one model.

    Args:
        rank: its number, from 0.
        size: how many there are.
        local_rank: its number on its machine, from 0.
        local_size: how many of them are on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether it is the one that logs and writes."""
        return self.rank == 0


def read_place() -> Place:
    """Read the place of this process from the environment.

    Returns:
        Its place; that of a single process unless RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT
        are all set, as `torchrun` does.
    """
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        return Place()
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    return Place(
        rank,
        size,
        int(os.environ.get("LOCAL_RANK", rank)),
        int(os.environ.get("LOCAL_WORLD_SIZE", size)),
    )
