"""Device, threads and seed."""

import os

import pytest
import torch
from tiny_classifier import needs_bf16

from textlstm.errors import ConfigError
from textlstm.nn import device as runtime
from textlstm.nn.device import (
    _native_bf16,
    cpu_threads,
    mind_fork,
    pick_device,
    pick_precision,
    seed_everything,
)


@pytest.mark.parametrize("name", ["tpu", "gpu", "mps", "cuda:x", "", "CPU"])
def test_a_device_that_does_not_exist_is_named(name):
    with pytest.raises(ConfigError, match=f"device = {name!r}: must be auto, cpu"):
        pick_device(name)


def test_a_gpu_that_is_not_there_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"device = 'cuda'.* sees no CUDA.*choose auto or cpu"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match="has 2 GPUs: choose auto, cpu or cuda:0 to cuda:1"):
        pick_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"'cuda:3': .* has 1 GPU: choose auto, cpu or cuda:0$"):
        pick_device("cuda:3")


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("cuda")


def test_threads_are_put_back_after_an_error_too():
    before = torch.get_num_threads()

    def fail():
        with cpu_threads(before + 1):
            assert torch.get_num_threads() == before + 1
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert torch.get_num_threads() == before
    with cpu_threads(None):
        assert torch.get_num_threads() == before


def test_the_seed_decides_what_torch_draws():
    seed_everything(3)
    one = torch.rand(2)
    seed_everything(3)
    assert torch.equal(torch.rand(2), one)
    seed_everything(4)
    assert not torch.equal(torch.rand(2), one)


@needs_bf16
def test_precision_is_what_was_asked_for_and_auto_asks_the_hardware(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert pick_precision("fp32", cpu) == torch.float32
    assert pick_precision("bf16", cpu) == torch.bfloat16
    for native, dtype in [(True, torch.bfloat16), (False, torch.float32)]:
        monkeypatch.setattr("textlstm.nn.device._native_bf16", lambda native=native: native)
        assert pick_precision("auto", cpu) == dtype
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda native=native: native)
        assert pick_precision("auto", gpu) == dtype


@pytest.mark.parametrize(
    ("flags", "native"),
    [("avx512f avx512_bf16 vaes", True), ("amx_bf16", True), ("avx512f avx512_bf16x", False)],
)
def test_a_cpu_has_native_bf16_if_its_flags_say_so(flags, native, monkeypatch):
    monkeypatch.setattr(runtime, "cpu_flags", lambda: frozenset(flags.split()))
    assert _native_bf16() is native


def test_a_forked_process_is_put_to_one_thread_once(monkeypatch):
    with cpu_threads(2):
        mind_fork()
        assert torch.get_num_threads() == 2
        monkeypatch.setattr(runtime, "_process", os.getpid() + 1)  # as a child finds it
        mind_fork()
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)  # on purpose
        mind_fork()
        assert torch.get_num_threads() == 2
