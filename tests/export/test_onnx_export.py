"""The export folder is checked before it is there, and is enough by itself."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_classifier import CASCADE, LABELS, WORDS, texts, tiny_classifier, tiny_tagger

from textlstm.config import TOKENIZERS, TRUNCATIONS
from textlstm.errors import ConfigError, DataError, ExportError, OutputError
from textlstm.evaluation.cascade import Cascade

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from textlstm.export import onnx_export, onnx_graph
from textlstm.export.onnx_export import FILES, export_onnx, require_independence
from textlstm.export.onnx_graph import build_graph
from textlstm.export.onnx_session import OnnxSession

pytestmark = pytest.mark.slow

LONG = " ".join(WORDS * 5)
TEXTS = ["a bright film", "?", "unseen", LONG, "The  FILM, naïve!", "<br />", "<pad> 映画"]


class Data:
    """Labelled texts."""

    def __init__(self, rows, labels):
        self.rows, self.labels = rows, np.array(labels)

    def texts(self):
        yield self.rows[:7]
        yield self.rows[7:]


def labelled(classifier, n=60, wrong=12):
    """Texts with the label that the classifier gives, but for some."""
    rows = texts(n, seed=5)
    labels = classifier.predict_proba(rows).argmax(axis=1)
    labels[:wrong] = (labels[:wrong] + 1) % len(LABELS)
    return Data(rows, labels)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(onnx_export, "_GATE_TOKENS", 0)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of packages with what the README asks for, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("numpy", "onnxruntime", "tokenizers", "packaging", "flatbuffers", "google"):
        spec = importlib.util.find_spec(name)
        for place in map(Path, spec.submodule_search_locations if spec else []):
            for package in {place, place.with_name(f"{name}.libs")}:
                if package.exists() and not (folder / package.name).exists():
                    (folder / package.name).symlink_to(package)
    return folder


def code_of(folder, blocks=1):
    found = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(found) == blocks
    return "".join(found)


def run_alone(site, folder, code):
    """Run Python in the folder with the packages of `site` only; give its lines."""
    start = f"import sys; sys.path.append({str(site)!r})\n"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", start + code],
        cwd=folder,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr.decode()
    assert result.stderr == b""
    return result.stdout.decode("utf-8").splitlines()


def for_texts(code, rows):
    """Have the README's code run for these texts instead of its own."""
    head, rest = re.split(r"^text = .*\n", code, flags=re.MULTILINE)
    loop = f"for text in {rows!r}:\n"
    return head + loop + "".join(f"    {line}\n" for line in rest.splitlines())


def printed(classifier, rows):
    return [(found.label, found.score) for found in classifier.predict(rows)]


def assert_same(lines, expected):
    assert len(lines) == len(expected)
    for line, (label, score) in zip(lines, expected, strict=True):
        found, _, number = line.rpartition(" ")
        assert found == label
        assert float(number) == pytest.approx(score, abs=1e-5)


def test_neither_torch_nor_textlstm_is_there(site, tmp_path):
    code = """
import importlib.util
print([name for name in ("torch", "textlstm", "numpy") if importlib.util.find_spec(name)])
"""
    assert run_alone(site, tmp_path, code) == ["['numpy']"]


def test_the_code_of_the_readme_classifies_a_text(site, tmp_path):
    classifier = tiny_classifier()
    export_onnx(classifier, tmp_path / "out")
    code = code_of(tmp_path / "out")
    assert len(code.splitlines()) == 10
    assert max(map(len, code.splitlines())) <= 100
    lines = run_alone(site, tmp_path / "out", code)
    assert_same(lines, printed(classifier, ["A wonderful story."]))


CASES = [
    *((truncation, "word", 9) for truncation in TRUNCATIONS),
    *(("both", "word", length) for length in (1, 3)),
    *(("both", kind, 20) for kind in TOKENIZERS if kind != "word"),
]
ROWS = [*TEXTS, *texts(30)]


