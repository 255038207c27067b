"""What each kind of tokenizer does to a text before tokens become ids.

A kind is a normalizer and a pre-tokenizer of the `tokenizers` library, so that the saved
`tokenizer.json` alone reproduces it. `TextTokenizer` uses two more facts for speed: how a text
splits into independent pieces, and where a long text may be cut.

Every repetition in the patterns below is bounded: Oniguruma, the engine of `tokenizers`,
panics after ten million retries in one match, which a single long word could cause.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE, Unigram, WordLevel, WordPiece

from textlstm.text.vocabulary import PAD, UNK

FROM_FILE = "file"
CONTINUATION = "##"  # of a word, in front of a wordpiece (Devlin et al. 2019)
_COUNT_LETTERS, _COUNT_PIECES = 2**26, 2**19  # collected before tokens are counted: 100 MB
_MODELS = {"bpe": BPE, "wordpiece": WordPiece, "unigram": Unigram}

# Python's white space (str.isspace), as a range inside [...] for `re` and for Oniguruma, whose
# own \s lacks U+001C to U+001F.
_SPACE = "\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_BREAK = rf"</?[bB][rR][{_SPACE}]{{0,8}}(?:/[{_SPACE}]{{0,8}})?>"
# basic_english deletes double quotes before it looks for `<br />`.
_BASIC_BREAK = '<"{0,8}[bB]"{0,8}[rR]"{0,8} "{0,8}/"{0,8}>'

# Scripts written without spaces: each character, with its marks, is a token.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORDLY = rf"[\p{{L}}\p{{M}}\p{{N}}&&[^{_UNSPACED}]]"
_NOT = rf"n't(?!{_WORDLY})"
# A symbol with its accents, variation selector and skin colour. (Oniguruma's \X for a whole
# grapheme is quadratic in the length of some runs.)
_SYMBOL = rf"[^\p{{Cc}}\p{{Cf}}\p{{M}}{_SPACE}](?>[\p{{M}}\p{{Emoji_Modifier}}]{{0,8}})"
_WORD = "|".join(
    [
        _NOT,
        rf"'(?:s|re|ve|ll|d|m)(?!{_WORDLY})",
        r"(?>\p{Nd}{1,40})(?:[.,](?>\p{Nd}{1,40})){1,20}",  # 1,000.50
        rf"(?>(?:(?!{_NOT}){_WORDLY}){{1,100}})",  # ends before n't
        rf"[{_UNSPACED}]\p{{M}}{{0,8}}",
        r"[\x{1F1E6}-\x{1F1FF}]{2}",  # a flag
        rf"{_SYMBOL}(?>(?:\u200d{_SYMBOL}){{0,8}})",  # emoji joined into one
    ]
)
# A subword never spans letters and digits or punctuation; U+2581 marks the start of a word.
_RUNS = "|".join(
    rf"▁?(?>{run}{{1,64}})" for run in (r"[\p{L}\p{M}]", r"\p{N}", r"[^▁\p{L}\p{M}\p{N}]")
) + "|▁"  # fmt: skip


class Rules(NamedTuple):
    """How one kind of tokenizer splits a text.

    Args:
        normalizers: applied to the text in this order.
        pre_tokenizers: applied to the normalized text in this order.
        breaks: a pattern of what separates pieces besides white space, '' for nothing; None if
            each character is a piece. Where a text is split at ASCII white space alone, pieces
            may have other white space in them, or be blank, which has no tokens.
        decoder: joins tokens into a text, where a space between them is not enough.
        plain_words: whether a run of up to 100 ASCII letters is one token, its lower case, and
            `("` before and `,.!?;:)"` after ASCII letters are pieces of their own.
    """

    normalizers: tuple[normalizers.Normalizer, ...]
    pre_tokenizers: tuple[pre_tokenizers.PreTokenizer, ...]
    breaks: str | None
    decoder: decoders.Decoder | None = None
    plain_words: bool = False

    @property
    def cut(self) -> re.Pattern[str]:
        """A pattern whose match ends where a text may be cut in two without changing its tokens."""
        return _CUT_ANYWHERE if self.breaks is None else _CUT_AT_SPACE

    def pieces(self, text: str) -> list[str]:
        """Split a text into independent strings, whose tokens, in order, are those of the text."""
        if self.breaks is None:
            return list(text)
        if self.breaks and "<" in text:
            text = re.sub(self.breaks, " ", text)  # has white space within
        return text.split()


def rules_of(kind: str) -> Rules:
    """Return the rules of a kind of tokenizer (a name in `config.TOKENIZERS`)."""
    return _RULES[kind]()


def assemble(kind: str, model: Any) -> Tokenizer:
    """Make a tokenizer of the rules of `kind` and a model of the `tokenizers` library."""
    rules = rules_of(kind)
    tokenizer = Tokenizer(model)
    if rules.normalizers:
        tokenizer.normalizer = normalizers.Sequence(list(rules.normalizers))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(rules.pre_tokenizers))
    if rules.decoder is not None:
        tokenizer.decoder = rules.decoder
    return tokenizer


def pad_guard() -> normalizers.Normalizer:
    """Return the last normalizer: the characters `<pad>` in a text become unknown, not 0."""
    return normalizers.Replace(PAD, UNK)


def recognise(tokenizer: Tokenizer) -> str:
    """Return the kind whose rules a tokenizer follows, or 'file' if it has its own rules."""
    parts = _parts(tokenizer)
    for kind in _RULES:
        model = _MODELS.get(kind, WordLevel)
        if isinstance(tokenizer.model, model) and _parts(assemble(kind, model())) == parts:
            return kind
    return FROM_FILE


def _parts(tokenizer: Tokenizer) -> list[Any]:
    steps = (tokenizer.normalizer, tokenizer.pre_tokenizer)
    after = (tokenizer.post_processor, tokenizer.truncation, tokenizer.padding)
    states = [None if step is None else step.__getstate__() for step in steps]
    return [states, list(tokenizer.get_added_tokens_decoder()), *after]


def _lower() -> tuple[normalizers.Normalizer, ...]:
    """Lower-case as `str.lower` does: a capital sigma at the end of a word becomes ς."""
    ignored = r"(?>\p{Case_Ignorable}{0,30})"
    cased = r"[\p{Cased}&&[^\p{Case_Ignorable}]]"
    final_sigma = rf"{cased}{ignored}\KΣ(?!{ignored}\p{{Cased}})"
    return normalizers.Replace(Regex(final_sigma), "ς"), normalizers.Lowercase()


def _split_at_space() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(f"[{_SPACE}]{{1,1000}}"), "removed")


# Inside a break (`<br />`), white space is never followed by a letter or digit.
_CUT_AT_SPACE = re.compile(rf"[{_SPACE}](?=\w)")
_CUT_ANYWHERE = re.compile("(?s:.)")


def _clean() -> tuple[normalizers.Normalizer, ...]:
    """Drop HTML breaks, lower-case, and compose accents: one spelling for each word."""
    # Breaks go before NFC, which could join their > with a mark that follows; NFC comes last,
    # because the lower case of İ is an i with a mark.
    return (normalizers.Replace(Regex(_BREAK), " "), *_lower(), normalizers.NFC())


def _word() -> Rules:
    marks = (
        ("’", "'"),
        (Regex(r"(?<=\p{L})[`´](?=\p{L})"), "'"),  # don´t
        (Regex("``|''"), '"'),  # the Penn Treebank's quotation marks and brackets
        ("-lrb-", "("),
        ("-rrb-", ")"),
    )
    return Rules(
        (*_clean(), *(normalizers.Replace(old, new) for old, new in marks)),
        (pre_tokenizers.Split(Regex(_WORD), "removed", invert=True),),
        _BREAK,
        plain_words=True,
    )


def _basic_english() -> Rules:
    # torchtext's replacements amount to this: lower-case, drop `"`, split at `<br />`, `;` and
    # `:`, and six marks are tokens.
    clean = (
        normalizers.Replace(Regex(_BASIC_BREAK), " "),
        *_lower(),
        normalizers.Replace('"', ""),
        pad_guard(),
    )
    return Rules(
        clean,
        (
            pre_tokenizers.Split(Regex(f"[;:{_SPACE}]{{1,1000}}"), "removed"),
            pre_tokenizers.Split(Regex("['.,()!?]"), "isolated"),
        ),
        _BASIC_BREAK,
        plain_words=True,
    )


def _whitespace() -> Rules:
    return Rules((pad_guard(),), (_split_at_space(),), breaks="")


def _char() -> Rules:
    each = pre_tokenizers.Split(Regex("(?m:.)"), "isolated")  # (?m:.) is any character at all
    return Rules((), (each,), breaks=None, decoder=decoders.Fuse())


def _marked_words() -> Rules:
    return Rules(
        _clean(),
        (
            _split_at_space(),
            pre_tokenizers.Metaspace(prepend_scheme="always", split=False),
            pre_tokenizers.Split(Regex(_RUNS), "isolated"),
        ),
        _BREAK,
        decoders.Metaspace(prepend_scheme="always", split=False),
    )


def _wordpiece() -> Rules:
    return Rules(
        _clean(),
        (_split_at_space(), pre_tokenizers.BertPreTokenizer()),
        _BREAK,
        decoders.WordPiece(prefix=CONTINUATION),
    )


_RULES: dict[str, Callable[[], Rules]] = {
    "word": _word,
    "basic_english": _basic_english,
    "whitespace": _whitespace,
    "char": _char,
    "bpe": _marked_words,
    "wordpiece": _wordpiece,
    "unigram": _marked_words,
}


def word_tokens(text: str, normalizer: Any, pre_tokenizer: Any) -> list[str]:
    """Return the tokens of a text, which are whole words."""
    if normalizer is not None:
        text = normalizer.normalize_str(text)
    if pre_tokenizer is None:
        return [text] if text else []
    return [token for token, _ in pre_tokenizer.pre_tokenize_str(text)]


def count_tokens(batches: Iterable[Sequence[str]], rules: Rules) -> Counter[str]:
    """Count the tokens of valid texts. Equal pieces are counted first, and split once."""
    normalizer = normalizers.Sequence(list(rules.normalizers))
    pre_tokenizer = pre_tokenizers.Sequence(list(rules.pre_tokenizers))
    tokens: Counter[str] = Counter()
    pieces: Counter[str] = Counter()

    def count_pieces() -> None:
        for piece, count in pieces.items():
            for token in word_tokens(piece, normalizer, pre_tokenizer):
                tokens[token] += count
        pieces.clear()

    letters = 0
    for batch in batches:
        for text in batch:
            pieces.update(rules.pieces(text))
        letters += sum(map(len, batch))
        if letters > _COUNT_LETTERS or len(pieces) > _COUNT_PIECES:
            count_pieces()
            letters = 0
    count_pieces()
    return tokens
