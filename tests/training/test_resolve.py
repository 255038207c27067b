"""Options left open take values that suit the data; those that are given stay."""

import json

import pytest
from tiny_corpus import OPTIONS, write_splits

from textlstm import TextClassifier, TextLSTMClassifier, train
from textlstm.config import PRESETS, TrainSettings
from textlstm.errors import ConfigError
from textlstm.training.resolve import (
    adversarial_for,
    epochs_for,
    for_texts,
    read_options,
    resolve,
)

LEFT_OPEN = ("epochs", "adversarial", "ngram_buckets")
OPEN = {name: value for name, value in OPTIONS.items() if name not in LEFT_OPEN}


@pytest.mark.parametrize(
    ("tokens", "epochs"), [(0, 20), (140_000, 20), (2_000_000, 10), (5_200_000, 4), (10**9, 2)]
)
def test_a_large_corpus_is_read_fewer_times(tokens, epochs):
    assert epochs_for(tokens, 20_000_000) == epochs


@pytest.mark.parametrize(("tokens", "epochs"), [(60_000, 8), (300_000, 2), (850_000, 1)])
def test_few_long_texts_may_be_read_once(tokens, epochs):
    assert epochs_for(tokens, PRESETS["small"]["total_tokens"]) == epochs


def test_the_more_tokens_in_all_the_more_epochs():
    totals = (1, 10**6, 2 * 10**6, 20_000_000, 45_000_000, 10**9)
    assert [epochs_for(5_800_000, total) for total in totals] == [1, 1, 2, 3, 8, 20]


@pytest.mark.parametrize(
    ("epochs", "share"), [(1, 0.05), (4, 0.05), (12, 0.1), (20, 0.15), (100, 0.15)]
)
def test_the_more_epochs_the_farther_texts_are_moved(epochs, share):
    assert adversarial_for(epochs) == pytest.approx(share)


def test_what_is_open_is_settled_and_what_is_given_stays():
    settled = resolve(TrainSettings(), 5_000_000)
    assert (settled.training.epochs, settled.training.adversarial) == (4, 0.05)
    assert settled.tokenizer.extend_vocab == 0
    given = TrainSettings.from_options(
        epochs=7, adversarial=0.0, extend_vocab=0, ngram_buckets=99, ngram_rank=3
    )
    assert resolve(given, 5_000_000) == given
    assert resolve(settled, 9) == settled


