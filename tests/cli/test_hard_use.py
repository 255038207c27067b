"""Streams closed or full, outputs that are inputs, and arguments that were meant otherwise."""

import errno
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_classifier import tiny_classifier
from tiny_corpus import flags, write_csv

from textlstm.cli import main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "m"
    tiny_classifier().save(folder)
    return folder


@pytest.fixture
def data(tmp_path):
    return write_csv(tmp_path / "data.csv", 8)


def error_of(capsys, *arguments):
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("textlstm: error: ")
    return line


def shell(line, **options):
    """Run `textlstm` in a shell, which can close its streams."""
    command = ["bash", "-c", f"{sys.executable} -m textlstm {line}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize("command", ["check", "train"])
def test_a_text_of_a_folder_of_labels_that_cannot_be_read_is_named_in_one_line(
    command, tmp_path, capsys
):
    for label in ("neg", "pos"):
        (tmp_path / "lf" / label).mkdir(parents=True)
        (tmp_path / "lf" / label / "1.txt").write_text("dull")
    (tmp_path / "lf" / "neg" / "7.txt").symlink_to("nowhere")
    more = ["--out", tmp_path / "m"] if command == "train" else []
    line = error_of(capsys, command, tmp_path / "lf", *more)
    assert line.endswith("lf/neg/7.txt: cannot be read: No such file or directory")


@pytest.mark.parametrize(
    ("line", "code"), [("config >&-", 0), ("--help >&-", 0), ("config 2>&-", 0), ("train - <&-", 2)]
)
def test_a_closed_stream_is_an_empty_one(line, code, tmp_path):
    result = shell(f"{line} " + (f"--out {tmp_path}/m" if "train" in line else ""))
    assert result.returncode == code
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_behind_stdout_is_one_line():
    result = shell("config > /dev/full")
    expected = "textlstm: error: the output can't be written: No space left on device\n"
    assert (result.returncode, result.stderr) == (2, expected)


def test_an_error_of_the_system_that_is_no_full_disk_is_not_taken_for_one(model, monkeypatch):
    def fork(*_, **__):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr("textlstm.classifier.classifier.TextClassifier.load", fork)
    with pytest.raises(OSError, match="temporarily"):
        main(["inspect", str(model)])


def test_any_command_ends_in_order_at_sigterm(model, capsys, monkeypatch):
    target = "textlstm.classifier.classifier.TextClassifier.load"
    monkeypatch.setattr(target, lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    assert main(["inspect", str(model)]) == 143
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "MODEL", "DATA", "--json", "DATA"],
        ["evaluate", "MODEL", "DATA.json", "--report", "DATA.html"],
        ["crossval", "DATA", "--json", "DATA"],
        ["mistakes", "MODEL", "DATA", "--out", "DATA", "--overwrite"],
        ["mistakes", "MODEL", "OTHER", "--train", "DATA", "--out", "DATA", "--overwrite"],
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_an_output_never_replaces_an_input(capsys, model, data, command):
    for name in ("data.json", "other.csv"):
        shutil.copy(data, data.with_name(name))
    names = {"MODEL": model, "DATA": data, "OTHER": data.with_name("other.csv")}
    names |= {f"DATA{suffix}": data.with_suffix(suffix) for suffix in (".json", ".html")}
    before = data.read_bytes()
    assert "is the input: choose another name" in error_of(
        capsys, *(names.get(word, word) for word in command)
    )
    assert data.read_bytes() == data.with_suffix(".json").read_bytes() == before


def test_an_export_stays_out_of_the_model(capsys, model):
    out = model / "model.safetensors"
    arguments = ["--format", "safetensors", "--out", out, "--overwrite"]
    assert "is in the folder of the model" in error_of(capsys, "export", model, *arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--split", "dev"], "--split is for --data"),
        (["--text-column", "a"], "--text-column is for --data"),
        (["--quantize", "int4"], "quantize = 'int4': must be one of int8"),
        (["--out", ""], "--out is empty"),
    ],
)
def test_an_option_of_export_that_would_do_nothing_is_refused(
    capsys, model, tmp_path, arguments, said
):
    given = ["export", model, "--format", "vocab", "--out", tmp_path / "v.txt", *arguments]
    assert said in error_of(capsys, *given)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["nope.csv"], "no such file or folder: nope.csv"),
        (["my own.csv"], "no such file or folder: my own.csv"),
        (["."], "can't be read as UTF-8 text"),
        ([" "], "it is blank: pass a text with words"),
    ],
)
def test_explain_takes_no_missing_file_for_a_text(capsys, model, texts, said):
    assert said in error_of(capsys, "explain", model, *texts)


def test_a_pattern_with_a_space_is_not_a_text(capsys, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my data").mkdir()
    for number in range(2):
        write_csv(Path("my data") / f"part{number}", 8)
    said = error_of(capsys, "predict", model, "my data/part*", "--out", "out.csv")
    assert "cannot tell the format of my data" in said
    assert main(["predict", str(model), "is it * or not?"]) == 0


def test_a_text_without_its_quotes_is_explained(capsys, model):
    said = error_of(capsys, "predict", model, "a", "good", "film")
    assert said.endswith("--text 'a good film' labels that text")
    assert "pass it alone" in error_of(capsys, "predict", model, "-", "a.csv", "--out", "b.csv")


def test_an_empty_name_of_a_model_is_not_the_current_folder(capsys):
    assert "MODEL is empty" in error_of(capsys, "inspect", "")


def test_an_onnx_folder_is_named_where_a_model_is_needed(capsys, tmp_path):
    (tmp_path / "model.onnx").touch()
    said = error_of(capsys, "explain", tmp_path, "a film")
    assert "is an ONNX export, which predict and evaluate read" in said


def test_more_threads_than_any_machine_has_are_refused(capsys, model):
    said = error_of(capsys, "predict", model, "a film", "--threads", "100000")
    assert said.endswith("threads = 100000: must be at most 1,024")


def test_the_onnx_engine_refuses_another_device(capsys, model):
    arguments = ["a film", "--engine", "onnx", "--device", "cuda"]
    assert "the engine onnx computes on the CPU" in error_of(capsys, "predict", model, *arguments)


def test_the_help_of_vocab_is_named_as_it_is_called(capsys):
    assert error_of(capsys, "vocab", "show").endswith("(see textlstm vocab show --help)")


@pytest.mark.slow
def test_figures_of_data_whose_name_is_not_utf8_are_written(tmp_path):
    try:
        data = write_csv(tmp_path / "a\udcff.csv", 24)
    except OSError:
        pytest.skip("the file system has no such names")
    out = tmp_path / "cv.json"
    words = ["crossval", str(data), "--folds", "2", "--json", str(out), *flags(epochs=1)]
    command = [sys.executable, "-m", "textlstm", *words]  # no report of a test can hold such a name
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert json.loads(out.read_text(encoding="utf-8"))["source"] == str(data)
