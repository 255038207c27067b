"""Freed memory stays with the process."""

import os
import subprocess
import sys

import pytest

from textlstm.nn import memory
from textlstm.nn.memory import keep_freed_memory

pytestmark = pytest.mark.slow

PROGRAM = """
import random, resource, torch
from textlstm.nn.memory import keep_freed_memory, release_excess

def rounds(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        blocks = [torch.ones(random.randint(9_000_000, 14_000_000)) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * 4096 / 2**20

random.seed(0)
rounds(2)
print(rounds(6))
assert keep_freed_memory()
rounds(12)
print(rounds(6))
release_excess()
blocks = [torch.ones(1_000_000) for _ in range(60)]
del blocks[:-1:2], blocks[:-1]
held = resident()
release_excess()
print(held - resident())
"""


IN_THREADS = """
from concurrent.futures import ThreadPoolExecutor
from textlstm.nn.memory import keep_freed_memory
assert keep_freed_memory()
import random, resource, torch

def rounds(seed):
    draw = random.Random(seed)
    for _ in range(12):
        blocks = [torch.ones(draw.randint(17_000_000, 20_000_000)) for _ in range(2)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

with ThreadPoolExecutor(2) as pool:
    list(pool.map(rounds, range(6)))
    before = faults()
    list(pool.map(rounds, range(6)))
print(faults() - before)
"""


@pytest.fixture(scope="module")
def figures():
    """Page faults before and after memory is kept, and the megabytes given back when asked."""
    if sys.platform != "linux" or not keep_freed_memory():
        pytest.skip("this C library is not glibc")
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return [float(word) for word in run.stdout.split()]


def test_large_tensors_of_many_sizes_cost_few_fresh_pages_once_memory_is_kept(figures):
    before, after, _ = figures
    assert after * 5 < before


def test_threads_that_begin_later_keep_their_memory_too(figures):
    run = subprocess.run([sys.executable, "-c", IN_THREADS], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 300_000  # of 2.6 million pages that are filled


def test_excess_memory_goes_back_to_the_system_when_asked(figures):
    assert figures[2] > 100  # of 240 MB


def test_asking_again_gives_the_same_answer():
    assert keep_freed_memory() is keep_freed_memory()


@pytest.mark.parametrize(
    ("flags", "asked", "found"),
    [({"avx2"}, None, "6"), ({"avx2"}, "7", "7"), ({"avx2", "avx512f"}, None, None)],
)
def test_onednn_keeps_little_unless_asked_or_on_avx512(flags, asked, found, monkeypatch):
    monkeypatch.setattr(memory, "cpu_flags", lambda: flags)
    monkeypatch.setattr(memory, "_is_glibc", lambda: True)
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: FakeLibrary)
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", asked or "")
    if asked is None:
        monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY")
    assert keep_freed_memory.__wrapped__()
    assert os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY") == found


class FakeLibrary:
    mallopt = staticmethod(lambda *_: 1)
