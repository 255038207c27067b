"""Tokens and their ids: an immutable list of tokens with counts, as text or JSON on disk.

Two entries are fixed: `<pad>` is 0 (it fills up the batches) and `<unk>` is 1 (every token
outside the vocabulary becomes this id).
"""

from __future__ import annotations

import json
import operator
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from textlstm.errors import VocabularyError, system_errors
from textlstm.io.atomic import write_text
from textlstm.text.torchtext import make_vocab, read_vocab

PAD, UNK = "<pad>", "<unk>"
PAD_ID, UNK_ID = 0, 1
JSON_VERSION = 1

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_ESCAPE_TABLE = str.maketrans(_ESCAPES)
_UNESCAPES = {written: token for token, written in _ESCAPES.items()}
_BACKSLASH = re.compile(r"\\(?s:.)|\\$")
_COUNTED = re.compile(r"([^\t]*)\t([0-9]{1,18})")  # token<TAB>count; a count has 64 bits
_SURROGATE = re.compile("[\ud800-\udfff]")


class Vocabulary:
    """An ordered set of tokens; the position of a token is its id.

    Args:
        itos: tokens in the order of their ids; the first two are `<pad>` and `<unk>`.
        counts: how often each token occurred, in the same order; default: all 0. The count of
            `<unk>` is that of all tokens outside the vocabulary, so that the sum is the number
            of tokens counted.

    Raises:
        VocabularyError: the specials are not the first two, a token occurs twice or can't be
            written as UTF-8, or there are more or fewer counts than tokens.
    """

    __slots__ = ("_counts", "_default", "_itos", "_stoi")

    def __init__(self, itos: Sequence[str], counts: Sequence[int] | None = None) -> None:
        tokens = tuple(itos)
        _check_tokens(tokens)
        if tokens[:2] != (PAD, UNK):
            raise VocabularyError(
                f"a vocabulary begins with {PAD}, {UNK}, this one with {list(tokens[:2])}:"
                " use Vocabulary.from_itos, which inserts them"
            )
        self._fill(tokens, _check_counts(tokens, counts), UNK_ID)

    def _fill(self, tokens: tuple[str, ...], counts: tuple[int, ...], default: int | None) -> None:
        self._itos = tokens
        self._counts = counts
        self._stoi = {token: index for index, token in enumerate(tokens)}
        self._default = default

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], *, size: int | None = None, min_frequency: int = 1
    ) -> Vocabulary:
        """Make a vocabulary of the most frequent tokens: count descending, then token.

        Args:
            counts: token to count. A `<pad>` or `<unk>` among them counts as an unknown token.
            size: maximum number of entries, including the two specials; default: no limit.
            min_frequency: minimum count of an entry.

        Returns:
            The vocabulary; the order of `counts` has no influence on it.

        Raises:
            VocabularyError: `size` is below 2, or a token or count is not valid.
        """
        if size is not None and size < 2:
            raise VocabularyError(f"size = {size}: must be at least 2, for {PAD} and {UNK}")
        frequent = {
            token: count
            for token, count in counts.items()
            if count >= min_frequency and token not in (PAD, UNK)
        }
        order = sorted(frequent, key=lambda token: (-frequent[token], token))
        kept = {token: frequent[token] for token in order[: None if size is None else size - 2]}
        left_out = sum(counts.values()) - sum(kept.values())
        return cls([PAD, UNK, *kept], [0, left_out, *kept.values()])

    @classmethod
    def from_itos(cls, itos: Sequence[str], counts: Sequence[int] | None = None) -> Vocabulary:
        """Make a vocabulary of a list of tokens in its order.

        Args:
            itos: the tokens. The two specials are inserted, or moved, to the front.
            counts: their counts, in the same order.

        Returns:
            The vocabulary.

        Raises:
            VocabularyError: a token occurs twice or is not a string, or there are more or fewer
                counts than tokens.
        """
        tokens = tuple(itos)
        _check_tokens(tokens)
        entries = dict(zip(tokens, _check_counts(tokens, counts), strict=True))
        entries = {PAD: entries.pop(PAD, 0), UNK: entries.pop(UNK, 0), **entries}
        return cls(list(entries), list(entries.values()))

    @classmethod
    def from_torchtext(cls, vocab: Any) -> Vocabulary:
        """Convert a vocabulary of torchtext: every token at its index, and the default index.

        torchtext need not be installed. Its vocabularies have no counts; they are 0 here.

        torchtext allows `<pad>` and `<unk>` at other indices than 0 and 1. The result keeps
        them where they are: it looks tokens up as torchtext does, and `to_torchtext` returns an
        equal vocabulary. Models here need these two in front; `renumbered` puts them there, as
        reading a saved file does.

        Args:
            vocab: a `torchtext.vocab.Vocab`.

        Returns:
            The vocabulary.

        Raises:
            VocabularyError: it is no such vocabulary, or a token can't be written as UTF-8.
        """
        tokens, default = read_vocab(vocab)
        _check_tokens(tuple(tokens))
        made = cls.__new__(cls)
        made._fill(tuple(tokens), (0,) * len(tokens), default)
        return made

    def to_torchtext(self) -> Any:
        """Return a `torchtext.vocab.Vocab` with the same indices and default index.

        Raises:
            MissingDependencyError: torch is not 2.3, or torchtext is not installed.
        """
        return make_vocab(self._itos, self._default)

    def renumbered(self) -> Vocabulary:
        """Return the vocabulary with `<pad>` 0 and `<unk>` 1, as models here need it.

        Tokens keep their order. Without a token `<unk>`, the one at the default index takes
        this name, if there is such an index.
        """
        tokens = list(self._itos)
        if UNK not in self and self._default is not None:
            tokens[self._default] = UNK
        return Vocabulary.from_itos(tokens, self._counts)

    @property
    def counts(self) -> tuple[int, ...]:
        """How often each token occurred, in the order of the ids."""
        return self._counts

    def __contains__(self, token: object) -> bool:
        return token in self._stoi

    def __getitem__(self, token: str) -> int:
        return self.lookup_indices([token])[0]

    def __len__(self) -> int:
        return len(self._itos)

    def __iter__(self) -> Iterator[str]:
        return iter(self._itos)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self._state() == other._state()

    def __hash__(self) -> int:
        return hash(self._state())

    def _state(self) -> tuple[Any, ...]:
        return self._itos, self._counts, self._default

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens)"

    def lookup_indices(self, tokens: Iterable[str]) -> list[int]:
        """Return the ids of `tokens`; an unknown one has the default index, that of `<unk>`.

        Raises:
            VocabularyError: a token is unknown, and the vocabulary came from torchtext without a
                default index.
        """
        default = self._default
        if default is not None:
            return [self._stoi.get(token, default) for token in tokens]
        try:
            return [self._stoi[token] for token in tokens]
        except KeyError as error:
            raise VocabularyError(
                f"token {error} is not in the vocabulary, which came from torchtext without"
                " a default index: set one there, or use renumbered()"
            ) from None

    def lookup_token(self, index: int) -> str:
        """Return the token with this id; raises `VocabularyError` where there is none."""
        number = operator.index(index)
        if not 0 <= number < len(self._itos):
            raise VocabularyError(f"id {number} is not in the vocabulary: 0 to {len(self) - 1}")
        return self._itos[number]

    def lookup_tokens(self, indices: Iterable[int]) -> list[str]:
        """Return the tokens with these ids; raises `VocabularyError` where there is none."""
        return [self.lookup_token(index) for index in indices]

    def get_itos(self) -> list[str]:
        """Return all tokens in the order of their ids."""
        return list(self._itos)

    def get_stoi(self) -> dict[str, int]:
        """Return a new dictionary from token to id."""
        return dict(self._stoi)

    def get_default_index(self) -> int | None:
        """Return the id of tokens outside the vocabulary: that of `<unk>`.

        Only a vocabulary that came from torchtext may have another, or None.
        """
        return self._default

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the vocabulary, all or nothing: JSON for a `.json` name, else text."""
        as_json = Path(path).suffix.lower() == ".json"
        write_text(path, self.to_json() if as_json else self.to_text())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Read what `save` wrote, or a plain list of tokens, one on each line.

        Args:
            path: a `.json` file, or a text file of any other name.

        Returns:
            The vocabulary.

        Raises:
            VocabularyError: the file is missing or malformed; its name and line are named.
        """
        with system_errors(VocabularyError, f"cannot read the vocabulary {path}"):
            data = Path(path).read_bytes()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise VocabularyError(
                f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8:"
                " save the vocabulary as UTF-8"
            ) from error
        as_json = Path(path).suffix.lower() == ".json"
        return cls.from_json(text, str(path)) if as_json else cls.from_text(text, str(path))

    def to_text(self) -> str:
        r"""Return one line per token, `token<TAB>count`.

        A backslash, tab, line feed and carriage return in a token are written `\\`, `\t`, `\n`
        and `\r`; nothing else is changed. One from torchtext is `renumbered` first.
        """
        whole = self.renumbered()
        return "".join(
            f"{token.translate(_ESCAPE_TABLE)}\t{count}\n"
            for token, count in zip(whole, whole.counts, strict=True)
        )

    @classmethod
    def from_text(cls, text: str, name: str = "vocabulary") -> Vocabulary:
        """Read what `to_text` returned, or a plain list of tokens, one on each line.

        Args:
            text: the lines. Without a tab in the first line it is a plain list: each line is a
                token as it is written, and all counts are 0.
            name: what errors call it.

        Returns:
            The vocabulary; in a list without them, the two specials are inserted.

        Raises:
            VocabularyError: a line is malformed; its number is named.
        """
        lines = text.removesuffix("\n").split("\n") if text else []
        counted = bool(lines) and "\t" in lines[0]
        numbers: dict[str, int] = {}  # token -> line
        counts: list[int] = []
        for number, raw in enumerate(lines, start=1):
            line = raw.removesuffix("\r")  # of an editor; our own files escape it
            where = f"{name}, line {number}"
            token, count = _read_counted(line, where) if counted else (_read_plain(line, where), 0)
            first = numbers.setdefault(token, number)
            if first != number:
                raise VocabularyError(
                    f"{where}: {token!r} is already on line {first}: delete one of them"
                )
            counts.append(count)
        return cls.from_itos(list(numbers), counts)

    def to_json(self) -> str:
        """Return the `renumbered` vocabulary as a JSON object with `tokens` and `counts`."""
        whole = self.renumbered()
        content = {"version": JSON_VERSION, "tokens": whole._itos, "counts": whole.counts}
        return json.dumps(content, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = "vocabulary") -> Vocabulary:
        """Read what `to_json` returned, or a plain JSON list of tokens.

        Args:
            text: the JSON.
            name: what errors call it.

        Returns:
            The vocabulary; in a list without them, the two specials are inserted.

        Raises:
            VocabularyError: it is not JSON (the line is named), or not a vocabulary.
        """
        try:
            content: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            line, reason = getattr(error, "lineno", 1), getattr(error, "msg", str(error))
            raise VocabularyError(f"{name}, line {line}: not valid JSON: {reason}") from error
        if isinstance(content, list):
            content = {"tokens": content}
        if not isinstance(content, dict) or not isinstance(content.get("tokens"), list):
            raise VocabularyError(
                f"{name} is not a vocabulary: expected a list of tokens, or an object with"
                " 'tokens' and 'counts' (for a tokenizer.json use --tokenizer)"
            )
        version, counts = content.get("version", JSON_VERSION), content.get("counts")
        if version != JSON_VERSION:
            raise VocabularyError(
                f"{name} has version {version!r}, this textlstm reads {JSON_VERSION}: update it"
            )
        if not isinstance(counts, list | None):
            raise VocabularyError(
                f"{name}: 'counts' is {counts!r:.40}: must be a list of whole numbers"
            )
        try:
            return cls.from_itos(content["tokens"], counts)
        except VocabularyError as error:
            raise VocabularyError(f"{name}: {error}") from error


