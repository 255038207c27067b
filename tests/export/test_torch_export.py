"""What PyTorch reads without textlstm: a state dict, and a program for any batch and time."""

import functools
import json
import subprocess
import sys

import pytest
import torch
from tiny_classifier import LABELS, tiny_classifier, tiny_tagger
from torch import nn

from textlstm.errors import ExportError, OutputError
from textlstm.export import torch_export
from textlstm.export.formats import export_model
from textlstm.export.torch_export import export_program, export_torch

pytestmark = pytest.mark.slow

pytest.importorskip("torch._higher_order_ops.scan", reason="this torch has no scan")

IDS = torch.tensor([[2, 3, 4, 5], [6, 9, 9, 9]])
LENGTHS = torch.tensor([4, 1])


def test_the_state_dict_loads_with_weights_only(tmp_path):
    classifier = tiny_classifier(num_layers=2)
    export_torch(classifier, tmp_path / "w.pt")
    state = torch.load(tmp_path / "w.pt", weights_only=True)
    assert type(state) is dict or type(state).__name__ == "OrderedDict"
    expected = classifier.model.state_dict()
    assert state.keys() == expected.keys()
    for name, tensor in state.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, expected[name])
    lstm = nn.LSTM(5, 6, 2, batch_first=True, bidirectional=True)
    lstm.load_state_dict(
        {name[5:]: tensor for name, tensor in state.items() if name.startswith("lstm.")},
        strict=True,
    )


def test_the_state_dict_repeats_byte_for_byte(tmp_path):
    for name in ("1.pt", "2.pt"):
        export_torch(tiny_classifier(), tmp_path / name)
    one, two = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert one == two


@pytest.mark.parametrize("export", [export_torch, export_program])
def test_a_place_that_can_not_be_written_is_named(tmp_path, export):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        export(tiny_classifier(num_layers=1), tmp_path / "file" / "x.pt")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A function that exports a network of `NETWORKS` once and returns (classifier, path)."""

    @functools.cache
    def export(pooling):
        path = tmp_path_factory.mktemp("program") / "m.pt2"
        classifier = NETWORKS[pooling]()
        export_model(classifier, "torch-export", path)
        return classifier, path

    return export


ONE_WAY = {"num_layers": 1, "bidirectional": False, "ngrams": 0}
NETWORKS = {
    "final": lambda: tiny_classifier(pooling="final", num_layers=2),
    "final+max": lambda: tiny_classifier(pooling="final+max", **ONE_WAY),
    "mean": lambda: tiny_tagger(pooling="mean", **ONE_WAY),
    "attention": lambda: tiny_classifier(pooling="attention", **ONE_WAY),
}


def assert_equal(program, classifier):
    """That a program computes what the network of a classifier does."""
    batches = [(IDS, LENGTHS), (IDS[:1, :1], LENGTHS[1:]), (IDS[:, :1], LENGTHS[[1, 1]])]
    for ids, lengths in batches:
        with torch.no_grad():
            logits, probabilities = program(ids, lengths)
            expected = classifier.model(ids, lengths)
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
        of_labels = expected.softmax(dim=1) if classifier.thresholds is None else expected.sigmoid()
        torch.testing.assert_close(probabilities, of_labels, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling", NETWORKS)
def test_the_program_is_equal_to_the_network(exported, pooling):
    classifier, path = exported(pooling)
    assert_equal(torch.export.load(path).module(), classifier)


@pytest.mark.parametrize("pooling", NETWORKS)
@pytest.mark.parametrize("make", [tiny_classifier, tiny_tagger])
@pytest.mark.parametrize("shape", [{"num_layers": 2}, {"num_layers": 2, "bidirectional": False}])
def test_what_is_exported_is_equal_to_the_network(pooling, make, shape):
    def loop(step, states, steps, dim):
        found = []
        for each in steps.unbind(dim):
            states, output = step(states, each)
            found.append(output)
        return states, torch.stack(found, dim)

    classifier = make(pooling=pooling, **shape)
    assert_equal(torch_export._Looped(classifier.model.eval(), loop), classifier)


def test_the_program_runs_where_textlstm_is_not_known(exported):
    classifier, path = exported("final+max")
    code = f"""
import json, sys, torch
sys.modules["textlstm"] = None
extra = {{"textlstm.json": ""}}
program = torch.export.load({str(path)!r}, extra_files=extra).module()
about = json.loads(extra["textlstm.json"])
_, probabilities = program(torch.tensor({IDS.tolist()}), torch.tensor({LENGTHS.tolist()}))
print(json.dumps([about, probabilities.tolist()]))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    about, probabilities = json.loads(result.stdout.splitlines()[-1])
    assert about["labels"] == list(LABELS)
    assert (about["max_length"], about["truncation"]) == (20, "both")
    with torch.no_grad():
        expected = classifier.model(IDS, LENGTHS).softmax(dim=1)
    torch.testing.assert_close(torch.tensor(probabilities), expected, atol=1e-5, rtol=0)


def test_the_program_holds_the_thresholds_of_several_labels(exported):
    extra = {"textlstm.json": ""}
    torch.export.load(exported("mean")[1], extra_files=extra)
    assert json.loads(extra["textlstm.json"])["thresholds"] == [0.4, 0.5, 0.6]


def test_a_program_that_differs_is_not_written(exported, tmp_path, monkeypatch):
    _, path = exported("final+max")
    monkeypatch.setattr(torch_export, "_program", lambda model: torch.export.load(path))
    with pytest.raises(ExportError, match=r"the torch\.export program differs"):
        export_program(tiny_classifier(pooling="final+max", **ONE_WAY, seed=2), tmp_path / "m.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["export", "save", "load"])
def test_what_torch_can_not_do_is_refused_with_another_way(exported, tmp_path, monkeypatch, step):
    def broken(*_, **__):
        raise ValueError("no such thing")

    if step != "export":
        program = torch.export.load(exported("final+max")[1])
        monkeypatch.setattr(torch_export, "_program", lambda model: program)
    monkeypatch.setattr(torch.export, step, broken)
    with pytest.raises(ExportError, match=r"torch \d.* can't .*: export with format onnx instead"):
        export_program(tiny_classifier(pooling="final+max", **ONE_WAY), tmp_path / "m.pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_torch_without_scan_is_refused_with_another_way(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch._higher_order_ops.scan", None)
    with pytest.raises(
        ExportError, match=r"has no scan.*: update torch, or export with format onnx"
    ):
        export_program(tiny_classifier(num_layers=1), tmp_path / "m.pt2")
