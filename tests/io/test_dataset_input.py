"""Datasets are rows like any others, read where they lie."""

import datasets
import pytest

from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, DataError
from textlstm.io import dataset_input as dataset_rows
from textlstm.io.dataset_input import from_hub, of_dataset
from textlstm.io.formats import Meter
from textlstm.io.input import Place, chunks, find_input

NONE = PredictionConfig()
START = Place()
FEATURES = datasets.Features(
    {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
)


def dataset(n, first=0):
    data = {"text": [f"t{first + i}" for i in range(n)], "label": [i % 2 for i in range(n)]}
    return datasets.Dataset.from_dict(data, features=FEATURES)


def read(rows, start=START):
    found = list(chunks(rows, start, rows=4, characters=10**9))
    return [row for chunk in found for row in chunk.rows]


def test_rows_have_all_columns_and_their_numbers(tmp_path):
    rows = of_dataset(dataset(3))
    assert rows.total == 3
    assert rows.columns.names == ["text", "label"]
    assert [(row.number, row.values) for row in read(rows)] == [
        (1, {"text": "t0", "label": 0}),
        (2, {"text": "t1", "label": 1}),
        (3, {"text": "t2", "label": 0}),
    ]


def test_reading_goes_on_at_any_chunk(monkeypatch):
    monkeypatch.setattr(dataset_rows, "_GROUP_ROWS", 5)
    monkeypatch.setattr(dataset_rows, "_BATCH_ROWS", 2)
    rows = of_dataset(dataset(23).select(range(1, 23)))
    whole = list(chunks(rows, Place(), rows=3, characters=10**9))
    assert rows.groups == 5
    assert [len(chunk.rows) for chunk in whole] == [3, 2] * 4 + [2]
    for number, chunk in enumerate(whole):
        rest = read(rows, chunk.end)
        assert rest == [row for part in whole[number + 1 :] for row in part.rows]
    assert [row.values["text"] for row in read(rows)] == [f"t{i}" for i in range(1, 23)]
    assert whole[-1].share == 1


def test_a_format_set_on_the_dataset_does_not_matter():
    rows = of_dataset(dataset(2).with_format("numpy"))
    assert [row.values for row in read(rows)] == [
        row.values for row in read(of_dataset(dataset(2)))
    ]


def test_an_empty_dataset_has_no_rows():
    assert read(of_dataset(dataset(0))) == []


def test_a_saved_dataset_is_found_by_its_folder(tmp_path):
    dataset(3).save_to_disk(str(tmp_path / "one"))
    rows = find_input(str(tmp_path / "one"), NONE, "csv")
    assert [row.values["text"] for row in read(rows)] == ["t0", "t1", "t2"]
    again = find_input(str(tmp_path / "one"), NONE, "csv")
    assert rows.fingerprint() == again.fingerprint()
    with pytest.raises(ConfigError, match=r"split = 'test': .*without splits"):
        find_input(str(tmp_path / "one"), PredictionConfig(split="test"), "csv")


def test_of_several_splits_one_must_be_named(tmp_path):
    splits = datasets.DatasetDict({"train": dataset(1), "validation": dataset(2, first=7)})
    splits.save_to_disk(str(tmp_path / "two"))
    with pytest.raises(DataError, match="has the splits train, validation: pass --split"):
        find_input(str(tmp_path / "two"), NONE, "csv")
    for name in ("validation", "dev"):
        rows = find_input(str(tmp_path / "two"), PredictionConfig(split=name), "csv")
        assert [row.values["text"] for row in read(rows)] == ["t7", "t8"]
    with pytest.raises(DataError, match=r"split 'test' is not in .*two; its splits are train, val"):
        find_input(str(tmp_path / "two"), PredictionConfig(split="test"), "csv")
    with pytest.raises(ConfigError, match="only a Hub dataset has a configuration"):
        find_input(str(tmp_path / "two"), PredictionConfig(dataset_config="en"), "csv")


def test_a_name_of_the_hub_is_loaded_from_there(monkeypatch):
    asked = []

    def load(name, config):
        asked.append((name, config.dataset_config, config.dataset_revision))
        return {"test": dataset(2)}

    monkeypatch.setattr(dataset_rows, "load_hub", load)
    config = PredictionConfig(dataset_config="en", dataset_revision="v1")
    rows = find_input("owner/reviews", config, "csv")
    assert asked == [("owner/reviews", "en", "v1")]
    assert rows.name == "test of the Hub dataset owner/reviews"
    assert len(read(rows)) == 2
    assert from_hub("owner/reviews", config).total == 2


def test_other_objects_are_refused():
    with pytest.raises(DataError, match="rows of type list: must be a path"):
        of_dataset(["a text"])
    with pytest.raises(DataError, match="rows of type DatasetDict"):
        of_dataset(datasets.DatasetDict({"train": dataset(1)}))


def test_the_meter_is_not_needed():
    assert len(list(of_dataset(dataset(3)).rows(0, 1, Meter()))) == 2
