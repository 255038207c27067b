"""One way to name data: every form means the same rows to every command."""

import csv
import gzip
import io
import json
import sys

import datasets
import pytest
from tiny_classifier import LABELS, tiny_classifier
from tiny_corpus import flags

from textlstm import load_corpus
from textlstm.cli import main
from textlstm.data.corpus import load_whole
from textlstm.io import hub_datasets
from textlstm.io.stdin import spool_stdin
from textlstm.training.run import Run

pytestmark = pytest.mark.slow

ROWS = [(f"the {word} film {number}", LABELS[number % 2]) for number, word in enumerate("ab" * 15)]


def as_csv(rows, delimiter=","):
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows([("text", "label"), *rows])
    return file.getvalue()


def as_json(rows):
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)


def as_fasttext(rows):
    return "".join(f"__label__{label} {text}\n" for text, label in rows)


def as_dataset(rows):
    texts, labels = zip(*rows, strict=True)
    return datasets.Dataset.from_dict({"text": texts, "label": labels})


def one_file(folder):
    (folder / "rows.csv").write_text(as_csv(ROWS))
    return [folder / "rows.csv"]


def other_delimiter(folder):
    (folder / "rows.csv").write_text(as_csv(ROWS, ";"))
    return [folder / "rows.csv"]


def compressed(folder):
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(as_json(ROWS).encode()))
    return [folder / "rows.jsonl.gz"]


def fasttext(folder):
    (folder / "rows.txt").write_text(as_fasttext(ROWS))
    return [folder / "rows.txt"]


def several_files(folder):
    (folder / "a.csv").write_text(as_csv(ROWS[:13]))
    (folder / "b.csv").write_text(as_csv(ROWS[13:]))
    return [folder / "a.csv", folder / "b.csv"]


def pattern(folder):
    several_files(folder)
    return [folder / "*.csv"]


def folder_of_parts(folder):
    several_files(folder)
    return [folder]


def folder_of_splits(folder):
    (folder / "train.csv").write_text(as_csv(ROWS))
    (folder / "test.csv").write_text(as_csv(ROWS[:4]))
    return [folder]


def folder_of_labels(folder):
    for number, (text, label) in enumerate(ROWS):
        (folder / label).mkdir(exist_ok=True)
        (folder / label / f"{number:03}.txt").write_text(text)
    return [folder]


def saved(folder):
    as_dataset(ROWS).save_to_disk(folder / "saved")
    return [folder / "saved"]


def hub(folder):
    return ["me/rows"]


def stdin_csv(folder):
    return ["-", as_csv(ROWS)]


def stdin_semicolons(folder):
    return ["-", as_csv(ROWS, ";")]


def stdin_json(folder):
    return ["-", as_json(ROWS)]


def stdin_fasttext(folder):
    return ["-", as_fasttext(ROWS)]


FORMS = [
    *(one_file, other_delimiter, compressed, fasttext, several_files, pattern, folder_of_parts),
    *(folder_of_splits, folder_of_labels, saved, hub),
    *(stdin_csv, stdin_semicolons, stdin_json, stdin_fasttext),
]


class SeenError(Exception):
    """Ends a training where the data is read."""


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A model, a Hub, a cache of its own; `train` and `crossval` end once they have the data."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(hub_datasets, "_hub_answers", lambda name: True)
    on_hub = datasets.DatasetDict(train=as_dataset(ROWS))
    monkeypatch.setattr(datasets, "load_dataset", lambda *name, revision: on_hub)

    def stop(run):
        raise SeenError(sum(len(split) for split in run.corpus.splits.values()))

    monkeypatch.setattr(Run, "encode", stop)
    tiny_classifier().save(tmp_path / "model")
    return tmp_path


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_command_reads_the_same_rows(form, world, monkeypatch, capsys):
    folder = world / "data"
    folder.mkdir()
    names = [str(name) for name in form(folder)]
    typed = names.pop() if names[0] == "-" else ""
    splits = form is folder_of_splits
    train_split = ["--split", "train"] if splits or form is hub else []

    def run(command, *options):
        spool_stdin.cache_clear()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
        return main([*command.split(), *names, *map(str, options)])

    with pytest.raises(SeenError) as seen:
        run("train", "--out", world / "out", *flags())
    assert seen.value.args == (len(ROWS) + 4 * splits,)
    with pytest.raises(SeenError) as seen:
        run("crossval", "--folds", 2, *flags())
    assert seen.value.args == (len(ROWS),)
    model = world / "model"
    assert run(f"evaluate {model}", "--json", "-", *train_split) == 0
    assert json.loads(capsys.readouterr().out)["n"] == len(ROWS)
    assert run("vocab build", "--out", world / "vocab.txt") == 0
    assert f"of {4 * len(ROWS)} tokens" in capsys.readouterr().err
    assert run(f"predict {model}", "--out", "-", *train_split) == 0
    labelled = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    if not typed:  # there, each line is a text
        assert sorted(row["text"] for row in labelled) == sorted(text for text, _ in ROWS)
        assert sorted(row["label"] for row in labelled) == sorted(label for _, label in ROWS)
    spool_stdin.cache_clear()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
    given = names if len(names) > 1 else names[0]
    corpus, whole = load_corpus(given), load_whole(given)
    assert corpus.labels == LABELS[:2]
    assert len(corpus.train) + len(corpus.validation) == len(whole.rows) == len(ROWS)


def test_a_delimiter_that_is_detected_is_logged_once(world, capsys):
    rows, model = str(world / "rows.csv"), str(world / "model")
    (world / "rows.csv").write_text(as_csv(ROWS, "|"))
    assert main(["evaluate", model, rows]) == 0
    said = f"{rows}: cells are separated by '|' (detected; --delimiter sets it)"
    assert capsys.readouterr().err.count(said) == 1
    (world / "other.csv").write_text(as_csv(ROWS, "|"))
    assert main(["predict", model, str(world / "other.csv"), "--out", "-"]) == 0
    assert "separated by '|'" in capsys.readouterr().err
    assert main(["evaluate", model, rows, "--delimiter", "|"]) == 0
    assert "separated" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_on_stdin_resumes_with_its_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(as_csv(ROWS).encode())))
    spool_stdin.cache_clear()
    out = str(tmp_path / "m")
    assert main(["train", "-", "--out", out, *flags(max_minutes=0)]) == 0
    spool_stdin.cache_clear()
    assert main(["train", "--resume", "--out", out, "--max-minutes", "5"]) == 0
    assert json.loads((tmp_path / "m" / "config.json").read_text())["data"]["source"] == "stdin"
    assert main(["train", "-", "--out", str(tmp_path / "n"), *flags()]) == 2  # it is at its end
