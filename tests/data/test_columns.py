from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.config import DataConfig
from textlstm.data.columns import Table, check_columns, choose_columns
from textlstm.data.corpus import load_corpus
from textlstm.data.sources import find_tables
from textlstm.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def table(**kinds: str) -> Table:
    return Table("reviews.csv", kinds)


def csv(tmp_path: Path, text: str, name: str = "reviews.csv") -> Table:
    (tmp_path / name).write_text(text)
    return Table.of_files([tmp_path / name])


@pytest.mark.parametrize(
    ("kinds", "text", "label"),
    [
        ({"text": "text", "label": "digits"}, "text", "label"),
        ({"id": "digits", "Sentence": "text", " Class": "text"}, "Sentence", " Class"),
        ({"comment": "text", "title": "text", "stars": "number"}, "comment", "stars"),
        ({"blurb": "text", "sentiment": "text"}, "blurb", "sentiment"),
        ({"blurb": "text", "n": "number", "label": "number"}, "blurb", "label"),
        ({"text": "text", "label": "number", "label_text": "text"}, "text", "label"),
    ],
)
def test_columns_with_one_good_guess_are_guessed_and_said(
    kinds: dict[str, str], text: str, label: str
) -> None:
    assert choose_columns(table(**kinds), DataConfig()) == (
        (text,),
        label,
        [f"columns detected in reviews.csv: text {text!r}, label {label!r}"],
    )


@pytest.mark.parametrize(
    ("kinds", "what"),
    [
        ({"text": "text", "sentence": "text", "label": "text"}, "is the text; .*--text-column"),
        ({"a": "text", "b": "text", "label": "number"}, "is the text; .*a, b, label"),
        ({"text": "text", "label": "text", "category": "text"}, "is the label; .*--label-column"),
        ({"text": "text", "kind": "text"}, "is the label"),
        ({"a": "text", "b": "text"}, "the text and the label; .*--text-column and --label-column"),
        ({"text;label": "text"}, r"separated by ';': pass it as --delimiter"),
    ],
)
def test_columns_with_no_single_guess_are_asked_for(kinds: dict[str, str], what: str) -> None:
    with pytest.raises(DataError, match=what):
        choose_columns(table(**kinds), DataConfig())


def test_a_given_column_is_not_guessed_again() -> None:
    both = table(text="text", label="text", category="text")
    config = DataConfig(label_column="category")
    assert choose_columns(both, config)[2] == ["columns detected in reviews.csv: text 'text'"]
    config = DataConfig(text_column=("label", "text"), label_column="category")
    assert choose_columns(both, config) == (("label", "text"), "category", [])
    config = DataConfig(text_column=("label",))
    assert choose_columns(both, config)[:2] == (("label",), "category")


def test_the_only_class_label_is_the_label() -> None:
    data = datasets.Dataset.from_dict(
        {"text": ["a"], "toxic": [0]},
        features=datasets.Features(
            {"text": datasets.Value("string"), "toxic": datasets.ClassLabel(names=["no", "yes"])}
        ),
    )
    chosen = choose_columns(Table.of_dataset("x", data), DataConfig())
    assert chosen[:2] == (("text",), "toxic")


def test_texts_can_be_chosen_where_there_is_no_label() -> None:
    found = table(id="digits", note="text").choose_texts(())
    assert found == (("note",), ["columns detected in reviews.csv: text 'note'"])
    assert table(id="digits", note="text").choose_texts(("id",)) == (("id",), [])
    assert table(n="digits").choose_texts(())[0] == ("n",)
    with pytest.raises(DataError, match="--text-column"):
        table(a="text", b="text").choose_texts(())


@pytest.mark.parametrize(
    ("text", "label", "what"),
    [
        (
            ("txet",),
            "label",
            "column 'txet' is not in reviews.csv; its columns are text, label, n, tags, meta: "
            "pass --text-column",
        ),
        (
            ("text",),
            "labl",
            "column 'labl' is not in reviews.csv; its columns are text, label, n, tags, meta: "
            "pass --label-column",
        ),
        (("n",), "label", "column 'n' of reviews.csv holds number values, not text"),
        (("tags",), "label", "column 'tags' of reviews.csv holds list values, not text"),
        (("text",), "meta", "label column 'meta' of reviews.csv holds object values"),
        (("text",), "text", "column 'text' is asked for twice"),
        (("text", "text"), "label", "column 'text' is asked for twice"),
    ],
)
def test_unusable_columns_are_named(text: tuple[str, ...], label: str, what: str) -> None:
    kinds = {"text": "text", "label": "text", "n": "number", "tags": "list", "meta": "object"}
    with pytest.raises(DataError, match=what):
        check_columns(table(**kinds), text, label)


