from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from tiny_tokenizers import ANY_TEXT, TRAINED, train

from textlstm.config import TOKENIZERS
from textlstm.text.subwords import SUBWORDS
from textlstm.text.tokenizer import WHOLE_WORDS
from textlstm.text.vocabulary import PAD, UNK, UNK_ID

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def read(kind: str, text: str) -> str:
    return " ".join(TRAINED[kind].tokens(text))


def guarded(text: str) -> str:
    return text.replace(PAD, UNK)  # a text holds no padding


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


@pytest.mark.slow
@given(ANY_TEXT)
@example("İ\u0338 K Å")  # Kelvin, Angstrom
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


@pytest.mark.slow
@settings(max_examples=400)
@given(ANY_TEXT)
@example('a<b"r />b')
@example("A\u0345Σ")
@example(":ʰΣ AʰΣʰ")
@example("ΑΣ'Σ. Σ <pad> a<pad>b")
def test_basic_english_equals_the_reference(text):
    expected = reference_basic_english(text)
    assert TRAINED["basic_english"].tokens(text) == [guarded(token) for token in expected]


@pytest.mark.parametrize("name", ["imdb", "sst2"])
def test_basic_english_equals_the_reference_on_real_texts(name):
    path = DATA / name / "validation.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    import pyarrow.parquet

    texts = pyarrow.parquet.read_table(path)["text"].to_pylist()[:300]
    for text in texts:
        assert TRAINED["basic_english"].tokens(text) == reference_basic_english(text)


@pytest.mark.parametrize("kind", WHOLE_WORDS)
def test_a_text_is_encoded_as_the_entries_that_were_counted(kind):
    text = "000<pad> b <pad>"
    trained = train(kind, [text])
    ids = trained.encode(text)
    assert trained.vocabulary.lookup_indices(trained.tokens(text)) == ids
    assert set(ids) | {UNK_ID} == set(range(1, len(trained.vocabulary)))


# -- the other kinds -----------------------------------------------------------------------


@pytest.mark.slow
@given(ANY_TEXT)
def test_whitespace_splits_as_python_does_and_changes_nothing(text):
    assert TRAINED["whitespace"].tokens(text) == guarded(text).split()


@given(ANY_TEXT)
def test_char_keeps_every_code_point(text):
    assert TRAINED["char"].tokens(text) == list(text)


@pytest.mark.parametrize("kind", SUBWORDS)
def test_subwords_spell_the_words(kind):
    tokens = TRAINED[kind].tokens("The Great film<br />isn't dull.")
    joined = "".join(tokens).replace("##", "").replace("▁", "")
    assert joined == "thegreatfilmisn'tdull."
    assert len(tokens) > 6


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_one_endless_word_is_read(kind):
    # Oniguruma panics after ten million tries in one match: no pattern may be unbounded.
    start = time.monotonic()
    for text in ("a" * 200_000, "1" * 200_000, "<br" + " " * 200_000, "A" + "'" * 200_000):
        assert len(TRAINED[kind].encode(text)) >= 1
    assert time.monotonic() - start < 60


def patterns_in(content):
    if isinstance(content, dict):
        own = [content["Regex"]] if "Regex" in content else []
        return own + patterns_in(list(content.values()))
    if isinstance(content, list):
        return [pattern for part in content for pattern in patterns_in(part)]
    return []


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_every_repetition_in_a_pattern_is_bounded(kind):
    patterns = patterns_in(json.loads(TRAINED[kind]._tokenizer.to_str()))
    assert patterns
    for pattern in patterns:
        assert not re.search(r"(?<!\\)[*+]", pattern)
        assert all(int(most or 10**9) <= 1000 for most in re.findall(r"\{\d+,(\d*)\}", pattern))
