"""Token ids of many texts, in one memory-mapped file; and which of them form a padded batch.

Shapes: N texts (rows), T tokens of one text or of the longest text of a batch, B batch, K tokens
of a batch.

The file, all little-endian: the ids of all texts one after the other (int32), zero bytes up to
a multiple of 8, the N + 1 offsets at which texts begin and end (int64), then a footer of the
number of texts and of ids (int64 each) and eight bytes of magic. The footer stands last, so
that ids can be written while texts are still being read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from textlstm.errors import DataError
from textlstm.io.atomic import atomic_path
from textlstm.text.vocabulary import PAD_ID, UNK_ID

if TYPE_CHECKING:
    from torch import Tensor  # imported where it is needed: ONNX Runtime does without

    from textlstm.text.tokenizer import TextTokenizer

SUFFIX = ".tokens"
_MAGIC = int.from_bytes(b"txtlstm1", "little")
_ID = np.dtype("<i4")
_OFFSET = np.dtype("<i8")
_FOOTER_BYTES = 3 * 8
_WINDOW = 100  # batches that are sorted by length together
_NOISE = 0.1  # a length counts as up to this share more or less, so that epochs differ
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

    @classmethod
    def of_texts(
        cls, tokenizer: TextTokenizer, texts: Sequence[str], *, threads: int = 1
    ) -> EncodedTexts:
        """Encode texts and hold them in memory.

        Args:
            tokenizer: text to ids.
            texts: N texts.
            threads: how many to use; it does not change results.
        """
        return cls.from_batches([tokenizer.encode_batch(texts, threads=threads)])

    def take(self, rows: np.ndarray) -> EncodedTexts:
        """Return some of the texts, by their numbers, in memory."""
        return EncodedTexts.from_batches([self.flat(rows)])

    def flat(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of some of the texts, one after the other, and their lengths, int64."""
        starts = self.offsets[rows]
        lengths = np.asarray(self.offsets[rows + 1] - starts, np.int64)
        before = np.cumsum(lengths) - lengths  # ids ahead of each text
        index = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
        return self.ids[index], lengths

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
        taught: a teacher's probabilities, float32 [N, C]; None for none. Those of texts that it
            says nothing of don't matter.
        label_shares: share of the own label in the loss of each text, beside the teacher,
            float32 [N]: 1 where the teacher says nothing, 0 where the label is not known.
    """

    texts: EncodedTexts
    labels: np.ndarray
    weights: np.ndarray | None = None
    taught: np.ndarray | None = None
    label_shares: np.ndarray | None = None

    def __post_init__(self) -> None:
        assert (self.taught is None) == (self.label_shares is None)
        for name in ("labels", "weights", "taught", "label_shares"):
            values = getattr(self, name)
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

    @cached_property
    def even_weights(self) -> np.ndarray | None:
        """`weights` with a mean of 1, so that rates mean what they do without, float32 [N]."""
        weights = self.weights
        return None if weights is None else (weights / weights.mean()).astype(np.float32)


def _offsets(lengths: list[np.ndarray], total: int) -> np.ndarray:
    """Return where texts begin and the last one ends, int64 [N + 1]; the first length is 0."""
    every = np.concatenate(lengths)
    offsets = np.cumsum(every, dtype=_OFFSET)
    assert every[1:].min(initial=1) >= 1
    assert offsets[-1] == total
    return offsets


def collate(
    encoded: EncodedTexts, rows: np.ndarray, *, few_shapes: bool = False
) -> tuple[Tensor, Tensor]:
    """Read some texts as one padded batch.

    Args:
        encoded: where they are.
        rows: which ones, in the order wanted, int64 [B].
        few_shapes: pad up to one of at most 16 lengths per power of two, on average 3% more.
            Where freed memory is kept (see `textlstm.nn.memory`), blocks of ever new sizes
            would leave ever more holes between them; those of the same sizes are used again.

    Returns:
        ids int64 [B, T], padded with 0 at the end, and lengths int64 [B].
    """
    import torch

    ids, lengths = collate_arrays(encoded, rows, few_shapes=few_shapes)
    return torch.from_numpy(ids), torch.from_numpy(lengths)


def collate_arrays(
    encoded: EncodedTexts, rows: np.ndarray, *, few_shapes: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Do as `collate`, without torch."""
    ids, lengths = encoded.flat(rows)  # [K], [B]
    longest = int(lengths.max(initial=0))
    if few_shapes:  # the next multiple of a sixteenth of the power of two below
        step = max(1, (1 << longest.bit_length()) >> 5)
        longest = -(-longest // step) * step
    padded = np.full((len(lengths), longest), PAD_ID, np.int64)  # [B, T]
    padded[np.arange(longest) < lengths[:, None]] = ids  # row by row, as they lie
    return padded, lengths


def train_batches(
    lengths: np.ndarray, *, batch_size: int, seed: int, epoch: int, batch_tokens: int = 0
) -> list[np.ndarray]:
    """Divide rows into batches of like length, in random order.

    Rows are shuffled, sorted by slightly noisy length inside windows of 100 batches, cut into
    batches, and the batches shuffled. Like lengths save the work on padding; the noise keeps
    the same texts from meeting in every epoch. Batches differ by at most one row in size, so
    that none is left over with a few texts and a wild gradient. A batch of more tokens than the
    budget is cut into equal parts within it.

    Args:
        lengths: tokens of each row, [N].
        batch_size: most rows of a batch.
        seed: of the order.
        epoch: counted from 0; each has its own order.
        batch_tokens: most tokens of a batch, padding included; a longer text is a batch by
            itself. 0, the default, is no limit.

    Returns:
        Arrays of row numbers, int64 [B]. Every row is in exactly one. The same arguments
        always return the same batches, so that a resumed run continues where it stopped.
    """
    n = len(lengths)
    random = np.random.default_rng([seed, epoch])
    count = -(-n // batch_size)
    cuts = np.arange(count + 1) * n // max(1, count)
    window = np.repeat(np.arange(count) // _WINDOW, np.diff(cuts))  # [N]
    order = random.permutation(n)
    noisy = lengths[order] * random.uniform(1 - _NOISE, 1 + _NOISE, n)
    order = order[np.lexsort((noisy, window))]
    batches = np.split(order, cuts[1:-1]) if n else []
    if batch_tokens:
        batches = [part for rows in batches for part in _within(rows, lengths, batch_tokens)]
    return [batches[i] for i in random.permutation(len(batches))]


def _within(rows: np.ndarray, lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """Cut a batch into as many like parts as its padded size needs."""
    most = max(1, budget // int(lengths[rows].max()))  # rows of a part
    return np.array_split(rows, -(-len(rows) // most))


def sorted_batches(
    lengths: np.ndarray, *, batch_size: int, pair_up_to: int = 0
) -> list[np.ndarray]:
    """Divide rows into batches by length, longest first, for evaluation and prediction.

    The longest first: if memory does not suffice, that shows at once.

    Args:
        lengths: tokens of each row, [N].
        batch_size: rows of a batch; the last may have fewer.
        pair_up_to: rows of at most so many tokens are in batches of twice as many rows, since
            there is some work for each batch, however short. Default 0.

    Returns:
        Arrays of row numbers, int64 [B]. Every row is in exactly one.
    """
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    longer = int((np.asarray(lengths) > pair_up_to).sum())
    longer += -longer % batch_size
    parts = ((order[:longer], batch_size), (order[longer:], 2 * batch_size))
    return [
        part[start : start + size] for part, size in parts for start in range(0, len(part), size)
    ]
