from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textlstm.config import TokenizerConfig
from textlstm.data.corpus import load_texts
from textlstm.errors import VocabularyError
from textlstm.text.tokenizer import TextTokenizer
from textlstm.text.vocabulary import PAD, PAD_ID, UNK, UNK_ID, Vocabulary

ODD = ["\t", "\n", "\r", "\\", "\\t", "\\n", "\x85", "\u2028", "\u2029", "\x0b", "", " ", "\ufeff"]
WORDS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.lists(st.sampled_from([*ODD, "a"]), max_size=4).map("".join),
)
ENTRIES = st.dictionaries(WORDS, st.integers(0, 10**12), max_size=12)


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary.from_counts({"the": 5, "a": 5, "film": 7, "rare": 1}, min_frequency=2)


def test_specials_come_first_then_count_descending_then_token(vocabulary):
    assert vocabulary.get_itos() == [PAD, UNK, "film", "a", "the"]
    assert vocabulary.counts == (0, 1, 7, 5, 5)
    assert (PAD_ID, UNK_ID) == (0, 1)


@pytest.mark.slow
@given(st.dictionaries(WORDS, st.integers(1, 5), max_size=12), st.randoms())
def test_order_of_counts_does_not_matter_and_nothing_is_lost(counts, random):
    entries = list(counts.items())
    random.shuffle(entries)
    vocabulary = Vocabulary.from_counts(dict(entries), size=6, min_frequency=2)
    assert vocabulary == Vocabulary.from_counts(counts, size=6, min_frequency=2)
    assert len(vocabulary) <= 6
    assert sum(vocabulary.counts) == sum(counts.values())


def test_special_tokens_in_the_counts_are_unknown_tokens_and_not_there_twice():
    vocabulary = Vocabulary.from_counts({PAD: 9, UNK: 3, "a": 1})
    assert vocabulary.get_itos() == [PAD, UNK, "a"]
    assert vocabulary.counts == (0, 12, 1)


def test_size_counts_the_specials():
    assert Vocabulary.from_counts({"a": 2, "b": 1}, size=3).get_itos() == [PAD, UNK, "a"]
    assert Vocabulary.from_counts({"a": 2}, size=2).get_itos() == [PAD, UNK]
    with pytest.raises(VocabularyError, match="size = 1: must be at least 2"):
        Vocabulary.from_counts({"a": 2}, size=1)


def test_looking_up(vocabulary):
    assert "film" in vocabulary
    assert "rare" not in vocabulary
    assert 2 not in vocabulary
    assert (vocabulary["film"], vocabulary["rare"], vocabulary[PAD]) == (2, UNK_ID, PAD_ID)
    assert vocabulary.lookup_indices(["the", "nothing", "film"]) == [4, UNK_ID, 2]
    assert vocabulary.lookup_tokens([4, 0]) == ["the", PAD]
    assert vocabulary.lookup_token(2) == "film"
    assert vocabulary.get_stoi() == {PAD: 0, UNK: 1, "film": 2, "a": 3, "the": 4}
    assert vocabulary.get_default_index() == UNK_ID
    assert len(vocabulary) == 5
    assert list(vocabulary) == vocabulary.get_itos()


@pytest.mark.parametrize("index", [5, -1])
def test_an_id_outside_is_refused(vocabulary, index):
    with pytest.raises(VocabularyError, match=f"id {index} is not in the vocabulary: 0 to 4"):
        vocabulary.lookup_tokens([index])


def test_what_is_given_out_can_be_changed_without_harm(vocabulary):
    vocabulary.get_itos().append("x")
    vocabulary.get_stoi()["x"] = 9
    assert "x" not in vocabulary
    assert len(vocabulary) == 5


def test_equal_by_tokens_and_counts(vocabulary):
    same = Vocabulary(vocabulary.get_itos(), vocabulary.counts)
    assert same == vocabulary
    assert hash(same) == hash(vocabulary)
    assert Vocabulary(vocabulary.get_itos()) != vocabulary
    assert vocabulary != "film"
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary


@pytest.mark.parametrize(
    ("itos", "counts", "message"),
    [
        ([UNK, PAD], None, r"begins with <pad>, <unk>, this one with \['<unk>', '<pad>'\]"),
        ([PAD, UNK, "a", "b", "a"], None, "'a' occurs twice"),
        ([PAD, UNK, 3], None, "token 3 is not a string"),
        ([PAD, UNK, "\ud800"], None, r"'\\ud800' is not valid Unicode"),
        ([PAD, UNK], [1], "1 counts for 2 tokens"),
        ([PAD, UNK, "a"], [0, 0, -4], "count -4 of token 'a'"),
        ([PAD, UNK, "a"], [0, 0, 1.5], "count 1.5 of token 'a'"),
        ([PAD, UNK, "a"], [0, 0, True], "count True of token 'a'"),
    ],
)
def test_a_list_that_is_no_vocabulary_is_refused(itos, counts, message):
    with pytest.raises(VocabularyError, match=message):
        Vocabulary(itos, counts)


@pytest.mark.parametrize(
    ("itos", "expected", "counts"),
    [
        (["a", "b"], [PAD, UNK, "a", "b"], (0, 0, 0, 1)),
        ([UNK, PAD, "a"], [PAD, UNK, "a"], (1, 0, 2)),
        (["a", UNK], [PAD, UNK, "a"], (0, 1, 0)),
        ([PAD, "a"], [PAD, UNK, "a"], (0, 0, 1)),
        ([PAD, UNK, "a"], [PAD, UNK, "a"], (0, 1, 2)),
        ([], [PAD, UNK], (0, 0)),
    ],
)
def test_from_itos_puts_missing_specials_in_front_with_their_counts(itos, expected, counts):
    vocabulary = Vocabulary.from_itos(itos, range(len(itos)))
    assert vocabulary.get_itos() == expected
    assert vocabulary.counts == counts


