"""textlstm predict: what it refuses, what it says, and how it ends."""

import io
import json
import os
import sys

import pyarrow.parquet as pq
import pytest
from tiny_classifier import needs_bf16, texts, tiny_classifier

from textlstm import TextClassifier
from textlstm.cli import main
from textlstm.io.work_folder import WorkFolder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    tiny_classifier(labels=("bad", "good")).save(folder)
    return folder


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.csv"
    lines = [f'{row},"{text}"' for row, text in enumerate(texts(40))]
    path.write_text("\n".join(["id,text", *lines]) + "\n", encoding="utf-8")
    return path


def run(*arguments):
    return main(["predict", *(str(argument) for argument in arguments)])


def fails(capsys, *arguments):
    """Run a command that must fail as a user's error; give its one line."""
    capsys.readouterr()
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("textlstm: error: ")
    return line


def break_off(monkeypatch, *arguments, rows=20):
    """Run a command that gets Ctrl-C after some rows."""
    keep = WorkFolder.write_state

    def stop(self, state):
        keep(self, state)
        if state["given"]["rows"] >= rows:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(WorkFolder, "write_state", stop)
        assert run(*arguments, "--chunk-rows", 5) == 130


def test_strict_ends_with_2_if_a_row_got_no_label_and_writes_all_the_same(model, tmp_path, capsys):
    (tmp_path / "in.csv").write_bytes(b"text\ndull\nx\xff\na,b\n")
    assert run(model, tmp_path / "in.csv", "--out", tmp_path / "out.jsonl", "--strict") == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-3].startswith("2 of 3 rows have no label: not UTF-8 (1), 2 fields instead of 1 (1)")
    assert err[-2] == f"wrote 3 rows to {tmp_path / 'out.jsonl'}"
    errors = [json.loads(line).get("error") for line in (tmp_path / "out.jsonl").open()]
    assert errors == [None, "not UTF-8", "row 3: 2 fields instead of 1"]
    (tmp_path / "in.csv").write_text("text\ndull\n")
    assert run(model, tmp_path / "in.csv", "--out", tmp_path / "2.csv", "--strict") == 0


def test_a_label_with_a_low_score_is_left_out_and_counted(model, tmp_path, capsys):
    (tmp_path / "in.csv").write_text("text\ndull\n")
    words = [model, tmp_path / "in.csv", "--out", tmp_path / "out.jsonl"]
    assert run(*words, "--min-score", 1, "--strict") == 2
    assert "1 of 1 row has no label: score below 1 (1)" in capsys.readouterr().err
    assert json.loads((tmp_path / "out.jsonl").read_text())["label"] is None
    line = fails(capsys, *words, "--overwrite", "--min-score", 2)
    assert "min_score = 2" in line


def test_a_folder_becomes_a_folder_of_parts(model, tmp_path):
    for number in range(3):
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.jsonl").write_text(
            "".join(json.dumps({"text": text, "n": number}) + "\n" for text in texts(5, number))
        )
    assert run(model, tmp_path / "in", "--out", tmp_path / "out") == 0
    table = pq.read_table(tmp_path / "out")
    assert table["n"].to_pylist() == [0] * 5 + [1] * 5 + [2] * 5
    expected = [p.label for p in TextClassifier.load(model).predict(table["text"].to_pylist())]
    assert table["label"].to_pylist() == expected
    assert run(model, tmp_path / "in" / "[12].jsonl", "--out", tmp_path / "some.csv") == 0
    assert len((tmp_path / "some.csv").read_text().splitlines()) == 11


