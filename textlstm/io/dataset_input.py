"""Rows of a dataset of the `datasets` library: saved on disk, from the Hub or in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from textlstm.config import DataConfig, PredictionConfig
from textlstm.errors import ConfigError, DataError
from textlstm.io.arrow import batch_values
from textlstm.io.formats import Meter
from textlstm.io.hub_datasets import load_hub
from textlstm.io.locate import canonical_split, load_saved
from textlstm.io.readers import Row

_GROUP_ROWS = 2**16
_BATCH_ROWS = 1000


@dataclass(frozen=True)
class DatasetRows:
    """A dataset as rows, read where it lies and not copied.

    Args:
        name: how messages call it.
        dataset: the rows; formats and transforms set on it are not applied.
    """

    name: str
    dataset: datasets.Dataset

    @property
    def columns(self) -> pa.Schema:
        """Names and types of the columns."""
        return pa.schema(
            [field.with_nullable(True) for field in self.dataset.features.arrow_schema]
        )

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self.dataset)

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return -(-len(self.dataset) // _GROUP_ROWS)

    def rows(self, group: int, skip: int, meter: Meter) -> Iterator[Row]:
        """Read a group from its row `skip` (from 0) on."""
        first = group * _GROUP_ROWS
        end = min(first + _GROUP_ROWS, len(self.dataset))
        tables = self.dataset.with_format("arrow")
        for start in range(first + skip, end, _BATCH_ROWS):
            batch = tables[start : min(start + _BATCH_ROWS, end)]
            for number, (values, error) in enumerate(batch_values(batch), start + 1):
                yield Row(number, values, error)

    def share(self, group: int, meter: Meter) -> float:
        """Estimate how much of all lies before the end of a group."""
        return min(1.0, (group + 1) * _GROUP_ROWS / max(1, len(self.dataset)))

    def fingerprint(self) -> dict[str, str]:
        """Give what `datasets` knows its contents by."""
        return {self.name: f"{len(self.dataset):,} rows, fingerprint {self.dataset._fingerprint}"}


def of_dataset(dataset: Any) -> DatasetRows:
    """Take a dataset that a Python user hands over.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(dataset, datasets.Dataset):
        raise DataError(
            f"rows of type {type(dataset).__name__}: must be a path, a Hub name or a "
            "datasets.Dataset (of a DatasetDict, one split)"
        )
    return DatasetRows("the Dataset", dataset)


def from_disk(name: str, config: PredictionConfig) -> DatasetRows:
    """Open a folder of `save_to_disk`.

    Raises:
        ConfigError: a split, configuration or revision is asked for where there is none.
        DataError: the folder can't be read, or it is not clear which split is meant.
    """
    if config.dataset_config or config.dataset_revision:
        raise ConfigError(f"{name} is local: only a Hub dataset has a configuration or revision")
    saved = load_saved(Path(name).expanduser())
    if isinstance(saved, datasets.DatasetDict):
        return _choose(name, saved, config)
    if config.split:
        raise ConfigError(f"split = {config.split!r}: {name} is one dataset without splits")
    return DatasetRows(name, saved)


def from_hub(name: str, config: PredictionConfig) -> DatasetRows:
    """Load a split of a Hub dataset, from the network or the cache.

    Raises:
        DataError: it can't be loaded, or it is not clear which split is meant.
    """
    options = DataConfig(
        dataset_config=config.dataset_config, dataset_revision=config.dataset_revision
    )
    return _choose(f"the Hub dataset {name}", load_hub(name, options), config)


def _choose(
    name: str, splits: Mapping[str, datasets.Dataset], config: PredictionConfig
) -> DatasetRows:
    """Take the split asked for, or the only one there is."""
    listing = ", ".join(splits)
    if config.split is None:
        if len(splits) != 1:
            raise DataError(f"{name} has the splits {listing}: pass --split")
        (split,) = splits
    else:
        found = [
            split
            for split in splits
            if split == config.split or canonical_split(split) == canonical_split(config.split)
        ]
        if not found:
            raise DataError(f"split {config.split!r} is not in {name}; its splits are {listing}")
        split = config.split if config.split in found else found[0]
    return DatasetRows(f"{split} of {name}", splits[split])
