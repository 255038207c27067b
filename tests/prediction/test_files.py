"""Rows out are rows in, in order, with labels; what can't be judged is kept with its reason."""

import csv
import functools
import io
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_classifier import tiny_classifier, tiny_tagger

from textlstm.config import DataConfig, PredictionConfig
from textlstm.data.corpus import load_split
from textlstm.errors import ConfigError, DataError, OutputError, TextLSTMError
from textlstm.io.readers import read_rows
from textlstm.prediction.files import classify_file, classify_lines

LABELS = ("bad", "good", "so so")
TEXTS = [
    "the film was bright",
    "dull",
    "so so",
    'a "very" dull, slow film',
    "never\nbright",
    "naïve 映画",
]


@pytest.fixture(scope="module")
def classifier():
    return tiny_classifier(labels=LABELS)


def write_input(path, rows=None, columns=("id", "text")):
    rows = rows or [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def classified(classifier, source, target, **options):
    overwrite = options.pop("overwrite", False)
    config = PredictionConfig(**options)
    summary = classify_file(classifier, source, target, config, overwrite=overwrite)
    return summary, [row.values for row in read_rows(target)]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("in.csv", "out.csv"),
        ("in.csv", "out.jsonl"),
        ("in.csv", "out.parquet"),
        ("in.tsv", "out.csv.gz"),
        ("in.jsonl", "out.tsv"),
        ("in.jsonl", "out.parquet"),
        ("in.parquet", "out.csv"),
        ("in.parquet", "out.jsonl"),
    ],
)
def test_every_format_becomes_another(classifier, tmp_path, source, target):
    summary, rows = classified(classifier, write_input(tmp_path / source), tmp_path / target)
    assert summary.rows == len(TEXTS)
    assert not summary.failed
    assert [(row["id"], row["text"]) for row in rows] == [
        (str(i), text) for i, text in enumerate(TEXTS)
    ]
    expected = classifier.predict_proba(TEXTS)
    assert [row["label"] for row in rows] == [LABELS[i] for i in expected.argmax(axis=1)]
    scores = np.array([row["score"] for row in rows], np.float32)
    np.testing.assert_allclose(scores, expected.max(axis=1), atol=1e-6)
    assert not any(row.get("error") for row in rows)


def test_added_columns_follow_those_of_the_input(classifier, tmp_path):
    _, rows = classified(classifier, write_input(tmp_path / "in.csv"), tmp_path / "out.csv")
    assert list(rows[0]) == ["id", "text", "label", "score", "error"]
    _, rows = classified(
        classifier,
        tmp_path / "in.csv",
        tmp_path / "out2.csv",
        top_k=2,
        probabilities=True,
        output_column="l",
        score_column="s",
    )
    assert list(rows[0]) == [
        *("id", "text", "l", "s", "l_2", "s_2"),
        *("probability_bad", "probability_good", "probability_so so", "error"),
    ]


def test_top_k_and_probabilities_are_those_of_the_classifier(classifier, tmp_path):
    source = write_input(tmp_path / "in.jsonl")
    _, rows = classified(classifier, source, tmp_path / "out.jsonl", top_k=3, probabilities=True)
    for row, expected in zip(rows, classifier.predict_proba(TEXTS), strict=True):
        order = np.argsort(-expected, kind="stable")
        ranked = ["label", "label_2", "label_3"]
        assert [row[name] for name in ranked] == [LABELS[i] for i in order]
        ranked = ["score", "score_2", "score_3"]
        np.testing.assert_allclose([row[name] for name in ranked], expected[order], atol=1e-6)
        given = [row[f"probability_{label}"] for label in LABELS]
        np.testing.assert_allclose(given, expected, atol=1e-6)


def test_parquet_columns_keep_their_types(classifier, tmp_path):
    table = pa.table({"n": pa.array([1, None], pa.int8()), "text": ["dull", "bright"]})
    pq.write_table(table, tmp_path / "in.parquet")
    classified(classifier, tmp_path / "in.parquet", tmp_path / "out.parquet")
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.select(["n", "text"]).equals(table)
    assert [str(field.type) for field in out.schema][2:] == ["string", "double", "string"]


MIXED = [
    {"text": TEXTS[i % 6], "id": i if i % 2 else str(i), "m": {} if i % 3 else "none"}
    for i in range(40)
]


