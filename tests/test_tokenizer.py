from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from textlstm import tokenizer as tokenizer_module
from textlstm.config import TOKENIZERS, TRUNCATIONS, TokenizerConfig
from textlstm.errors import ConfigError, VocabularyError
from textlstm.tokenizer import TextTokenizer
from textlstm.vocabulary import PAD, PAD_ID, UNK, UNK_ID, Vocabulary

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WORD_LEVEL = ("word", "basic_english", "whitespace", "char")
SUBWORD = ("bpe", "wordpiece", "unigram")

TEXTS = [
    "The film was great, and it's not dull; I don't regret 1,000.50 dollars!",
    "I can't say the plot wasn't clever.<br /><br />But the acting... the acting was dull.",
    "Great film, great cast, great music: (really) great.",
    "A dull film with a clever plot isn't a great film. <pad> <unk> 😀 naïve café",
]

# Bits on which the rules of some kind turn.
BITS = re.split(
    r"\|",
    "<br />|<BR/>|</br >|<b\"r />|<br|<|br|/>|>|'|’|´|`|``|''|\"|n't|N'T|'s|'ll|don't|can't|a|B|é"
    "|e\u0301|\u0301|\u0338|Σ|ΑΣ|σ|İ|ǅ|1,0|.5|9|.|,|(|)|!|?|;|:|-|-lrb-|-RRB-|_|#|##a|▁|▁a|<pad>"
    "|<unk>|<|pad|[PAD]|😀|👍🏽|👩‍🔬|🇩🇪|中|国|ไ|กั|नि|\x00|\x1c|\x85|\xa0|\u2028|\u200b|\ufeff|\xad"
    "| |  |\t|\n|\r\n| |great| film| the",
)
CODED = st.characters(exclude_categories=["Cs", "Cn"])
NASTY = st.lists(st.one_of(st.sampled_from(BITS), st.text(CODED, max_size=3)), max_size=12)
ANY_TEXT = NASTY.map("".join)


def batches():
    return iter([TEXTS[:1], TEXTS[1:]])


def train(kind="word", texts=None, **options) -> TextTokenizer:
    options = {"min_frequency": 1, "vocab_size": 90, "max_length": 1000, **options}
    source = batches if texts is None else lambda: iter([texts])
    return TextTokenizer.train(source, TokenizerConfig(tokenizer=str(kind), **options))


TRAINED = {kind: train(kind) for kind in TOKENIZERS}
PLAIN = {kind: Tokenizer.from_str(it._tokenizer.to_str()) for kind, it in TRAINED.items()}


@pytest.fixture(params=TOKENIZERS)
def kind(request):
    return request.param


def read(kind: str, text: str) -> str:
    return " ".join(TRAINED[kind].tokens(text))


# -- word ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Film, was GREAT!", "the film , was great !"),
        ("don't can't won't isn't cannot", "do n't ca n't wo n't is n't cannot"),
        ("It's I'll we're they've he'd I'm", "it 's i 'll we 're they 've he 'd i 'm"),
        ("don’t it’s don´t it`s", "do n't it 's do n't it 's"),
        ("the dogs' 'so-called' o'clock", "the dogs ' ' so - called ' o ' clock"),
        ("1,000.50 3.5, 7. 80s 2nd '70s 24/7", "1,000.50 3.5 , 7 . 80s 2nd ' 70s 24 / 7"),
        ("$5 10% 10:30 v2", "$ 5 10 % 10 : 30 v2"),
        ("well...no?!", "well . . . no ? !"),
        ("one<br /><br/>two<BR>three</br>four<brx>", "one two three four < brx >"),
        ("a_b [x] {y} a@b.c", "a _ b [ x ] { y } a @ b . c"),
        ("😀😀 👍🏽 ❤️ 👩‍🔬 🇩🇪🇫🇷", "😀 😀 👍🏽 ❤️ 👩‍🔬 🇩🇪 🇫🇷"),
        ("Café cafe\u0301 ÉTÉ naïve", "café café été naïve"),
        ("我爱 abc中文 हिन्दी", "我 爱 abc 中 文 हिन्दी"),
        ("a\x00b\u200bc\ufeff\x96d\x85e\x1cf", "a b c d e f"),
        ("ΟΔΟΣ ΣΑΣ", "οδος σας"),
        ("“quoted” — …", "“ quoted ” — …"),
        ("", ""),
        (" \n\t\x1c\x85 ", ""),
    ],
)
def test_word(text, expected):
    assert read("word", text) == expected


@pytest.mark.parametrize(
    ("raw", "tokenized"),
    [
        ("they don't think it's", "they do n't think it 's"),
        ("we're sure he'll say I'm", "we 're sure he 'll say i 'm"),
        ('he said "well (yes)."', "he said `` well -lrb- yes -rrb- . ''"),
        ("can't, won't!", "ca n't , wo n't !"),
        ("1,000.50 well-made films...", "1,000.50 well-made films ..."),
    ],
)
def test_word_reads_text_that_is_already_tokenized_the_same_way(raw, tokenized):
    assert read("word", raw) == read("word", tokenized)


