"""Word vectors known by name: fetched once from the Hugging Face Hub into its cache.

Sizes, hashes and commits are pinned, so that a name always means the same numbers.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from textlstm.config import VECTORS
from textlstm.errors import DataError
from textlstm.io.atomic import file_hash

logger = logging.getLogger(__name__)

_SIZE_TOLERANCE = 0.005  # some sizes are known only as the Hub shows them, rounded


@dataclass(frozen=True)
class NamedVectors:
    """A file of word vectors on the Hub.

    Args:
        repo: 'owner/name'.
        revision: the commit.
        file: its path there.
        size: bytes.
        sha256: of its content, in hexadecimal digits.
        words: how many have a vector.
        numbers: per word.
        member: the file in it, if it is a zip archive of several.
        kind: of the repository: 'model', 'dataset' or 'space'.
    """

    repo: str
    revision: str
    file: str
    size: int
    sha256: str
    words: int
    numbers: int
    member: str | None = None
    kind: str = "model"

    def cached(self) -> Path | None:
        """Return the file in the cache of the Hub; None if it is not there."""
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(
            self.repo, self.file, revision=self.revision, repo_type=self.kind
        )
        return Path(path) if isinstance(path, str) else None


def _glove(numbers: int) -> NamedVectors:
    return NamedVectors(
        repo="stanfordnlp/glove",
        revision="1db2080b2d94def6e5b0386a523102f9d8849e9d",
        file="glove.6B.zip",
        size=862_182_613,
        sha256="617afb2fe6cbd085c235baf7a465b96f4112bd7f7ccb2b2cbd649fed9cbcf2fb",
        words=400_000,
        numbers=numbers,
        member=f"glove.6B.{numbers}d.txt",
    )


KNOWN = {
    **{f"glove-{numbers}": _glove(numbers) for numbers in (50, 100, 200, 300)},
    "fasttext-en": NamedVectors(
        repo="facebook/fasttext-en-vectors",
        revision="a80392390daaee1a91000da45c376d512e1dc555",
        file="model.bin",
        size=7_237_176_312,
        sha256="14c7167b130056944cbdc37b7451f055867fe9a4e3fed3bbc1ecc0e74f6763ca",
        words=2_000_000,
        numbers=300,
    ),
    "wiki-news": NamedVectors(
        repo="vialibre/edia_we_es",
        revision="37a709be9df301700688bb4401df02f97f70456b",
        file="data/wiki-news-300d-1M.vec",
        size=2_260_000_000,
        sha256="dd4d0ea4f00dbd94ea4948957506f5c6601dd06c54150f898ce1acc15621284b",
        words=999_994,
        numbers=300,
        kind="space",
    ),
}
"""The vectors of `textlstm.config.VECTORS`: GloVe 6B (Pennington et al. 2014), and of fastText
those of Common Crawl (Grave et al. 2018) and of Wikipedia and news (Mikolov et al. 2018)."""

assert tuple(KNOWN) == VECTORS


def find_vectors(name: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """Return a file of word vectors; one that is known by name is fetched if it isn't cached.

    Args:
        name: a file; or, where there is none of this name, one of `KNOWN`.

    Returns:
        (the file, the member of it that is meant if it is an archive of several).

    Raises:
        DataError: the Hub is out of reach, or has another file than expected.
    """
    known = KNOWN.get(os.fspath(name))
    if known is None or Path(name).exists():
        return Path(name), None
    path = known.cached() or _fetch(os.fspath(name), known)
    if not _fits(path.stat().st_size, known):
        raise DataError(
            f"the cached copy of {name} has {path.stat().st_size:,} bytes, not {known.size:,}: "
            f"delete {path}, so that it is fetched again"
        )
    return path, known.member


def shown_size(size: int) -> str:
    """Return a number of bytes as people read it."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _fits(size: int | None, known: NamedVectors) -> bool:
    return size is not None and abs(size - known.size) <= _SIZE_TOLERANCE * known.size


def _fetch(name: str, known: NamedVectors) -> Path:
    """Download a file and check it; a file that is not the expected one is not kept."""
    import huggingface_hub as hub

    from textlstm.io.hub import PROBE_SECONDS, without_bars

    url = hub.hf_hub_url(known.repo, known.file, repo_type=known.kind, revision=known.revision)
    try:
        # a download repeats a failed request for 20 seconds and more; this does not
        found = hub.get_hf_file_metadata(url, timeout=PROBE_SECONDS)
    except Exception as error:  # of the transport, or an answer of the Hub
        raise _unreachable(name, known, error) from error
    if found.etag != known.sha256 or not _fits(found.size, known):
        raise DataError(
            f"{known.file} of {known.repo} on the Hugging Face Hub is not the file that {name} "
            f"stands for (sha256 {found.etag}, {found.size} bytes): pass a file of vectors"
        )
    logger.info(
        "fetching %s, once: %s, %s of %s on the Hugging Face Hub",
        *(name, shown_size(known.size), known.file, known.repo),
    )
    try:
        # in a terminal the client shows its progress
        shown = sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)
        with contextlib.nullcontext() if shown else without_bars():
            path = Path(
                hub.hf_hub_download(
                    known.repo, known.file, repo_type=known.kind, revision=known.revision
                )
            )
    except Exception as error:
        raise _unreachable(name, known, error) from error
    if file_hash(path) != known.sha256:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise DataError(f"{name} was damaged on its way (its hash differs): run the command again")
    return path


def _unreachable(name: str, known: NamedVectors, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(
        f"{name} is not in the cache and can't be fetched from {known.repo} on the Hugging Face "
        f"Hub ({reason[:200]}): check the network, or pass a file of vectors"
    )
