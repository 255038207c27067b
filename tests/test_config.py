"""The settings of training: names are unique, tables read back, mistakes are named."""

import dataclasses
import glob
import inspect
import json
import os
import typing
from collections.abc import Sequence

import pytest

from textlstm import cross_validate, train
from textlstm.config import (
    PRESETS,
    TRAIN_OPTIONS,
    TRAIN_PARTS,
    DataConfig,
    PredictionConfig,
    TokenizerConfig,
    TrainOptions,
    TrainSettings,
)
from textlstm.errors import ConfigError


def test_every_option_of_training_has_a_name_of_its_own():
    # Flat names are flags and keywords, so two parts must not share one.
    assert len(TRAIN_OPTIONS) == len(set(TRAIN_OPTIONS))


def test_flat_options_land_in_their_part():
    settings = TrainSettings.from_options(vocab_size=100, hidden_size=8, epochs=2)
    assert settings.tokenizer.vocab_size == 100
    assert settings.model.hidden_size == 8
    assert settings.training.epochs == 2
    assert settings.data == DataConfig()


def test_an_unknown_option_is_named_with_the_closest_known_one():
    with pytest.raises(ConfigError, match=r"'hiden_size'.*did you mean 'hidden_size'"):
        TrainSettings.from_options(hiden_size=8)


def test_settings_come_back_equal_from_json():
    settings = TrainSettings.from_options(
        text_column=["title", "body"], class_weights=["good=2"], max_minutes=1.5, tokenizer="char"
    )
    tables = json.loads(json.dumps(settings.to_dict()))
    assert TrainSettings.from_dict(tables) == settings


def test_parts_absent_from_a_table_take_their_defaults():
    assert TrainSettings.from_dict({}) == TrainSettings()


def test_an_unknown_table_or_key_is_named():
    with pytest.raises(ConfigError, match=r"'modell'.*did you mean 'model'"):
        TrainSettings.from_dict({"modell": {}})
    with pytest.raises(ConfigError, match=r"'poling'.*did you mean 'pooling'"):
        TrainSettings.from_dict({"model": {"poling": "max"}})


def test_a_part_that_is_no_table_is_refused():
    with pytest.raises(ConfigError, match=r"model = 3: must be a table"):
        TrainSettings.from_dict({"model": 3})


def test_the_typed_options_are_those_of_training():
    typed = typing.get_type_hints(TrainOptions)
    assert list(typed) == ["preset", *TRAIN_OPTIONS]
    for part in TRAIN_PARTS.values():
        for name, kind in typing.get_type_hints(part).items():
            if name == "teacher":
                kind = typing.Any  # or classifiers
            elif kind == tuple[str, ...]:
                kind = str | Sequence[str]
            elif name in ("vectors", "init_from", "tensorboard"):
                kind = str | os.PathLike[str] | None
            assert typed[name] == kind, name


@pytest.mark.parametrize("function", [train, cross_validate])
def test_help_lists_every_option_with_its_default(function):
    text = inspect.getdoc(function)
    assert "\n    dropout: dropout between LSTM layers (default: 0.3)\n" in text
    for name in TRAIN_OPTIONS:
        assert f"\n    {name}: " in text


@pytest.mark.parametrize("part", [*TRAIN_PARTS.values(), PredictionConfig])
def test_every_option_has_a_help_line(part):
    for field in dataclasses.fields(part):
        text = field.metadata["help"]
        assert text
        assert not text.endswith(".")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_length": 0}, "max_length = 0"),
        ({"truncation": "middle"}, "truncation = 'middle'.*head, tail, both"),
        ({"vocab_size": 2}, "vocab_size = 2: must be at least 3"),
        ({"dropout": 1.0}, "dropout = 1.0: must be at most 0.99"),
        ({"epochs": 0}, "epochs = 0"),
        ({"learning_rate": 0}, "learning_rate = 0.0"),
    ],
)
def test_values_outside_their_range_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        TrainSettings.from_options(**options)


def test_the_tokenizer_may_be_a_file():
    assert TokenizerConfig(tokenizer="my/tokenizer.json").tokenizer == "my/tokenizer.json"


def test_other_values_of_some_options_by_flat_name():
    settings = TrainSettings.from_options(epochs=3, tokenizer="char")
    other = settings.replace(epochs=5, max_length=9, hidden_size=4, text_column=["t"])
    changed = {"epochs": 5, "max_length": 9, "hidden_size": 4, "text_column": ["t"]}
    assert other.to_options() == {**settings.to_options(), **changed}
    assert other.given == settings.given == {"epochs", "tokenizer"}
    assert settings.replace() == settings
    with pytest.raises(ConfigError, match="epochs = 0: must be at least 1"):
        settings.replace(epochs=0)


def test_a_preset_stands_for_options_and_what_is_given_goes_before_it():
    fast = TrainSettings.from_options(preset="fast", hidden_size=8)
    assert fast.training.adversarial == 0
    assert fast.model.hidden_size == 8
    assert TrainSettings.from_options(preset="fast", adversarial=0.2).training.adversarial == 0.2
    assert TrainSettings.from_options(preset="default") == TrainSettings()
    best, plain = TrainSettings.from_options(preset="best"), TrainSettings()
    assert best.tokenizer.max_length > plain.tokenizer.max_length
    assert best.training.total_tokens > plain.training.total_tokens
    with pytest.raises(
        ConfigError, match="preset = 'quick': must be one of small, fast, default, best"
    ):
        TrainSettings.from_options(preset="quick")
    with pytest.raises(ConfigError, match=r"preset = \['fast'\]: must be one of"):
        TrainSettings.from_options(preset=["fast"])
    for options in PRESETS.values():
        assert set(options) <= set(TRAIN_OPTIONS)


def test_a_vocabulary_of_more_entries_than_can_be_counted_is_refused():
    with pytest.raises(ConfigError, match=r"vocab_size = 10+: must be at most 2,147,483,647"):
        TrainSettings.from_options(vocab_size=10**21)


def test_files_are_named_so_that_they_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x.csv", "sample", "word"):
        (tmp_path / name).touch()
    files = dict.fromkeys(("validation", "test", "vocab", "tokenizer", "init_from"), "x.csv")
    found = TrainSettings.from_options(**files, unlabeled=["x.csv", "owner/name"]).to_options()
    assert {found[name] for name in files} == {str(tmp_path / "x.csv")}
    assert found["unlabeled"] == [str(tmp_path / "x.csv"), "owner/name"]
    names = {"validation": "owner/name", "test": "sample", "tokenizer": "word", "vocab": "no.txt"}
    found = TrainSettings.from_options(**names).to_options()
    assert {name: found[name] for name in names} == names


def test_patterns_are_named_so_that_they_match_in_any_folder(tmp_path, monkeypatch):
    folder = tmp_path / "run [1]"
    (folder / "dd").mkdir(parents=True)
    (folder / "dd" / "x.csv").touch()
    (folder / "x[1].csv").touch()
    monkeypatch.chdir(folder)
    kept = ["~/dd/*.csv", "https://host/*.csv", str(tmp_path / "*.csv"), "sample"]
    names = ["dd/*.csv", "x[1].csv", *kept]
    pattern, file, *others = TrainSettings.from_options(unlabeled=names).data.unlabeled
    monkeypatch.chdir(tmp_path)
    assert glob.glob(pattern) == [str(folder / "dd" / "x.csv")]  # noqa: PTH207
    assert (file, others) == (str(folder / "x[1].csv"), kept)
    assert TrainSettings.from_options(unlabeled=pattern).data.unlabeled == (pattern,)
