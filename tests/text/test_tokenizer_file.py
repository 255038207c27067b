from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_tokenizers import TRAINED, train
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from textlstm.config import TOKENIZERS
from textlstm.errors import ConfigError, VocabularyError
from textlstm.text.tokenizer import TextTokenizer
from textlstm.text.vocabulary import PAD, PAD_ID, UNK, UNK_ID, Vocabulary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the tokenizer"),
        ("{nonsense", "is not valid JSON"),
        ("[1]", "it has no 'model'"),
        ('{"model": {"type": "Other"}}', "is not a tokenizer.json for this version"),
        ('{"tokens": ["a"]}', "it has no 'model'"),
    ],
)
def test_a_missing_or_bad_tokenizer_json_is_named(tmp_path, content, message):
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(VocabularyError, match=f"mine.json.*{message}|{message}.*mine.json"):
        train(path)


def foreign(model, tmp_path, *, special=(), normalizer=None, post=None, split=True) -> Path:
    tokenizer = Tokenizer(model)
    if split:
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.add_special_tokens(list(special))
    if post is not None:
        tokenizer.post_processor = post
    tokenizer.save(str(tmp_path / "theirs.json"))
    return tmp_path / "theirs.json"


def bert_like(tmp_path) -> Path:
    vocab = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "great", "film", "##s", "a"]
    model = models.WordPiece({t: i for i, t in enumerate(vocab)}, unk_token="[UNK]")
    return foreign(
        model,
        tmp_path,
        special=["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
        normalizer=normalizers.Lowercase(),
        post=processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1)),
    )


def test_a_foreign_file_gets_our_ids_in_its_order(tmp_path):
    trained = train(bert_like(tmp_path), ["Great films", "a zebra great <pad>"])
    assert trained.kind == "file"
    itos = [PAD, UNK, "[CLS]", "[SEP]", "great", "film", "##s", "a"]
    assert trained.vocabulary == Vocabulary(itos, [0, 2, 0, 0, 2, 1, 1, 1])
    assert trained.tokens("Great films zebra") == ["great", "film", "##s", UNK]
    assert trained.encode("Great films zebra") == [4, 5, 6, 1]  # without [CLS] and [SEP]
    assert trained.encode("<pad>") == [UNK_ID]
    assert trained.encode("[PAD]") == [UNK_ID]
    assert trained.encode(" ") == [UNK_ID]


def test_a_foreign_file_stays_as_it_is_read_over_saving_and_loading(tmp_path):
    trained = train(bert_like(tmp_path))
    trained.save(tmp_path / "ours.json")
    again = TextTokenizer.load(tmp_path / "ours.json", max_length=9, truncation="head")
    assert again._tokenizer.to_str() == trained._tokenizer.to_str()
    assert again.kind == "file"
    plain = Tokenizer.from_file(str(tmp_path / "ours.json"))
    assert plain.encode("great <pad> films").ids == trained.encode("great <pad> films")


def test_entries_that_are_not_there_are_put_in_front(tmp_path):
    model = models.BPE({"g": 0, "r": 1, "gr": 2}, [("g", "r")])
    trained = train(foreign(model, tmp_path, special=["<eos>", "<pad>"]))
    assert trained.vocabulary.get_itos() == [PAD, UNK, "g", "r", "gr", "<eos>"]
    assert trained.encode("grg <eos>") == [4, 2, 5]
    assert PAD_ID not in trained.encode("<pad>")


def test_gaps_between_ids_are_closed(tmp_path):
    model = models.WordLevel({"a": 7, "[UNK]": 3, "b": 5}, unk_token="[UNK]")
    trained = train(foreign(model, tmp_path))
    assert trained.vocabulary.get_itos() == [PAD, UNK, "b", "a"]
    assert trained.encode("a b c <pad> <unk>") == [3, 2, 1, 1, 1]
    assert trained.tokens("a zebra") == ["a", "zebra"]


def test_a_unigram_file_keeps_its_scores(tmp_path):
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("<unk>", 0.0), ("a", -2.0), ("b", -2.5), ("ab", -3.0)]
    trained = train(foreign(models.Unigram(vocab, 2, False), tmp_path, special=["<s>", "<pad>"]))
    assert trained.vocabulary.get_itos() == [PAD, UNK, "<s>", "a", "b", "ab"]
    assert trained.encode("ab ba abz <pad>")[:4] == [5, 4, 3, 5]
    assert PAD_ID not in trained.encode("<pad>")
    content = json.loads(trained._tokenizer.to_str())["model"]
    assert content["unk_id"] == UNK_ID
    assert content["vocab"][5] == ["ab", -3.0]


def test_a_name_of_ours_for_another_entry_is_refused(tmp_path):
    model = models.WordLevel({"[UNK]": 0, "<unk>": 1}, unk_token="[UNK]")
    with pytest.raises(VocabularyError, match=r"theirs.json: .*'\[UNK\]' and .*entry '<unk>'"):
        train(foreign(model, tmp_path))


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_our_own_file_given_as_a_ready_one_is_its_kind(tmp_path, kind):
    TRAINED[kind].save(tmp_path / "ours.json")
    again = train(tmp_path / "ours.json")
    assert again.kind == kind
    assert again.vocabulary == TRAINED[kind].vocabulary


