"""The command line: what goes where, which exit code, and one line for every mistake."""

import csv
import io
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from tiny_corpus import OPTIONS, flags, rows, write_csv, write_splits

from textlstm import TextClassifier, __version__
from textlstm.cli import main
from textlstm.cli.console import messages
from textlstm.cli.parser import COMMANDS
from textlstm.evaluation.metrics import evaluate_probabilities
from textlstm.export.formats import FORMATS
from textlstm.io.progress import clock
from textlstm.text.vocabulary import Vocabulary
from textlstm.training.observer import ProgressObserver

METRIC_KEYS = [
    *("n", "accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "weighted_f1"),
    *("log_loss", "ece", "reliability", "per_label", "confusion_matrix", "labels"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_splits(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "model"
    assert main(["train", str(data), "--out", str(folder), *flags()]) == 0
    return folder


def run(*arguments):
    return main([str(argument) for argument in arguments])


def fails(capsys, *arguments):
    """Run a command that must fail as a user's error; give its one line."""
    try:
        code = run(*arguments)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert code == 2
    assert out == ""
    assert lines[-1].startswith("textlstm: error: ")
    assert "Traceback" not in err
    return lines[-1]


def test_help_lists_the_commands_and_the_first_steps(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--help")
    out, _ = capsys.readouterr()
    assert stop.value.code == 0
    for command in COMMANDS:
        assert f"\n    {command} " in out.replace("\n  ", " \n  ")
    assert "textlstm train sample --out my-model" in out


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--version")
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"textlstm {__version__}\n"


def test_the_help_of_export_names_every_format(capsys):
    with pytest.raises(SystemExit):
        run("export", "--help")
    out, _ = capsys.readouterr()
    assert all(f"{name}:" in out for name in FORMATS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the command is missing (see textlstm --help)"),
        (["trian"], "unknown command 'trian' (did you mean 'train'?)"),
        (["xyzzy"], "unknown command 'xyzzy' (see"),
        (["train", "sample"], "required: --out (see textlstm train --help)"),
        (["train", "--out", "m"], "DATA is missing"),
        (
            ["train", "sample", "--out", "m", "--epohcs", "3"],
            "--epohcs (did you mean '--epochs'?)",
        ),
        (["train", "sample", "--out", "m", "--epochs", "x"], "invalid whole number value: 'x'"),
        (["train", "sample", "--out", "m", "--epochs", "0"], "epochs = 0: must be at least 1"),
        (["train", "sample", "--out", "m", "--pooling", "avg"], "pooling = 'avg': must be one of"),
        (["train", "no-such.csv", "--out", "m"], "no-such.csv"),
        (["train", "--resume", "--out", "m"], "m holds no run to resume"),
        (["train", "a", "--out", "m", "--resume", "--overwrite"], "exclude each other"),
        (["evaluate", "no-model", "sample"], "no-model"),
        (["predict", "no-model", "x.csv", "--out", "y.csv"], "no-model"),
        (["predict", "no-model", "x.csv"], "--out is missing"),
        (["predict", "no-model", "good"], "--text good labels that word"),
        (["predict", "no-model"], "pass either INPUT or --text"),
        (["train", "sample", "--out", "m", "--vocab", "no.txt"], "no such file: no.txt"),
        (["train", "~no-one/no.csv", "--out", "m"], "no such file or folder: ~no-one/no.csv"),
        (["train", "sample", "--out", "m", "--vectors", "no.vec"], "no such file: no.vec"),
        (["predict", "no-model", "x.csv", "--text", "a"], "pass either INPUT or --text"),
        (["predict", "no-model", "--text", "a", "--resume"], "--resume needs files"),
        (
            ["train", "sample", "--out", "m", "--tset", "x"],
            "--tset (did you mean '--test'?)",
        ),
        (["train", "sample", "--out", "m", "-q", "-v"], "not allowed with argument"),
        (["export", "no-model", "--format", "vocab", "--out", "v.txt"], "no-model"),
        (["vocab"], "COMMAND"),
        (["vocab", "shw", "v.txt"], "'shw' (did you mean 'show'?) (see textlstm vocab --help)"),
        (["vocab", "xyzzy"], "unknown command 'xyzzy' (see textlstm vocab --help)"),
        (["vocab", "show", "no-such.txt"], "no such file: no-such.txt"),
        (["vocab", "build", "no-such.txt", "--out", "v"], "no such file or folder: no-such.txt"),
        (["completion", "tcsh"], "invalid choice: 'tcsh'"),
        (["vocab", "show", "no-such.txt", "--top", "0"], "invalid whole number above 0 value: '0'"),
        (["inspect", "no-model"], "no-model"),
    ],
)
def test_every_mistake_is_one_line_and_exit_code_2(capsys, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert said in fails(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_bug_keeps_its_traceback(monkeypatch, tmp_path):
    def broken(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("textlstm.training.train.train", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run("train", "sample", "--out", tmp_path / "m")


def test_a_network_larger_than_the_memory_is_one_line_and_exit_code_2(data, tmp_path, capsys):
    assert run("train", data, "--out", tmp_path / "model", "--hidden-size", 10**8) == 2
    (*_, said) = capsys.readouterr().err.splitlines()
    assert said.startswith("textlstm: error: there is not enough memory")
    assert "lower hidden_size" in said


@pytest.mark.slow
def test_a_run_whose_record_is_damaged_can_be_replaced(data, tmp_path):
    out = tmp_path / "model"
    assert run("train", data, "--out", out, "--hidden-size", 10**8) == 2
    (out / "run.json").write_text("{}")
    assert run("train", data, "--out", out, *flags()) == 2
    assert run("train", data, "--out", out, "--overwrite", *flags()) == 0


@pytest.mark.slow
def test_training_says_what_it_does_on_stderr_and_nothing_on_stdout(data, tmp_path, capsys):
    assert run("train", data, "--out", tmp_path / "m", *flags()) == 0
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert any("columns detected" in line for line in lines)
    assert any("of the tokens in validation are unknown" in line for line in lines)
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in epochs] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    for part in ("train loss", "validation loss", "accuracy", "macro F1", "texts/s"):
        assert part in epochs[0]
    assert lines[-1].startswith(f"next: textlstm predict {tmp_path / 'm'} 'some text'")
    assert lines[-2] == f"the model is in {tmp_path / 'm'}"
    assert lines[-3].startswith("test: accuracy")


@pytest.mark.slow
def test_a_student_is_trained_with_flags(data, tmp_path, capsys):
    assert run("train", data, "--out", tmp_path / "m", *flags()) == 0
    (tmp_path / "more.csv").write_text("text\na dull film\na bright plot\n" * 5)
    words = ["--teacher", tmp_path / "m", tmp_path / "m", "--unlabeled", tmp_path / "more.csv"]
    assert run("train", data, "--out", tmp_path / "s", *flags(epochs=1), *words) == 0
    assert "14 unlabeled" in capsys.readouterr().err
    words[1] = tmp_path / "n"
    assert "no such model folder" in fails(capsys, "train", data, "--out", tmp_path / "t", *words)
    words = ["--teacher", tmp_path / "m", "--unlabeled", tmp_path / "less.csv"]
    assert "less.csv" in fails(capsys, "train", data, "--out", tmp_path / "t", *words)


@pytest.fixture
def now(monkeypatch):
    """A clock that stands still; add to its item."""
    now = [100.0]
    monkeypatch.setattr("textlstm.io.progress.time.monotonic", lambda: now[0])
    return now


def test_between_epochs_a_line_shows_the_steps(capsys, now):
    progress = ProgressObserver()
    with messages():
        progress.on_start(40, 0, 2)
        for step in range(1, 21):
            now[0] += 1
            progress.on_step(step, 1, 0.5, 8)
            if step == 10:
                progress.on_best(1, "macro_f1", 0.75)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training: at most 2 epochs, 40 steps",
        "epoch 1/2: 10/40 steps, 8 texts/s, about 0:30 left, loss 0.5000",
        "epoch 1/2: 20/40 steps, 8 texts/s, about 0:20 left, loss 0.5000, "
        "best macro F1 0.7500, epoch 1",
    ]


def test_a_second_training_is_timed_from_its_own_beginning(capsys, now):
    progress = ProgressObserver()
    with messages():
        for loss in (9.0, 0.5):
            progress.on_start(40, 0, 2)
            for step in range(1, 11):
                now[0] += 1
                progress.on_step(step, 1, loss, 8)
            progress.on_close()
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "epoch 1/2: 10/40 steps, 8 texts/s, about 0:30 left, loss 0.5000"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0:00"), (59.6, "1:00"), (185, "3:05"), (3785, "1:03:05")]
)
def test_times_are_shown_as_on_a_clock(seconds, shown):
    assert clock(seconds) == shown


@pytest.mark.slow
def test_a_missing_data_file_is_reported_before_torch_is_imported(tmp_path):
    program = (
        "import sys; from textlstm.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(9 if 'torch' in sys.modules else code)"
    )
    for words in (["train", "no.csv", "--out", "m"], ["crossval", "no.csv"]):
        run = subprocess.run(
            [sys.executable, "-c", program, *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert run.stderr == "textlstm: error: no such file or folder: no.csv\n"
        assert run.returncode == 2


@pytest.mark.slow
def test_a_stopped_run_is_finished_with_its_best_epoch(data, tmp_path, capsys, monkeypatch):
    out = tmp_path / "m"

    def stop(self, step, epoch, loss, texts):
        if step == 8:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(ProgressObserver, "on_step", stop)
        assert run("train", data, "--out", out, *flags()) == 143
    assert run("train", "--finish", "--out", out) == 0
    assert capsys.readouterr().err.splitlines()[-2] == f"the model is in {out}"
    assert TextClassifier.load(out).record.training["ended"] == "ended early"
    assert not (out / "run.json").exists()


def test_a_run_whose_time_is_over_says_how_to_end_or_resume_it(data, tmp_path, capsys):
    out = tmp_path / "m"
    assert run("train", data, "--out", out, "--max-minutes", 0, *flags()) == 0
    *_, end, last = capsys.readouterr().err.splitlines()
    assert end == f"to end the run with it: textlstm train --finish --out {out}"
    assert last == f"to resume: textlstm train --resume --out {out}"


def settings_of(folder):
    return json.loads((folder / "config.json").read_text())["settings"]


@pytest.mark.slow
def test_options_come_from_a_file_and_flags_win(data, tmp_path):
    (tmp_path / "c.toml").write_text(
        'hidden_size = 3\nlearning_rate = 1\ntokenizer = "word"\n'
        "[training]\nepochs = 2\nbatch_size = 4\nreport = false\n[data]\ntext_column = ['text']\n"
    )
    few = ["--embedding-size", 4, "--num-layers", 1, "--min-frequency", 1, "--epochs", 1]
    config = ["--config", tmp_path / "c.toml"]
    assert run("train", data, "--out", tmp_path / "m", *config, *few) == 0
    settings = settings_of(tmp_path / "m")
    assert settings["model"]["hidden_size"] == 3
    assert settings["training"]["batch_size"] == 4
    assert settings["training"]["learning_rate"] == 1.0
    assert settings["training"]["epochs"] == 1
    assert settings["data"]["text_column"] == ["text"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs = ", "is not TOML"),
        ("epohcs = 3", "'epohcs' (did you mean 'epochs'?)"),
        ("[model]\nepochs = 3", "unknown option 'epochs'"),
        ("[trainig]\nepochs = 3", "'trainig' (did you mean 'training'?)"),
        ("epochs = 3\n[training]\nepochs = 3", "epochs occurs twice"),
        ("epochs = 'three'", "c.toml: epochs = 'three': must be a whole number"),
        ("[model]\npooling = 'avg'", "c.toml: pooling = 'avg': must be one of"),
        ("model = 3", "model"),
        ("\ud83d".encode("utf-8", "surrogatepass"), "is not TOML"),
        (None, "no such file"),
    ],
)
def test_a_bad_settings_file_is_named(capsys, tmp_path, text, said):
    path = tmp_path / "c.toml"
    if isinstance(text, bytes):
        path.write_bytes(text)
    elif text is not None:
        path.write_text(text)
    line = fails(capsys, "train", "sample", "--out", tmp_path / "m", "--config", path)
    assert said in line
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_training_says_how_to_go_on(data, tmp_path, capsys, monkeypatch, number, code):
    def stop(self, step, epoch, loss, texts):
        if step == 8:
            signal.raise_signal(number)

    with monkeypatch.context() as patched:
        patched.setattr(ProgressObserver, "on_step", stop)
        assert run("train", data, "--out", tmp_path / "a model", *flags()) == code
    *_, first, end, last = capsys.readouterr().err.splitlines()
    out = f"--out '{tmp_path}/a model'"
    assert first == "training was interrupted"
    assert end == f"for a model of the best epoch so far: textlstm train --finish {out}"
    assert last == f"to resume: textlstm train --resume {out}"
    assert run("train", "--resume", "--out", tmp_path / "a model") == 0
    assert "beginning at step 8" in capsys.readouterr().err
    assert run("train", "--resume", "--out", tmp_path / "a model") == 0
    assert "nothing to resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("function", "last"), [("load_corpus", "interrupted"), ("fit_model", "to resume: ")]
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_stopped_outside_of_its_steps_ends_in_order(
    data, tmp_path, capsys, monkeypatch, function, last, number, code
):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # may have been ignored
    try:
        with monkeypatch.context() as patched:
            patched.setattr(
                f"textlstm.training.run.{function}", lambda *_, **__: signal.raise_signal(number)
            )
            assert run("train", data, "--out", tmp_path / "m", *flags()) == code
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err.splitlines()[-1].startswith(last)
    assert (tmp_path / "m").exists() == (function == "fit_model")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.slow
def test_ctrl_c_elsewhere_ends_with_130(monkeypatch, model, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("textlstm.classifier.classifier.TextClassifier.load", interrupted)
    assert run("inspect", model) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.slow
def test_an_existing_model_needs_resume_or_overwrite(capsys, data, model):
    assert "--overwrite" in fails(capsys, "train", data, "--out", model, *flags())
    line = fails(capsys, "train", "--resume", "--out", model, "--hidden-size", 9)
    assert "hidden_size was 4 and is now 9" in line


def test_evaluate_shows_a_table_and_writes_json(capsys, data, model, tmp_path):
    assert run("evaluate", model, data, "--json", tmp_path / "m.json") == 0
    out, _ = capsys.readouterr()
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert list(metrics) == METRIC_KEYS
    assert metrics["n"] == 16
    assert metrics["labels"] == ["bad", "good"]
    assert f"{metrics['accuracy']:.4f}" in out
    assert run("evaluate", model, data, "--json", "-", "--split", "validation") == 0
    out, _ = capsys.readouterr()
    assert list(json.loads(out)) == METRIC_KEYS


@pytest.mark.slow
def test_evaluate_judges_the_split_asked_for_and_a_file_whole(capsys, data, model):
    classifier = TextClassifier.load(model)
    for source, split, seed, n in (
        (data, ["--split", "test"], 2, 16),
        (data, [], 2, 16),
        (data, ["--split", "train"], 0, 48),
        (data / "validation.csv", [], 1, 16),
    ):
        assert run("evaluate", model, source, "--json", "-", *split) == 0
        texts, labels = zip(*rows(n, seed), strict=True)
        ids = [classifier.labels.index(label) for label in labels]
        expected = evaluate_probabilities(
            np.array(ids), classifier.predict_proba(texts), classifier.labels
        )
        found = json.loads(capsys.readouterr().out)
        assert found["confusion_matrix"] == expected["confusion_matrix"]


@pytest.mark.slow
def test_evaluate_finds_the_columns_of_the_training_or_guesses(tmp_path, capsys):
    with (tmp_path / "odd.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["words", "more", "mark"])
        writer.writerows([text, "", label] for text, label in rows(40))
    columns = ["--text-column", "words", "more", "--label-column", "mark"]
    odd, model = tmp_path / "odd.csv", tmp_path / "m"
    assert run("train", odd, "--out", model, *columns, *flags(epochs=1)) == 0
    for source in (odd, write_csv(tmp_path / "plain.csv", 10)):
        assert run("evaluate", model, source) == 0
    capsys.readouterr()
    line = fails(capsys, "evaluate", model, odd, "--text-column", "wrods")
    assert "'wrods'" in line
    (tmp_path / "bad.csv").write_text("text,label\ndull,ugly\n")
    line = fails(capsys, "evaluate", model, tmp_path / "bad.csv")
    assert "words" in line or "ugly" in line


def test_predict_labels_a_file(capsys, model, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("id,text\n1,a dull film\n2,a bright film\n")
    assert run("predict", model, source, "--out", tmp_path / "out.jsonl", "--top-k", 2) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-2] == f"wrote 2 rows to {tmp_path / 'out.jsonl'}"
    labelled = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in labelled] == ["1", "2"]
    assert list(labelled[0]) == ["id", "text", "label", "score", "label_2", "score_2"]
    assert "exists" in fails(capsys, "predict", model, source, "--out", tmp_path / "out.jsonl")
    again = ["--out", tmp_path / "out.jsonl", "--overwrite", "--output-column", "verdict"]
    assert run("predict", model, source, *again) == 0


def test_predict_says_how_many_rows_got_no_label(capsys, model, tmp_path):
    (tmp_path / "in.csv").write_bytes(b"text\ndull\nx\xff\n")
    assert run("predict", model, tmp_path / "in.csv", "--out", tmp_path / "out.csv") == 0
    err = capsys.readouterr().err
    assert "1 of 2 rows have no label: not UTF-8 (1); see column error" in err


def test_predict_reads_lines_from_stdin_and_writes_json_lines_to_stdout(capsys, model, monkeypatch):
    text = "a dull film\na naïve film\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text), encoding="ascii"))
    assert run("predict", model, "-", "--probabilities") == 0
    out, _ = capsys.readouterr()
    labelled = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in labelled] == ["a dull film", "a naïve film"]
    assert sum(labelled[0][f"probability_{name}"] for name in ("bad", "good")) == pytest.approx(1)


def test_a_terminal_without_a_letter_shows_its_code(model, data, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    Vocabulary(["<pad>", "<unk>", "naïve"]).save(data.parent / "v.txt")
    assert run("vocab", "show", data.parent / "v.txt") == 0
    assert rb"2	na\xefve	0" in out.buffer.getvalue()


def test_predict_writes_a_file_to_stdout_if_asked(capsys, model, data):
    assert run("predict", model, data / "test.csv", "--out", "-") == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert list(first) == ["text", "label", "predicted_label", "score"]
    options = ["--out", "-", "--output-column", "guess"]
    assert run("predict", model, data / "test.csv", *options) == 0
    out, _ = capsys.readouterr()
    assert "guess" in json.loads(out.splitlines()[0])
    assert [json.loads(line)["text"] for line in out.splitlines()] == [t for t, _ in rows(16, 2)]


@pytest.mark.parametrize("command", ["train", "crossval"])
@pytest.mark.parametrize("rank", [0, 1])
def test_of_several_processes_the_first_one_says_what_all_of_them_meet(
    capsys, monkeypatch, command, rank
):
    monkeypatch.setattr("textlstm.cli._WAIT", 0)
    place = {"WORLD_SIZE": 2, "RANK": rank, "MASTER_ADDR": "localhost", "MASTER_PORT": 1}
    for name, value in place.items():
        monkeypatch.setenv(name, str(value))
    out = ["--out", "m"] if command == "train" else []
    assert run(command, "no-such.csv", *out) == 2
    assert ("no-such.csv" in capsys.readouterr().err) == (rank == 0)


def test_export_writes_vocabulary_and_weights(capsys, model, tmp_path):
    vocab, weights = tmp_path / "v.txt", tmp_path / "w.safetensors"
    assert run("export", model, "--format", "vocab", "--out", vocab) == 0
    assert run("export", model, "--format", "safetensors", "--out", weights) == 0
    assert Vocabulary.load(vocab) == TextClassifier.load(model).vocabulary
    assert weights.stat().st_size > 1000
    assert "exists" in fails(capsys, "export", model, "--format", "vocab", "--out", vocab)
    assert run("export", model, "--format", "vocab", "--out", vocab, "--overwrite") == 0
    line = fails(capsys, "export", model, "--format", "vocabb", "--out", tmp_path / "x.txt")
    assert "did you mean 'vocab'" in line


@pytest.mark.slow
def test_export_to_onnx_measures_int8_on_data(capsys, data, model, tmp_path):
    pytest.importorskip("onnxruntime")
    out, odd = tmp_path / "out", tmp_path / "odd.csv"
    odd.write_text("words,mark\ndull,bad\nbright,good\n")
    columns = ["--text-column", "words", "--label-column", "mark"]
    export = ["export", model, "--format", "onnx", "--out", out]
    assert "pass --data" in fails(capsys, *export, "--quantize", "int8")
    assert run(*export, "--quantize", "int8", "--data", data, "--split", "validation") == 0
    shown, err = capsys.readouterr()
    assert shown == ""
    assert "largest difference" in err
    assert "of 16 texts the same label" in err
    assert f"exported {model} to {out}" in err.splitlines()
    assert err.splitlines()[-1].startswith(f"next: read {out}/README.md")
    assert f"16 labelled texts of `{data} (validation)`" in (out / "README.md").read_text()
    assert "exists" in fails(capsys, *export)
    assert run(*export, "--overwrite", "--data", odd, *columns) == 0
    assert f"On 2 labelled texts of `{odd}`:" in (out / "README.md").read_text()
    line = fails(
        capsys, "export", model, "--format", "vocab", "--out", tmp_path / "v", "--data", data
    )
    assert "data does not go with format = 'vocab'" in line


def test_vocab_counts_the_words_of_files_without_labels(capsys, tmp_path):
    (tmp_path / "x.csv").write_text("text\na b a\nc a b\n")
    out = tmp_path / "v.txt"
    build = ["vocab", "build", tmp_path / "x.csv", "--out", out, "--min-frequency", 2]
    assert run(*build) == 0
    err = capsys.readouterr().err
    assert f"wrote 4 entries to {out}; they cover 83.33% of 6 tokens" in err
    assert err.splitlines()[-1] == f"next: textlstm train DATA --vocab {out} --out MODEL"
    assert Vocabulary.load(out).get_itos() == ["<pad>", "<unk>", "a", "b"]
    assert "exists" in fails(capsys, *build)
    assert run("vocab", "show", out, "--top", 3) == 0
    shown, err = capsys.readouterr()
    assert shown == "0\t<pad>\t0\n1\t<unk>\t1\n2\ta\t3\n"
    assert "the first 3 of 4 entries" in err


@pytest.mark.slow
def test_a_built_vocabulary_is_trained_with(data, tmp_path):
    out = tmp_path / "v.json"
    assert run("vocab", "build", data, "--out", out, "--vocab-size", 9) == 0
    assert run("train", data, "--out", tmp_path / "m", "--vocab", out, *flags(epochs=1)) == 0
    assert (
        TextClassifier.load(tmp_path / "m").vocabulary.get_itos() == Vocabulary.load(out).get_itos()
    )


def test_vocab_shows_that_of_a_model(capsys, model):
    assert run("vocab", "show", model) == 0
    out, _ = capsys.readouterr()
    assert [line.split("\t")[1] for line in out.splitlines()] == TextClassifier.load(
        model
    ).vocabulary.get_itos()


def test_inspect_tells_what_a_model_is(capsys, model):
    assert run("inspect", model) == 0
    out, _ = capsys.readouterr()
    assert "bad, good" in out
    assert run("inspect", model, "--json") == 0
    out, _ = capsys.readouterr()
    assert json.loads(out)["settings"]["model"]["hidden_size"] == OPTIONS["hidden_size"]


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(tmp_path):
    path = tmp_path / "v.txt"
    Vocabulary(["<pad>", "<unk>", *(f"token{i}" for i in range(50_000))]).save(path)
    show = f"{sys.executable} -m textlstm vocab show {path} --top 50000"
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {show} | head -n 1"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.stdout == "0\t<pad>\t0\n"
    assert result.stderr == ""
    assert result.returncode == 0


def test_threads_that_wait_sleep_soon_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    with pytest.raises(SystemExit):
        main(["--version"])
    assert os.environ["GOMP_SPINCOUNT"] == "5"
