"""Where data can come from: the names of splits, the bundled sample, saved datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textlstm.errors import DataError
from textlstm.io.formats import first_line

if TYPE_CHECKING:
    import datasets

SPLIT_NAMES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
SAMPLE = Path(__file__).parents[1] / "sample"


def canonical_split(name: str) -> str:
    """Give 'validation' for 'valid', 'val' and 'dev'; an unknown name stays as it is."""
    return SPLIT_NAMES.get(name.lower(), name)


def load_saved(folder: Path) -> datasets.Dataset | datasets.DatasetDict:
    """Open a folder written by `save_to_disk`, memory-mapped.

    Raises:
        DataError: it can't be read.
    """
    import datasets  # takes a second, and not every source needs it

    from textlstm.io.hub_datasets import quiet

    try:
        with quiet():
            return datasets.load_from_disk(str(folder), keep_in_memory=False)
    except Exception as error:  # whatever a damaged folder makes of the library
        message = first_line(error)
        raise DataError(f"the saved dataset {folder} cannot be read: {message}") from error
