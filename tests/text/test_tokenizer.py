from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_tokenizers import ANY_TEXT, PLAIN, TEXTS, TRAINED, train
from tokenizers import Tokenizer

from textlstm.config import TOKENIZERS, TRUNCATIONS, TokenizerConfig
from textlstm.errors import ConfigError, VocabularyError
from textlstm.text import tokenizer as tokenizer_module
from textlstm.text.subwords import SUBWORDS
from textlstm.text.tokenizer import TextTokenizer
from textlstm.text.vocabulary import PAD, PAD_ID, UNK, UNK_ID, Vocabulary

WORD_LEVEL = ("word", "basic_english", "whitespace", "char")


@pytest.fixture(params=TOKENIZERS)
def kind(request):
    return request.param


# -- ids -----------------------------------------------------------------------------------


def test_pad_is_0_and_unk_is_1(kind, tmp_path):
    TRAINED[kind].save(tmp_path / "tokenizer.json")
    plain = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert (plain.token_to_id(PAD), plain.token_to_id(UNK)) == (PAD_ID, UNK_ID)
    assert TRAINED[kind].vocabulary.get_itos()[:2] == [PAD, UNK]
    assert plain.get_vocab() == TRAINED[kind].vocabulary.get_stoi()


@pytest.mark.parametrize("kind", WORD_LEVEL)
def test_ids_are_those_of_the_tokens_in_the_vocabulary(kind):
    tokenizer = TRAINED[kind]
    expected = tokenizer.vocabulary.lookup_indices(tokenizer.tokens(TEXTS[0] + " zebra"))
    assert tokenizer.encode(TEXTS[0] + " zebra") == expected
    assert UNK_ID in expected


@pytest.mark.slow
@pytest.mark.parametrize("few", [0, 100], ids=["many texts", "few texts"])
@settings(max_examples=200)
@given(st.lists(ANY_TEXT, max_size=4))
def test_a_batch_reads_as_the_plain_tokenizers_library_reads_its_json(few, texts):
    for kind, trained in TRAINED.items():
        plain = PLAIN[kind]
        expected = [
            [UNK_ID] if not text or text.isspace() else plain.encode(text).ids or [UNK_ID]
            for text in texts
        ]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(tokenizer_module, "_FEW", few)
            ids, lengths = trained.encode_batch(texts)
        assert ids.dtype == np.int32
        assert ids.tolist() == list(chain.from_iterable(expected)), kind
        assert lengths.tolist() == [len(one) for one in expected], kind


@pytest.mark.parametrize("kind", WORD_LEVEL)
def test_plain_words_of_many_texts_read_as_each_text_alone(kind):
    words = [
        "Film",
        '("great,")',
        "x" * 101,
        "don't",
        "3.5",
        "é.",
        "GREAT!",
        "n't",
        "a,b",
        "<br />",
    ]
    texts = [f"{words[i % 10]} {words[i * 3 % 10]}\t{words[i * 7 % 10]}" for i in range(30)]
    ids, lengths = TRAINED[kind].encode_batch(texts)
    alone = [TRAINED[kind].encode(text) for text in texts]
    assert ids.tolist() == list(chain.from_iterable(alone))
    assert lengths.tolist() == list(map(len, alone))


def test_texts_that_are_too_large_for_a_column_read_alike(monkeypatch):
    texts = [f"Film {i}, a great one" for i in range(30)]
    expected = TRAINED["word"].encode_batch(texts)[0].tolist()
    monkeypatch.setattr("textlstm.text.pieces.split", None)
    monkeypatch.setattr(tokenizer_module, "_MOST_LETTERS", sum(map(len, texts)) - 1)
    assert TRAINED["word"].encode_batch(texts)[0].tolist() == expected
    monkeypatch.setattr(tokenizer_module, "_MOST_LETTERS", sum(map(len, texts)))
    with pytest.raises(TypeError):
        TRAINED["word"].encode_batch(texts)