def _check_tokens(tokens: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for token in tokens:
        if not isinstance(token, str):
            raise VocabularyError(f"token {token!r} is not a string: write it in quotes")
        if _SURROGATE.search(token):
            raise VocabularyError(
                f"token {token!r} is not valid Unicode text: it has half of a surrogate pair;"
                " delete it"
            )
        if token in seen:
            raise VocabularyError(f"token {token!r} occurs twice: delete one of them")
        seen.add(token)


def _check_counts(tokens: Sequence[str], counts: Sequence[int] | None) -> tuple[int, ...]:
    if counts is None:
        return (0,) * len(tokens)
    if len(counts) != len(tokens):
        raise VocabularyError(f"{len(counts)} counts for {len(tokens)} tokens: must be as many")
    for token, count in zip(tokens, counts, strict=True):
        if isinstance(count, bool) or not hasattr(count, "__index__") or count < 0:
            raise VocabularyError(
                f"count {count!r} of token {token!r}: must be a whole number, 0 or more"
            )
    return tuple(map(operator.index, counts))


def _read_counted(line: str, where: str) -> tuple[str, int]:
    found = _COUNTED.fullmatch(line)
    if found is None:
        raise VocabularyError(
            f"{where}: expected token<TAB>count, found {_short(line)}; correct the line"
        )

    def unescape(match: re.Match[str]) -> str:
        if match[0] not in _UNESCAPES:
            raise VocabularyError(
                f"{where}: {match[0]!r} in {_short(found[1])} is not an escape sequence: write"
                " a backslash in a token twice"
            )
        return _UNESCAPES[match[0]]

    return _BACKSLASH.sub(unescape, found[1]), int(found[2])


def _read_plain(line: str, where: str) -> str:
    if not line:
        raise VocabularyError(f"{where} is empty: delete it")
    if "\t" in line:
        raise VocabularyError(
            f"{where}: {_short(line)} has a tab and line 1 has none: either every line is"
            " token<TAB>count or every line is a token"
        )
    return line


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