def test_columns_of_mixed_values_are_texts_in_parquet(classifier, tmp_path, caplog):
    source = write_input(tmp_path / "in.jsonl", [*MIXED, {"text": 5}])
    _, rows = classified(classifier, source, tmp_path / "out.parquet")
    assert [row["text"] for row in rows[:6]] == TEXTS
    assert [row["id"] for row in rows[:3]] == ['"0"', "1", '"2"']
    assert [row["m"] for row in rows[:3]] == ["none", "{}", "{}"]
    assert (rows[-1]["text"], rows[-1]["error"]) == ("5", "not a string")
    expected = classifier.predict([row["text"] for row in MIXED])
    assert [row["label"] for row in rows[:-1]] == [each.label for each in expected]
    assert [line for line in caplog.messages if "can't hold" in line] == [
        "parquet can't hold the values of 'text', 'id', 'm': written as text, with JSON for other "
        "values"
    ]


@pytest.mark.parametrize("name", ["out.parquet", "out"])
def test_a_run_with_mixed_values_that_was_stopped_comes_to_the_same_bytes(
    classifier, tmp_path, name
):
    source = write_input(tmp_path / "in.jsonl", MIXED)
    config = PredictionConfig(chunk_rows=7)
    paths = [tmp_path / "whole" / name, tmp_path / "stopped" / name]
    for path in paths:
        path.parent.mkdir()
    classify_file(classifier, source, paths[0], config)

    def stop(done, total, earlier):
        if done >= 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classify_file(classifier, source, paths[1], config, on_progress=stop)
    classify_file(classifier, source, paths[1], config, resume=True)
    whole, stopped = (
        [file.read_bytes() for file in ([path] if path.is_file() else sorted(path.iterdir()))]
        for path in paths
    )
    assert whole == stopped