def test_many_texts_are_encoded_without_pandas():
    code = (
        "import sys\n"
        "from textlstm.config import TokenizerConfig\n"
        "from textlstm.text.tokenizer import TextTokenizer\n"
        "texts = ['A great film.'] * 20\n"
        "trained = TextTokenizer.train(lambda: iter([texts]), TokenizerConfig())\n"
        "sys.modules.pop('pandas', None)\n"
        "assert trained.encode_batch(texts)[1].tolist() == [4] * 20\n"
        "sys.exit('pandas' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(st.text(st.sampled_from("aZſKé'(\"),.!?;:-3 \t\n\u0301"), max_size=30), max_size=9))
def test_words_with_punctuation_read_as_the_plain_tokenizers_library_reads_them(texts):
    for kind in ("word", "basic_english"):
        texts = ["(great film)... " + "x" * 101 + "! y", *texts]
        expected = [PLAIN[kind].encode(text).ids if text.strip() else [UNK_ID] for text in texts]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(tokenizer_module, "_FEW", 0)
            ids, _ = TRAINED[kind].encode_batch(texts)
        assert ids.tolist() == list(chain.from_iterable(one or [UNK_ID] for one in expected)), kind


@pytest.mark.slow
@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_many_texts_are_truncated_as_each_alone_and_in_any_number_of_threads(
    kind, truncation, monkeypatch
):
    trained = train(kind, max_length=7, truncation=truncation)
    texts = ["", *TEXTS, " \t", "a", *(text * 3 for text in TEXTS), "\x1c", "great film"] * 4
    alone = [trained.encode(text) for text in texts]
    assert {7} < {len(ids) for ids in alone}
    monkeypatch.setattr(tokenizer_module, "_TEXTS_AT_ONCE", 17)
    for threads in (1, 3):
        ids, lengths = train(kind, max_length=7, truncation=truncation).encode_batch(
            texts, threads=threads
        )
        assert lengths.tolist() == [len(one) for one in alone]
        assert ids.tolist() == list(chain.from_iterable(alone))


@pytest.mark.slow
@given(ANY_TEXT)
@example("<pad>")
@example("<pad> <pad>")
@example("x<pad>")
def test_a_text_never_reads_as_padding(text):
    for kind, trained in TRAINED.items():
        assert PAD_ID not in trained.encode(text), kind


def test_a_literal_unk_reads_as_unknown_or_is_spelled(kind):
    ids = TRAINED[kind].encode("<unk>")
    whole = kind in ("whitespace", "basic_english")
    assert ids == [UNK_ID] if whole else len(ids) > 1


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\x1c\x85\u2028"])
def test_an_empty_text_reads_as_one_unknown_token(kind, text):
    ids, lengths = TRAINED[kind].encode_batch(["great", text, "film"])
    assert lengths[1] == 1
    assert ids[lengths[0]] == UNK_ID


def test_a_text_without_any_token_reads_as_one_unknown_token():
    assert TRAINED["word"].encode("\u200b") == [UNK_ID]
    assert TRAINED["basic_english"].encode(';:"') == [UNK_ID]


def test_form_of_a_batch(kind):
    ids, lengths = TRAINED[kind].encode_batch(TEXTS)
    assert (ids.dtype, lengths.dtype) == (np.int32, np.int64)
    assert (ids.ndim, lengths.shape) == (1, (len(TEXTS),))
    assert ids.flags.writeable  # torch warns about arrays that are not
    assert len(ids) == lengths.sum()
    ids, lengths = TRAINED[kind].encode_batch([])
    assert (ids.shape, lengths.shape) == ((0,), (0,))
    assert (ids.dtype, lengths.dtype) == (np.int32, np.int64)


def test_a_single_string_is_no_batch():
    with pytest.raises(ConfigError, match="'great film' is a single string"):
        TRAINED["word"].encode_batch("great film")


@pytest.mark.slow
def test_ids_do_not_depend_on_the_batch_nor_on_what_was_read_before(kind, monkeypatch):
    texts = TEXTS * 3 + ["", "zebra"]
    alone = [train(kind).encode(text) for text in texts]
    monkeypatch.setattr(tokenizer_module, "_TEXTS_AT_ONCE", 2)
    monkeypatch.setattr(tokenizer_module, "_CACHE_LETTERS", 20)
    together = train(kind)
    for _ in range(2):
        ids, lengths = together.encode_batch(texts)
        assert ids.tolist() == list(chain.from_iterable(alone))
        assert lengths.tolist() == [len(one) for one in alone]


def test_what_was_read_lately_is_kept_and_what_was_not_is_forgotten(monkeypatch):
    monkeypatch.setattr(tokenizer_module, "_TEXTS_AT_ONCE", 1)
    monkeypatch.setattr(tokenizer_module, "_CACHE_LETTERS", 40)
    read = []
    original = TextTokenizer._encode_now
    monkeypatch.setattr(
        TextTokenizer, "_encode_now", lambda self, some: read.extend(some) or original(self, some)
    )
    trained = train("whitespace")
    trained.encode_batch([f"great w{i:03}" for i in range(100)])
    assert read.count("great") == 1
    assert sum(map(len, trained._recent)) + sum(map(len, trained._older)) < 120


def test_half_a_surrogate_pair_reads_as_the_replacement_character(kind):
    trained = TRAINED[kind]
    assert trained.tokens("a \ud800 b") == trained.tokens("a \ufffd b")
    assert trained.tokens("a \ud83d\ude00 b") == trained.tokens("a 😀 b")
    _, lengths = trained.encode_batch(["great", "a \udc80\ud83d\ude00", "film"])
    assert lengths[1] == len(trained.encode("a \ufffd😀"))
    assert train(kind, ["a \ud800 great"]).vocabulary == train(kind, ["a \ufffd great"]).vocabulary


# -- truncation ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("truncation", "max_length", "expected"),
    [
        ("head", 4, "abcd"),
        ("tail", 4, "ghij"),
        ("both", 4, "ahij"),
        ("both", 9, "abdefghij"),
        ("both", 3, "hij"),
        ("both", 10, "abcdefghij"),
        ("tail", 1, "j"),
        ("head", 1, "a"),
        ("both", 1, "j"),
    ],
)
def test_truncation(truncation, max_length, expected):
    letters = "abcdefghij"
    trained = train("char", [letters], truncation=truncation, max_length=max_length)
    ids, lengths = trained.encode_batch([letters, "ab"[:max_length]])
    assert "".join(trained.vocabulary.lookup_tokens(ids[: lengths[0]])) == expected
    assert lengths.tolist() == [max_length, min(2, max_length)]
    assert trained.tokens(letters) == list(letters)


