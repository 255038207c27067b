"""Safetensors files: equal bytes for equal tensors, and what can't be a model is refused."""

import errno

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from textlstm.classifier.weights import load_weights, save_weights
from textlstm.errors import ModelFolderError, OutputError
from textlstm.io import atomic


def metadata_of(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def test_weights_read_back_equal(tmp_path):
    tensors = {
        "a": torch.arange(6.0).reshape(2, 3),
        "view": torch.arange(12).reshape(3, 4).T,
        "state": torch.tensor([1, 2], dtype=torch.uint8),
        "empty": torch.zeros(0, 3),
    }
    save_weights(tmp_path / "w.safetensors", tensors, {"é": '"quoted"\n\x7f'})
    shapes = [(name, tuple(tensor.shape)) for name, tensor in tensors.items()]
    found = load_weights(tmp_path / "w.safetensors", shapes)
    assert metadata_of(tmp_path / "w.safetensors") == {"é": '"quoted"\n\x7f'}
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype


def test_equal_weights_are_equal_bytes(tmp_path):
    metadata = {f"key {i}": "\t\\/é\x01" * i for i in range(9)}
    tensors = {"b": torch.ones(3), "a": torch.zeros(2, 2)}
    for name in "123":
        save_weights(tmp_path / name, tensors, metadata)
    assert len({(tmp_path / name).read_bytes() for name in "123"}) == 1
    with safe_open(tmp_path / "1", framework="pt") as file:
        assert file.metadata() == metadata
        assert torch.equal(file.get_tensor("b"), torch.ones(3))


def test_the_file_is_what_the_library_writes(tmp_path):
    tensors = {name: torch.rand(2, 3) for name in ("b", "a.1", "é")}
    tensors |= {"half": torch.rand(3).bfloat16(), "id": torch.tensor(7), "no": torch.zeros(0)}
    save_weights(tmp_path / "ours", tensors, {"format": "pt"})
    save_file(tensors, tmp_path / "theirs", {"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("data", [b"", b"short", b"\xff" * 100, b"\2\0\0\0\0\0\0\0{}trailing"])
def test_what_is_no_safetensors_file_is_named(tmp_path, data):
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(ModelFolderError, match=r"w\.safetensors is truncated, damaged or no"):
        load_weights(tmp_path / "w.safetensors", [])


def test_a_disk_that_is_full_is_an_output_error(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "sync", fail)
    with pytest.raises(OutputError, match=r"cannot write .*w\.safetensors.*No space left"):
        save_weights(tmp_path / "w.safetensors", {"a": torch.ones(1)}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("shapes", "fault"),
    [
        ([("a", (2,)), ("b", (1, 3))], r"b is \[3\], but .* ask for \[1, 3\]"),
        ([("a", (2,)), ("b", (3,)), ("c", (1,))], r"c is missing, but .* ask for \[1\]"),
        ([("b", (3,))], r"a is \[2\], but .* ask for no such tensor"),
    ],
)
def test_shapes_are_compared_before_any_tensor_is_read(tmp_path, monkeypatch, shapes, fault):
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": torch.zeros(2), "b": torch.zeros(3)}, {})
    assert set(load_weights(path, [("a", (2,)), ("b", (3,))])) == {"a", "b"}
    with pytest.raises(ModelFolderError, match=r"w\.safetensors: " + fault):
        load_weights(path, shapes)


def test_endless_shapes_are_read_up_to_the_first_that_differs(tmp_path):
    save_weights(tmp_path / "w", {"a0": torch.zeros(2)}, {})
    endless = ((f"a{i}", (2,)) for i in iter(int, 1) for i in (0, 10**9))
    with pytest.raises(ModelFolderError, match="a1000000000 is missing"):
        load_weights(tmp_path / "w", endless)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path, number):
    save_weights(tmp_path / "w", {"a": torch.zeros(2), "b": torch.tensor([1.0, number])}, {})
    with pytest.raises(ModelFolderError, match="b holds numbers that are not finite"):
        load_weights(tmp_path / "w", [("a", (2,)), ("b", (2,))])
