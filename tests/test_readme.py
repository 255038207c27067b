"""Every command and program of the READMEs runs, on a sample cut small, in a folder of its own."""

import os
import re
import subprocess
from pathlib import Path

import datasets
import pytest
from tiny_forks import Forks

from textlstm.cli.parser import COMMANDS
from textlstm.io.locate import SAMPLE

ROOT = Path(__file__).resolve().parents[1]
NEEDS_NETWORK = ("cornell-movie-review-data", "your-name/")
RUN_ELSEWHERE = ("scripts/quickstart.sh", "scripts/test.sh")  # they install, and CI runs them
NEEDS_DATA = ("unlabeled.parquet",)  # corpora that are not part of the project
SMALLER = {  # what is written: what is run
    "$(seq 60)": "$(seq 6)",
    "] * 25": "] * 4",
    "--epochs 2": "--epochs 1",
    "--epochs 3": "--epochs 1",
    "epochs=3": "epochs=1",
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


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the scripts, and an environment in which `sample` is a small one."""
    tmp_path = tmp_path_factory.mktemp("readme")
    rows = {"train": 24, "validation": 10, "test": 10}
    for split, n in rows.items():
        whole = datasets.Dataset.from_parquet(str(SAMPLE / f"{split}.parquet"))
        (tmp_path / "sample").mkdir(exist_ok=True)
        whole.select(range(n)).to_parquet(tmp_path / "sample" / f"{split}.parquet")
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "scripts").symlink_to(ROOT / "scripts")
    (folder / "vocab").mkdir()
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    prepare = (
        "import pathlib, textlstm.io.locate\n"
        f"textlstm.io.locate.SAMPLE = pathlib.Path({str(tmp_path / 'sample')!r})\n"
    )
    forks = Forks(tmp_path / "bin", prepare, env)
    env["PATH"] = os.pathsep.join([str(forks.folder), os.environ["PATH"]])
    yield folder, env
    forks.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "textlstm/README.md", "vocab/README.md"])
def test_every_command_and_program_runs(name, workplace):
    folder, env = workplace
    for line, language, program in blocks(name):
        runner = ["bash", "-euo", "pipefail"] if language == "bash" else ["python"]
        done = subprocess.run(
            [*runner, "-c", smaller(program)], cwd=folder, env=env, capture_output=True, text=True
        )
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
