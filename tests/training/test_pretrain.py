"""Pretraining: texts to a base, resume, and a training that starts from it."""

import json
import random

import numpy as np
import pytest
import torch
from tiny_corpus import FILLERS, OPTIONS, write_csv

from textlstm import TextClassifier, pretrain, train
from textlstm.classifier.base import read_base
from textlstm.cli import main
from textlstm.config import PRETRAIN_OPTIONS
from textlstm.errors import ConfigError, DataError, ModelFolderError, OutputError
from textlstm.training.fit import TrainingInterrupted
from textlstm.training.observer import Observer
from textlstm.training.pretrain import _LanguageLoop, cut_pieces
from textlstm.training.resolve import read_options

pytestmark = pytest.mark.slow

TINY = {name: value for name, value in OPTIONS.items() if name in PRETRAIN_OPTIONS}
TINY |= {"epochs": 2, "learning_rate": 0.02}
SMALL = {name: OPTIONS[name] for name in ("epochs", "batch_size", "threads", "report")}


def write_texts(path, n, seed=0):
    """Texts in which one of two words always follows its own herald."""
    chosen = random.Random(seed)
    lines = []
    for _ in range(n):
        words = chosen.choices(FILLERS, k=chosen.randint(2, 9))
        words += chosen.choice([["oh", "joy"], ["ah", "woe"]])
        lines.append(json.dumps({"text": " ".join(words)}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("texts") / "texts.jsonl", 120)


@pytest.fixture(scope="module")
def base(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "base"
    pretrain(texts, folder, **TINY)
    return folder


def test_a_base_has_tokenizer_embedding_and_lstm_and_no_labels(base):
    found = read_base(base)
    assert all(name.startswith(("embedding.", "lstm.")) for name in found.weights)
    assert len(found.tokenizer.vocabulary) == found.weights["embedding.weight"].shape[0]
    assert json.loads((base / "config.json").read_text())["labels"] == []
    assert "perplexity" in json.loads((base / "metrics.json").read_text())["validation"]
    assert "--init-from" in (base / "README.md").read_text()
    assert sorted(p.name for p in base.iterdir()) == [
        "README.md",
        "config.json",
        "history.jsonl",
        "metrics.json",
        "model.safetensors",
        "tokenizer.json",
        "vocab.txt",
    ]


def test_one_text_of_a_hundred_is_held_out(base):
    rows = json.loads((base / "config.json").read_text())["data"]["rows"]
    assert rows == {"train": 118, "validation": 2}


def test_a_run_that_has_ended_is_returned_when_it_is_resumed(base):
    before = (base / "model.safetensors").read_bytes()
    again = pretrain(out=base, resume=True)
    assert all(torch.equal(again.weights[name], w) for name, w in read_base(base).weights.items())
    assert (base / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("kind", ["a pair", "files"])
def test_data_is_named_and_not_copied_into_the_record(texts, tmp_path, kind):
    both = (["a dull film"] * 3 + [""], ["x"] * 4)
    names = [str(texts), str(write_texts(tmp_path / "more.jsonl", 9))]
    pretrain(both if kind == "a pair" else names, tmp_path / "base", **{**TINY, "epochs": 1})
    data = json.loads((tmp_path / "base" / "config.json").read_text())["data"]
    assert data["source"] == ("the Dataset" if kind == "a pair" else ", ".join(names))
    assert any("without a text" in note for note in data["notes"]) == (kind == "a pair")


def test_a_run_with_options_of_its_own_has_nothing_to_resume(texts, tmp_path):
    options = {name: value for name, value in TINY.items() if name != "epochs"}
    pretrain(texts, tmp_path / "a b", **options, total_tokens=100, bidirectional=False)
    again = pretrain(out=tmp_path / "a b", resume=True)
    assert again.settings.training.total_tokens == 100
    card = (tmp_path / "a b" / "README.md").read_text()
    assert "textlstm train DATA --init-from 'a b' --out my-model" in card
    assert "an embedding and a one-way LSTM" in card


@pytest.mark.parametrize(("given", "expected"), [({}, 4096), ({"batch_tokens": 800}, 800)])
def test_a_step_reads_few_tokens_unless_asked_otherwise(tmp_path, monkeypatch, given, expected):
    read = []
    learn = _LanguageLoop.learn
    monkeypatch.setattr(
        _LanguageLoop, "learn", lambda loop, rows: read.append(len(rows)) or learn(loop, rows)
    )
    text = " ".join(FILLERS[:4] * 100)  # 400 tokens
    path = tmp_path / "long.jsonl"
    path.write_text(f"{json.dumps({'text': text})}\n" * 101, encoding="utf-8")
    sizes = {"embedding_size": 2, "hidden_size": 2, "num_layers": 1}
    pretrain(path, tmp_path / "base", min_frequency=1, epochs=1, threads=1, **sizes, **given)
    assert sum(read) == 99  # two are held out
    assert max(read) == expected // 400


def test_it_learns_which_words_go_together(texts, tmp_path):
    pretrain(texts, tmp_path / "base", **{**TINY, "epochs": 12, "hidden_size": 16})
    losses = [
        json.loads(line)["validation_loss"]
        for line in (tmp_path / "base" / "history.jsonl").read_text().splitlines()
    ]
    assert min(losses) < losses[0] - 0.1


def test_a_run_that_is_interrupted_and_resumed_gives_the_same_base(texts, base, tmp_path):
    class Stop(Observer):
        def on_step(self, step, epoch, loss, texts):
            if step == 7:
                raise_signal()

    import signal

    def raise_signal():
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        pretrain(texts, tmp_path / "again", observer=Stop(), **TINY)
    pretrain(out=tmp_path / "again", resume=True)
    one, two = read_base(base).weights, read_base(tmp_path / "again").weights
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_training_starts_from_the_weights_of_a_base(base, tmp_path):
    data = write_csv(tmp_path / "data.csv", 60)
    trained = train(data, tmp_path / "model", init_from=base, **SMALL, learning_rate=1e-9)
    found = read_base(base)
    for name, tensor in trained.model.state_dict().items():
        if name in found.weights:
            torch.testing.assert_close(tensor, found.weights[name], atol=1e-6, rtol=0)
    assert trained.tokenizer.vocabulary.get_itos() == found.tokenizer.vocabulary.get_itos()
    loaded = TextClassifier.load(tmp_path / "model")
    assert loaded.settings.model.hidden_size == OPTIONS["hidden_size"]
    assert loaded.describe()["training"]["init_from"] == str(base)


@pytest.mark.parametrize(("name", "value"), [("vector_rate", 0), ("freeze_vectors", -1)])
def test_the_embedding_of_a_base_can_be_kept_as_it_is(base, tmp_path, name, value):
    data = write_csv(tmp_path / "data.csv", 60)
    options = {**SMALL, "learning_rate": 0.1, name: value}
    trained = train(data, tmp_path / "model", init_from=base, **options).model.state_dict()
    kept = read_base(base).weights
    assert torch.equal(trained["embedding.weight"], kept["embedding.weight"])
    assert not torch.equal(trained["lstm.weight_hh_l0"], kept["lstm.weight_hh_l0"])


def test_a_model_can_be_started_from_too(base, tmp_path):
    data = write_csv(tmp_path / "data.csv", 60)
    train(data, tmp_path / "one", init_from=base, **SMALL)
    other = train(data, tmp_path / "two", init_from=tmp_path / "one", **SMALL, learning_rate=1e-9)
    name = "lstm.weight_hh_l0"
    one = TextClassifier.load(tmp_path / "one").model.state_dict()[name]
    two = other.model.state_dict()[name]
    torch.testing.assert_close(two, one, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("asked", "found"), [({}, "max"), ({"pooling": "mean"}, "mean")])
def test_what_starts_from_a_base_pools_maxima_unless_asked_otherwise(base, asked, found):
    assert read_options({"init_from": base, **asked}).model.pooling == found
    assert read_options({"preset": "default", "init_from": base, **asked}).model.pooling == found


def test_what_starts_from_a_model_pools_as_without(base, tmp_path):
    data = write_csv(tmp_path / "data.csv", 60)
    train(data, tmp_path / "model", init_from=base, **SMALL)
    assert read_options({"init_from": tmp_path / "model"}).model.pooling == "final+max"


def test_a_pretraining_can_go_on_from_a_base(texts, base, tmp_path):
    options = {name: value for name, value in TINY.items() if name in SMALL}
    more = pretrain(texts, tmp_path / "more", init_from=base, **options, learning_rate=1e-9)
    expected = read_base(base).weights["embedding.weight"]
    torch.testing.assert_close(more.weights["embedding.weight"], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 9}, "hidden_size = 9, but the base"),
        ({"vectors": "glove.txt"}, "does not go with init_from"),
        ({"tokenizer": "char"}, "does not go with init_from"),
    ],
)
def test_options_that_contradict_the_base_are_refused(base, tmp_path, options, message):
    data = write_csv(tmp_path / "data.csv", 20)
    with pytest.raises(ConfigError, match=message):
        train(data, tmp_path / "model", init_from=base, **options)


