"""An exported ONNX folder is a model for `predict`, without torch."""

import json
import subprocess
import sys

import pytest
from tiny_classifier import CASCADE, texts, tiny_classifier, tiny_tagger

from textlstm.cli import main
from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, ModelFolderError
from textlstm.io.readers import read_rows
from textlstm.prediction.files import classify_file

pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from textlstm.export.onnx_export import export_onnx
from textlstm.export.onnx_model import OnnxModel

pytestmark = pytest.mark.slow

ONNX = PredictionConfig(engine="onnx")


@pytest.fixture(scope="module")
def classifier():
    options = {"text_column": ["title", "body"], "truncation": "both", "max_length": 6}
    return tiny_classifier(**options, cascade=CASCADE)


@pytest.fixture(scope="module")
def folder(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "onnx"
    export_onnx(classifier, folder)
    return folder


def write_rows(path, some):
    rows = ({"title": text, "body": "film"} for text in some)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def labelled(path):
    return [row.values for row in read_rows(path)]


def test_it_predicts_what_the_classifier_predicts(classifier, folder, tmp_path):
    source = write_rows(tmp_path / "in.jsonl", texts(60))
    classify_file(OnnxModel(folder), source, tmp_path / "onnx.csv", ONNX)
    classify_file(classifier, source, tmp_path / "torch.csv", PredictionConfig())
    found, expected = labelled(tmp_path / "onnx.csv"), labelled(tmp_path / "torch.csv")
    assert [row["label"] for row in found] == [row["label"] for row in expected]
    scores = [float(row["score"]) for row in found]
    assert scores == pytest.approx([float(row["score"]) for row in expected], abs=1e-5)


def test_several_labels_and_their_separator_are_those_of_the_training(tmp_path):
    tagger = tiny_tagger(label_separator="+")
    export_onnx(tagger, tmp_path / "onnx")
    source = tmp_path / "in.csv"
    source.write_text("text\n" + "".join(f'"{text}"\n' for text in texts(30)), encoding="utf-8")
    classify_file(OnnxModel(tmp_path / "onnx"), source, tmp_path / "onnx.csv", ONNX)
    expected = ["+".join(item.labels) for item in tagger.predict(texts(30))]
    assert [row["label"] for row in labelled(tmp_path / "onnx.csv")] == expected


@pytest.mark.parametrize("several", [False, True])
def test_it_is_evaluated_as_the_classifier_is(tmp_path, several):
    classifier = tiny_tagger(labels=("a", "b", "c")) if several else tiny_classifier()
    export_onnx(classifier, tmp_path / "onnx")
    classifier.save(tmp_path / "model")
    names = [list(item.labels) for item in classifier.predict(texts(40, seed=2))]
    rows = zip(texts(40), names, strict=True)
    lines = ({"text": text, "label": labels if several else labels[0]} for text, labels in rows)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    figures = []
    for model in ("onnx", "model"):
        out = tmp_path / f"{model}.json"
        words = ["evaluate", tmp_path / model, tmp_path / "in.jsonl", "--json", out]
        assert main([str(word) for word in words]) == 0
        figures.append(json.loads(out.read_text()))
    onnx, torch = figures
    assert onnx["n"] == torch["n"]
    assert onnx["accuracy"] == torch["accuracy"]
    assert onnx["macro_f1"] == pytest.approx(torch["macro_f1"])


PREDICT = """
import sys
from textlstm.cli import main
code = main(["predict", *sys.argv[1:]])
print(*sys.modules)
sys.exit(code)
"""


@pytest.mark.parametrize("engine", [[], ["--engine", "onnx", "--cascade", "0.01"]])
def test_the_command_imports_neither_torch_nor_datasets(folder, tmp_path, engine):
    """Either takes longer to import than a line takes to answer."""
    words = [folder, "--text", "a dull film", "--out", tmp_path / "out.jsonl", *engine]
    result = subprocess.run(
        [sys.executable, "-c", PREDICT, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    loaded = {*result.stdout.split(), *(name.split(".")[0] for name in result.stdout.split())}
    assert not loaded & {"torch", "datasets", "sklearn", "pandas", "onnx", "huggingface_hub"}
    assert not loaded & {"pyarrow.compute", "pyarrow.parquet", "importlib.metadata", "rich"}
    assert labelled(tmp_path / "out.jsonl")[0]["label"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "torch"}, "engine = 'torch': an ONNX folder needs the engine onnx"),
        ({"engine": "onnx", "precision": "int8"}, "precision = 'int8': an ONNX folder has the one"),
    ],
)
def test_what_it_cannot_do_is_refused(folder, tmp_path, options, said):
    source = write_rows(tmp_path / "in.jsonl", ["dull"])
    with pytest.raises(ConfigError, match=said):
        classify_file(OnnxModel(folder), source, tmp_path / "o.csv", PredictionConfig(**options))


def test_a_run_is_resumed_with_the_same_export_only(folder, tmp_path, monkeypatch, capsys):
    source = write_rows(tmp_path / "in.jsonl", texts(9))
    words = ["predict", str(folder), str(source), "--out", str(tmp_path / "o.csv")]
    with monkeypatch.context() as patched:
        patched.setattr("textlstm.prediction.files.RowOutput.finish", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main(words)
    export_onnx(tiny_classifier(seed=2, text_column=["title", "body"]), tmp_path / "other")
    assert main([words[0], str(tmp_path / "other"), *words[2:], "--resume"]) == 2
    assert "model was" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0
    assert len(labelled(tmp_path / "o.csv")) == 9


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("settings.json", None, "settings.json cannot be read .*: export the model again"),
        ("settings.json", '{"data": 1}', "settings.json is damaged"),
        ("labels.json", "[", "labels.json cannot be read"),
        ("labels.json", "[" * 100_000, "labels.json cannot be read"),
        ("labels.json", "3", "labels.json is damaged"),
        ("labels.json", '["a", 1]', "labels.json is damaged"),
        ("labels.json", '["one"]', "model.onnx is damaged, or of another model"),
        ("thresholds.json", "true", "thresholds.json is damaged"),
        ("thresholds.json", "[0.5]", "thresholds.json is damaged"),
    ],
)
def test_a_damaged_folder_is_an_error_that_names_the_file(classifier, tmp_path, file, text, said):
    export_onnx(classifier, tmp_path / "onnx")
    if text is None:
        (tmp_path / "onnx" / file).unlink()
    else:
        (tmp_path / "onnx" / file).write_text(text)
    with pytest.raises(ModelFolderError, match=said):
        OnnxModel(tmp_path / "onnx")
