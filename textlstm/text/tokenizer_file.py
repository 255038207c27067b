"""Read a `tokenizer.json`, ours or any other, so that `<pad>` is 0 and `<unk>` is 1.

The padding and unknown token of a foreign file get these names and ids, the other entries
follow in their order without gaps. Post-processor, truncation, padding and dropout are dropped:
texts to classify have no `[CLS]` or `[SEP]` around them, and always the same tokens.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from textlstm.errors import VocabularyError, system_errors
from textlstm.text.rules import FROM_FILE, pad_guard, recognise
from textlstm.text.vocabulary import PAD, PAD_ID, UNK, UNK_ID

_PAD_NAMES = (PAD, "[PAD]")
_UNK_NAMES = (UNK, "[UNK]")
_MOST_GROWTH = 100  # times longer, by one replacement; in a row this squared
_PROBE = "a \U0010ffff b"  # words that no vocabulary has
_REMEDY = "save it again with the tokenizers library (Tokenizer.save), or choose a kind by name"


def read_tokenizer(path: str | os.PathLike[str]) -> tuple[Tokenizer, str]:
    """Read a `tokenizer.json` of the `tokenizers` library.

    Args:
        path: the file.

    Returns:
        The tokenizer with `<pad>` at 0 and `<unk>` at 1 and ids without gaps, and its kind: a
        name in `config.TOKENIZERS` if it follows the rules of that kind, else 'file'.

    Raises:
        VocabularyError: the file is missing, malformed, or can't be converted to these ids.
    """
    content = _read_json(path)
    content["model"].pop("dropout", None)  # a text would have other tokens each time
    reading = f"{path} is not a tokenizer.json for this version of tokenizers"
    with library_errors(VocabularyError, reading):
        tokenizer = Tokenizer.from_str(json.dumps(content))
    kind = recognise(tokenizer)
    try:
        if kind == FROM_FILE:
            _check_growth(content)
        if kind == FROM_FILE or not _has_our_ids(tokenizer):
            tokenizer, kind = _renumbered(content)
    except _UnfitError as error:
        raise VocabularyError(f"{path}: {error}") from error
    with library_errors(VocabularyError, f"{path} can't encode a text"):
        tokenizer.encode(_PROBE, add_special_tokens=False)
    return tokenizer, kind


@contextlib.contextmanager
def library_errors(kind: type[Exception], message: str) -> Iterator[None]:
    """Turn errors of the library inside the block into ours.

    It raises bare Exceptions, and panics besides: a `PanicException` is a BaseException.

    Args:
        kind: the class of the error to raise.
        message: what can't be done, before the library's own words.

    Raises:
        Exception: of that class.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise kind(f"{message}: {error}; {_REMEDY}") from error
        raise


class _UnfitError(Exception):
    """The entries can't be converted to our ids; the message says why and what to do."""


def _check_growth(content: Mapping[str, Any]) -> None:
    """Refuse replacements that one after the other could fill the memory by a short text."""
    with library_errors(_UnfitError, "its steps can't be read"):
        factors = [*_factors([content.get("normalizer"), content.get("pre_tokenizer")])]
    if max(factors, default=1) > _MOST_GROWTH or math.prod(factors) > _MOST_GROWTH**2:
        raise _UnfitError(
            f"its replacements make a text more than {_MOST_GROWTH} times longer; {_REMEDY}"
        )


def _factors(step: Any) -> Iterator[float]:
    """Yield how many times longer each replacement in a step may make a text, at most."""
    if isinstance(step, dict) and "content" in step:
        pattern = step.get("pattern")
        found = pattern.get("String") if isinstance(pattern, dict) else None
        yield max(1.0, len(str(step["content"])) / len(found or " "))
    elif isinstance(step, dict | list):
        for part in step.values() if isinstance(step, dict) else step:
            yield from _factors(part)


def _read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    with system_errors(VocabularyError, f"cannot read the tokenizer {path}"):
        data = Path(path).read_bytes()
    try:
        content: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise VocabularyError(f"{path} is not valid JSON: {error}; {_REMEDY}") from error
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise VocabularyError(f"{path} is not a tokenizer.json: it has no 'model'; {_REMEDY}")
    return content