@pytest.fixture(scope="module")
def answers(site, tmp_path_factory):
    """Of each case what we predict for `ROWS`, and what the README's code prints for them."""
    folder, expected, programs = tmp_path_factory.mktemp("cases"), [], []
    for number, (truncation, tokenizer, max_length) in enumerate(CASES):
        classifier = tiny_classifier(
            truncation=truncation, tokenizer=tokenizer, max_length=max_length, vocab_size=60
        )
        expected.append(printed(classifier, ROWS))
        out = folder / str(number)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(onnx_export, "_GATE_TOKENS", 0)
            export_onnx(classifier, out)
        programs.append((str(out), for_texts(code_of(out), ROWS)))
    all_of_them = f"""
import os
for folder, program in {programs!r}:
    os.chdir(folder)
    exec(program, {{}})
"""
    lines = run_alone(site, folder, all_of_them)
    parts = [lines[i : i + len(ROWS)] for i in range(0, len(lines), len(ROWS))]
    return dict(zip(CASES, zip(expected, parts, strict=True), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_the_code_of_the_readme_gives_our_probabilities(answers, case):
    expected, lines = answers[case]
    assert len({score for _, score in expected}) > 10
    assert_same(lines, expected)


def test_the_folder_holds_its_four_files_and_can_be_loaded(tmp_path):
    classifier = tiny_classifier()
    report = export_onnx(classifier, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == set(FILES) - {"thresholds.json", "ngrams.onnx", "cascade.json"}
    labels = json.loads((tmp_path / "out" / "labels.json").read_text(encoding="utf-8"))
    assert labels == list(LABELS)
    assert max(report.parity.logits, report.parity.probabilities) < 1e-5
    assert (report.texts, report.float32, report.int8) == (0, None, None)
    session = OnnxSession(tmp_path / "out" / "model.onnx")
    ids = np.array([classifier.tokenizer.encode("a the film")])
    lengths = np.array([3])
    np.testing.assert_allclose(
        session(ids, lengths)[1], classifier.predict_proba(["a the film"]), atol=1e-6
    )


def test_the_classifier_stays_as_it_is(tmp_path):
    classifier = tiny_classifier()
    classifier.model.compute_dtype = torch.bfloat16
    before = {name: tensor.clone() for name, tensor in classifier.model.state_dict().items()}
    export_onnx(classifier, tmp_path / "out")
    assert classifier.model.compute_dtype is torch.bfloat16
    for name, tensor in classifier.model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_graph_that_is_not_the_network_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "_GATES", (0, 1, 2, 3))
    with pytest.raises(ExportError, match="the ONNX model differs from the model by"):
        export_onnx(tiny_classifier(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_numbers_are_not_written(tmp_path):
    classifier = tiny_classifier()
    with torch.no_grad():
        classifier.model.linear.weight[0, 0] = torch.nan
    with pytest.raises(ExportError, match="nan"):
        export_onnx(classifier, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_is_there_is_replaced_only_if_asked(tmp_path):
    export_onnx(tiny_classifier(), tmp_path / "out")
    with pytest.raises(OutputError, match=r"out exists: pass overwrite"):
        export_onnx(tiny_classifier(), tmp_path / "out")
    export_onnx(tiny_classifier(labels=("x", "y")), tmp_path / "out", overwrite=True)
    assert json.loads((tmp_path / "out" / "labels.json").read_text()) == ["x", "y"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nothing_else_is_ever_replaced(tmp_path):
    classifier = tiny_classifier()
    classifier.save(tmp_path / "model")
    before = sorted(path.name for path in (tmp_path / "model").iterdir())
    with pytest.raises(OutputError, match=r"holds other files \(config\.json, "):
        export_onnx(classifier, tmp_path / "model", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is not a folder"):
        export_onnx(classifier, tmp_path / "file", overwrite=True)
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.slow
def test_int8_is_measured_on_the_data(tmp_path):
    classifier = tiny_classifier(hidden_size=20)
    data = labelled(classifier)
    report = export_onnx(
        classifier, tmp_path / "out", quantize="int8", data=data, data_name="my | `data`"
    )
    assert report.texts == 60
    assert report.float32.accuracy == pytest.approx(0.8)
    session = OnnxSession(tmp_path / "out" / "model.onnx")
    ids, lengths = classifier.tokenizer.encode_batch(data.rows)
    ends = np.cumsum(lengths)
    found = np.array(
        [
            session(ids[None, end - n : end].astype(np.int64), np.array([n]))[1][0].argmax()
            for end, n in zip(ends, lengths, strict=True)
        ]
    )
    assert report.int8.accuracy == pytest.approx((found == data.labels).mean())
    agreement = (found == classifier.predict_proba(data.rows).argmax(axis=1)).mean()
    assert report.agreement == pytest.approx(agreement)
    assert report.int8.size == (tmp_path / "out" / "model.onnx").stat().st_size
    assert report.int8.size < report.float32.size
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "60 labelled texts of `my | data`:" in card
    assert f"{report.agreement:.2%} of these texts" in card
    assert f"| accuracy | 0.8000 | {report.int8.accuracy:.4f} |" in card


def test_float32_is_measured_if_there_is_data(tmp_path):
    classifier = tiny_classifier()
    report = export_onnx(classifier, tmp_path / "out", data=labelled(classifier))
    assert report.float32.accuracy == pytest.approx(0.8)
    assert report.float32.size == (tmp_path / "out" / "model.onnx").stat().st_size
    assert report.int8 is None
    assert "| accuracy | 0.8000 |\n" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_the_labels_of_the_data_may_be_in_another_order(tmp_path):
    classifier = tiny_classifier()
    data = labelled(classifier)
    data.names = classifier.labels[::-1]
    data.labels = len(classifier.labels) - 1 - data.labels
    report = export_onnx(classifier, tmp_path / "out", data=data)
    assert report.float32.accuracy == pytest.approx(0.8)


def test_int8_that_changes_many_labels_is_warned_of(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(onnx_graph, "_LARGEST_WEIGHT", 1)
    classifier = tiny_classifier(seed=2)
    with torch.no_grad():
        for parameter in classifier.model.lstm.parameters():
            parameter.mul_(3)
    report = export_onnx(classifier, tmp_path / "out", quantize="int8", data=labelled(classifier))
    assert report.agreement < 0.98
    warning = next(record for record in caplog.records if record.levelname == "WARNING")
    assert f"int8 changes {100 * (1 - report.agreement):.1f}% of the labels" in warning.message


def test_an_int8_model_that_depends_on_the_batch_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "_SATURATED", 0.0)  # the units that fix the range do nothing
    classifier = tiny_classifier()
    with pytest.raises(ExportError, match=r"changes a logit by \d.* in another batch"):
        export_onnx(classifier, tmp_path / "out", quantize="int8", data=labelled(classifier))
    assert list(tmp_path.iterdir()) == []


def test_the_float32_model_does_not_depend_on_the_batch():
    model = tiny_classifier().model
    session = OnnxSession(build_graph(model).SerializeToString())
    require_independence(session, model.embedding.num_embeddings)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"quantize": "int4"}, ConfigError, r"quantize = 'int4': must be int8"),
        ({"quantize": "int8"}, ConfigError, r"quantize = 'int8' .*: pass data"),
        ({"data": Data([], [])}, DataError, "no texts"),
    ],
)
def test_what_can_not_be_done_is_said_and_nothing_is_written(tmp_path, options, error, said):
    with pytest.raises(error, match=said):
        export_onnx(tiny_classifier(), tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_large_network_is_compared_on_fewer_tokens(monkeypatch):
    monkeypatch.setattr(onnx_export, "_GATE_TOKENS", 40_000)
    small, large = torch.nn.LSTM(2, 3), torch.nn.LSTM(400, 400, 2)
    assert onnx_export._gate_tokens(small) == 40_000
    assert 5_000 < onnx_export._gate_tokens(large) < 20_000


@pytest.mark.slow
@pytest.mark.parametrize("several", [None, (0.4, 0.5, 0.6)], ids=["one", "several"])
def test_the_code_of_the_readme_runs_the_ngrams_first(site, tmp_path, several):
    least = {**CASCADE.certainty, "0.001": 0.55 if several else 0.8}
    classifier = tiny_classifier(thresholds=several, cascade=Cascade(1.5, least))
    export_onnx(classifier, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"ngrams.onnx", "cascade.json"}
    code = code_of(tmp_path / "out", blocks=2)
    assert len(code.partition("ngrams = ")[2].splitlines()) <= 10
    assert max(map(len, code.splitlines())) <= 100
    assert '["certainty"]["0.001"]' in code  # the first that is not none
    first, second = code.split("ngrams =")
    first = first[: first.rindex("for label" if several else "print")]  # its answer
    rows = [row for row in texts(60, seed=4) if row]
    found = classifier.predict(rows, cascade=0.001)
    assert {prediction.engine for prediction in found} == {"ngrams", "lstm"}
    expected = [(item.label, item.score) for item in found]
    if several:
        expected = [
            (label, item.probabilities[label])
            for item in found
            for label in sorted(item.labels, key=LABELS.index)
        ]
    lines = run_alone(site, tmp_path / "out", for_texts(first + "ngrams =" + second, rows))
    assert_same(lines, expected)


def test_ngrams_that_are_not_those_of_the_network_are_not_written(tmp_path, monkeypatch):
    build = onnx_export.build_ngram_graph
    monkeypatch.setattr(onnx_export, "build_ngram_graph", lambda model, scale: build(model, 1.0))
    with pytest.raises(ExportError, match="the ONNX model of the n-grams differs from the model"):
        export_onnx(tiny_classifier(cascade=CASCADE), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# several labels a text


def tagged(tagger, n=60, wrong=12):
    """Texts with the labels that the classifier gives, but for one of some texts."""
    rows = texts(n, seed=5)
    labels = tagger.predict_proba(rows) >= np.array(tagger.thresholds)
    labels[:wrong, 1] = ~labels[:wrong, 1]
    return Data(rows, labels)


def test_the_code_of_the_readme_prints_all_labels_that_reach_their_thresholds(site, tmp_path):
    tagger = tiny_tagger()
    export_onnx(tagger, tmp_path / "out")
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == set(FILES) - {"ngrams.onnx", "cascade.json"}
    assert json.loads((tmp_path / "out" / "thresholds.json").read_text()) == [0.4, 0.5, 0.6]
    code = code_of(tmp_path / "out")
    assert max(map(len, code.splitlines())) <= 100
    rows = [*TEXTS, *texts(30)]
    found = tagger.predict(rows)
    assert {len(item.labels) for item in found} >= {0, 1, 2}
    expected = [
        (label, item.probabilities[label])
        for item in found
        for label in sorted(item.labels, key=LABELS.index)
    ]
    assert_same(run_alone(site, tmp_path / "out", for_texts(code, rows)), expected)


def test_a_softmax_is_not_taken_for_sigmoids(tmp_path, monkeypatch):
    tagger = tiny_tagger()
    build = onnx_export.build_graph

    def softmax(model, **options):
        model.multi_label = False
        graph = build(model, **options)
        model.multi_label = True
        return graph

    monkeypatch.setattr(onnx_export, "build_graph", softmax)
    with pytest.raises(ExportError, match=r"by .* in logits and 0\.\d+ in probabilities"):
        export_onnx(tagger, tmp_path / "out")


def test_int8_of_several_labels_is_measured_by_whole_answers(tmp_path):
    tagger = tiny_tagger(hidden_size=20)
    data = tagged(tagger)
    report = export_onnx(tagger, tmp_path / "out", quantize="int8", data=data)
    assert report.float32.accuracy == pytest.approx(0.8)
    session = OnnxSession(tmp_path / "out" / "model.onnx")
    found = []
    for row in data.rows:
        ids = np.array([tagger.tokenizer.encode(row)])
        found.append(session(ids, np.array([ids.shape[1]]))[1][0] >= np.array(tagger.thresholds))
    assert report.int8.accuracy == pytest.approx((found == data.labels).all(axis=1).mean())
    plain = tagger.predict_proba(data.rows) >= np.array(tagger.thresholds)
    assert report.agreement == pytest.approx((found == plain).all(axis=1).mean())
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "`logits` | float32 | batch, labels | before the sigmoid" in card
    assert "every label whose probability reaches its threshold in `thresholds.json`" in card


def test_an_export_of_one_label_in_place_of_several_leaves_no_thresholds(tmp_path):
    export_onnx(tiny_tagger(), tmp_path / "out")
    export_onnx(tiny_classifier(), tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "thresholds.json").exists()