def test_kinds_are_told_from_the_first_rows_of_a_text_file(tmp_path: Path) -> None:
    found = csv(tmp_path, "id,text,label\n1,a,0.5\n2,3,\n")
    assert found.kinds == {"id": "digits", "text": "text", "label": "digits"}
    lines = [{"a": 1, "b": "x", "c": True}, {"b": None, "d": [1], "c": "x", "e": None, "f": {}}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert Table.of_files([tmp_path / "a.jsonl"]).kinds == {
        "a": "number",
        "b": "text",
        "c": "mixed",
        "d": "list",
        "e": "null",
        "f": "object",
    }


def json_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.mark.parametrize("bare", [{}, {"label": None}, {"label": math.nan}])
@pytest.mark.parametrize(
    ("labels", "kind"),
    [(["a", "b"], "text"), ([["a"], ["b"]], "list"), (["a", ["b"]], "lists and text")],
)
def test_a_column_asked_for_is_sought_beyond_the_first_rows_of_json_lines(
    tmp_path: Path, bare: dict[str, Any], labels: list[Any], kind: str
) -> None:
    rows = [{"text": f"t{i}", **bare} for i in range(120)]
    rows += [{"text": f"u{i}", "label": label} for i, label in enumerate(labels * 6)]
    path = json_lines(tmp_path / "a.jsonl", rows)
    for config in (DataConfig(label_column="label"), DataConfig())[: 2 if bare else 1]:
        found = find_tables(path, config).split("train")
        assert found.kinds == {"text": "text", "label": kind}
        if kind != "lists and text":
            corpus = load_corpus(path, config)
            assert corpus.labels == ("a", "b")
            assert len(corpus.train) + len(corpus.validation) == 12


def test_rows_beyond_the_first_do_not_change_which_columns_are_detected(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": None}] * 120 + [{"text": "b", "label": "c", "topic": "d"}]
    found = find_tables(json_lines(tmp_path / "a.jsonl", rows), DataConfig()).split("train")
    assert found.kinds == {"text": "text", "label": "text"}


def test_each_column_asked_for_is_sought_and_the_file_ends_the_search(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"id": i, "body": None} for i in range(300)]
    rows[130]["kind"] = "a"
    rows[290]["body"] = {"text": "b"}
    path = json_lines(tmp_path / "a.jsonl", rows)
    config = DataConfig(
        text_column=("body.text",), label_column="kind", teacher_columns=("a=p_a", "p_b")
    )
    found = find_tables(path, config).split("train")
    assert found.kinds == {"id": "number", "body": "object", "kind": "text", "body.text": "text"}
    path = json_lines(tmp_path / "b.jsonl", [*rows, {"p_a": 0.5}, {"p_b": 0.5}])
    found = find_tables(path, config).split("train")
    assert {found.kinds["p_a"], found.kinds["p_b"]} == {"number"}


def test_kinds_and_class_names_of_parquet_come_from_its_schema(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "text": datasets.Value("large_string"),
            "label": datasets.ClassLabel(names=["bad", "good"]),
            "raw": datasets.Value("binary"),
        }
    )
    data = datasets.Dataset.from_dict({"text": ["a"], "label": [1], "raw": [b""]}, features)
    pq.write_table(data.data.table, tmp_path / "a.parquet")
    found = Table.of_files([tmp_path / "a.parquet"])
    assert found.kinds == {"text": "text", "label": "number", "raw": "binary"}
    assert found.class_names == {"label": ("bad", "good")}


def test_class_names_within_a_column_are_found_but_not_guessed(tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["bad", "good"])
    inner = {"label": names, "deep": {"all": [names]}}
    features = datasets.Features({"text": datasets.Value("string"), "meta": inner})
    rows = [{"label": i % 2, "deep": {"all": [i % 2]}} for i in range(20)]
    data = datasets.Dataset.from_dict({"text": ["a"] * 20, "meta": rows}, features)
    data.to_parquet(tmp_path / "a.parquet")
    for source in (data, tmp_path / "a.parquet"):
        found = find_tables(source, DataConfig()).split("train")
        assert found.class_names == {
            "meta.label": ("bad", "good"),
            "meta.deep.all": ("bad", "good"),
        }
        assert found.guess_label() is None
        corpus = load_corpus(source, DataConfig(label_column="meta.label"))
        assert corpus.labels == ("bad", "good")


@pytest.mark.parametrize("metadata", ["{", "[]", '{"info": 3}', '{"info": {"features": [1]}}'])
def test_foreign_metadata_of_parquet_is_passed_over(tmp_path: Path, metadata: str) -> None:
    data = pa.table({"text": ["a"], "label": [1]}).replace_schema_metadata(
        {"huggingface": metadata}
    )
    pq.write_table(data, tmp_path / "a.parquet")
    assert Table.of_files([tmp_path / "a.parquet"]).class_names == {}


def test_files_that_name_their_labels_differently_do_not_go_together(tmp_path: Path) -> None:
    paths = []
    for index, names in enumerate((["a", "b"], ["b", "a"])):
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
        )
        data = datasets.Dataset.from_dict({"text": ["a"], "label": [1]}, features)
        paths.append(tmp_path / f"{index}.parquet")
        pq.write_table(data.data.table, paths[-1])
    with pytest.raises(
        DataError, match=r"0\.parquet and .*1\.parquet name their labels differently: save"
    ):
        Table.of_files(paths)


def test_a_later_file_without_the_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("text,lable\na,b\n")
    csv(tmp_path, "text,label\na,b\n")
    both = Table.of_files([tmp_path / "reviews.csv", tmp_path / "b.csv"])
    with pytest.raises(DataError, match=r"'label' is not in .*b\.csv; its columns are text, lable"):
        both.open(["text"], "label")


def test_a_bad_row_among_the_first_names_file_row_and_delimiter(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2 of .*reviews\.csv .* 2 fields .* by ';'"):
        csv(tmp_path, "text;label;x\na;0\nb, c;1\n")


def test_opening_keeps_only_the_columns_asked_for(tmp_path: Path) -> None:
    opened: Any = csv(tmp_path, "text,label,id\na,0,7\n").open(["text"], "label")
    assert opened.column_names == ["text", "label"]
    data = datasets.Dataset.from_dict({"id": [1], "label": [0], "text": ["a"]})
    opened = Table.of_dataset("x", data).open(["text"], None)
    assert opened.column_names == ["text"]