@pytest.mark.parametrize(
    ("classes", "vocab", "given", "expected"),
    [
        (2, 30_000, {}, (262_144, 0)),
        (20, 400_000, {}, (262_144, 0)),  # few labels: the same as ever
        (21, 5_000, {}, (3 * 2**20 // 21 - 5_000, 0)),
        (80, 5_000, {}, (3 * 2**20 // 80 - 5_000, 0)),
        (100, 30_000, {}, (2**17 - 30_000, 64)),
        (10_000, 30_000, {}, (2**17 - 30_000, 64)),
        (10_000, 200_000, {}, (2**15, 64)),
        (100, 4_000, {"ngram_buckets": 16_384}, (16_384, 0)),
        (10_000, 100, {"ngram_rank": 0}, (2**15, 0)),
        (10_000, 100, {"ngram_rank": 8}, (262_144, 8)),
    ],
)
def test_the_size_of_the_ngram_table_follows_from_the_labels(classes, vocab, given, expected):
    settings = TrainSettings.from_options(**given)
    model = resolve(settings, 9, vocab_size=vocab, classes=classes).model
    assert (model.ngram_buckets, model.ngram_rank) == expected


def test_before_the_texts_are_encoded_their_options_stay_open():
    settings = read_options({})
    assert (settings.training.epochs, settings.training.adversarial) == (None, None)
    assert settings.tokenizer.extend_vocab == 0


@pytest.mark.parametrize("options", [{"teacher_weight": 0.5}, {"teacher_temperature": 2.0}])
def test_options_of_a_teacher_need_one(options):
    (name,) = options
    with pytest.raises(ConfigError, match=f"{name} = .* needs a teacher: pass teacher, teacher_"):
        read_options(options)
    for source in ({"teacher": "m"}, {"teacher_columns": "p"}, {"unlabeled": "x.csv"}):
        assert read_options({**options, **source}).to_options()[name] == options[name]
    read_options(TrainSettings().to_options())


def small(settings):
    """Which options have the value of the preset 'small'."""
    found = settings.to_options()
    return {name for name, value in PRESETS["small"].items() if found[name] == value}


@pytest.mark.parametrize(
    ("options", "texts", "expected"),
    [
        ({}, 4_500, set(PRESETS["small"])),
        ({}, 4_501, set()),
        ({"hidden_size": 128, "seed": 3}, 10, set(PRESETS["small"]) - {"hidden_size"}),
        ({"preset": "default"}, 10, set()),
        ({"preset": "small"}, 10**6, set(PRESETS["small"])),
        ({"teacher": "model"}, 10, set()),
        ({"unlabeled": "texts.csv"}, 10, set(PRESETS["small"]) - {"ngram_fit"}),
        ({"unlabeled": "texts.csv", "teacher": "model"}, 10, set()),
        ({"unlabeled": "texts.csv"}, 4_501, set()),
        ({"teacher_columns": "p"}, 10, set()),
        ({"vectors": "glove-100"}, 10, set()),
        ({"init_from": "base"}, 10, set()),
    ],
)
def test_few_texts_are_learned_from_with_the_preset_small(options, texts, expected):
    settings = for_texts(TrainSettings.from_options(**options), texts)
    assert small(settings) == expected
    assert for_texts(settings, 10) == settings  # once they are settled, they stay
    for name, value in options.items():
        if name in ("hidden_size", "seed"):
            assert settings.to_options()[name] == value


def test_saved_settings_do_not_follow_from_the_number_of_texts():
    saved = TrainSettings.from_dict(TrainSettings.from_options().to_dict())
    assert for_texts(saved, 10) == saved


@pytest.mark.slow
def test_the_preset_small_is_saved_shown_and_resumed(tmp_path):
    data = write_splits(tmp_path / "data", train=12, validation=8, test=8)
    options = {name: value for name, value in OPTIONS.items() if name not in PRESETS["small"]}
    train(data, tmp_path / "model", **options)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "| training.ngram_fit | margins |" in card
    assert "| model.hidden_size | 64 |" in card
    assert "| model.pooling | max |" in card  # final+max was not measured there
    again = train(None, tmp_path / "model", resume=True, **options)
    assert small(again.settings) == set(PRESETS["small"])


@pytest.mark.slow
def test_the_values_used_are_saved_and_shown(tmp_path):
    data = write_splits(tmp_path / "data", train=12, validation=8, test=8)
    classifier = train(data, tmp_path / "model", **OPEN, total_tokens=200)
    settings = json.loads((tmp_path / "model" / "config.json").read_text())["settings"]
    epochs = settings["training"]["epochs"]
    assert epochs == len(classifier.record.history)
    assert settings["training"]["adversarial"] == pytest.approx(adversarial_for(epochs))
    assert (settings["model"]["ngram_buckets"], settings["model"]["ngram_rank"]) == (262_144, 0)
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"| training.epochs | {epochs} |" in card
    assert f"| training.adversarial | {adversarial_for(epochs):.4g} |" in card
    assert TextClassifier.load(tmp_path / "model").settings == classifier.settings
    train(None, tmp_path / "model", resume=True, epochs=epochs)
    with pytest.raises(ConfigError, match=f"epochs was {epochs} and is now 19"):
        train(None, tmp_path / "model", resume=True, epochs=19)


def test_the_estimator_saves_the_values_used():
    options = {"embedding_size": 4, "hidden_size": 4, "num_layers": 1, "threads": 1}
    estimator = TextLSTMClassifier(**options, total_tokens=1, min_frequency=1)
    estimator.fit(["a dull film", "a bright film"] * 3, ["bad", "good"] * 3)
    training = estimator.classifier_.settings.training
    assert (training.epochs, training.adversarial) == (1, 0.05)
