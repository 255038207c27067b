"""A checkpoint comes back as it was; one that is damaged or of another kind is refused."""

import zlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from textlstm.config import TrainingConfig
from textlstm.data.encoded import EncodedTexts, LabelledTexts
from textlstm.errors import ModelFolderError, OutputError
from textlstm.io import atomic as files
from textlstm.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    optimizer_tensors,
    random_states,
    restore_optimizer,
    restore_random_states,
    run_signature,
    save_checkpoint,
)
from textlstm.training.distributed import ALONE

CPU = torch.device("cpu")


def example(value=1.0):
    tensors = {
        "model": {"lstm.weight": torch.full((2, 3), value), "bias": torch.arange(3)},
        "best": {},
        "optimizer": {"0.step": torch.tensor(4.0)},
        "random": {"cpu": torch.arange(9, dtype=torch.uint8)},
    }
    return Checkpoint(tensors, {"step": 7, "loss": 0.1 + 0.2, "é": [None, "☃"]})


def test_what_was_saved_is_loaded(tmp_path):
    path = tmp_path / "new" / "checkpoint.safetensors"
    save_checkpoint(path, example())
    loaded = load_checkpoint(path)
    assert loaded.state == example().state
    for group, tensors in example().tensors.items():
        assert loaded.tensors[group].keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert torch.equal(loaded.tensors[group][name], tensor)
            assert loaded.tensors[group][name].dtype == tensor.dtype


def test_loaded_tensors_live_without_the_file(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, example())
    loaded = load_checkpoint(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert loaded.tensors["model"]["lstm.weight"].tolist() == [[1.0] * 3] * 2


def test_a_crash_in_the_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, example(1.0))

    def crash(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "sync", crash)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, example(2.0))
    assert load_checkpoint(path).tensors["model"]["lstm.weight"][0, 0] == 1.0
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_is_as_readable_as_other_files(tmp_path):
    (tmp_path / "plain").touch()
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, example())
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write .*checkpoint\.safetensors"):
        save_checkpoint(tmp_path / "file" / "checkpoint.safetensors", example())


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_checkpoint_cut_short_is_refused_by_name(tmp_path, kept):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, example())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelFolderError, match=r"checkpoint\.safetensors is .*damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "textlstm checkpoint 99"}])
def test_a_file_that_is_no_checkpoint_of_this_version_is_refused(tmp_path, metadata):
    path = tmp_path / "checkpoint.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata)
    with pytest.raises(ModelFolderError, match=r"checkpoint\.safetensors is not a checkpoint of"):
        load_checkpoint(path)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(ModelFolderError, match=r"no checkpoint .*gone\.safetensors"):
        load_checkpoint(tmp_path / "gone.safetensors")


def stepped(model, optimizer, times):
    for _ in range(times):
        optimizer.zero_grad()
        model(torch.ones(3, 2)).pow(2).sum().backward()
        optimizer.step()


@pytest.mark.slow
def test_an_optimizer_goes_on_where_it_was():
    torch.manual_seed(0)
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    stepped(model, optimizer, 3)
    other.load_state_dict(model.state_dict())
    resumed = torch.optim.AdamW(other.parameters(), lr=0.1)
    restore_optimizer(
        resumed, {name: value.clone() for name, value in optimizer_tensors(optimizer).items()}
    )
    stepped(model, optimizer, 2)
    stepped(other, resumed, 2)
    assert torch.equal(model.weight, other.weight)
    assert {name.split(".")[1] for name in optimizer_tensors(resumed)} == {
        "step",
        "exp_avg",
        "exp_avg_sq",
    }


@pytest.mark.slow
def test_an_optimizer_before_its_first_step_has_nothing_to_save():
    optimizer = torch.optim.AdamW(nn.Linear(2, 2).parameters())
    assert optimizer_tensors(optimizer) == {}
    restore_optimizer(optimizer, {})


def test_random_numbers_go_on_where_they_were():
    torch.manual_seed(5)
    torch.rand(3)
    states = {name: value.clone() for name, value in random_states(CPU, ALONE).items()}
    expected = torch.rand(4)
    torch.manual_seed(6)
    restore_random_states(states, CPU, ALONE)
    assert torch.equal(torch.rand(4), expected)


def test_the_checksum_of_a_teacher_is_of_its_numbers_however_they_lie():
    texts = EncodedTexts.from_batches([(np.ones(3, np.int32), np.ones(3, np.int64))])
    said = np.random.default_rng(1).random((3, 2), np.float32)
    for values in (said, np.asfortranarray(said)):
        train = LabelledTexts(texts, np.zeros(3, np.int64), None, values, np.ones(3, "f4"))
        found = run_signature(TrainingConfig(), ["a", "b"], nn.Linear(1, 1), {"train": train})
        assert found["train teacher (crc32)"] == zlib.crc32(said.tobytes())
