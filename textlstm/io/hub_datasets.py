"""Datasets of the Hub: from the network or the cache, never by running code of others."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping

import datasets
import huggingface_hub

from textlstm.config import TableConfig
from textlstm.errors import DataError
from textlstm.io.formats import first_line
from textlstm.io.hub import PROBE_SECONDS, without_bars

_UNREACHABLE = {"ConnectError", "ConnectTimeout", "ConnectionError", "ProxyError"}
_FALLBACK = "use `sample` or local files (csv, tsv, jsonl, parquet)"


def load_hub(name: str, options: TableConfig) -> Mapping[str, datasets.Dataset]:
    """Load a dataset from the Hub or, where that is out of reach, from its cached copy.

    Args:
        name: 'owner/name' or 'name'.
        options: its configuration and revision.

    Returns:
        Split to dataset, memory-mapped.

    Raises:
        DataError: the Hub is out of reach, has no such dataset or can't give it.
    """
    try:
        with quiet(), _cache_only(not _hub_answers(name)):
            found: Mapping[str, datasets.Dataset] = datasets.load_dataset(
                name, options.dataset_config, revision=options.dataset_revision
            )
    except Exception as error:  # load_dataset lets through whatever its many layers raise
        raise DataError(_hub_reason(name, error)) from error
    return found


def _hub_answers(name: str) -> bool:
    """Ask the Hub once: `load_dataset` alone repeats its request for 20 seconds and more."""
    try:
        huggingface_hub.HfApi().dataset_info(name, timeout=PROBE_SECONDS)
    except Exception as error:
        return not _UNREACHABLE & {kind.__name__ for kind in type(error).__mro__}
    return True


@contextlib.contextmanager
def _cache_only(on: bool) -> Iterator[None]:
    """Let `datasets` read its cache only, as with HF_HUB_OFFLINE=1."""
    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = before or on
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the progress bars and the retry messages of the libraries off the terminal."""
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    with warnings.catch_warnings(), without_bars(datasets.utils):
        warnings.simplefilter("ignore", UserWarning)
        hub.setLevel(logging.ERROR)
        try:
            yield
        finally:
            hub.setLevel(level)


def _hub_reason(name: str, error: Exception) -> str:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if _UNREACHABLE & kinds or "LocalEntryNotFoundError" in kinds:
        return f"no such local file or folder: {name}; and the Hub is out of reach: {_FALLBACK}"
    if "DatasetNotFoundError" in kinds or "HFValidationError" in kinds:
        return (
            f"no such local file or folder: {name}; nor is it on the Hub or open to you "
            f"({first_line(error)}): check the name, or {_FALLBACK}"
        )
    cause = error.__cause__ if "DatasetGenerationError" in kinds and error.__cause__ else error
    message = " ".join(str(cause).split())
    hint = "; pass --dataset-config" if "config" in message.lower() else ""
    return f"the Hub dataset {name} cannot be loaded ({message[:400]}){hint}, or {_FALLBACK}"