@pytest.mark.slow
@given(ENTRIES)
def test_text_and_json_read_back_equal(entries):
    vocabulary = Vocabulary.from_itos(list(entries), list(entries.values()))
    assert Vocabulary.from_text(vocabulary.to_text()) == vocabulary
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


@pytest.mark.parametrize("name", ["v.txt", "v.json", "v.JSON", "v"])
def test_files_read_back_equal(tmp_path, name):
    vocabulary = Vocabulary([PAD, UNK, *ODD, "é", "😀"], range(len(ODD) + 4))
    vocabulary.save(tmp_path / name)
    assert Vocabulary.load(tmp_path / name) == vocabulary
    assert (tmp_path / name).read_bytes().startswith(b"{") == name.lower().endswith(".json")


def test_text_form_is_one_token_a_line_with_its_count():
    assert Vocabulary([PAD, UNK, "a\tb", "\\"], [0, 1, 2, 3]).to_text() == (
        "<pad>\t0\n<unk>\t1\na\\tb\t2\n\\\\\t3\n"
    )


def test_a_plain_list_is_read_as_it_stands_with_counts_0(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("\ufeffthe\r\n\\n\r\nfilm\x85x".encode())
    assert Vocabulary.load(path) == Vocabulary([PAD, UNK, "the", "\\n", "film\x85x"])


def test_a_plain_json_list_is_read():
    assert Vocabulary.from_json('["a", "<unk>"]') == Vocabulary([PAD, UNK, "a"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\t1\nb\n", r"line 2: expected token<TAB>count, found 'b'; correct the line"),
        (b"a\t1\nb\tx\n", r"line 2: expected token<TAB>count, found 'b\\tx'"),
        (b"a\t1\nb\t-1\n", "line 2: expected"),
        (b"a\t1\nb\tc\t1\n", "line 2: expected"),
        (b"a\t1\nb\t\xd9\xa3\n", "line 2: expected"),  # an Arabic digit
        (b"a\t" + b"9" * 19 + b"\n", "line 1: expected"),
        (b"a\t1\n\\x\t1\n", r"line 2: '\\\\x' in '\\\\x' is not an escape"),
        (b"a\t1\nb\\\t1\n", r"line 2: '\\\\' in"),
        (b"a\t1\n\nb\t1\n", "line 2: expected"),
        (b"a\n\nb\n", "line 2 is empty"),
        (b"a\nb\t1\n", r"line 2: 'b\\t1' has a tab and line 1 has none"),
        (b"a\nb\na\n", "line 3: 'a' is already on line 1"),
        (b"a\nb\xff\n", "line 2: byte 0xff is not UTF-8"),
    ],
)
def test_a_malformed_text_file_names_file_and_line(tmp_path, content, message):
    path = tmp_path / "broken.txt"
    path.write_bytes(content)
    with pytest.raises(VocabularyError, match=f"broken.txt, {message}"):
        Vocabulary.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"tokens": [\n"a",,]}', "line 2: not valid JSON"),
        ("[" * 200_000, "not valid JSON"),
        ('{"model": {"vocab": {}}}', "is not a vocabulary.*--tokenizer"),
        ("3", "is not a vocabulary"),
        ('{"tokens": ["a"], "counts": 3}', "'counts' is 3: must be a list"),
        ('{"tokens": ["a"], "counts": [1, 2]}', "2 counts for 1 tokens"),
        ('{"tokens": ["a", "a"]}', "'a' occurs twice"),
        ('{"tokens": ["\\ud800"]}', "not valid Unicode text: .* delete it"),
        ('{"tokens": [5]}', "token 5 is not a string: write it in quotes"),
        ('{"version": 2, "tokens": ["a"]}', "version 2, this textlstm reads 1"),
    ],
)
def test_a_malformed_json_file_names_the_file(tmp_path, content, message):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(VocabularyError, match=f"broken.json.*{message}"):
        Vocabulary.load(path)


@pytest.mark.parametrize("name", ["nowhere.txt", "."])
def test_a_file_that_can_not_be_read_is_named(tmp_path, name):
    with pytest.raises(VocabularyError, match="cannot read the vocabulary"):
        Vocabulary.load(tmp_path / name)


def test_counts_of_a_counter_are_taken_as_they_are():
    assert Vocabulary.from_counts(Counter("abracadabra")).get_itos()[2:] == list("abrcd")


def test_json_form_names_its_version():
    assert json.loads(Vocabulary([PAD, UNK]).to_json())["version"] == 1


READY = Path(__file__).resolve().parents[2] / "vocab"


def test_the_ready_english_vocabulary_has_30000_entries_in_our_order():
    vocabulary = Vocabulary.load(READY / "english-30k.txt")
    entries = dict(zip(vocabulary.get_itos()[2:], vocabulary.counts[2:], strict=True))
    again = Vocabulary.from_counts({**entries, UNK: vocabulary.counts[UNK_ID]}, size=30_000)
    assert again == vocabulary
    assert len(vocabulary) == 30_000
    assert sum(vocabulary.counts) == 19_922_967


def test_the_ready_vocabulary_of_the_sample_is_that_of_its_train_split():
    # Not so any more? python scripts/build_vocab.py sample --out vocab/sample.txt
    texts, _, _ = load_texts("sample")
    built = TextTokenizer.train(texts, TokenizerConfig()).vocabulary
    assert Vocabulary.load(READY / "sample.txt") == built
