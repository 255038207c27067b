"""Freed memory stays with the process."""

import os
import subprocess
import sys

import pytest
import torch

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


def test_excess_memory_goes_back_to_the_system_when_asked(figures):
    assert figures[2] > 100  # of 240 MB


def test_asking_again_gives_the_same_answer():
    assert keep_freed_memory() is keep_freed_memory()


@pytest.mark.parametrize(
    ("capability", "asked", "found"),
    [("AVX2", None, "6"), ("AVX2", "7", "7"), ("AVX512", None, None)],
)
def test_onednn_keeps_little_unless_asked_or_on_avx512(capability, asked, found, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(memory, "_is_glibc", lambda: True)
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: FakeLibrary)
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", asked or "")
    if asked is None:
        monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY")
    assert keep_freed_memory.__wrapped__()
    assert os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY") == found


class FakeLibrary:
    mallopt = staticmethod(lambda *_: 1)
