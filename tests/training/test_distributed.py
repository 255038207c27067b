"""Two processes train the model that one would, stop and go on together, and end together."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest
import torch
from safetensors.torch import load_file
from tiny_corpus import OPTIONS, flags, write_splits
from tiny_training import trainer
from tiny_world import DRY, Pair, bilstm, trained

from textlstm import TextClassifier, pretrain, train
from textlstm.cli import main
from textlstm.config import FEW_TEXTS, PRETRAIN_OPTIONS
from textlstm.errors import ConfigError, TrainingError
from textlstm.training.distributed import ALONE, World, join

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pair(forks):
    """Two processes for each call."""
    pair = Pair(forks)
    yield pair
    pair.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_splits(tmp_path_factory.mktemp("data"), train=50, validation=17, test=13)


@pytest.fixture
def both(pair, tmp_path):
    """A function that has two processes go through a scenario; both have to do well."""

    def run(scenario, **arguments):
        codes = pair(scenario, tmp_path, **arguments)
        assert codes == [0, 0], "".join(outputs(tmp_path))

    return run


def outputs(folder):
    return [(folder / f"out.{rank}").read_text() for rank in range(2)]


def assert_alike(one, other, within):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=within, msg=name)


def test_all_kinds_of_conversation(both):
    both("talk")


def test_the_first_process_goes_first_and_its_failure_is_that_of_all(both):
    both("queue")


def test_the_others_wait_without_limit_while_the_first_process_fits_the_ngrams(both):
    both("waits")


def test_gradients_of_parts_add_up_to_those_of_the_whole(both):
    both("gradients")


def test_a_split_is_judged_together_as_by_one(both):
    both("evaluate")


VARIANTS = {
    "plain": {},
    "a-text-a-batch": {"batch_size": 1, "rows": 6},  # the second process never has any
    "odd-batches": {"batch_size": 3},
    "weights-and-smoothing": {"class_weights": ["good=7"], "label_smoothing": 0.2},
    "fixed-embedding": {"freeze_vectors": -1},
    "attention-one-way": {"shape": {**DRY, "pooling": "attention", "bidirectional": False}},
    "dropout": {"shape": {}},
}
VARIANTS = {
    name: {
        "shape": DRY,
        "rows": 44,
        "epochs": 2,
        "learning_rate": 0.01,
        "precision": "fp32",
        **options,
    }
    for name, options in VARIANTS.items()
}


@pytest.fixture(scope="module")
def trained_together(pair, tmp_path_factory):
    """For each variant, (weights, figures) of both processes."""
    folder = tmp_path_factory.mktemp("together")
    assert pair("train", folder, variants=VARIANTS) == [0, 0], "".join(outputs(folder))
    return {
        name: [
            (
                load_file(folder / f"{name}.{rank}"),
                json.loads((folder / f"{name}.{rank}.json").read_text()),
            )
            for rank in range(2)
        ]
        for name in VARIANTS
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_both_processes_hold_the_same_weights_and_figures(trained_together, name):
    (weights, figures), (others, other_figures) = trained_together[name]
    assert_alike(weights, others, within=0)
    assert figures == other_figures


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - {"dropout"}))
def test_they_are_those_of_one_process(trained_together, name):
    weights, (history, best) = trained_together[name][0]
    model, (expected_history, expected_best) = trained(world=ALONE, **VARIANTS[name])
    assert_alike(weights, model.state_dict(), within=3e-5)
    assert best["confusion_matrix"] == expected_best["confusion_matrix"]
    for record, expected in zip(history, expected_history, strict=True):
        assert record == pytest.approx(expected, abs=1e-5)


def test_all_begin_with_the_weights_of_the_first_process(both, tmp_path):
    both("unlike")
    assert_alike(*(load_file(tmp_path / f"weights.{rank}") for rank in range(2)), within=0)


def test_a_run_stopped_in_one_process_resumes_in_both_bit_for_bit(both):
    both("stops")


def test_the_clock_of_any_process_decides_for_all(both):
    both("clocks")


def test_a_loss_that_is_not_finite_stops_all_and_the_first_tells(both):
    both("runs_away")


def test_a_run_of_two_processes_can_be_ended_by_one(both, tmp_path, caplog):
    both("half")
    options = {"epochs": 3, "precision": "fp32"}
    alone = trainer(model=bilstm(**DRY), **options)
    alone.run()
    run = trainer(tmp_path, model=bilstm(**DRY), **options)
    run.resume()
    assert "saved by 2 processes and continues with 1" in caplog.text
    assert run.run().reason == "finished"
    assert_alike(run.model.state_dict(), alone.model.state_dict(), within=1e-4)


def test_in_memory_each_process_gets_the_classifier(both, data, tmp_path):
    both("library", source=str(data), **OPTIONS)
    assert_alike(*(load_file(tmp_path / f"model.{rank}") for rank in range(2)), within=0)


@pytest.mark.parametrize("kind", ["a teacher", "a first model of their own", "the model itself"])
def test_a_teacher_teaches_two_processes_what_it_teaches_one(
    both, data, tmp_path, monkeypatch, kind
):
    more = tmp_path / "more.csv"
    more.write_text("text\na dull film\na bright plot\n" * 5)
    options = {**OPTIONS, **DRY, "precision": "fp32", "epochs": 2, "unlabeled": str(more)}
    if kind == "a teacher":
        train(data, tmp_path / "teacher", **OPTIONS)
        options["teacher"] = str(tmp_path / "teacher")
    elif kind == "the model itself":
        own = {name: OPTIONS[name] for name in OPTIONS if name in PRETRAIN_OPTIONS}
        pretrain(data / "train.csv", tmp_path / "base", **own)
        options["init_from"] = str(tmp_path / "base")
        del options["min_frequency"]  # its tokenizer is that of the base
    few = 9 if kind == "the model itself" else FEW_TEXTS
    monkeypatch.setattr("textlstm.training.teacher.FEW_TEXTS", few)
    both("library", source=str(data), out=str(tmp_path / "m"), few=few, **options)
    weights = [load_file(tmp_path / f"model.{rank}") for rank in range(2)]
    assert_alike(*weights, within=0)
    assert_alike(weights[0], train(data, **options).model.state_dict(), within=1e-4)
    said = TextClassifier.load(tmp_path / "m").record.training["teacher"]
    assert said.startswith("the model itself") == (kind == "the model itself")


@pytest.mark.parametrize(("steps", "taught"), [(0, False), (1, False), (24, True)])
def test_all_decide_the_same_when_the_time_of_a_second_model_is_over(
    both, data, tmp_path, steps, taught
):
    (tmp_path / "more.csv").write_text("text\n" + "a bright film\nso dull\n" * 20)
    options = {"source": str(data), "unlabeled": str(tmp_path / "more.csv"), "steps": steps}
    both("second_is_cut", **options, **{**OPTIONS, **DRY, "ngrams": 0, "learning_rate": 0.05})
    weights = [load_file(tmp_path / f"model.{rank}") for rank in range(2)]
    assert_alike(*weights, within=0)
    facts = [json.loads((tmp_path / f"facts.{rank}.json").read_text()) for rank in range(2)]
    assert [("teacher" in each, each["ended"]) for each in facts] == (
        [(taught, "max minutes" if taught else "finished")] * 2
    )


def test_a_process_that_sees_another_folder_says_so(pair, data, tmp_path):
    codes = pair(
        "library", tmp_path, source=str(data), out=str(tmp_path / "m"), seen="other folder"
    )
    assert codes == [1, 1]
    assert re.search(r"process 1 finds no run in \S*m-1,.* share", outputs(tmp_path)[1])


def test_a_process_that_reads_other_data_says_so(pair, data, tmp_path):
    codes = pair("library", tmp_path, source=str(data), out=str(tmp_path / "m"), seen="other data")
    assert codes == [1, 1]
    assert "process 1 reads other data" in outputs(tmp_path)[1]
    assert "PeerError: another process" in outputs(tmp_path)[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs", "x"], "argument --epochs"),
        (["--config", "no-such.toml"], "no-such.toml"),
        (["--text-column", "txet"], "txet"),
        (["--learning-rate", "1e30"], "training diverged"),
    ],
)
def test_an_error_of_the_user_is_told_once(pair, data, tmp_path, words, said):
    words = ["train", str(data), "--out", str(tmp_path / "m"), *flags(), *words]
    assert pair("command", tmp_path, words=words) == [2, 2]
    first, second = outputs(tmp_path)
    (line,) = [line for line in first.splitlines() if "error" in line]
    assert line.startswith("textlstm: error: ")
    assert said in line
    assert second == ""


def test_a_finished_run_has_nothing_to_resume_for_any_process(pair, data, tmp_path):
    words = ["train", str(data), "--out", str(tmp_path / "m"), *flags(), "--resume"]
    for _ in range(2):
        assert pair("command", tmp_path, words=words) == [0, 0]
    first, second = outputs(tmp_path)
    assert "nothing to resume" in first
    assert second == ""


def test_the_command_line_trains_the_model_of_one_process(pair, data, tmp_path, capsys):
    words = ["train", str(data), *flags(**DRY, num_layers=2, precision="fp32"), "--out"]
    assert pair("command", tmp_path, words=[*words, str(tmp_path / "two")]) == [0, 0]
    assert main([*words, str(tmp_path / "one")]) == 0
    two, one = (TextClassifier.load(tmp_path / name) for name in ("two", "one"))
    assert_alike(two.model.state_dict(), one.model.state_dict(), within=1e-4)
    for split in ("validation", "test"):
        assert two.metrics[split]["confusion_matrix"] == one.metrics[split]["confusion_matrix"]
    assert {path.name for path in (tmp_path / "two").iterdir()} == {
        path.name for path in (tmp_path / "one").iterdir()
    }
    first, second = outputs(tmp_path)
    told, told_alone = (
        re.sub(r"[\d.,:]+", "0", text).splitlines()  # but for figures
        for text in (first, capsys.readouterr().err.replace("/one", "/two"))
    )
    assert [line for line in told if line in told_alone] == told_alone
    assert second == ""


def test_a_process_that_dies_ends_all_at_once_and_is_heard(pair, data, tmp_path):
    out = str(tmp_path / "m")
    began = time.monotonic()
    codes = pair("die", tmp_path, source=str(data), out=out, rank=1, at=9, **OPTIONS)
    assert codes == [1, 1]
    assert time.monotonic() - began < 60  # not after the limit of a wait
    first, second = outputs(tmp_path)
    assert "PeerError: another process of this training has ended" in first
    assert "ValueError: out of paper" in second


# torchrun itself starts the processes.


def torchrun(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        + [str(word) for word in words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_signal_to_torchrun_ends_in_good_order_and_the_run_goes_on(pair, data, tmp_path):
    folder = tmp_path / "m"
    words = ["train", str(data), "--out", str(folder), *flags(epochs=100_000, patience=100_000)]
    run = torchrun("-m", "textlstm", *words)
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 1  # torchrun's own
    again = f"to resume: torchrun ... -m textlstm train --resume --out {folder}\n"
    assert err.count(again) == 1
    assert not re.search(r"exitcode +: -9", err)
    words = ["train", "--out", str(folder), "--resume", "--max-minutes", "0.002"]
    assert pair("command", tmp_path, words=words) == [0, 0]
    assert "resumed from" in outputs(tmp_path)[0]
    assert TextClassifier.load(folder).labels == ("bad", "good")


def test_alone_there_is_one_process(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert join() == ALONE
    assert (ALONE.rank, ALONE.size, ALONE.is_main) == (0, 1, True)


def test_each_process_has_a_gpu_for_itself(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    world = World(rank=3, size=4, local_rank=1, local_size=2)
    assert world.device("auto") == world.device("cuda") == torch.device("cuda", 1)
    assert chosen == [1, 1]
    assert world.device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="'cuda:0': 4 processes take a GPU each"):
        world.device("cuda:0")
    with pytest.raises(ConfigError, match="'auto': this machine has 3 processes and 2 GPUs"):
        World(size=3, local_size=3).device("auto")
    assert ALONE.device("cuda:1") == torch.device("cuda:1")


def test_processes_that_do_not_find_each_other_say_so(monkeypatch):
    place = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("textlstm.training.distributed._PATIENCE", timedelta(seconds=1))
    with pytest.raises(TrainingError, match="the 2 processes of this training do not find"):
        join()