@pytest.mark.slow
@pytest.mark.parametrize("truncation", TRUNCATIONS)
@given(parts=st.lists(ANY_TEXT, max_size=6), max_length=st.integers(1, 6))
def test_leaving_out_the_middle_of_a_long_text_changes_no_id(truncation, parts, max_length):
    text = " ".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        for kind, whole in TRAINED.items():
            patch.setattr(tokenizer_module, "_LETTERS_A_TOKEN", 1)
            short = TextTokenizer(
                whole._tokenizer,
                whole.vocabulary,
                kind=kind,
                max_length=max_length,
                truncation=truncation,
            )
            ids = short.encode(text)
            full = whole.encode(text)
            head = {"head": max_length, "tail": 0, "both": max_length // 4}[truncation]
            if len(full) > max_length:
                full = full[:head] + full[len(full) - (max_length - head) :]
            assert ids == full, kind


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_a_long_text_is_not_read_in_full(kind, truncation, monkeypatch):
    trained = train(kind, max_length=10, truncation=truncation)
    text = " ".join(TEXTS) * 1000
    letters = []
    original = TextTokenizer._encode

    def watched(self, texts):
        letters.extend(map(len, texts))
        return original(self, texts)

    monkeypatch.setattr(TextTokenizer, "_encode", watched)
    assert len(trained.encode(text)) == 10
    assert sum(letters) < 2000 < len(text)


@pytest.mark.slow
@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("blanks", ["", " " * 400_000], ids=["no blank", "blanks"])
def test_neither_is_one_that_can_be_cut_nowhere(kind, truncation, blanks, monkeypatch):
    trained = train(kind, max_length=10, truncation=truncation)
    original = TextTokenizer._encode
    letters = []

    def watched(self, texts):
        letters.append(sum(map(len, texts)))
        return original(self, texts)

    monkeypatch.setattr(TextTokenizer, "_encode", watched)
    trained.encode(f"first{blanks}{'x' * 400_000}{blanks}last")
    assert sum(letters) < 500_000


def test_of_a_very_long_text_both_ends_are_read_by_a_foreign_tokenizer_too():
    own = train("whitespace", ["first word and last"], max_length=4, truncation="both")
    foreign = TextTokenizer(
        own._tokenizer, own.vocabulary, kind="file", max_length=4, truncation="both"
    )
    text = "first " + "word " * 100_000 + "and last"
    for tokenizer in (own, foreign):
        found = tokenizer.vocabulary.lookup_tokens(tokenizer.encode(text))
        assert found == ["first", "word", "and", "last"]


# -- training ------------------------------------------------------------------------------


def test_vocabulary_is_count_descending_then_token():
    trained = train("whitespace", ["b a c c", "a b d c"])
    assert trained.vocabulary == Vocabulary([PAD, UNK, "c", "a", "b", "d"], [0, 0, 3, 2, 2, 1])


def test_min_frequency_and_vocab_size_cut_the_vocabulary():
    texts = ["a a a b b c c d"]
    assert train("whitespace", texts, min_frequency=2).vocabulary.get_itos()[2:] == list("abc")
    cut = train("whitespace", texts, vocab_size=4).vocabulary
    assert cut == Vocabulary([PAD, UNK, "a", "b"], [0, 3, 3, 2])


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 4, 5, 8, 30, 60])
def test_no_kind_has_more_entries_than_asked_for(kind, size):
    for texts in (None, [], [""], ["é"], ["ab ☃ ab"]):
        trained = train(kind, texts, vocab_size=size)
        assert len(trained.vocabulary) <= size
        assert trained.encode("A great film, é?")


