"""Vocabularies of torchtext: read without it, made where torchtext is installed.

torchtext 0.18 was the last release; its compiled part works with torch 2.3 only.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from textlstm.errors import MissingDependencyError, VocabularyError

TORCH = "2.3"
_REMEDY = "in a new environment, run pip install 'textlstm[torchtext]'"


def read_vocab(vocab: Any) -> tuple[list[str], int | None]:
    """Read a vocabulary of torchtext, which need not be installed.

    Args:
        vocab: a `torchtext.vocab.Vocab`, or any object with its `get_itos` and
            `get_default_index`.

    Returns:
        The tokens in the order of their indices, and the index of unknown tokens, None if none
        was set.

    Raises:
        VocabularyError: it is something else.
    """
    if not (hasattr(vocab, "get_itos") and hasattr(vocab, "get_default_index")):
        raise VocabularyError(
            f"a {type(vocab).__name__} is not a vocabulary of torchtext: pass a"
            " torchtext.vocab.Vocab, or its list of tokens to Vocabulary.from_itos"
        )
    default = vocab.get_default_index()
    return list(vocab.get_itos()), None if default is None else int(default)


def make_vocab(itos: Sequence[str], default_index: int | None) -> Any:
    """Make a vocabulary of torchtext.

    Args:
        itos: the tokens in the order of their indices.
        default_index: index of unknown tokens; None makes torchtext raise for them.

    Returns:
        A `torchtext.vocab.Vocab`.

    Raises:
        MissingDependencyError: torch is not 2.3, or torchtext is not installed.
    """
    from importlib.metadata import PackageNotFoundError, version  # slow, and rarely needed

    torch = version("torch")
    if not torch.startswith(TORCH + "."):
        raise MissingDependencyError(
            f"torchtext 0.18, its last release, works with torch {TORCH} only, and torch {torch} is"
            f" installed: {_REMEDY}"
        )
    try:
        version("torchtext")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about its end
            from torchtext.vocab import vocab
    except (PackageNotFoundError, ImportError, OSError) as error:  # OSError: its compiled part
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MissingDependencyError(f"torchtext can't be loaded ({reason}): {_REMEDY}") from error
    made = vocab(dict.fromkeys(itos, 1))
    made.set_default_index(default_index)
    return made