@given(ANY_TEXT)
def test_word_reads_its_own_tokens_as_themselves(text):
    tokens = TRAINED["word"].tokens(text)
    assert TRAINED["word"].tokens(" ".join(tokens)) == tokens


@given(ANY_TEXT)
def test_no_token_holds_white_space(text):
    for kind in ("word", "basic_english", "whitespace"):
        assert all(
            token and not any(map(str.isspace, token)) for token in TRAINED[kind].tokens(text)
        )


# -- basic_english -------------------------------------------------------------------------

BASIC = [
    (r"'", " '  "),
    (r"\"", ""),
    (r"\.", " . "),
    (r"<br \/>", " "),
    (r",", " , "),
    (r"\(", " ( "),
    (r"\)", " ) "),
    (r"!", " ! "),
    (r"\?", " ? "),
    (r";", " "),
    (r":", " "),
    (r"\s+", " "),
]


def reference_basic_english(text: str) -> list[str]:
    """What torchtext 0.18's `basic_english` does, step by step."""
    text = text.lower()
    for pattern, replacement in BASIC:
        text = re.sub(pattern, replacement, text)
    return text.split()


def test_basic_english_on_an_example():
    assert read("basic_english", "Don't \"stop\"; it's (fun)...<br />2,000!") == (
        "don ' t stop it ' s ( fun ) . . . 2 , 000 !"
    )


@settings(max_examples=400)
@given(ANY_TEXT)
@example('a<b"r />b')
@example("A\u0345Σ")
@example("ΑΣ'Σ. Σ <pad> a<pad>b")
def test_basic_english_equals_the_reference(text):
    assert TRAINED["basic_english"].tokens(text) == reference_basic_english(text)


@pytest.mark.parametrize("name", ["imdb", "sst2"])
def test_basic_english_equals_the_reference_on_real_texts(name):
    path = DATA / name / "validation.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    import pyarrow.parquet

    texts = pyarrow.parquet.read_table(path)["text"].to_pylist()[:300]
    for text in texts:
        assert TRAINED["basic_english"].tokens(text) == reference_basic_english(text)


# -- the other kinds -----------------------------------------------------------------------


@given(ANY_TEXT)
def test_whitespace_splits_as_python_does_and_changes_nothing(text):
    assert TRAINED["whitespace"].tokens(text) == text.split()


@given(ANY_TEXT)
def test_char_keeps_every_code_point(text):
    assert TRAINED["char"].tokens(text) == list(text)


@pytest.mark.parametrize("kind", SUBWORD)
def test_subwords_spell_the_words(kind):
    tokens = TRAINED[kind].tokens("The Great film<br />isn't dull.")
    joined = "".join(tokens).replace("##", "").replace("▁", "")
    assert joined == "thegreatfilmisn'tdull."
    assert len(tokens) > 6


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


@settings(max_examples=300)
@given(st.lists(ANY_TEXT, max_size=4))
def test_a_batch_reads_as_the_plain_tokenizers_library_reads_its_json(texts):
    for kind, trained in TRAINED.items():
        plain = PLAIN[kind]
        expected = [
            [UNK_ID] if not text or text.isspace() else plain.encode(text).ids or [UNK_ID]
            for text in texts
        ]
        ids, lengths = trained.encode_batch(texts)
        assert ids.tolist() == list(chain.from_iterable(expected)), kind
        assert lengths.tolist() == [len(one) for one in expected], kind


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
    with pytest.raises(ConfigError, match="'great film' is one string"):
        TRAINED["word"].encode_batch("great film")


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
    assert sum(map(len, together._recent)) < 400


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
    original = TextTokenizer._read

    def watched(self, texts):
        letters.extend(map(len, texts))
        return original(self, texts)

    monkeypatch.setattr(TextTokenizer, "_read", watched)
    assert len(trained.encode(text)) == 10
    assert sum(letters) < 2000 < len(text)


def test_one_endless_word_is_read(kind):
    # Oniguruma panics after ten million tries in one match: no pattern may be unbounded.
    start = time.monotonic()
    for text in ("a" * 200_000, "1" * 200_000, "<br" + " " * 200_000, "A" + "'" * 200_000):
        assert len(TRAINED[kind].encode(text)) >= 1
    assert time.monotonic() - start < 60


# -- training ------------------------------------------------------------------------------


def test_vocabulary_is_count_descending_then_token():
    trained = train("whitespace", ["b a c c", "a b d c"])
    assert trained.vocabulary == Vocabulary([PAD, UNK, "c", "a", "b", "d"], [0, 0, 3, 2, 2, 1])


def test_min_frequency_and_vocab_size_cut_the_vocabulary():
    texts = ["a a a b b c c d"]
    assert train("whitespace", texts, min_frequency=2).vocabulary.get_itos()[2:] == list("abc")
    cut = train("whitespace", texts, vocab_size=4).vocabulary
    assert cut == Vocabulary([PAD, UNK, "a", "b"], [0, 3, 3, 2])


