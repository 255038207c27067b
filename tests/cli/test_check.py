"""The command check: a report of data, as text or JSON, and an exit code for scripts."""

import json

from tiny_corpus import rows

from textlstm.cli import main


def write(path, lines):
    path.write_text("".join(f"{json.dumps({'text': t, 'label': n})}\n" for t, n in lines))
    return str(path)


def test_a_report_with_warnings(tmp_path, capsys):
    data = write(tmp_path / "a.jsonl", [*rows(60), ("x", "odd")])
    assert main(["check", data, "--min-frequency", "1"]) == 0
    out, err = capsys.readouterr()
    lines = dict(line.split("  ", 1) for line in out.splitlines())
    assert lines["data"].strip() == data
    assert lines["rows"].strip() == "55 train, 6 validation"
    assert lines["labels"].strip().startswith("3 in train: ")
    assert "(cut at 400)" in lines["tokens"]
    assert "warning  fewer than 5 rows in train: 'odd'; too few to learn from: add" in out
    assert err.splitlines()[-1] == f"next: textlstm train {data} --out DIR"
    assert main(["check", data, "--strict", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {"rare_labels", "small_validation"} <= found["warnings"].keys()
    assert found["rows"] == {"train": 55, "validation": 6}


def test_sound_data_passes_even_strictly(tmp_path, capsys):
    part = [(f"{text} {number}", label) for number, (text, label) in enumerate(rows(600))]
    data = write(tmp_path / "a.jsonl", part)
    assert main(["check", data, "--strict", "--min-frequency", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no warnings"


def test_what_can_not_be_read_is_an_error(tmp_path, capsys):
    data = write(tmp_path / "a.jsonl", [("a", "only"), ("b", "only")])
    assert main(["check", data]) == 2
    assert "has only the label 'only'" in capsys.readouterr().err
