"""What a new user meets: speed of the help, near names, quiet and verbose, completion, texts."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from tiny_classifier import tiny_classifier
from tiny_corpus import flags, write_csv

from textlstm.cli import main
from textlstm.cli.completion import complete
from textlstm.cli.config import format_settings
from textlstm.cli.parser import COMMANDS, build_parser
from textlstm.cli.settings_file import read_settings
from textlstm.config import (
    PRESETS,
    TRAIN_OPTIONS,
    TrainSettings,
)

pytestmark = pytest.mark.slow

HEAVY = ("torch", "numpy", "pyarrow", "tokenizers", "datasets", "rich", "huggingface_hub")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first") / "my-model"
    tiny_classifier().save(folder)
    return folder


def run(*arguments):
    return main([str(argument) for argument in arguments])


def error_of(capsys, *arguments):
    assert run(*arguments) == 2
    return capsys.readouterr().err.splitlines()[-1]


def loaded_by(*arguments, among=HEAVY):
    """The heavy modules that a command has imported when it ends."""
    code = (
        "import sys, contextlib, io\n"
        "from textlstm.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        f"    main({[str(argument) for argument in arguments]!r})\n"
        f"print(*[name for name in {among!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["config"], ["trian"]])
def test_help_imports_nothing_heavy(arguments):
    assert loaded_by(*arguments) == []


@pytest.mark.parametrize(
    "command",
    ["train D --out M", "pretrain D --out B", "tune D --out M", "distill M --out S", "crossval D"],
)
def test_freed_memory_is_kept_for_training_before_numpy_starts_threads(command):
    code = (
        "import sys, textlstm.nn.memory\n"
        "from textlstm.cli import main\n"
        "def keep():\n"
        "    sys.exit(9 if 'numpy' in sys.modules else 7)\n"
        "textlstm.nn.memory.keep_freed_memory = keep\n"
        f"main({command.split()!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=120, check=False)
    assert done.returncode == 7


def test_the_list_of_commands_does_without_the_slower_standard_modules():
    assert loaded_by("--help", among=("logging", "dataclasses", "lzma")) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "no-model", "sample"],
        ["predict", "no-model", "x.csv", "--out", "y.csv"],
        ["export", "no-model", "--format", "vocab", "--out", "v.txt"],
        ["inspect", "no-model"],
        ["vocab", "show", "no-such.txt"],
        ["vocab", "build", "no-such.csv", "--out", "v.txt"],
    ],
)
def test_a_missing_file_is_reported_before_torch_is_imported(tmp_path, arguments):
    assert "torch" not in loaded_by(*arguments)


def test_a_missing_file_or_model_comes_with_the_near_name(capsys, model, tmp_path, monkeypatch):
    write_csv(tmp_path / "reviews.csv", 4)
    monkeypatch.chdir(tmp_path)
    line = error_of(capsys, "predict", model, "reviews.cvs", "--out", "-")
    assert line.endswith("no such file or folder: reviews.cvs (did you mean 'reviews.csv'?)")
    line = error_of(capsys, "evaluate", model, tmp_path / "review.csv")
    assert f"no such file or folder: {tmp_path}/review.csv (did you mean 'reviews.csv'?)" in line
    line = error_of(capsys, "predict", model, tmp_path / "reviews.cvs", "--out", "-")
    assert "did you mean 'reviews.csv'?" in line
    line = error_of(capsys, "inspect", model.parent / "my-modle")
    assert line.endswith("(did you mean 'my-model'?)")
    export = ["export", model, "--format", "onnx", "--out", tmp_path / "x"]
    line = error_of(capsys, *export, "--data", tmp_path / "review.csv")
    assert "did you mean 'reviews.csv'?" in line


def test_a_split_of_a_single_file_is_refused(capsys, model, tmp_path):
    source = write_csv(tmp_path / "reviews.csv", 4)
    line = error_of(capsys, "evaluate", model, source, "--split", "tset")
    assert f"split = 'tset': {source} is a single file" in line


def test_a_text_on_the_command_line_is_labelled(capsys, model, tmp_path):
    for arguments in (["a dull film"], ["--text", "a dull film"], ["a dull\nfilm"]):
        assert run("predict", model, *arguments) == 0
        row = json.loads(capsys.readouterr().out)
        assert row["text"] == "a dull film"
        assert list(row) == ["text", "label", "score"]
    assert run("predict", model, "--text", "dull", "--out", tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "text,label,score,error"


@pytest.mark.parametrize("arguments", [[""], ["  "], ["--text", ""]])
def test_a_blank_text_has_no_label(capsys, model, arguments):
    assert run("predict", model, *arguments, "--strict") == 2
    shown = capsys.readouterr()
    row = json.loads(shown.out)
    assert [row["label"], row["score"], row["error"]] == [None, None, "blank"]
    assert "1 of 1 row has no label: blank (1)" in shown.err


def test_a_missing_file_with_a_space_in_its_name_is_not_a_text(capsys, model):
    line = error_of(capsys, "predict", model, "my reviews.csv", "--out", "-")
    assert "no such file or folder: my reviews.csv" in line


def test_quiet_shows_only_warnings_and_verbose_shows_where_messages_come_from(
    capsys, model, tmp_path
):
    source = tmp_path / "in.csv"
    source.write_text("text\na\nb\nc\n")
    out = tmp_path / "out.csv"
    assert run("predict", model, source, "--out", out, "--overwrite", "-q") == 0
    assert capsys.readouterr() == ("", "")
    assert run("predict", model, source, "--out", out, "--overwrite", "--verbose") == 0
    assert re.search(r"^\d\d:\d\d:\d\d textlstm\.", capsys.readouterr().err, re.MULTILINE)
    assert run("predict", model, source, "--out", out, "--overwrite") == 0
    assert "wrote 3 rows to" in capsys.readouterr().err  # neither lasts
    (tmp_path / "broken").mkdir()
    assert run("inspect", tmp_path / "broken", "-v") == 2
    assert "Traceback" in capsys.readouterr().err
    assert run("vocab", "show", tmp_path / "none.txt", "-v") == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["help"], ["help", "vocab"], ["help", "vocab", "show"]])
def test_help_is_a_command_too(capsys, words):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: textlstm", *words[1:]]))


def test_without_a_command_the_help_is_shown(capsys):
    with pytest.raises(SystemExit) as stop:
        run()
    assert stop.value.code == 2
    assert "First steps:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("pretrain", [("total-tokens", "100000000"), ("hidden-size", "128")]),
        ("distill", [("hidden-size", "64"), ("num-layers", "1"), ("max-length", None)]),
        ("mistakes", [("folds", None), ("top", "50")]),
    ],
)
def test_the_help_of_a_command_shows_its_own_defaults(capsys, command, shown):
    with pytest.raises(SystemExit):
        run(command, "--help")
    flags = re.split(r"\n  (?=-)", capsys.readouterr().out)
    for name, default in shown:
        (found,) = (" ".join(flag.split()) for flag in flags if flag.startswith(f"--{name} "))
        assert re.findall(r"\(default: (.*?)\)", found) == ([default] if default else [])


def test_every_command_takes_quiet_and_verbose():
    for name in COMMANDS:
        values = build_parser(name).format_help()
        assert name in values
        flags = dict(complete([name, "--q"])) | dict(complete([name, "--verb"]))
        assert set(flags) >= {"--quiet", "--verbose"} or name == "vocab"
    assert [word for word, _ in complete(["vocab", "show", "--q"])] == ["--quiet"]


def test_every_command_ends_with_the_next_one(model, tmp_path, capsys):
    def last(*arguments):
        assert run(*arguments) == 0
        return capsys.readouterr().err.splitlines()[-1]

    data, vocab = write_csv(tmp_path / "a.csv", 8), tmp_path / "v.txt"
    predicts = [["a dull film"], [data, "--out", tmp_path / "out.csv"], [data, "--out", "-"]]
    assert last("predict", model, *predicts[0]) == f"next: textlstm explain {model} 'a dull film'"
    for arguments in predicts[1:]:
        assert last("predict", model, *arguments).startswith(f"next: textlstm evaluate {model} ")
    assert last("explain", model, "a film").startswith("next: textlstm evaluate")
    assert last("evaluate", model, data).startswith("next: textlstm predict")
    assert last("inspect", model).startswith("next: textlstm evaluate")
    assert last("vocab", "build", data, "--out", vocab).startswith(
        "next: textlstm train DATA --voc"
    )
    assert last("vocab", "show", vocab).startswith("next: textlstm train DATA --vocab")
    for form, name in (("vocab", "w.txt"), ("safetensors", "w.safetensors"), ("torch", "w.pt")):
        line = last("export", model, "--format", form, "--out", tmp_path / name)
        assert line.startswith("next: ")
        assert name in line


# -- config ----------------------------------------------------------------------------------


def uncommented(text):
    return re.sub(r"^#(?=\w+ = )", "", text, flags=re.MULTILINE)


def test_config_prints_every_option_with_its_default(tmp_path, capsys):
    assert run("config") == 0
    printed = capsys.readouterr().out
    (tmp_path / "as-printed.toml").write_text(printed)
    assert read_settings(tmp_path / "as-printed.toml") == {}
    (tmp_path / "all.toml").write_text(uncommented(printed))
    options = read_settings(tmp_path / "all.toml")
    assert list(options) == ["preset", *TRAIN_OPTIONS]
    settings = TrainSettings.from_options(**options).to_dict()
    for part, defaults in TrainSettings().to_dict().items():
        for name, default in defaults.items():
            assert default is None or settings[part][name] == default, name


def test_config_says_what_the_values_may_be():
    text = " ".join(format_settings().replace("#", " ").split())
    assert ", ".join(PRESETS) in text
    assert "final, max, final+max, mean, attention" in text


# -- completion ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["tr"], ["train"]),
        ([""], list(COMMANDS)),
        (["vocab", ""], ["build", "show"]),
        (["train", "--epo"], ["--epochs"]),
        (["vocab", "build", "--min"], ["--min-frequency"]),
        (["train", "--pooling", ""], ["final", "max", "final+max", "mean", "attention"]),
        (["train", "--pooling", "m"], ["max", "mean"]),
        (["train", "--preset", "b"], ["best"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["train", "da"], []),  # a file
        (["train", "--out", "--ep"], []),
        (["nothing", ""], list(COMMANDS)),
    ],
)
def test_completion_knows_commands_options_and_values(typed, expected):
    assert [word for word, _ in complete(typed)] == expected


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "--epochs"),
        ("zsh", "--epochs:maximum number of epochs"),
        ("fish", "--epochs\tmaximum number of epochs"),
    ],
)
def test_each_shell_gets_candidates_in_its_form(capsys, shell, line):
    assert run("completion", shell, "--", "train", "--epo") == 0
    assert any(found.startswith(line) for found in capsys.readouterr().out.splitlines())


def test_bash_completes_with_the_script(tmp_path):
    (tmp_path / "textlstm").write_text(f'#!/bin/sh\nexec {sys.executable} -m textlstm "$@"\n')
    (tmp_path / "textlstm").chmod(0o755)
    script = (
        f'PATH={tmp_path}:$PATH; eval "$(textlstm completion bash)"\n'
        "COMP_WORDS=(textlstm train --pool); COMP_CWORD=2; _textlstm textlstm --pool train\n"
        "echo ${COMPREPLY[@]}\n"
        "COMP_WORDS=(textlstm vocab ''); COMP_CWORD=2; _textlstm textlstm '' vocab\n"
        "echo ${COMPREPLY[@]}\n"
        f"cd {tmp_path}; COMP_WORDS=(textlstm train tex); COMP_CWORD=2\n"
        "_textlstm textlstm tex train; echo ${COMPREPLY[@]}\n"
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines() == ["--pooling", "build show", "textlstm"]


def test_fish_completes_with_the_script(tmp_path):
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    (tmp_path / "textlstm").write_text(f'#!/bin/sh\nexec {sys.executable} -m textlstm "$@"\n')
    (tmp_path / "textlstm").chmod(0o755)
    script = (
        f"set PATH {tmp_path} $PATH; textlstm completion fish | source\n"
        "complete -C 'textlstm train --pool'; complete -C 'textlstm train --preset f'\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        ["fish", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=environment,
    )
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["--pooling", "fast"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_parse_their_script(capsys, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert run("completion", shell) == 0
    script = capsys.readouterr().out
    subprocess.run([shell, "-n"], input=script, text=True, timeout=60, check=True)


def test_the_help_of_no_command_breaks_a_line_of_its_description():
    for name in COMMANDS:
        parsers = [build_parser(name)]
        while parsers:
            parser = parsers.pop()
            assert max(map(len, (parser.description or "").splitlines()), default=0) <= 98
            for action in parser._actions:
                if isinstance(action, argparse._SubParsersAction):
                    parsers += action.choices.values()


def test_several_files_are_one_table_for_every_command(model, tmp_path, capsys):
    one, two = write_csv(tmp_path / "a.csv", 40), write_csv(tmp_path / "b.csv", 30, seed=1)
    out = tmp_path / "m"
    assert run("train", one, two, "--out", out, *flags(epochs=1)) == 0
    assert "62 train, 8 validation" in capsys.readouterr().err
    assert run("evaluate", model, one, two, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["n"] == 70
    assert run("vocab", "build", one, two, "--out", tmp_path / "v.txt") == 0
    assert run("predict", model, one, two, "--out", tmp_path / "out.csv") == 0
    assert "wrote 70 rows" in capsys.readouterr().err
    assert run("evaluate", model, one, tmp_path / "c.csv") == 2
    assert "no such file or folder" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_on_several_files_resumes_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv"):
        write_csv(tmp_path / name, 40)
    out = tmp_path / "m"
    assert run("train", "a.csv", "b.csv", "--out", out, *flags(max_minutes=0)) == 0
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert run("train", "--resume", "--out", out, "--max-minutes", 5) == 0
    assert not (out / "run.json").exists()


def test_names_may_stand_behind_options(model, tmp_path, capsys):
    one, two = write_csv(tmp_path / "a.csv", 4), write_csv(tmp_path / "b.csv", 4, seed=1)
    assert run("predict", model, "--out", tmp_path / "out.csv", one) == 0
    assert run("evaluate", model, one, "--json", "-", two) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 8
    with pytest.raises(SystemExit):
        run("predict", model, "--fast", one)
    assert "unrecognized arguments: --fast" in capsys.readouterr().err


def test_evaluate_takes_a_delimiter(model, tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text("text;label\na bright plot;good\nthe dull scene;bad\n")
    assert run("evaluate", model, path, "--delimiter", ";", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["n"] == 2


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        ("crossval", ["--validation", "--test", "--test-fraction"]),
        ("distill", ["--teacher", "--teacher-columns"]),
    ],
)
def test_help_lists_no_option_that_the_command_refuses(command, refused, capsys):
    with pytest.raises(SystemExit):
        run(command, "--help")
    listed = capsys.readouterr().out.split()
    assert not set(refused) & set(listed)
    assert "--teacher-weight" in listed
    assert not set(refused) & {flag for flag, _ in complete([command, "x", "--"])}
    with pytest.raises(SystemExit):
        run(command, "x", refused[0][:-1])
    assert f"'{refused[0]}'" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["teacher", "unlabeled"])
def test_a_settings_file_may_hold_one_name_as_a_string(tmp_path, capsys, name):
    """Which is not a list of letters."""
    settings = tmp_path / "settings.toml"
    settings.write_text(f'{name} = "./nowhere"\n')
    out = str(tmp_path / "model")
    assert main(["train", "sample", "--out", out, "--config", str(settings)]) == 2
    assert "./nowhere" in capsys.readouterr().err
