"""What PyTorch reads without textlstm: a state dict, and a program for any batch and time."""

import json
import subprocess
import sys

import pytest
import torch
from tiny_classifier import LABELS, tiny_classifier, tiny_tagger
from torch import nn

from textlstm.errors import ExportError, OutputError
from textlstm.export import torch_export
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


@pytest.mark.parametrize(
    ("pooling", "bidirectional", "num_layers"),
    [("final", True, 2), ("max", False, 1), ("mean", True, 1), ("attention", False, 1)],
)
def test_the_program_is_equal_to_the_network(tmp_path, pooling, bidirectional, num_layers):
    classifier = tiny_classifier(
        pooling=pooling, bidirectional=bidirectional, num_layers=num_layers
    )
    export_program(classifier, tmp_path / "m.pt2")
    program = torch.export.load(tmp_path / "m.pt2").module()
    for ids, lengths in ((IDS, LENGTHS), (IDS[:1, :1], LENGTHS[1:]), (IDS[:, :1], LENGTHS[[1, 1]])):
        with torch.no_grad():
            logits, probabilities = program(ids, lengths)
            expected = classifier.model(ids, lengths)
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(probabilities, expected.softmax(dim=1), atol=1e-5, rtol=0)


def test_the_program_runs_where_textlstm_is_not_known(tmp_path):
    classifier = tiny_classifier(num_layers=1)
    export_program(classifier, tmp_path / "m.pt2")
    code = f"""
import json, sys, torch
sys.modules["textlstm"] = None
extra = {{"textlstm.json": ""}}
program = torch.export.load({str(tmp_path / "m.pt2")!r}, extra_files=extra).module()
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


def test_a_program_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_export, "_flip", lambda x, order: x)
    with pytest.raises(ExportError, match=r"the torch\.export program differs"):
        export_program(tiny_classifier(num_layers=1), tmp_path / "m.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["export", "save", "load"])
def test_what_torch_can_not_do_is_refused_with_another_way(tmp_path, monkeypatch, step):
    def broken(*_, **__):
        raise ValueError("no such thing")

    monkeypatch.setattr(torch.export, step, broken)
    with pytest.raises(ExportError, match=r"torch \d.* can't .*: export with format onnx instead"):
        export_program(tiny_classifier(num_layers=1), tmp_path / "m.pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_torch_without_scan_is_refused_with_another_way(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch._higher_order_ops.scan", None)
    with pytest.raises(
        ExportError, match=r"has no scan.*: update torch, or export with format onnx"
    ):
        export_program(tiny_classifier(num_layers=1), tmp_path / "m.pt2")


def test_of_several_labels_the_program_gives_sigmoids(tmp_path):
    tagger = tiny_tagger(num_layers=1)
    export_program(tagger, tmp_path / "m.pt2")
    extra = {"textlstm.json": ""}
    program = torch.export.load(tmp_path / "m.pt2", extra_files=extra).module()
    assert json.loads(extra["textlstm.json"])["thresholds"] == [0.4, 0.5, 0.6]
    with torch.no_grad():
        _, probabilities = program(IDS, LENGTHS)
        expected = tagger.model(IDS, LENGTHS).sigmoid()
    torch.testing.assert_close(probabilities, expected, atol=1e-5, rtol=0)
