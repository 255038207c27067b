"""The scripts: their arguments and messages; what takes minutes is run by hand."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_classifier import CASCADE, tiny_classifier

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
README = (SCRIPTS / "README.md").read_text(encoding="utf-8")


def run(monkeypatch, name, *arguments):
    """Run a script in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    monkeypatch.syspath_prepend(str(SCRIPTS))
    try:
        runpy.run_path(str(SCRIPTS / name), run_name="__main__")
    except SystemExit as end:
        return end.code or 0
    return 0


@pytest.mark.parametrize(
    "name", ["bench_speed.py", "bench_predict.py", "bench_accuracy.py", "bench_labels.py"]
)
def test_an_unknown_contender_is_refused_and_the_known_ones_are_named(name, monkeypatch, capsys):
    assert run(monkeypatch, name, "--only", "ours", "fastest") == 2
    error = capsys.readouterr().err
    assert "fastest" in error
    assert re.search(r"choose from .*ours", error)


PROGRAMS = [path.name for path in sorted(SCRIPTS.glob("*.py")) if "__main__" in path.read_text()]


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_of_a_script_only_helps(name, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, name, "--help") == 0
    assert capsys.readouterr().out.startswith("usage:")


@pytest.mark.slow
def test_a_model_is_trained_exported_and_used_by_the_scripts(monkeypatch, capsys, tmp_path):
    texts = tmp_path / "reviews.csv"
    rows = ["body,label", *["bright and lively,good\ndull and slow,bad"] * 20]
    texts.write_text("\n".join(rows) + "\n")
    model, exported = tmp_path / "model", tmp_path / "exported"
    words = [texts, model, "--text-column", "body", "--epochs", 1]
    assert run(monkeypatch, "train_sentiment.py", *words) == 0
    assert re.search(r"(good|bad) \(\d\.\d\d\): A wonderful story\.", capsys.readouterr().out)
    assert run(monkeypatch, "export_model.py", model, exported) == 0
    names = {"vocab.txt", "vocab.json", "weights.safetensors"}
    assert {path.name for path in exported.iterdir()} == names
    (tmp_path / "new.csv").write_text("body\nbright\ndull\n")
    words = [model, tmp_path / "new.csv", tmp_path / "out.csv", "--text-column", "body"]
    assert run(monkeypatch, "classify_file.py", *words) == 0
    assert "2 rows" in capsys.readouterr().out
    words = [texts, "--text-column", "body", "--out", tmp_path / "vocab.txt", "--min-frequency", 1]
    assert run(monkeypatch, "build_vocab.py", *words) == 0
    assert "7 entries" in capsys.readouterr().out


def test_the_readme_names_every_script_and_every_option_it_shows_exists():
    files = {path.name for path in SCRIPTS.iterdir() if path.suffix in (".py", ".sh")}
    assert files <= set(re.findall(r"[\w-]+\.(?:py|sh)\b", README))
    for command in re.findall(r"(?m)^(?:python|bash) scripts/(\S+\.(?:py|sh))(.*)$", README):
        source = (SCRIPTS / command[0]).read_text(encoding="utf-8")
        own = re.sub(r'"[^"]*"', "", command[1])  # what is quoted is for `textlstm train`
        for option in re.findall(r"--[a-z-]+", own):
            assert option in source, command


@pytest.mark.slow
def test_the_benchmarks_measure_a_small_case(forks, tmp_path):
    data = tmp_path / "data.csv"
    rows = ["text,label", *[f"bright {n},good\ndull {n},bad" for n in range(40)]]
    data.write_text("\n".join(rows) + "\n")
    model = tmp_path / "model"
    tiny_classifier(cascade=CASCADE).save(model)
    small = "--options=--epochs 1 --hidden-size 4 --embedding-size 4 --threads 1 --no-report"
    limits = ["--inputs", "reviews", "--review-rows", "80", "--short-rows", "80", "--threads", "1"]
    inputs = ["--reviews", data, "--model", model]
    commands = [
        ["bench_predict.py", "--only", "ours", "cascade", "--rounds", "1", *limits, *inputs],
        ["bench_accuracy.py", data, "--seeds", "1", "--threads", "1", "--only", "ours", small],
    ]
    texts, random = tmp_path / "texts.csv", np.random.default_rng(1)
    words = [" ".join(f"w{n}" for n in random.integers(0, 500, 9)) for _ in range(200)]
    texts.write_text("text\n" + "\n".join(words) + "\n")
    only = ["--labels", "3", "30", "--rows", "150", "--only", "ours", "logistic"]
    commands.insert(0, ["bench_labels.py", texts, *only, small])
    commands[-1] += ["--teachers", "2", "--unlabeled", data]
    commands[-1] += ["--pretrain-options=--epochs 1 --hidden-size 4 --embedding-size 4"]
    for script, *words in commands:
        done = forks.run("python", SCRIPTS / script, *words, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "ours" in done.stdout or "textlstm" in done.stdout
        if script == "bench_labels.py":
            assert re.search(r"(?m)^30 labels, evaluated on test$", done.stdout)
            assert done.stdout.count("TF-IDF + logistic") == 2
        if script == "bench_accuracy.py":
            assert "textlstm default + teacher" in done.stdout
            assert re.search(r"textlstm default, mean of 2 .* alone [\d.]+ ± [\d.]+\n", done.stdout)
            assert "textlstm default + unlabeled" in done.stdout
        if script == "bench_predict.py":
            assert re.search(r"(?m)^cascade +\d+\.\d .*[-\d.]+ +\d+$", done.stdout)  # differ
            for name in ("ours", "cascade"):
                assert re.search(rf"(?m)^stages of {name}: start \d+%, read .*, write", done.stdout)


def test_a_cut_learns_from_a_sample_and_keeps_validation_for_the_end(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from bench_accuracy import prepare

    rows = ["text,label", *[f"bright {n},good\ndull {n},bad" for n in range(50)]]
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    found = []
    for cut in ("0", "40"):
        prepare(str(tmp_path / "data.csv"), str(tmp_path), "", cut)
        names = ("train", "validation", "test")
        files = {name: tmp_path / f"{name}.jsonl" for name in names}
        found.append({k: set(v.read_text().splitlines()) for k, v in files.items() if v.exists()})
    whole, cut = found
    assert {name: len(rows) for name, rows in cut.items()} == {
        "train": 36,
        "validation": 4,
        "test": 10,
    }
    assert cut["test"] == whole["validation"]
    assert cut["train"] | cut["validation"] <= whole["train"]


@pytest.mark.slow
def test_the_settings_of_tf_idf_are_selected_on_validation(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from accuracy_peers import peer_named

    train = (["good film", "dull film"] * 20, ["pos", "neg"] * 20)
    validation = (["good", "dull", "good plot"], ["pos", "neg", "pos"])
    for name in ("TF-IDF + logistic", "TF-IDF + SVM"):
        assert peer_named(name).tune(train, validation)["validation_accuracy"] == 1.0