def test_a_base_is_no_classifier_and_says_what_to_do(base):
    with pytest.raises(ModelFolderError, match="--init-from"):
        TextClassifier.load(base)


def test_what_can_not_be_pretrained_is_refused(texts, base, tmp_path):
    with pytest.raises(ConfigError, match="unknown option 'adversarial'"):
        pretrain(texts, tmp_path / "x", adversarial=0.1)
    with pytest.raises(ConfigError, match="unknown option 'report'"):
        pretrain(texts, tmp_path / "x", report=False)
    with pytest.raises(ConfigError, match="out is missing"):
        pretrain(texts)
    with pytest.raises(OutputError, match="already holds a model"):
        pretrain(texts, base, **TINY)
    one = tmp_path / "one.jsonl"
    one.write_text('{"text": "only one"}\n')
    with pytest.raises(DataError, match="too few texts"):
        pretrain(one, tmp_path / "y", **TINY)
    assert not (tmp_path / "x").exists()


def test_the_command_writes_a_base_and_names_the_next_one(texts, tmp_path, capsys):
    words = ["pretrain", str(texts), "--out", str(tmp_path / "b"), "--epochs", "1"]
    words += ["--hidden-size", "4", "--embedding-size", "4", "--num-layers", "1"]
    assert main(words) == 0
    assert "--init-from" in capsys.readouterr().err
    assert main(words) == 2
    assert "already holds" in capsys.readouterr().err
    assert main(["train", str(texts), "--init-from", "no-base", "--out", "m"]) == 2
    assert "no such model folder: no-base" in capsys.readouterr().err


@pytest.mark.parametrize("longest", [1, 3, 7])
def test_pieces_have_all_tokens_and_none_is_too_long_or_much_shorter(longest):
    lengths = np.array([1, 2, 3, 4, 7, 8, 20])
    pieces = cut_pieces(lengths, longest)
    assert pieces.sum() == lengths.sum()
    assert pieces.min() >= 1
    assert pieces.max() <= longest
    ends = set(np.cumsum(pieces).tolist())
    assert ends >= set(np.cumsum(lengths).tolist())  # no piece is of two texts
    assert len(pieces) == sum(-(-length // longest) for length in lengths)
