import json
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_classifier import LABELS, texts, tiny_classifier, tiny_tagger
from torch import nn

from textlstm.config import POOLINGS
from textlstm.errors import ConfigError, MissingDependencyError, OutputError
from textlstm.export.formats import FORMATS, export_model, export_safetensors, export_vocabulary
from textlstm.text.vocabulary import Vocabulary

TEXTS = [*texts(20), "?", "unseen"]


def by_hand(path, ids):
    """Judge one text with what the file alone says."""
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    tensors = load_file(path)
    embedding = nn.Embedding(int(about["vocab_size"]), int(about["embedding_size"]))
    embedding.load_state_dict({"weight": tensors["embedding.weight"]})
    lstm = nn.LSTM(
        int(about["embedding_size"]),
        int(about["hidden_size"]),
        int(about["num_layers"]),
        batch_first=True,
        bidirectional=about["bidirectional"] == "true",
    )
    lstm.load_state_dict(
        {name[5:]: tensor for name, tensor in tensors.items() if name.startswith("lstm.")},
        strict=True,
    )
    width = int(about["hidden_size"]) * (2 if lstm.bidirectional else 1)
    width *= 2 if about["pooling"] == "final+max" else 1
    linear = nn.Linear(width, int(about["num_classes"]))
    linear.load_state_dict({"weight": tensors["linear.weight"], "bias": tensors["linear.bias"]})
    with torch.no_grad():
        output, (h_n, _) = lstm(embedding(torch.tensor([ids])))  # [1, T, D*H], [L*D, 1, H]
        final = torch.cat([h_n[-2, 0], h_n[-1, 0]]) if lstm.bidirectional else h_n[-1, 0]
        most = output[0].amax(dim=0)
        if about["pooling"] == "final":
            pooled = final
        elif about["pooling"] == "max":
            pooled = most
        elif about["pooling"] == "final+max":
            pooled = torch.cat([final, most])
        elif about["pooling"] == "mean":
            pooled = output[0].mean(dim=0)
        else:
            hidden = output[0] @ tensors["pooling.hidden.weight"].T + tensors["pooling.hidden.bias"]
            scores = torch.tanh(hidden) @ tensors["pooling.score.weight"].T  # [T, 1]
            pooled = (scores.softmax(dim=0) * output[0]).sum(dim=0)
        logits = tensors["scales"][0] * linear(pooled)
        if about["ngrams"] != "0":
            logits = logits + tensors["scales"][1] * ngrams_by_hand(about, tensors, ids)
        return logits.numpy(), json.loads(about["labels"])


def ngrams_by_hand(about, tensors, ids):
    """Judge one text by what the file alone says of n-grams."""
    factors = json.loads(about["ngram_factors"])
    rows = set(ids)
    for k in range(1, int(about["ngrams"])):
        led = [0] * k + ids
        for place, token in enumerate(ids, start=k):
            key = token + sum(led[place - 1 - i] * factors[i] for i in range(k))
            rows.add(int(about["vocab_size"]) + key % int(about["ngram_buckets"]))
    total = tensors["ngrams.table"][sorted(rows)].sum(dim=0)
    return total / len(rows) ** 0.5 + tensors["ngrams.bias"]


@pytest.mark.slow
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [True, False])
def test_plain_torch_layers_give_the_same_logits_from_the_file_alone(
    tmp_path, pooling, bidirectional
):
    classifier = tiny_classifier(pooling=pooling, bidirectional=bidirectional, num_layers=3)
    path = tmp_path / "weights.safetensors"
    export_safetensors(classifier, path)
    for text, prediction in zip(TEXTS, classifier.predict(TEXTS), strict=True):
        ids = classifier.tokenizer.encode(text) or [1]
        logits, labels = by_hand(path, ids)
        with torch.no_grad():
            expected = classifier.model(torch.tensor([ids]), torch.tensor([len(ids)]))[0]
        np.testing.assert_allclose(logits, expected, atol=1e-5)
        assert labels[int(logits.argmax())] == prediction.label


