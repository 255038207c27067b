"""Whatever stands in a row, no row is lost, and what is passed on is passed on as it was."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_classifier import tiny_classifier

from textlstm.config import PredictionConfig
from textlstm.io.readers import read_rows
from textlstm.prediction.files import classify_file

pytestmark = pytest.mark.slow

FILES = 8
NUMBERS = ["1.10", "-0", "-0.0", "1E400", "1e-400", "12345678901234567890123", "0.1e1", "7", "NaN"]
STRINGS = [r'"a"', r'""', r'"\ud83d\ude00"', r'"\ud800"', r'"\\ud800"', r'"NaN \"Infinity\""']
STRINGS += ['"映画"', r'"\u00e9\t"', '"a,b"', r'"line\nbreak"', r'"\r"', '" "']


@pytest.fixture(scope="module")
def classifier():
    return tiny_classifier(labels=("bad", "good"))


def value(chosen, depth=0):
    """A JSON value of random shape."""
    kind = chosen.random()
    if kind < 0.4 or depth > 3:
        return chosen.choice([*NUMBERS, "true", "null"])
    if kind < 0.7:
        return chosen.choice(STRINGS)
    items = [value(chosen, depth + 1) for _ in range(chosen.randint(0, 3))]
    gap = chosen.choice(["", " "])
    if kind < 0.85:
        return f"[{gap}{(',' + gap).join(items)}{gap}]"
    names = [chosen.choice(['"k"', '"x y"', r'"\u00e9"', '"k"']) for _ in items]
    members = (f"{name}{gap}:{gap}{item}" for name, item in zip(names, items, strict=True))
    return f"{{{gap}{','.join(members)}{gap}}}"


def line(chosen, number):
    """A json line, most of them an object with an id."""
    kind = chosen.random()
    deep = chosen.choice([50, 90, 300, 900, 2000, 100_000])
    if kind < 0.1:
        return f'{{"id": {number}, "text": "dull", "v": {"[" * deep}{"]" * deep}}}'
    if kind < 0.15:
        return f'{{"id": {number}, "text": "dull", "v": {chosen.choice(["[" * deep, "{", "tru"])}}}'
    text = chosen.choice([r'"dull"', r'"bright \ud800"', "null", "7", '"映画"', "[]"])
    name = chosen.choice(['"v"', '"w"', '"v"', r'"v\ud800"' if kind < 0.2 else '"w"'])
    twice = f', "v": {value(chosen)}' if kind > 0.95 else ""
    return f'{{"id": {number},"text": {text} ,{name}: {value(chosen)}{twice} }}'


def refuse(name):
    raise AssertionError(f"{name} is not JSON")


def strict(text):
    """Read JSON as a reader that knows no more than the standard."""
    found = json.loads(text, parse_constant=refuse)
    json.dumps(found, ensure_ascii=False).encode()  # refuses halves of surrogate pairs
    return found


def hostile_files():
    for seed in range(FILES):
        chosen = random.Random(seed)
        good = '{"id": 0, "text": "dull"}'
        yield [good, *(line(chosen, number) for number in range(1, chosen.randint(2, 12)))]


def classify(classifier, tmp_path, lines, name, **options):
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(lines), encoding="utf-8")
    target = tmp_path / name
    config = PredictionConfig(text_column=("text",), **options)
    summary = classify_file(classifier, source, target, config, overwrite=True)
    assert summary.rows == len(lines)
    return target


def test_json_lines_are_passed_on_as_they_were_and_can_be_read(classifier, tmp_path):
    for lines in hostile_files():
        out = classify(classifier, tmp_path, lines, "out.jsonl")
        written = out.read_text(encoding="utf-8").splitlines()
        assert len(written) == len(lines)
        for before, after in zip(lines, written, strict=True):
            row = strict(after)
            if "id" not in row:
                assert row["error"].startswith("row ")
            elif "NaN" not in before and r"\ud800" not in before:
                assert after.startswith(before[:-1].rstrip())


def test_cells_of_csv_hold_the_numbers_of_json_lines_as_they_were(classifier, tmp_path):
    for lines in hostile_files():
        out = classify(classifier, tmp_path, lines, "out.csv")
        rows = list(read_rows(out))
        assert [row.error for row in rows] == [None] * len(lines)
        for before, row in zip(lines, rows, strict=True):
            if row.values["id"]:
                for number in NUMBERS[:-1]:
                    if f'"w": {number} }}' in before:
                        assert row.values["w"] == number
            else:
                assert row.values["error"].startswith("row ")


SHAPES = [
    ["{}", None],
    ["{}", '{"b": 1}'],
    ["[{}]", "[]"],
    ['{"b": {}, "c": 1.10}', "null"],
    ["[" * 30 + "]" * 30],
    ['{"b": ' * 90 + "7" + "}" * 90],
    ["[null]", "null"],
]


@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
@pytest.mark.parametrize("name", ["out.parquet", "parts"])
def test_no_shape_of_values_refuses_a_parquet_output(classifier, tmp_path, shape, name):
    members = ["" if value is None else f', "a": {value}' for value in shape]
    lines = [f'{{"text": "dull"{member}}}' for member in members]
    out = classify(classifier, tmp_path, lines, name, chunk_rows=1)
    found = pq.read_table(out)["a"].to_pylist()
    for value, cell in zip(shape, found, strict=True):
        if isinstance(cell, str):  # JSON, where no type of parquet holds it
            assert cell == value
        elif value != "{}":
            assert cell == json.loads(value or "null")


def test_nested_dictionaries_of_a_parquet_input_are_written(classifier, tmp_path):
    words = pa.array(["x", "y", "x"]).dictionary_encode()
    table = pa.table(
        {
            "text": ["dull", "bright", "slow"],
            "s": pa.StructArray.from_arrays([words], ["k"]),
            "l": pa.ListArray.from_arrays([0, 1, 2, 3], words),
            "d": words,
            "m": pa.array([[("k", "v")], [], None], pa.map_(pa.string(), words.type)),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    config = PredictionConfig(chunk_rows=1)
    classify_file(classifier, tmp_path / "in.parquet", tmp_path / "out.parquet", config)
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.select(table.column_names).to_pylist() == table.to_pylist()