def test_counts_are_those_of_the_ids_of_the_texts(kind):
    for options in ({}, {"vocab_size": 30, "min_frequency": 2}):
        trained = train(kind, **options)
        ids, _ = trained.encode_batch(TEXTS)
        expected = np.bincount(ids, minlength=len(trained.vocabulary))
        assert trained.vocabulary.counts == tuple(expected.tolist())


def test_vocabulary_does_not_depend_on_how_the_texts_are_batched(kind, monkeypatch):
    expected = TRAINED[kind].vocabulary
    monkeypatch.setattr("textlstm.text.rules._COUNT_LETTERS", 10)
    config = TokenizerConfig(tokenizer=kind, min_frequency=1, vocab_size=90)
    for some in ([TEXTS], [[text] for text in reversed(TEXTS)], [(), TEXTS]):
        assert TextTokenizer.train(lambda some=some: iter(some), config).vocabulary == expected


# -- settings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "close"), [("wrod", "word"), ("basic-english", "basic_english"), ("BPE", None)]
)
def test_an_unknown_kind_is_refused_with_the_closest(name, close):
    with pytest.raises(ConfigError, match=f"tokenizer = '{name}': must be one of") as caught:
        train(name)
    if close:
        assert f"did you mean '{close}'?" in str(caught.value)


def test_a_given_vocabulary_is_used_as_it_is(tmp_path):
    given = Vocabulary([PAD, UNK, "zebra", "great"], [0, 5, 2, 1])
    for name in ("v.txt", "v.json"):
        given.save(tmp_path / name)
        trained = train("word", vocab=str(tmp_path / name), min_frequency=9)
        assert trained.vocabulary == given
        assert trained.encode("Great film, zebra") == [3, 1, 1, 2]


