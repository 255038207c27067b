"""The plan of the house, read from the imports: arrows point down, and heavy things stay below."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "textlstm"

# A module may import modules of lower levels, and of its own level where that makes no circle.
LEVELS = {
    0: "errors options config files launch",
    1: "rows text_inputs row_files arrow_cells row_columns row_input dataset_rows row_writers "
    "work_folder row_output stages labels tables scanning sources hub_data parts split data "
    "arrow_cache token_rules subwords tokenizer_file tokenizer torchtext_forms vocabulary "
    "vector_files vectors runtime allocator crew distributed",
    2: "encoded batching embedding lstm dropout ngrams model outputs",
    3: "metrics metric_forms thresholds model_bytes persistence assembly hub card pretrained "
    "parity onnx_nodes onnx_ngrams onnx_graph loss calibration ngram_fitting optimizer schedule "
    "observer gradients",
    4: "trainer checkpoint evaluation predictor classifier labelling dataset_labels identity "
    "onnx_session onnx_card",
    5: "run_folder fitting pipeline crossval estimator_base estimator token_estimator engines "
    "row_stream ray_data spark classify export onnx_export torch_export",
    6: "cli __main__",
}
LEVEL_OF = {module: level for level, names in LEVELS.items() for module in names.split()}
MODULES = sorted(
    path.stem if path.suffix else path.name
    for path in PACKAGE.iterdir()
    if path.name != "__init__.py"
    and (path.suffix == ".py" or (path.is_dir() and (path / "__init__.py").exists()))
)
TENSORS_ONLY = {"embedding", "lstm", "model", "dropout", "ngrams"}  # no files and no text
TOP_LEVEL = {"LICENSE", "README.md", "pyproject.toml", "scripts", "tests", "textlstm", "vocab"}


def sources(module):
    path = PACKAGE / module
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def trees(module):
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sources(module)]


def imported(module, *, lazy=True):
    """Dotted names that a module imports; without `lazy`, only those of its top level."""
    names = set()
    for tree in trees(module):
        nodes = ast.walk(tree) if lazy else tree.body
        for node in nodes:
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module} has a relative import"
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def own(module, **options):
    """The modules of this package that a module imports."""
    parts = [name.split(".") for name in imported(module, **options)]
    found = {part[1] for part in parts if part[0] == "textlstm" and len(part) > 1}
    return (found & set(MODULES)) - {module}


def test_every_module_has_a_level():
    assert set(MODULES) == set(LEVEL_OF)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    up = {name for name in own(module) if LEVEL_OF[name] > LEVEL_OF[module]}
    assert not up


def test_no_imports_in_a_circle():
    done = set()

    def visit(module, path):
        assert module not in path, " imports ".join([*path, module])
        if module not in done:
            for name in sorted(own(module)):
                visit(name, [*path, module])
            done.add(module)

    for module in MODULES:
        visit(module, [])


@pytest.mark.parametrize("module", ["predictor", "classifier", "classify"])
def test_prediction_needs_nothing_of_training(module):
    seen, waiting = set(), {module}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting |= own(name) - seen
    assert not seen & {"trainer", "checkpoint", "pipeline", "optimizer", "loss", "schedule"}
    assert "distributed" not in seen


@pytest.mark.parametrize("module", sorted(TENSORS_ONLY))
def test_the_network_knows_tensors_only(module):
    assert own(module) <= TENSORS_ONLY | {"config", "errors"}
    assert not {name.split(".")[0] for name in imported(module)} & {
        *("os", "io", "pathlib", "json", "re", "datasets", "tokenizers", "safetensors", "pyarrow"),
    }


def test_the_foundation_and_the_parser_import_nothing_heavy():
    heavy = {"torch", "datasets", "tokenizers", "numpy", "pyarrow", "sklearn", "safetensors"}
    for module in ["errors", "options", "config", "files", "launch"]:
        assert not {name.split(".")[0] for name in imported(module)} & heavy, module
    assert not {name.split(".")[0] for name in imported("cli", lazy=False)} & heavy


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
    heavy = {"torch", "datasets", "tokenizers", "numpy", "pyarrow", "pandas", "sklearn"}
    assert not loaded_by(code) & heavy


def test_every_public_name_can_be_imported():
    import textlstm

    for name in textlstm.__all__:
        assert getattr(textlstm, name) is not None
    with pytest.raises(AttributeError, match="'Trian'"):
        textlstm.Trian  # noqa: B018


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_pickled_printed_or_left_undone(module):
    text = "".join(path.read_text(encoding="utf-8") for path in sources(module))
    assert not re.search(r"\b(TODO|FIXME|XXX|raise NotImplementedError)\b", text)
    assert not {name.split(".")[0] for name in imported(module)} & {"pickle", "dill", "joblib"}
    for tree in trees(module):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "torch.save", "torch.load", "eval", "exec"), called


def tracked():
    """The files of the project: those that git knows, or all that are not hidden."""
    git = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    return git.stdout.splitlines() if git.returncode == 0 else []


def test_the_top_level_holds_what_the_plan_says():
    found = {name.split("/")[0] for name in tracked()}
    assert {name for name in found if not name.startswith(".")} <= TOP_LEVEL


def test_every_module_has_its_tests():
    missing = [
        module
        for module in MODULES
        if module not in ("errors", "__main__") and not (ROOT / f"tests/test_{module}.py").exists()
    ]
    assert not missing


def test_the_readmes_map_names_every_file():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Map of the code")[2]
    named = set(re.findall(r"^\| `([\w/.]+)` \|", text, re.MULTILINE))
    scripts = {
        f"scripts/{path.name}"
        for path in (ROOT / "scripts").iterdir()
        if path.is_file() and not path.name.startswith(".")
    }
    modules = {module if module != "cli" else "cli/" for module in MODULES} - {"__main__"}
    assert named - modules - scripts == set()
    assert (modules | scripts) - named == set()
