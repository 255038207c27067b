"""Whole commands in processes of their own: killed at any moment, stopped, and good at the task."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tiny_corpus import flags, write_csv, write_splits

from textlstm.cli import main

pytestmark = pytest.mark.slow

MODEL_FILES = ["model.safetensors", "tokenizer.json", "vocab.txt", "metrics.json"]

# Runs commands in forks of itself. For each line of stdin, [arguments, seconds or null, renames or
# null], it kills -9 the command after so many seconds, or has it kill -9 itself just before so many
# files take their place; it answers with [exit code or minus signal, seconds, renames].
PROGRAM = """
import json, os, pathlib, signal, sys, time
from textlstm.cli import main

def counting(limit, pipe):
    replace, done = pathlib.Path.replace, 0
    def counted(self, target):
        nonlocal done
        if self.suffix == ".arrow":  # the imported data, made only once
            return replace(self, target)
        done += 1
        os.write(pipe, b".")
        if done == limit:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)
    pathlib.Path.replace = counted

for line in sys.stdin:
    arguments, seconds, renames = json.loads(line)
    reader, writer = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if not child:
        counting(renames, writer)
        os.dup2(2, 1)
        os._exit(main(arguments))
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(writer)
    answer = [status, time.monotonic() - began, len(os.read(reader, 10_000))]
    os.close(reader)
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_splits(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def fork(forks):
    """A function that runs a command in a process that may be killed."""
    server = subprocess.Popen(
        [forks.folder / "python", "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=forks.env,
    )

    def command(*arguments, seconds=None, renames=None):
        words = [str(argument) for argument in arguments]
        server.stdin.write(json.dumps([words, seconds, renames]) + "\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    yield command
    server.stdin.close()
    server.wait(60)


@pytest.fixture(scope="module")
def straight(data, fork, tmp_path_factory):
    """(files, seconds, renames) of a training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("straight") / "model"
    code, seconds, renames = fork(*training(data, folder))
    assert code == 0
    return contents(folder), seconds, renames


def training(data, folder):
    # a checkpoint at each step, so that the process is often killed while it writes
    return ["train", data, "--out", folder, *flags(epochs=2), "--checkpoint-minutes", "0"]


def contents(folder):
    return {name: (folder / name).read_bytes() for name in MODEL_FILES}


def resumes(fork, data, folder, expected):
    """Go on without a word about the data, unless nothing at all was begun."""
    if (folder / "run.json").exists() or (folder / "config.json").exists():
        code, *_ = fork("train", "--resume", "--out", folder)
    else:
        code, *_ = fork(*training(data, folder), "--resume")
    assert code == 0
    found = contents(folder)
    assert [name for name in expected if found[name] != expected[name]] == []
    known = {"config.json", "history.jsonl", "README.md", *MODEL_FILES}
    assert {path.name for path in folder.iterdir()} == known


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_a_run_killed_at_any_moment_resumes_to_the_same_model(data, fork, straight, tmp_path, part):
    expected, seconds, _ = straight
    fork(*training(data, tmp_path / "m"), seconds=part * seconds)
    resumes(fork, data, tmp_path / "m", expected)


# counted from the first or the last: run.json, the vocabulary, a checkpoint, the weights, the end
@pytest.mark.parametrize("place", [1, 3, 12, -4, -1])
def test_a_run_killed_while_a_file_takes_its_place_resumes_to_the_same_model(
    data, fork, straight, tmp_path, place
):
    expected, _, renames = straight
    at = place if place > 0 else renames + 1 + place
    code, *_ = fork(*training(data, tmp_path / "m"), renames=at)
    assert code == -signal.SIGKILL
    resumes(fork, data, tmp_path / "m", expected)


def test_a_run_killed_again_and_again_gets_to_its_end(data, fork, straight, tmp_path):
    expected, *_ = straight
    for renames in (9, 6, 8):
        code, *_ = fork(*training(data, tmp_path / "m"), "--resume", renames=renames)
        assert code == -signal.SIGKILL
    resumes(fork, data, tmp_path / "m", expected)


def test_a_killed_overwriting_leaves_the_old_model_or_a_run_that_resumes(
    data, fork, straight, tmp_path
):
    expected, *_ = straight
    other = write_csv(tmp_path / "other.csv", 40, seed=7)
    assert fork("train", other, "--out", tmp_path / "old", *flags(epochs=1))[0] == 0
    for renames in (1, 2, 4):
        folder = shutil.copytree(tmp_path / "old", tmp_path / f"m{renames}")
        code, *_ = fork(*training(data, folder), "--overwrite", renames=renames)
        assert code == -signal.SIGKILL
        if renames == 1:  # not even run.json had its place
            assert fork("inspect", folder)[0] == 0
        else:
            resumes(fork, data, folder, expected)


def test_a_killed_overwriting_of_an_unfinished_run_leaves_one_of_the_two_runs(
    data, fork, straight, tmp_path
):
    expected, *_ = straight
    other = write_csv(tmp_path / "other.csv", 40, seed=7)
    fork("train", other, "--out", tmp_path / "old", *flags(epochs=2), renames=9)
    for renames in (1, 2, 3, 4, 9):
        folder = shutil.copytree(tmp_path / "old", tmp_path / f"m{renames}")
        code, *_ = fork(*training(data, folder), "--overwrite", renames=renames)
        assert code == -signal.SIGKILL
        if renames == 1:  # the old run goes on
            assert fork("train", "--resume", "--out", folder)[0] == 0
            assert contents(folder) != expected
        else:
            resumes(fork, data, folder, expected)


def test_ctrl_c_stops_a_real_process_in_good_order(data, tmp_path):
    folder = tmp_path / "m"
    words = ["train", str(data), "--out", str(folder), *flags(epochs=100_000, patience=100_000)]
    process = subprocess.Popen(
        [sys.executable, "-m", "textlstm", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not (folder / "checkpoint.safetensors").exists():  # before it there is no run to go on
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == f"to resume: textlstm train --resume --out {folder}"
    assert "Traceback" not in err


def test_a_trained_model_knows_its_task_from_file_to_file(tmp_path, capsys):
    data = write_splits(tmp_path / "data", train=400, validation=40, test=40)
    model, out = tmp_path / "m", tmp_path / "out.csv"
    options = flags(hidden_size=16, embedding_size=16, epochs=8, learning_rate=0.01)
    assert main(["train", str(data), "--out", str(model), *options]) == 0
    assert main(["evaluate", str(model), str(data), "--json", str(tmp_path / "m.json")]) == 0
    assert json.loads((tmp_path / "m.json").read_text())["accuracy"] == 1.0
    source = tmp_path / "in.csv"
    source.write_text("text\nthe plot was dull\nvery bright music\n")
    assert main(["predict", str(model), str(source), "--out", str(out)]) == 0
    assert [line.split(",")[1] for line in out.read_text().splitlines()] == ["label", "bad", "good"]


def test_default_training_reads_a_deciding_word_among_others(tmp_path):
    data = write_splits(tmp_path / "data", train=200, validation=60, test=200)
    model, report = tmp_path / "m", tmp_path / "test.json"
    assert main(["train", str(data), "--out", str(model)]) == 0
    assert main(["evaluate", str(model), str(data), "--split", "test", "--json", str(report)]) == 0
    figures = json.loads(report.read_text())
    assert (figures["n"], figures["labels"]) == (200, ["bad", "good"])
    assert figures["accuracy"] > 0.95
