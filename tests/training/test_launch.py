"""The place of a process is read from what torchrun sets, and only if all of it is set."""

import pytest

from textlstm.training.launch import Rank, read_rank

pytestmark = pytest.mark.slow

SET = {"RANK": "5", "WORLD_SIZE": "8", "MASTER_ADDR": "host", "MASTER_PORT": "29500"}


@pytest.fixture
def environment(monkeypatch):
    """A function that sets these variables and no other that counts."""
    for name in (*SET, "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)

    def set_to(values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_to


def test_torchrun_tells_the_place(environment):
    environment({**SET, "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"})
    assert read_rank() == Rank(rank=5, size=8, local_rank=1, local_size=4)
    assert not read_rank().is_main


def test_where_nothing_is_said_of_machines_there_is_one(environment):
    environment(SET)
    assert read_rank() == Rank(rank=5, size=8, local_rank=5, local_size=8)


@pytest.mark.parametrize("missing", SET)
def test_a_process_is_alone_unless_all_is_set(environment, missing):
    environment({name: value for name, value in SET.items() if name != missing})
    assert read_rank() == Rank() == Rank(rank=0, size=1, local_rank=0, local_size=1)
    assert read_rank().is_main
