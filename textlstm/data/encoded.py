"""Token ids of many texts, in one memory-mapped file.

Shapes: N texts (rows), T tokens of one text.

The file, all little-endian: the ids of all texts one after the other (int32), zero bytes up to
a multiple of 8, the N + 1 offsets at which texts begin and end (int64), then a footer of the
number of texts and of ids (int64 each) and eight bytes of magic. The footer stands last, so
that ids can be written while texts are still being read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from textlstm.errors import DataError
from textlstm.io.atomic import atomic_path
from textlstm.text.vocabulary import UNK_ID

SUFFIX = ".tokens"
_MAGIC = int.from_bytes(b"txtlstm1", "little")
_ID = np.dtype("<i4")
_OFFSET = np.dtype("<i8")
_FOOTER_BYTES = 3 * 8
_CHUNK = 1 << 20  # ids looked at together where all are read


class EncodedTexts:
    """Token ids of N texts.

    Args:
        ids: the ids of all texts one after the other, int32, flat; usually a memory map.
        offsets: where each text begins in `ids`, and the end of the last, int64 [N + 1].
    """

    def __init__(self, ids: np.ndarray, offsets: np.ndarray) -> None:
        self.ids = ids
        self.offsets = offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64 [N]."""
        return np.diff(self.offsets)

    @classmethod
    def write(
        cls, folder: Path, name: str, batches: Iterable[tuple[np.ndarray, np.ndarray]]
    ) -> EncodedTexts:
        """Write texts to a file as they come; only their offsets are held in memory.

        Args:
            folder: where the file goes.
            name: its name without suffix, e.g. 'train'.
            batches: (ids flat, lengths) of some texts each, every length at least 1.

        Returns:
            The texts, read from the new file.

        Raises:
            OutputError: the file can't be written.
        """
        lengths_of = [np.zeros(1, _OFFSET)]
        path = Path(folder) / (name + SUFFIX)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            for ids, lengths in batches:
                lengths_of.append(lengths)
                file.write(np.ascontiguousarray(ids, _ID).data)
            total = file.tell() // _ID.itemsize
            offsets = _offsets(lengths_of, total)
            file.write(b"\0" * (-file.tell() % 8))
            file.write(offsets.data)
            file.write(np.array([len(offsets) - 1, total, _MAGIC], _OFFSET).data)
        return cls.open(folder, name)

    @classmethod
    def open(cls, folder: Path, name: str) -> EncodedTexts:
        """Open what `write` wrote, as a memory map.

        Args:
            folder: where the file lies.
            name: its name without suffix.

        Returns:
            The texts.

        Raises:
            DataError: the file is missing, cut short or something else.
        """
        path = Path(folder) / (name + SUFFIX)
        try:
            size = path.stat().st_size
            footer = np.fromfile(path, _OFFSET, offset=max(0, size - _FOOTER_BYTES)).tolist()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}; encode the texts again") from (
                error
            )
        rows, total, magic = footer if len(footer) == 3 else (0, 0, 0)
        at = -(-total * _ID.itemsize // 8) * 8  # of the offsets
        if magic != _MAGIC or rows < 0 or at + (rows + 1) * 8 + _FOOTER_BYTES != size:
            raise DataError(
                f"{path} is cut short or was not written by textlstm: delete it and encode again"
            )
        # an empty region can't be mapped
        ids = np.memmap(path, _ID, "r", 0, (total,)) if total else np.zeros(0, _ID)
        return cls(ids, np.memmap(path, _OFFSET, "r", at, (rows + 1,)))

    @classmethod
    def from_batches(cls, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> EncodedTexts:
        """Hold texts in memory, for small inputs.

        Args:
            batches: (ids flat, lengths) of some texts each, every length at least 1.

        Returns:
            The texts.
        """
        parts = list(batches)
        ids = np.concatenate([np.zeros(0, _ID), *(np.asarray(part, _ID) for part, _ in parts)])
        return cls(ids, _offsets([np.zeros(1, _OFFSET), *(part for _, part in parts)], len(ids)))

    def take(self, rows: np.ndarray) -> EncodedTexts:
        """Return some of the texts, by their numbers, in memory."""
        ends = zip(self.offsets[rows].tolist(), self.offsets[rows + 1].tolist(), strict=True)
        parts = [self.ids[start:end] for start, end in ends]
        return EncodedTexts.from_batches(
            [(np.concatenate([self.ids[:0], *parts]), self.lengths[rows])]
        )

    def unknown_share(self) -> float:
        """Return the share of ids that are the unknown token; 0 where there are no ids."""
        unknown = sum(
            np.count_nonzero(self.ids[start : start + _CHUNK] == UNK_ID)
            for start in range(0, len(self.ids), _CHUNK)
        )
        return unknown / max(1, len(self.ids))


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and what is known of their labels.

    Args:
        texts: N texts.
        labels: their label ids, int64 [N]; where a text may have several which it has, bool
            [N, C].
        weights: how much each counts beside the others, above 0, float [N]; None where all
            count the same.
    """

    texts: EncodedTexts
    labels: np.ndarray
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, values in (("labels", self.labels), ("weights", self.weights)):
            if values is not None and len(values) != len(self.texts):
                raise DataError(
                    f"{len(self.texts)} texts and {len(values)} {name}: must be as many"
                )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def multi_label(self) -> bool:
        """Whether a text may have any number of labels."""
        return self.labels.ndim == 2


def _offsets(lengths: list[np.ndarray], total: int) -> np.ndarray:
    """Return where texts begin and the last one ends, int64 [N + 1]; the first length is 0."""
    every = np.concatenate(lengths)
    offsets = np.cumsum(every, dtype=_OFFSET)
    assert every[1:].min(initial=1) >= 1
    assert offsets[-1] == total
    return offsets