@pytest.mark.slow
def test_a_run_that_was_broken_off_is_neither_lost_nor_taken_for_whole(
    model, source, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out.csv"
    break_off(monkeypatch, model, source, "--out", out)
    assert not out.exists()
    line = fails(capsys, model, source, "--out", out)
    assert "has an unfinished run in" in line
    assert "--resume" in line
    assert "--overwrite" in line
    assert run(model, source, "--out", out, "--resume", "--chunk-rows", 5) == 0
    assert run(model, source, "--out", tmp_path / "whole.csv", "--chunk-rows", 5) == 0
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_run_that_ended_before_its_first_chunk_is_not_in_the_way(
    model, source, tmp_path, monkeypatch
):
    out = tmp_path / "out.csv"
    break_off(monkeypatch, model, source, "--out", out, rows=0)
    assert run(model, source, "--out", out) == 0
    assert len(out.read_text().splitlines()) > 1


def test_overwrite_alone_begins_anew(model, source, tmp_path, monkeypatch):
    out = tmp_path / "out.csv"
    break_off(monkeypatch, model, source, "--out", out)
    assert run(model, source, "--out", out, "--overwrite", "--top-k", 2) == 0
    assert out.read_text().startswith("id,text,label,score,label_2,score_2,error\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--top-k", 2], "top_k was 1 and is now 2"),
        (["--batch-size", 3], "batch_size was 64 and is now 3"),
        (["--output-column", "l"], "output_column was label and is now l"),
        pytest.param(
            ["--precision", "bf16"], "precision was fp32 and is now bf16", marks=needs_bf16
        ),
        ([], "chunk_rows was 5 and is now 16384"),
    ],
)
def test_a_run_is_resumed_only_by_its_own_command(
    model, source, tmp_path, monkeypatch, capsys, options, said
):
    out = tmp_path / "out.csv"
    break_off(monkeypatch, model, source, "--out", out)
    chunks = ["--chunk-rows", 5] if options else []
    line = fails(capsys, model, source, "--out", out, "--resume", *chunks, *options)
    assert said in line
    assert "repeat its command with --resume" in line


@pytest.mark.slow
def test_a_changed_input_or_model_is_noticed(model, source, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out.csv"
    break_off(monkeypatch, model, source, "--out", out)
    again = ["--out", out, "--resume", "--chunk-rows", 5]
    tiny_classifier(labels=("bad", "good"), seed=2).save(tmp_path / "other")
    assert "model was" in fails(capsys, tmp_path / "other", source, *again)
    status = source.stat()
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    assert f"{source} was" in fails(capsys, model, source, *again)
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run(model, source, *again) == 0


def test_resume_begins_where_there_is_nothing_and_never_trusts_a_whole_output(
    model, source, tmp_path, capsys
):
    out = tmp_path / "out.csv"
    assert run(model, source, "--out", out, "--resume") == 0
    line = fails(capsys, model, source, "--out", out, "--resume")
    assert "exists and there is no unfinished run of it" in line
    assert run(model, source, "--out", out, "--resume", "--overwrite") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-", "--out", "x.csv", "--resume"], "--resume needs files"),
        (["in.csv", "--out", "-", "--resume"], "--resume needs files"),
        (["in.csv", "--out", "in.csv", "--overwrite"], "in.csv is the input"),
        (["in", "--out", "in", "--overwrite"], "in is the input"),
        (["in.csv", "--out", "x.csv", "--precision", "int8"], "precision = 'int8'"),
        (["in.csv", "--out", "x.csv", "--workers", "2"], "workers are for the engine ray"),
        (["in.csv", "--out", "x.csv", "--split", "test"], "split = 'test'"),
        (["in.csv", "--out", "x.csv", "--engine", "onxn"], "did you mean 'onnx'"),
        (["in.csv", "--out", "x.docx"], "cannot tell the format of x.docx"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    model, source, capsys, tmp_path, monkeypatch, words, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("text\ndull\n")
    before = sorted(tmp_path.rglob("*"))
    assert said in fails(capsys, model, *words)
    assert sorted(tmp_path.rglob("*")) == before


def test_lines_of_stdin_go_to_a_file_and_leave_nothing_if_they_break_off(
    model, tmp_path, monkeypatch, capsys
):
    class Breaking(io.BytesIO):
        def read1(self, size=-1):
            data = super().read1(5)
            if not data:
                raise KeyboardInterrupt
            return data

    class Stdin:
        buffer = Breaking(b"dull\nbright\n")

    monkeypatch.setattr(sys, "stdin", Stdin)
    out = tmp_path / "out.csv"
    assert run(model, "-", "--out", out) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"dull\nbright\n")))
    assert run(model, "-", "--out", out) == 0
    assert out.read_text().splitlines()[0] == "text,label,score,error"


def test_onnx_gives_the_same_labels(model, source, tmp_path):
    pytest.importorskip("onnxruntime")
    assert run(model, source, "--out", tmp_path / "torch.parquet") == 0
    options = ["--engine", "onnx", "--out", tmp_path / "onnx.parquet"]
    assert run(model, source, *options) == 0
    torch, onnx = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("torch", "onnx"))
    assert onnx["label"].to_pylist() == torch["label"].to_pylist()
    assert onnx["score"].to_pylist() == pytest.approx(torch["score"].to_pylist(), abs=1e-5)
    assert run(model, source, *options[:2], "--out", tmp_path / "8.csv", "--precision", "int8") == 0