def strict_json(line):
    """Read a line as the strictest reader does."""

    def unique(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    def refuse(name):
        raise AssertionError(name)

    line.encode("utf-8")
    return json.loads(line, object_pairs_hook=unique, parse_constant=refuse)


@pytest.mark.parametrize("target", ["out.jsonl", "out.csv", "out.parquet"])
def test_rows_with_two_values_for_a_key_say_so(classifier, tmp_path, target):
    kept = '{"text": "dull", "m": {"k":1.10,  "l": -0}}'
    lines = [
        kept,
        '{"text": "dull", "text": "bright"}',
        '{"text": "dull", "m": {"k": 1, "k": 2}}',
        '{"text": "dull", "m": [{"\\ud800": NaN, "\\ud801": 1}]}',
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    summary, rows = classified(classifier, tmp_path / "in.jsonl", tmp_path / target)
    said = [f"two values for the key {key!r}" for key in ("text", "k", "\ufffd")]
    assert summary.failed == dict.fromkeys(said, 1)
    found = [row.get("error") or None for row in rows]
    assert found == [None, *(f"row {n}: {text}" for n, text in enumerate(said, 2))]
    assert not any(row.get("label") for row in rows[1:])
    if target == "out.jsonl":
        written = (tmp_path / target).read_text(encoding="utf-8").splitlines()
        assert [strict_json(line) for line in written] == rows
        assert written[0].startswith(kept[:-1])


def test_two_values_for_a_key_in_a_column_that_is_not_read_do_not_stop_a_training(tmp_path):
    line = '{"text": "dull", "label": "bad", "m": {"k": 1, "k": 2}}'
    (tmp_path / "in.jsonl").write_text(line)
    split, _ = load_split(tmp_path / "in.jsonl", None, DataConfig(), LABELS)
    assert len(split) == 1


def test_a_parquet_row_that_cannot_be_read_keeps_its_place(classifier, tmp_path):
    seconds = pa.array([0, 10**12], pa.timestamp("s"))  # the second is after the year 9999
    schema = pa.schema(
        [pa.field("text", pa.string()), pa.field("at", seconds.type, nullable=False)]
    )
    pq.write_table(pa.table([["dull", "bright"], seconds], schema), tmp_path / "in.parquet")
    summary, rows = classified(classifier, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert summary.rows == 2
    assert rows[0]["error"] is None
    assert rows[1]["error"].startswith("row 2: column 'at' cannot be read")
    assert rows[1]["text"] is None


def test_a_bad_row_keeps_its_place_and_gets_a_reason(classifier, tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(b"id,text\n1,dull\n2,caf\xe9\n3\n4,bright\n")
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        summary, rows = classified(classifier, path, tmp_path / name)
        assert summary.rows == 4
        assert dict(summary.failed) == {"not UTF-8": 1, "1 field instead of 2": 1}
        assert [row.get("error") or None for row in rows] == [
            None,
            "not UTF-8",
            "row 3: 1 field instead of 2",
            None,
        ]
        assert [bool(row["label"]) for row in rows] == [True, False, False, True]
        assert rows[1]["id"] == "2"
        assert rows[3]["text"] == "bright"
    assert b"caf\xe9" in (tmp_path / "out.csv").read_bytes()


def test_json_rows_without_a_text_are_kept_with_all_they_have(classifier, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(
        '{"text": "dull", "k": [1]}\n{"text": null}\n{"k": 2}\n{"text": 7}\nnope\n'
        '{"text": "bright", "late": true}\n'
    )
    summary, rows = classified(classifier, path, tmp_path / "out.jsonl")
    assert summary.rows == 6
    assert [row.get("error") for row in rows] == [
        *(None, "null", "null", "not a string"),
        "row 5: not JSON: Expecting value at character 1",
        None,
    ]
    assert [row["label"] for row in rows][1:5] == [None] * 4
    assert rows[0]["k"] == [1]
    assert rows[5]["late"] is True
    assert "error" not in rows[5]
    _, rows = classified(classifier, path, tmp_path / "out.csv")
    assert list(rows[0]) == ["text", "k", "late", "label", "score", "error"]


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet"])
def test_blank_texts_get_a_reason_and_no_label(classifier, tmp_path, name):
    rows = [{"id": "1", "text": "dull"}, {"id": "2", "text": " \t"}, {"id": "3", "text": ""}]
    summary, out = classified(classifier, write_input(tmp_path / name, rows), tmp_path / "o.jsonl")
    assert dict(summary.failed) == {"blank": 2}
    assert [row["label"] is None for row in out] == [False, True, True]
    assert [row.get("error") for row in out] == [None, "blank", "blank"]


def test_cells_of_a_csv_with_another_delimiter_are_kept(classifier, tmp_path):
    (tmp_path / "in.csv").write_text("text;mark\ndull, slow;good\n")
    _, (row,) = classified(classifier, tmp_path / "in.csv", tmp_path / "out.csv")
    assert (row["text"], row["mark"]) == ("dull, slow", "good")
    (tmp_path / "in.csv").write_text("text:mark\ndull:good\n")
    _, (row,) = classified(classifier, tmp_path / "in.csv", tmp_path / "o.csv", delimiter=":")
    assert (row["text"], row["mark"]) == ("dull", "good")


def test_a_file_without_a_line_of_names_is_refused(classifier, tmp_path):
    (tmp_path / "in.csv").write_text("I have never seen a better film\ndull\n")
    with pytest.raises(DataError, match=r"first line of .* looks like a row"):
        classified(classifier, tmp_path / "in.csv", tmp_path / "out.csv")


@pytest.mark.parametrize("kind", ["txt", "folder", "jsonl"])
def test_plain_texts_folders_and_inner_columns_are_inputs(classifier, tmp_path, kind):
    source = tmp_path / f"in.{kind}"
    options = {}
    if kind == "txt":
        source.write_text("__label__x dull\n__label__y bright\n")
    elif kind == "jsonl":
        source.write_text('{"body": {"text": "dull"}}\n{"body": {"text": "bright"}}\n')
        options = {"text_column": "body.text"}
    else:
        source = tmp_path / "in"
        for label, text in (("x", "dull"), ("y", "bright")):
            (source / label).mkdir(parents=True)
            (source / label / "1.txt").write_text(text)
    summary, rows = classified(classifier, source, tmp_path / "out.csv", **options)
    assert summary.rows == 2
    column = "label" if kind == "jsonl" else "predicted_label"
    expected = classifier.predict(["dull", "bright"])
    assert [row[column] for row in rows] == [prediction.label for prediction in expected]
    with pytest.raises(DataError, match="can't be written as txt"):
        classified(classifier, source, tmp_path / "out.txt", **options)


def test_rows_are_the_same_whatever_chunk_they_fall_in(classifier, tmp_path):
    source = write_input(tmp_path / "in.csv", [{"id": i, "text": TEXTS[i % 6]} for i in range(30)])
    _, whole = classified(classifier, source, tmp_path / "whole.jsonl")
    told = []
    classify_file(
        classifier,
        source,
        tmp_path / "cut.jsonl",
        PredictionConfig(chunk_rows=4),
        on_progress=lambda *numbers: told.append(numbers),
    )
    cut = [row.values for row in read_rows(tmp_path / "cut.jsonl")]
    assert [row.pop("score") for row in cut] == pytest.approx([r.pop("score") for r in whole])
    assert cut == whole
    assert [done for done, _, _ in told] == [4, 8, 12, 16, 20, 24, 28, 30]
    assert told[-1] == (30, 30, 0)


def test_of_many_labels_a_chunk_is_smaller(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("textlstm.classifier.predictor._MOST_NUMBERS", 12)  # of 3 labels: 4 texts
    monkeypatch.setattr("textlstm.classifier.predictor._LEAST_ROWS", 1)
    source = write_input(tmp_path / "in.csv", [{"text": "a film"} for _ in range(10)])
    told = []
    target, config = tmp_path / "out.jsonl", PredictionConfig()
    classify_file(
        classifier, source, target, config, on_progress=lambda done, *_: told.append(done)
    )
    assert told == [4, 8, 10]


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        (("text", "x"), {"score_column": "x"}, r"already has a column 'x'.*--score-column"),
        (("text", "error"), {}, r"already has a column 'error'.*rename it"),
        (("text", "label_2"), {"top_k": 2}, r"already has a column 'label_2'"),
        (
            ("text", "probability_bad"),
            {"probabilities": True},
            r"already has a column 'probability_bad'.*: rename it, or leave --probabilities out",
        ),
        (("text", "x"), {"engine_column": "x"}, r"already has a column 'x'.*--engine-column"),
        (("text", "x"), {"output_column": "x"}, r"already has a column 'x'.*--output-column"),
        (("text", "label", "predicted_label"), {}, r"already has a column 'predicted_label'"),
        (("text",), {"output_column": "a", "score_column": "a"}, r"two added .* named 'a'"),
        (("text",), {"top_k": 4}, r"top_k = 4: the model has 3 labels"),
        (
            ("a", "b"),
            {},
            r"cannot tell .* of .*in\.csv is the text; .* a, b: pass --text-column",
        ),
        (("a", "b"), {"text_column": ("c",)}, r"column 'c' is not in .*its columns are a, b"),
    ],
)
def test_clashes_and_missing_columns_are_errors_before_any_work(
    classifier, tmp_path, columns, options, said
):
    source = write_input(tmp_path / "in.csv", [dict.fromkeys(columns, "x")], columns)
    with pytest.raises(TextLSTMError, match=said) as error:
        classified(classifier, source, tmp_path / "out.csv", **options)
    assert isinstance(error.value, ConfigError | DataError)
    assert not (tmp_path / "out.csv").exists()


def test_a_labelled_test_file_keeps_its_labels(classifier, tmp_path):
    row = {"text": "dull", "label": "x", "score": 3}
    source = write_input(tmp_path / "in.csv", [row], list(row))
    _, (row,) = classified(classifier, source, tmp_path / "out.csv", top_k=2)
    added = ["predicted_label", "predicted_score", "predicted_label_2", "predicted_score_2"]
    assert list(row) == ["text", "label", "score", *added, "error"]
    assert (row["label"], row["score"]) == ("x", "3")
    assert {row["predicted_label"], row["predicted_label_2"]} < set(LABELS)
    _, (row,) = classified(
        classifier, source, tmp_path / "named.csv", output_column="l", score_column="s"
    )
    assert list(row) == ["text", "label", "score", "l", "s", "error"]


def test_a_label_in_a_later_json_row_is_kept(classifier, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "dull"}\n{"text": null, "label": "mine"}\n')
    _, rows = classified(classifier, path, tmp_path / "out.jsonl")
    assert list(rows[0]) == ["text", "predicted_label", "score"]
    assert rows[1]["label"] == "mine"
    assert rows[1]["predicted_label"] is None


def test_the_input_is_never_the_output(classifier, tmp_path):
    source = write_input(tmp_path / "in.csv")
    before = source.read_bytes()
    with pytest.raises(OutputError, match=r"in\.csv is the input"):
        classified(classifier, source, source, overwrite=True)
    assert source.read_bytes() == before


def test_an_existing_output_is_kept_unless_told_otherwise(classifier, tmp_path):
    source = write_input(tmp_path / "in.csv")
    (tmp_path / "out.csv").write_text("old")
    with pytest.raises(OutputError, match=r"out\.csv exists: pass --overwrite"):
        classified(classifier, source, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "old"
    classified(classifier, source, tmp_path / "out.csv", overwrite=True)


def test_columns_are_those_of_the_training_if_they_are_there(tmp_path):
    trained = tiny_classifier(labels=LABELS, text_column=["title", "body"])
    rows = [{"title": "dull", "text": "never", "body": "film"}]
    source = write_input(tmp_path / "in.csv", rows, ("title", "text", "body"))
    _, judged = classified(trained, source, tmp_path / "1.jsonl")
    assert judged[0]["score"] == pytest.approx(trained.predict(["dull film"])[0].score, abs=1e-6)
    _, judged = classified(trained, source, tmp_path / "2.jsonl", text_column=("text",))
    assert judged[0]["score"] == pytest.approx(trained.predict(["never"])[0].score, abs=1e-6)
    source = write_input(tmp_path / "in2.csv", [{"text": "dull", "n": 1}], ("text", "n"))
    _, judged = classified(trained, source, tmp_path / "3.jsonl")
    assert judged[0]["score"] == pytest.approx(trained.predict(["dull"])[0].score, abs=1e-6)


def lines_out(classifier, data, **options):
    target = io.BytesIO()
    source = io.BufferedReader(io.BytesIO(data))
    summary = classify_lines(classifier, source, target, PredictionConfig(**options))
    return summary, [json.loads(line) for line in target.getvalue().splitlines()]


def test_each_line_of_a_stream_is_a_text(classifier):
    summary, rows = lines_out(classifier, "dull\r\n\nnaïve 映画\nno line end".encode())
    assert [row["text"] for row in rows] == ["dull", "", "naïve 映画", "no line end"]
    assert rows.pop(1) == {"text": "", "label": None, "score": None, "error": "blank"}
    assert [row["label"] for row in rows] == [
        prediction.label for prediction in classifier.predict([row["text"] for row in rows])
    ]
    assert list(rows[0]) == ["text", "label", "score"]
    assert summary.rows == 4


def test_a_line_that_is_not_utf8_is_kept_with_its_reason(classifier):
    summary, rows = lines_out(classifier, b"caf\xe9\nbright\n")
    assert rows[0] == {"text": "caf\ufffd", "label": None, "score": None, "error": "not UTF-8"}
    assert rows[1]["label"] in LABELS
    assert dict(summary.failed) == {"not UTF-8": 1}


def test_a_byte_order_mark_is_no_part_of_the_first_line(classifier):
    _, rows = lines_out(classifier, "\ufeffdull\n\ufeffbright\n".encode())
    assert [row["text"] for row in rows] == ["dull", "\ufeffbright"]


def test_an_empty_stream_gives_no_rows(classifier):
    summary, rows = lines_out(classifier, b"")
    assert summary.rows == 0
    assert rows == []


def test_lines_may_be_cut_anywhere_by_the_stream(classifier):
    class Dribble(io.BytesIO):
        def read1(self, size=-1):
            return super().read1(3)

    data = "\ufeffdull\nnaïve 映画 bright\nvery slow".encode()
    target = io.BytesIO()
    classify_lines(classifier, Dribble(data), target, PredictionConfig())
    _, whole = lines_out(classifier, data)
    rows = [json.loads(line) for line in target.getvalue().splitlines()]
    assert [row["text"] for row in rows] == [row["text"] for row in whole]
    assert [row["score"] for row in rows] == pytest.approx([row["score"] for row in whole])


def test_a_line_is_answered_before_the_next_one_comes(classifier):
    target = io.BytesIO()
    seen = []

    class Asking(io.BytesIO):
        def read1(self, size=-1):
            seen.append(target.getvalue().count(b"\n"))
            return [b"dull\n", b"bright\n", b""][len(seen) - 1]

    classify_lines(classifier, Asking(), target, PredictionConfig())
    assert seen == [0, 1, 2]


CLASSIFY = """
import sys
from textlstm import TextClassifier
from textlstm.prediction.files import classify_file
from textlstm.config import PredictionConfig
from textlstm.nn.optimizers import LBFGS, AdamW
classifier = TextClassifier.load(sys.argv[1])
classify_file(classifier, sys.argv[2], sys.argv[3], PredictionConfig())
loss = sum(weights.square().sum() for weights in classifier.model.parameters())
for optimizer in (AdamW, LBFGS):
    optimizer = optimizer(classifier.model.parameters())
    optimizer.zero_grad()
    optimizer.step(lambda: loss)
    optimizer.load_state_dict(optimizer.state_dict())
print(*sys.modules)
"""


@pytest.mark.slow
def test_nothing_is_imported_that_takes_long(classifier, tmp_path):
    """Each of these takes a second or more to import."""
    classifier.save(tmp_path / "model")
    arguments = [tmp_path / "model", write_input(tmp_path / "in.csv"), tmp_path / "out.csv"]
    result = subprocess.run(
        [sys.executable, "-c", CLASSIFY, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    loaded = set(result.stdout.split())
    assert not loaded & {"datasets", "sklearn", "pandas", "torch._dynamo", "onnxruntime"}


# several labels a row


@pytest.fixture(scope="module")
def tagger():
    return tiny_tagger(labels=LABELS, label_separator="|")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "onnx"])
@pytest.mark.parametrize("target", ["out.csv", "out.tsv", "out.jsonl", "out.parquet", "parts"])
def test_several_labels_are_lists_where_the_format_has_them(tagger, tmp_path, target, engine):
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    source = write_input(tmp_path / "in.jsonl", [{"text": text} for text in [*TEXTS, None]])
    out = tmp_path / target
    config = PredictionConfig(engine=engine)
    assert classify_file(tagger, source, out, config).failed == {"null": 1}
    files = sorted(out.iterdir()) if out.is_dir() else [out]
    rows = [row.values for file in files for row in read_rows(file)]
    expected = tagger.predict(TEXTS)
    assert {len(item.labels) for item in expected} >= {1, 2}
    lists = [list(item.labels) for item in expected]
    joined = ["|".join(labels) for labels in lists]
    text = target.endswith("sv")
    assert [row["label"] for row in rows] == [*(joined if text else lists), "" if text else None]
    scores = np.array([row["score"] for row in rows[:-1]], np.float32)
    np.testing.assert_allclose(scores, [item.score for item in expected], atol=1e-5)
    assert rows[-1]["error"] == "null"


def test_the_mark_between_labels_can_be_chosen_and_reads_back(tagger, tmp_path):
    source = write_input(tmp_path / "in.csv")
    _, rows = classified(tagger, source, tmp_path / "out.csv", label_separator=" + ")
    expected = tagger.predict(TEXTS)
    assert [row["label"] for row in rows] == [" + ".join(item.labels) for item in expected]
    with pytest.raises(ConfigError, match="label 'so so' has ' ' in it"):
        classified(tagger, source, tmp_path / "out2.csv", label_separator=" ")
    config = DataConfig(label_separator=" + ")
    split, _ = load_split(tmp_path / "out.csv", None, config, LABELS, multi_label=True)
    assert split.labels.tolist() == [[n in item.labels for n in LABELS] for item in expected]


def test_a_run_with_another_mark_is_another_run(tagger, tmp_path, monkeypatch):
    source, out = write_input(tmp_path / "in.csv"), tmp_path / "out.csv"
    with monkeypatch.context() as patched:
        patched.setattr("textlstm.prediction.files.RowOutput.finish", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            classify_file(tagger, source, out, PredictionConfig())
    with pytest.raises(ConfigError, match="label_separator"):
        classify_file(tagger, source, out, PredictionConfig(label_separator="+"), resume=True)
    classify_file(tagger, source, out, PredictionConfig(label_separator="|"), resume=True)
    assert out.exists()


@pytest.fixture
def stopped_run(classifier, tmp_path, monkeypatch):
    """Stop a run over `a.csv` and `b.csv` after one chunk; return what resumes it."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        rows = [{"id": f"{name}{i}", "text": text} for i, text in enumerate(TEXTS)]
        write_input(tmp_path / f"{name}.csv", rows)

    def run(sources, **options):
        config = PredictionConfig(chunk_rows=4)
        classify_file(classifier, sources, tmp_path / "out.csv", config, **options)
        return [row.values["id"] for row in read_rows(tmp_path / "out.csv")]

    def stop(done, total, earlier):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(["a.csv", "b.csv"], on_progress=stop)
    return functools.partial(run, resume=True)


@pytest.mark.parametrize(
    ("sources", "now"),
    [(["b.csv", "a.csv"], "b.csv, a.csv"), (["a.csv", "a.csv", "b.csv"], "a.csv, a.csv, b.csv")],
)
def test_a_run_with_its_files_in_another_order_is_another_run(stopped_run, sources, now):
    message = rf"out\.csv differs: order of the files was a\.csv, b\.csv and is now {now}: [^\n]*$"
    with pytest.raises(ConfigError, match=message):
        stopped_run(sources)


def test_a_run_begun_before_the_order_of_files_was_noted_is_resumed(stopped_run, tmp_path):
    path = tmp_path / ".out.csv.partial" / "job.json"
    job = json.loads(path.read_text())
    del job["order of the files"]
    path.write_text(json.dumps(job))
    assert stopped_run(["a.csv", "b.csv"]) == [f"{name}{i}" for name in "ab" for i in range(6)]


def test_lines_get_several_labels_too(tagger):
    target = io.BytesIO()
    classify_lines(tagger, io.BytesIO("\n".join(TEXTS[:2]).encode()), target, PredictionConfig())
    found = [json.loads(line)["label"] for line in target.getvalue().splitlines()]
    assert found == [list(item.labels) for item in tagger.predict(TEXTS[:2])]


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_a_bad_text_of_a_folder_of_labels_costs_no_other_row(classifier, tmp_path, name):
    (tmp_path / "lf" / "neg").mkdir(parents=True)
    for number, text in enumerate([b"dull", b"\xff\xfea\0", b"caf\xe9", b"bright"], 1):
        (tmp_path / "lf" / "neg" / f"{number}.txt").write_bytes(text)
    (tmp_path / "lf" / "neg" / "5.txt").symlink_to("nowhere")
    summary, rows = classified(classifier, tmp_path / "lf", tmp_path / name)
    reasons = [
        "not plain text: it is UTF-16: save it as UTF-8",
        "not UTF-8",
        "cannot be read: No such file or directory",
    ]
    assert (summary.rows, summary.failed) == (5, dict.fromkeys(reasons, 1))
    assert [row["file"] for row in rows] == [f"neg/{number}.txt" for number in range(1, 6)]
    assert {row["label"] for row in rows} == {"neg"}
    errors = [None, f"row 2: {reasons[0]}", reasons[1], None, f"row 5: {reasons[2]}"]
    assert [row.get("error") or None for row in rows] == errors
    assert [bool(row["predicted_label"]) for row in rows] == [not error for error in errors]


def test_a_run_over_bad_texts_that_was_stopped_comes_to_the_same_bytes(classifier, tmp_path):
    (tmp_path / "lf" / "neg").mkdir(parents=True)
    for number in range(1, 8):
        text = b"\xff\xfea\0" if number == 6 else f"dull {number}".encode()
        (tmp_path / "lf" / "neg" / f"{number}.txt").write_bytes(text)
    paths = [tmp_path / f"{name}.csv" for name in ("whole", "resumed")]
    config = PredictionConfig(chunk_rows=2)
    classify_file(classifier, tmp_path / "lf", paths[0], config)

    def stop(done, total, earlier):
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classify_file(classifier, tmp_path / "lf", paths[1], config, on_progress=stop)
    classify_file(classifier, tmp_path / "lf", paths[1], config, resume=True)
    assert paths[1].read_bytes() == paths[0].read_bytes()


@pytest.mark.parametrize("engine", ["torch", "onnx"])
@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_a_label_with_a_low_score_is_left_out(classifier, tmp_path, engine, name):
    if engine == "onnx":
        pytest.importorskip("onnxruntime")
    scores = [item.score for item in classifier.predict(TEXTS)]
    least = sorted(scores)[2] - 1e-4
    summary, rows = classified(
        classifier,
        write_input(tmp_path / "in.csv"),
        tmp_path / name,
        engine=engine,
        min_score=round(least, 4),
    )
    reason = f"score below {round(least, 4):g}"
    assert summary.failed == {reason: 2}
    for row, score in zip(rows, scores, strict=True):
        assert bool(row["label"]) == (score >= least)
        assert (row.get("error") or None) == (None if score >= least else reason)
        assert float(row["score"]) == pytest.approx(score, abs=1e-5)


def test_a_line_with_a_low_score_gets_no_label(classifier):
    summary, rows = lines_out(classifier, b"dull\nbright\n", min_score=1.0)
    assert summary.failed == {"score below 1": 2}
    assert [(row["label"], row["error"]) for row in rows] == [(None, "score below 1")] * 2
    _, rows = lines_out(classifier, b"dull\n", min_score=0.0)
    assert rows[0]["label"]