def test_a_ready_file_goes_without_a_vocabulary(tmp_path):
    with pytest.raises(
        ConfigError, match=r"'v.txt' can.t be combined with tokenizer = .*theirs.json"
    ):
        train(bert_like(tmp_path), vocab="v.txt")


def test_truncation_and_padding_in_a_file_are_not_ours(tmp_path):
    path = bert_like(tmp_path)
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(1)
    tokenizer.enable_padding(length=9, pad_token="[PAD]")
    tokenizer.save(str(path))
    assert train(path).encode("great film a") == [4, 5, 7]


@pytest.mark.parametrize("kind", ["file", "bpe"])
def test_dropout_in_a_file_is_not_ours(tmp_path, kind):
    model = models.BPE({"<pad>": 0, "<unk>": 1, "g": 2, "r": 3, "gr": 4}, [("g", "r")])
    path = foreign(model, tmp_path)
    content = json.loads(path.read_text())
    if kind == "bpe":
        TRAINED[kind].save(path)
        content = {**json.loads(path.read_text()), "model": content["model"]}
    content["model"] |= {"dropout": 1.0, "unk_token": "<unk>"}  # 1.0: no pair is merged
    path.write_text(json.dumps(content))
    trained = train(path)
    assert trained.kind == kind
    assert trained.encode("gr")[-1] == 4


def test_one_token_for_padding_and_unknown_is_the_unknown_one(tmp_path):
    path = foreign(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"), tmp_path)
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_padding(pad_token="[UNK]")
    tokenizer.save(str(path))
    trained = train(path)
    assert trained.vocabulary.get_itos() == [PAD, UNK, "a"]
    assert trained.encode("a b") == [2, 1]


def test_white_space_alone_is_unknown_even_where_it_is_an_entry(tmp_path):
    trained = train(foreign(models.BPE({" ": 0, "a": 1}, []), tmp_path, split=False))
    assert trained.encode(" a") == [2, 3]
    assert trained.encode(" ") == [UNK_ID]


def test_a_file_without_a_pre_tokenizer_is_read(tmp_path):
    model = models.WordLevel({"[UNK]": 0, "a b": 1}, unk_token="[UNK]")
    trained = train(foreign(model, tmp_path, split=False))
    assert trained.encode("a b") == [2]
    assert trained.tokens("a b") == ["a b"]
    assert trained.tokens("") == []


def longer(pattern, times):
    return {"type": "Replace", "pattern": {"String": pattern}, "content": pattern * times}


def sequence(*steps):
    return {"type": "Sequence", "normalizers": list(steps)}


def test_replacements_that_add_little_are_read(tmp_path):
    model = models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]")
    path = foreign(model, tmp_path)
    content = json.loads(path.read_text())
    content["normalizer"] = sequence(longer("b", 2), longer("c", 50))
    path.write_text(json.dumps(content))
    assert train(path).encode("a") == [2]


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        (("model", "unk_token"), "nope", "can't encode a text: .*[Mm]issing"),
        (("normalizer",), {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, "charsmap"),
        (("pre_tokenizer",), {"type": "FixedLength", "length": 0}, "chunk size"),
        (("normalizer",), longer("a", 500), "more than 100 times longer"),
        (("normalizer",), sequence(longer("a", 40), longer("a", 40), longer("a", 40)), "100 times"),
        (("normalizer",), ["Lowercase"], "its normalizer is no object"),
    ],
)
def test_errors_and_panics_of_the_library_are_ours(tmp_path, part, value, said):
    path = tmp_path / "mine.json"
    train("word").save(path)
    content = json.loads(path.read_text())
    *outer, name = part
    (content[outer[0]] if outer else content)[name] = value
    path.write_text(json.dumps(content))
    with pytest.raises(VocabularyError, match=f"mine.json.*{said}"):
        train(path)


def test_a_pattern_that_gives_up_on_a_text_names_that_text(tmp_path):
    path = foreign(models.WordLevel({"<pad>": 0, "<unk>": 1, "a": 2}, "<unk>"), tmp_path)
    content = json.loads(path.read_text())
    split = {"type": "Split", "pattern": {"Regex": "(a|aa|b?a)+$"}, "behavior": "Isolated"}
    path.write_text(json.dumps({**content, "pre_tokenizer": {**split, "invert": False}}))
    tokenizer = train(path)
    bomb = 40 * "a" + "c"
    assert list(map(len, tokenizer.encode_batch(["a", "b"]))) == [2, 2]
    for tokenize in (
        tokenizer.tokens,
        tokenizer.encode,
        lambda text: tokenizer.encode_batch(["not read before", text]),
    ):
        with pytest.raises(VocabularyError, match=f"can't tokenize '{bomb}': .*retry-limit"):
            tokenize(bomb)