def _has_our_ids(tokenizer: Tokenizer) -> bool:
    vocab = tokenizer.get_vocab(with_added_tokens=True)
    in_place = vocab.get(PAD) == PAD_ID and vocab.get(UNK) == UNK_ID
    return in_place and sorted(vocab.values()) == list(range(len(vocab)))


def _load(content: dict[str, Any]) -> Tokenizer:
    with library_errors(_UnfitError, "it can't be renumbered"):
        tokenizer = Tokenizer.from_str(json.dumps(content))
    if not _has_our_ids(tokenizer):
        raise _UnfitError(f"its entries can't be numbered with {PAD} 0, {UNK} 1; {_REMEDY}")
    return tokenizer


def _renumbered(content: dict[str, Any]) -> tuple[Tokenizer, str]:
    _renumber(content)
    tokenizer = _load(content)
    kind = recognise(tokenizer)
    if kind == FROM_FILE:
        content["normalizer"] = _guarded(content.get("normalizer"))
        tokenizer = _load(content)
    return tokenizer, kind


def _renumber(content: dict[str, Any]) -> None:
    """Rename and renumber the entries in place."""
    model = content["model"]
    entries = _entries(model)
    added = sorted(content.get("added_tokens") or [], key=lambda token: token["id"])
    names = {*entries, *(token["content"] for token in added)}
    unk = _unk_of(model, entries, names)
    pad = _pad_of(content, names)
    for found, ours in ((pad, PAD), (unk, UNK)):
        if found != ours and ours in names:
            raise _UnfitError(
                f"its {'padding' if ours == PAD else 'unknown'} token is {found!r} and it has"
                f" another entry {ours!r}: rename that entry"
            )
    ordinary = [token for token in entries if token not in (pad, unk)]
    later = [t for t in added if t["content"] not in (pad, unk)]
    vocab = {token: index for index, token in enumerate([PAD, UNK, *ordinary])}
    _store(model, vocab, {PAD: pad, UNK: unk})
    # The library numbers added tokens outside the model's vocabulary after it, in this order.
    numbers = dict(vocab)
    for token in later:
        token["id"] = numbers.setdefault(token["content"], len(numbers))
    content["added_tokens"] = later
    content.update(post_processor=None, truncation=None, padding=None)


def _entries(model: dict[str, Any]) -> list[str]:
    """Return the tokens of the model in the order of their ids."""
    vocab = model["vocab"]
    if isinstance(vocab, list):
        tokens = [token for token, _ in vocab]
        if len(set(tokens)) < len(tokens):
            raise _UnfitError(f"an entry occurs twice in its vocabulary; {_REMEDY}")
        return tokens
    return sorted(vocab, key=vocab.get)


def _unk_of(model: dict[str, Any], entries: list[str], names: set[str]) -> str | None:
    if isinstance(model["vocab"], list):
        index = model.get("unk_id")
        return None if index is None else entries[index]
    if model.get("unk_token") in names:
        return str(model["unk_token"])
    return next((name for name in _UNK_NAMES if name in names), None)


def _pad_of(content: dict[str, Any], names: set[str]) -> str | None:
    named = (content.get("padding") or {}).get("pad_token")
    return next((name for name in (PAD, named, *_PAD_NAMES) if name and name in names), None)


def _store(model: dict[str, Any], vocab: dict[str, int], found: dict[str, str | None]) -> None:
    """Put the new vocabulary into the model; `found` has the old names of our two entries."""
    if isinstance(model["vocab"], list):
        scores = dict(model["vocab"])
        model["vocab"] = [[token, scores.get(found.get(token, token), 0.0)] for token in vocab]
        model["unk_id"] = UNK_ID
        return
    model["vocab"] = vocab
    # A BPE without an unknown token drops what it can't spell; the others would raise.
    if "merges" not in model or model.get("unk_token") is not None:
        model["unk_token"] = UNK


def _guarded(normalizer: Any) -> dict[str, Any]:
    """Add our guard against a literal `<pad>` after a foreign normalizer, once."""
    guard: dict[str, Any] = json.loads(pad_guard().__getstate__())
    if normalizer is None:
        return {"type": "Sequence", "normalizers": [guard]}
    if not isinstance(normalizer, dict):
        raise _UnfitError(f"its normalizer is no object; {_REMEDY}")
    steps = normalizer["normalizers"] if normalizer.get("type") == "Sequence" else [normalizer]
    return {"type": "Sequence", "normalizers": [*(s for s in steps if s != guard), guard]}