@pytest.mark.parametrize("size", [3, 4, 5, 8, 30, 60])
def test_no_kind_has_more_entries_than_asked_for(kind, size):
    for texts in (None, [], [""], ["é"], ["ab ☃ ab"]):
        trained = train(kind, texts, vocab_size=size)
        assert len(trained.vocabulary) <= size
        assert trained.encode("A great film, é?")


@pytest.mark.parametrize("kind", SUBWORD)
def test_min_frequency_bounds_the_alphabet_of_subwords(kind):
    assert "q" not in "".join(
        train(kind, ["aa bb aa q"], min_frequency=2).vocabulary.get_itos()[2:]
    )
    assert "q" in "".join(train(kind, ["aa bb aa q"], min_frequency=1).vocabulary.get_itos()[2:])


def test_counts_are_those_of_the_ids_of_the_texts(kind):
    for options in ({}, {"vocab_size": 30, "min_frequency": 2}):
        trained = train(kind, **options)
        ids, _ = trained.encode_batch(TEXTS)
        expected = np.bincount(ids, minlength=len(trained.vocabulary))
        assert trained.vocabulary.counts == tuple(expected.tolist())


def test_vocabulary_does_not_depend_on_how_the_texts_are_batched(kind, monkeypatch):
    expected = TRAINED[kind].vocabulary
    monkeypatch.setattr(tokenizer_module, "_COUNT_LETTERS", 10)
    config = TokenizerConfig(tokenizer=kind, min_frequency=1, vocab_size=90)
    for some in ([TEXTS], [[text] for text in reversed(TEXTS)], [(), TEXTS]):
        assert TextTokenizer.train(lambda some=some: iter(some), config).vocabulary == expected


def test_subword_vocabularies_are_the_same_in_every_process(tmp_path):
    # 1,000 different texts with many ties, so that the order of a hash table would show.
    program = (
        "from textlstm.tokenizer import *\n"
        "texts = [f'w{i % 97:x}{i * 7919 % 1009:x} q{i:o} {chr(233 + i % 50)}'\n"
        "         for i in range(1000)]\n"
        "for kind in ('bpe', 'wordpiece', 'unigram'):\n"
        "    config = TokenizerConfig(tokenizer=kind, vocab_size=220, min_frequency=1)\n"
        "    tokenizer = TextTokenizer.train(lambda: [texts], config)\n"
        "    print(tokenizer._tokenizer.to_str(), tokenizer.vocabulary.counts)\n"
    )
    outputs = set()
    for seed, parallel, threads in (("1", "true", "2"), ("2", "false", "1"), ("3", "true", "1")):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "TOKENIZERS_PARALLELISM": parallel,
            "RAYON_NUM_THREADS": threads,
        }
        outputs.add(
            subprocess.run(
                [sys.executable, "-c", program],
                env=environment,
                capture_output=True,
                check=True,
                text=True,
            ).stdout
        )
    assert len(outputs) == 1
    assert len(outputs.pop()) > 3000


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
    assert "v.txt has 5 entries; the first 4 are used" in caplog.text


@pytest.mark.parametrize("kind", SUBWORD)
def test_a_given_vocabulary_does_not_go_with_subwords(kind):
    with pytest.raises(ConfigError, match=f"'v.txt' does not go with tokenizer = '{kind}'"):
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the tokenizer"),
        ("{nonsense", "is not valid JSON"),
        ("[1]", "it has no 'model'"),
        ('{"model": {"type": "Other"}}', "is not a tokenizer.json that this version"),
        ('{"tokens": ["a"]}', "it has no 'model'"),
    ],
)
def test_a_missing_or_bad_tokenizer_json_is_named(tmp_path, content, message):
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(VocabularyError, match=f"mine.json.*{message}|{message}.*mine.json"):
        train(path)


# -- a ready tokenizer.json ----------------------------------------------------------------


def foreign(model, tmp_path, *, special=(), normalizer=None, post=None) -> Path:
    tokenizer = Tokenizer(model)
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


def test_our_own_file_given_as_a_ready_one_is_its_kind(tmp_path, kind):
    TRAINED[kind].save(tmp_path / "ours.json")
    again = train(tmp_path / "ours.json")
    assert again.kind == kind
    assert again.vocabulary == TRAINED[kind].vocabulary


def test_a_ready_file_goes_without_a_vocabulary(tmp_path):
    with pytest.raises(ConfigError, match=r"'v.txt' does not go with tokenizer = .*theirs.json"):
        train(bert_like(tmp_path), vocab="v.txt")


def test_truncation_and_padding_in_a_file_are_not_ours(tmp_path):
    path = bert_like(tmp_path)
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(1)
    tokenizer.enable_padding(length=9, pad_token="[PAD]")
    tokenizer.save(str(path))
    assert train(path).encode("great film a") == [4, 5, 7]