def test_a_given_vocabulary_is_cut_at_vocab_size_and_that_is_said(tmp_path, caplog):
    Vocabulary([PAD, UNK, "a", "b", "c"], [0, 1, 4, 3, 2]).save(tmp_path / "v.txt")
    trained = train("word", vocab=str(tmp_path / "v.txt"), vocab_size=4)
    assert trained.vocabulary == Vocabulary([PAD, UNK, "a", "b"], [0, 3, 4, 3])
    assert "v.txt: using the first 4 of 5 entries" in caplog.text


@pytest.mark.parametrize("kind", SUBWORDS)
def test_a_given_vocabulary_does_not_go_with_subwords(kind):
    with pytest.raises(ConfigError, match=f"'v.txt' can.t be combined with tokenizer = '{kind}'"):
        train(kind, vocab="v.txt")


def test_settings_are_checked():
    trained = TRAINED["word"]
    with pytest.raises(ConfigError, match="truncation = 'middle'"):
        TextTokenizer(
            trained._tokenizer, trained.vocabulary, kind="word", max_length=3, truncation="middle"
        )
    with pytest.raises(ConfigError, match="max_length = 0"):
        TextTokenizer(
            trained._tokenizer, trained.vocabulary, kind="word", max_length=0, truncation="head"
        )


# -- files ---------------------------------------------------------------------------------


def test_what_is_saved_loads_equal(kind, tmp_path):
    trained = TRAINED[kind]
    trained.save(tmp_path / "tokenizer.json")
    loaded = TextTokenizer.load(
        tmp_path / "tokenizer.json",
        max_length=5,
        truncation="tail",
        vocabulary=trained.vocabulary,
    )
    assert (loaded.kind, loaded.max_length, loaded.truncation) == (kind, 5, "tail")
    assert loaded.vocabulary == trained.vocabulary
    assert loaded._tokenizer.to_str() == trained._tokenizer.to_str()
    assert loaded.tokens(TEXTS[1]) == trained.tokens(TEXTS[1])
    without = TextTokenizer.load(tmp_path / "tokenizer.json", max_length=5, truncation="tail")
    assert without.vocabulary.get_itos() == trained.vocabulary.get_itos()
    assert set(without.vocabulary.counts) == {0}


def test_another_vocabulary_does_not_fit(tmp_path):
    TRAINED["word"].save(tmp_path / "tokenizer.json")
    with pytest.raises(VocabularyError, match=r"the vocabulary \(3 entries\) is not that"):
        TextTokenizer.load(
            tmp_path / "tokenizer.json",
            max_length=5,
            truncation="head",
            vocabulary=Vocabulary([PAD, UNK, "a"]),
        )


def test_pickling_keeps_everything(kind):
    copy = pickle.loads(pickle.dumps(TRAINED[kind]))
    assert copy.encode(TEXTS[1]) == TRAINED[kind].encode(TEXTS[1])
    assert (copy.kind, copy.vocabulary) == (kind, TRAINED[kind].vocabulary)


def test_threads_may_share_one_tokenizer(monkeypatch):
    monkeypatch.setattr(tokenizer_module, "_CACHE_LETTERS", 30)
    trained = train()
    texts = [f"{text} w{i}" for i in range(40) for text in TEXTS]
    expected = train().encode_batch(texts)[0].tolist()
    with ThreadPoolExecutor(4) as pool:
        for ids, _ in pool.map(trained.encode_batch, [texts] * 8):
            assert ids.tolist() == expected


def test_the_tokens_that_are_read_are_those_of_the_ids():
    tokenizer = train("word", ["a" * 36 + " " + "a" * 50], max_length=3, truncation="tail")
    tokens, ids = zip(*tokenizer.read("a" * 200_050), strict=True)  # its middle is not encoded
    assert tokenizer.vocabulary.lookup_indices(tokens) == list(ids)
