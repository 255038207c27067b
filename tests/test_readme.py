"""Every command and program of the READMEs runs, on a sample cut small, in a folder of its own."""

import re
from pathlib import Path

import pytest

from textlstm.cli.parser import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
NEEDS_NETWORK = ("cornell-movie-review-data", "your-name/")
RUN_ELSEWHERE = ("scripts/quickstart.sh", "scripts/test.sh")  # they install, and CI runs them
NEEDS_DATA = ("unlabeled.parquet",)  # corpora that are not part of the project
SMALLER = {  # what is written: what is run
    "$(seq 60)": "$(seq 6)",
    "] * 25": "] * 4",
    "--epochs 2": "--epochs 1",
    "--epochs 3": "--epochs 1",
    "epochs=3": "epochs=1, report=False",
    "--config settings.toml": "--config settings.toml --no-report",
    "--out my-tagger": "--out my-tagger --no-report",
    "epochs = 5": "epochs = 1",
    "epochs=12": "epochs=1",
}
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(name):
    """(line, language, program) of each fenced block that can run here."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        language, program = found.groups()
        if not any(mark in program for mark in (*NEEDS_NETWORK, *RUN_ELSEWHERE, *NEEDS_DATA)):
            yield text.count("\n", 0, found.start()) + 1, language, program


def smaller(program):
    """The program on less data."""
    for written, less in SMALLER.items():
        program = program.replace(written, less)
    return program


@pytest.mark.slow
def test_every_command_and_program_runs(forks, tmp_path):
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / "vocab").mkdir()
    for name in ("README.md", "textlstm/README.md", "vocab/README.md"):
        for line, language, program in blocks(name):
            runner = ["bash", "-euo", "pipefail"] if language == "bash" else ["python"]
            done = forks.run(*runner, "-c", smaller(program), folder=tmp_path)
            assert done.returncode == 0, f"{name}, line {line}:\n{program}\n{done.stderr[-3000:]}"


def test_the_readme_is_for_users_and_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert len(list(blocks("README.md"))) >= 10


def test_the_readme_lists_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index("## Commands") : text.index("## Compared")]
    missing = [name for name in COMMANDS if f"`textlstm {name}" not in table]
    assert missing == []


def test_every_link_of_the_readmes_leads_to_a_file():
    for path in [ROOT / "README.md", *ROOT.glob("*/README.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path}: {target}"


def test_the_map_of_the_code_names_modules_that_exist():
    text = (ROOT / "textlstm" / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:[a-z]+/)+[a-z_]+\.py)`", text):
        assert (ROOT / "textlstm" / name).exists() or (ROOT / name).exists(), name
