"""Freed memory stays with the process."""

import subprocess
import sys

import pytest

from textlstm.nn.memory import keep_freed_memory

pytestmark = pytest.mark.slow

PROGRAM = """
import random, resource, torch
from textlstm.nn.memory import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
random.seed(0)
def rounds(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        blocks = [torch.ones(random.randint(9_000_000, 14_000_000)) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
rounds(30)
print(rounds(20))
"""


def page_faults(keep):
    program = PROGRAM.format(keep=keep)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is a matter of Linux")
def test_large_tensors_of_many_sizes_cost_few_fresh_pages_once_memory_is_kept():
    if not keep_freed_memory():
        pytest.skip("this C library is not glibc")
    assert page_faults(keep=True) * 5 < page_faults(keep=False)


def test_asking_again_gives_the_same_answer():
    assert keep_freed_memory() is keep_freed_memory()


HOLES = """
import torch
from textlstm.nn.memory import keep_freed_memory, release_excess
def resident():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * 4096 / 2**20
assert keep_freed_memory()
blocks = [torch.ones(1_000_000) for _ in range(60)]
del blocks[:-1:2], blocks[:-1]
held = resident()
release_excess()
print(held - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is a matter of Linux")
def test_excess_memory_goes_back_to_the_system_when_asked():
    if not keep_freed_memory():
        pytest.skip("this C library is not glibc")
    run = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    assert float(run.stdout) > 100  # of 240 MB