def test_the_weights_file_explains_itself(tmp_path):
    classifier = tiny_classifier()
    export_model(classifier, "safetensors", tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        about = file.metadata()
    assert all(isinstance(value, str) for value in about.values())
    assert json.loads(about["labels"]) == list(LABELS)
    assert about["pooling"] == "final"
    assert "h_n[-2] and h_n[-1]" in about["pooling_rule"]
    assert about["vocab_size"] == str(len(classifier.vocabulary))
    assert (about["pad_id"], about["unk_id"]) == ("0", "1")
    assert (about["tokenizer"], about["max_length"], about["truncation"]) == ("word", "20", "both")
    built = eval(about["lstm"], {"torch": torch})
    assert built.state_dict().keys() == classifier.model.lstm.state_dict().keys()


def test_an_export_repeats_byte_for_byte(tmp_path):
    for name in ("1.safetensors", "2.safetensors"):
        export_model(tiny_classifier(), "safetensors", tmp_path / name)
    one, two = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert one == two


@pytest.mark.parametrize("name", ["vocab.txt", "vocab.json", "vocab"])
def test_the_vocabulary_reads_back_with_its_counts(tmp_path, name):
    classifier = tiny_classifier()
    export_model(classifier, "vocab", tmp_path / name)
    found = Vocabulary.load(tmp_path / name)
    assert found == classifier.vocabulary
    assert found.counts == classifier.vocabulary.counts


def test_the_vocabulary_text_is_one_token_a_line(tmp_path):
    classifier = tiny_classifier()
    export_vocabulary(classifier, tmp_path / "vocab.txt")
    lines = (tmp_path / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[0] for line in lines] == classifier.vocabulary.get_itos()
    export_vocabulary(classifier, tmp_path / "vocab.json")
    json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))


def test_an_unknown_format_names_the_closest():
    with pytest.raises(ConfigError, match=r"'safetensor'.*did you mean 'safetensors'"):
        export_model(tiny_classifier(), "safetensor", "x")
    assert {"vocab", "safetensors"} <= set(FORMATS)


@pytest.mark.parametrize(
    ("format", "name", "rule"),
    [
        ("vocab", "vocab.safetensors", "must end in .txt or .json"),
        ("vocab", "folder.txt", "is a folder.*.txt or .json"),
        ("safetensors", "model.pt", "must end in .safetensors"),
        ("safetensors", "folder.safetensors", "is a folder.*.safetensors"),
        ("torch", "model.pt2", "must end in .pt or .pth"),
        ("torch-export", "model.pt", "must end in .pt2"),
        ("onnx", "model.onnx", "the onnx export is a folder"),
    ],
)
def test_a_path_that_does_not_fit_is_refused(tmp_path, format, name, rule):
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(ConfigError, match=f"{name}:? {rule}"):
        export_model(tiny_classifier(), format, tmp_path / name)


@pytest.mark.parametrize(("format", "suffix"), [("vocab", ".txt"), ("safetensors", ".safetensors")])
def test_a_place_that_can_not_be_written_is_named(tmp_path, format, suffix):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        export_model(tiny_classifier(), format, tmp_path / "file" / f"x{suffix}")


def test_the_state_dict_is_written(tmp_path):
    export_model(tiny_classifier(num_layers=1), "torch", tmp_path / "w.pt")
    assert "linear.bias" in torch.load(tmp_path / "w.pt", weights_only=True)


@pytest.mark.slow
def test_the_onnx_folder_is_written_and_takes_its_options(tmp_path):
    pytest.importorskip("onnxruntime")
    classifier = tiny_classifier(num_layers=1)
    export_model(classifier, "onnx", tmp_path / "out")
    assert (tmp_path / "out" / "model.onnx").exists()
    with pytest.raises(ConfigError, match="'int4'"):
        export_model(classifier, "onnx", tmp_path / "out", quantize="int4", overwrite=True)
    with pytest.raises(OutputError, match="out exists"):
        export_model(classifier, "onnx", tmp_path / "out")
    export_model(classifier, "onnx", tmp_path / "out", overwrite=True)


@pytest.mark.parametrize("option", ["quantize", "data"])
def test_options_of_onnx_go_with_no_other_format(tmp_path, option):
    with pytest.raises(ConfigError, match=f"{option} does not go with format = 'vocab'"):
        export_model(tiny_classifier(), "vocab", tmp_path / "v.txt", **{option: "int8"})
    assert list(tmp_path.iterdir()) == []


def test_without_onnx_the_error_says_what_to_install(tmp_path, monkeypatch):
    for name in ("onnx_export", "onnx_graph", "onnx_ngrams", "onnx_nodes", "onnx_session"):
        monkeypatch.delitem(sys.modules, f"textlstm.export.{name}", raising=False)
    for name in ("onnx", "onnxruntime"):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, name, None)
            with pytest.raises(MissingDependencyError, match=r"pip install 'textlstm\[onnx\]'"):
                export_model(tiny_classifier(), "onnx", tmp_path / "out")


def test_the_weights_say_whether_logits_go_through_sigmoids_and_from_where_on_labels_count(
    tmp_path,
):
    found = []
    for name, classifier in (("one", tiny_classifier()), ("several", tiny_tagger())):
        export_safetensors(classifier, tmp_path / name)
        with safe_open(tmp_path / name, framework="pt") as file:
            found.append(file.metadata())
    assert found[0]["network"].endswith("linear, softmax")
    assert "thresholds" not in found[0]
    assert found[1]["network"].endswith("linear, sigmoid")
    assert json.loads(found[1]["thresholds"]) == [0.4, 0.5, 0.6]
