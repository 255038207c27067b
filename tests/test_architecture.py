"""The plan of the rooms, read from the imports; see textlstm/README.md."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "textlstm"
HEAVY = {"torch", "datasets", "tokenizers", "numpy", "pyarrow", "pandas", "sklearn", "safetensors"}

# A folder imports only from itself and from folders before it.
ROOMS = ["io", "text", "data", "nn", "evaluation", "report", "classifier", "training", "export"]
ROOMS += ["prediction", "cli"]
# Of the folders before them, these import nothing.
APART = {("nn", "io"), ("nn", "text"), ("nn", "data")}
APART |= {("evaluation", "io"), ("evaluation", "text"), ("evaluation", "data")}
APART |= {("export", "training"), ("prediction", "training")}
ROOT_MODULES = {"config", "errors", "options", "version"}  # every folder may import these
TOP_LEVEL = {"LICENSE", "README.md", "pyproject.toml", "scripts", "tests", "textlstm", "vocab"}

FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path, *, lazy=True):
    """Dotted names that a file imports; without `lazy`, only those of its top level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def room(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def rooms_used(path):
    """The folders and root modules of this package that a file imports."""
    parts = [name.split(".") for name in imported(path)]
    return {part[1] for part in parts if part[0] == "textlstm" and len(part) > 1}


@pytest.mark.slow
def test_folders_import_only_from_folders_before_them():
    wrong = []
    for path in FILES:
        if (home := room(path)) not in ROOMS:
            continue
        allowed = set(ROOMS[: ROOMS.index(home) + 1]) - {b for a, b in APART if a == home}
        allowed |= ROOT_MODULES | ({"estimator"} if home == "cli" else set())
        wrong += [f"{path.relative_to(ROOT)}: {name}" for name in rooms_used(path) - allowed]
    assert not wrong


def test_every_module_lies_in_a_known_folder():
    folders = {room(path) for path in FILES} - {None}
    assert folders <= set(ROOMS)
    root = {path.stem for path in FILES if room(path) is None}
    assert root - ROOT_MODULES == {"__init__", "__main__", "estimator"}


def test_the_network_knows_tensors_only():
    files = {"os", "io", "pathlib", "json", "datasets", "tokenizers", "safetensors", "pyarrow"}
    for name in ["bilstm", "layers", "network", "ngrams"]:
        path = PACKAGE / "nn" / f"{name}.py"
        assert not {used.split(".")[0] for used in imported(path)} & files, name


def test_the_root_and_the_parser_import_nothing_heavy():
    for name in [*ROOT_MODULES, "cli/__init__", "cli/parser"]:
        used = imported(PACKAGE / f"{name}.py", lazy=False)
        assert not {part.split(".")[0] for part in used} & HEAVY, name


def loaded_by(code):
    """The modules that a fresh Python has loaded after some code."""
    code += "\nimport sys; print('\\n'.join(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return {name.split(".")[0] for name in result.stdout.splitlines()}


HELP = """
import contextlib, io
from textlstm.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main(["train", "--help"])
"""


@pytest.mark.parametrize("code", ["import textlstm; dir(textlstm)", HELP])
def test_the_import_and_the_help_are_light(code):
    assert not loaded_by(code) & HEAVY


def test_every_public_name_can_be_imported():
    import textlstm

    for name in textlstm.__all__:
        assert getattr(textlstm, name) is not None
    with pytest.raises(AttributeError, match="'Trian'"):
        textlstm.Trian  # noqa: B018


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_pickled_printed_or_left_undone(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX|raise NotImplementedError)\b", text)
    assert not {name.split(".")[0] for name in imported(path)} & {"pickle", "dill", "joblib"}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "torch.save", "torch.load", "eval", "exec"), called


def test_the_top_level_holds_what_the_plan_says():
    git = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    found = {name.split("/")[0] for name in git.stdout.splitlines()}
    assert {name for name in found if not name.startswith(".")} <= TOP_LEVEL
