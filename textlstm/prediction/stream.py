"""Chunks of rows, from reading to writing: what overlaps, and what is counted.

Chunks are read, encoded, predicted and written. Reading, encoding and writing have a thread each,
and the network computes in the thread of the caller.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar, cast

from textlstm.classifier.labelling import TEXT_COLUMN, Labeller
from textlstm.classifier.predictor import Predicted
from textlstm.data.encoded import EncodedTexts
from textlstm.io.input import Chunk, Place
from textlstm.io.readers import Row
from textlstm.io.writers import Encoder
from textlstm.nn.memory import release_excess
from textlstm.prediction.engines import Engine

T = TypeVar("T")

_CHUNKS_OF_HOLES = 8  # threads leave holes in memory, more with every chunk; filling takes time
_BLOCK = 2**18  # bytes read at once from a stream


@dataclass(frozen=True)
class FinishedChunk:
    """The bytes of a chunk, ready to be written.

    Args:
        data: the bytes.
        rows: how many rows they are.
        failed: reason -> rows without a label.
        end: the position after its last row.
        share: how much of the input lies before that place, from 0 to 1.
    """

    data: bytes
    rows: int
    failed: Counter[str]
    end: Place
    share: float


Commit = Callable[[FinishedChunk], None]
"""Writes a chunk and counts it; called for each chunk in order."""


def classify_chunks(
    engine: Engine,
    labeller: Labeller,
    encoder: Encoder,
    source: Iterable[Chunk],
    commit: Commit,
    seconds: dict[str, float],
) -> None:
    """Classify chunks in overlapping stages.

    Args:
        engine: predicts the labels of texts.
        labeller: finds the texts of rows, and adds labels to rows.
        encoder: turns labelled rows into bytes.
        source: the chunks.
        commit: gets each finished chunk, in a thread of its own.
        seconds: stage -> time spent in it, which is added up here; stages overlap.
    """

    def encode(chunk: Chunk) -> tuple[Chunk, EncodedTexts]:
        with _timed(seconds, "encode"):
            return chunk, engine.encode(labeller.texts(chunk.rows))

    def write(chunk: Chunk, predicted: Predicted) -> None:
        with _timed(seconds, "write"):
            commit(_finish(chunk, predicted, labeller, encoder))

    written: Future[None] | None = None
    with (
        ahead(_reading(source, seconds)) as read,
        ahead(map(encode, read)) as encoded,
        ThreadPoolExecutor(1, "textlstm-write") as writer,
    ):
        # in this thread, so that Ctrl-C gets in between batches
        for number, (chunk, texts) in enumerate(encoded):
            with _timed(seconds, "predict"):
                predicted = engine.predict(texts)
            if (number + 1) % _CHUNKS_OF_HOLES == 0:
                release_excess()
            if written is not None:
                written.result()
            written = writer.submit(write, chunk, predicted)
        if written is not None:
            written.result()


def finish_chunk(
    engine: Engine, labeller: Labeller, encoder: Encoder, chunk: Chunk
) -> FinishedChunk:
    """Take a chunk through all stages but the last, one after the other."""
    texts = engine.encode(labeller.texts(chunk.rows))
    return _finish(chunk, engine.predict(texts), labeller, encoder)


def _finish(
    chunk: Chunk, predicted: Predicted, labeller: Labeller, encoder: Encoder
) -> FinishedChunk:
    rows = labeller.label(chunk.rows, *predicted)
    failed = Counter(row.failure for row in rows if row.failure is not None)
    return FinishedChunk(encoder.encode(rows), len(rows), failed, chunk.end, chunk.share)


@contextlib.contextmanager
def ahead(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """Compute items in a thread of its own, one ahead of the one asked for.

    Args:
        items: what to compute; an error that it raises is raised where the item is asked for.

    Yields:
        The items, in order. When the block ends, the thread has ended and `items` is closed.
    """
    source = iter(items)
    end: Any = object()

    def results() -> Iterator[T]:
        waiting = pool.submit(next, source, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, source, end)
            yield item

    try:
        with ThreadPoolExecutor(1, "textlstm-ahead") as pool:
            yield results()
    finally:
        if close := getattr(source, "close", None):  # of a generator: its files are closed now
            with contextlib.suppress(ValueError):  # it still runs, after a second Ctrl-C
                close()


@contextlib.contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the time that the block takes to that of its stage."""
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - began


def _reading(chunks: Iterable[Chunk], seconds: dict[str, float]) -> Iterator[Chunk]:
    iterator = iter(chunks)
    while True:
        with _timed(seconds, "read"):
            chunk = next(iterator, None)
        if chunk is None:
            return
        yield chunk


def read_lines(source: BinaryIO) -> Iterator[Chunk]:
    """Read the lines of a stream as rows of one column, `text`.

    Args:
        source: UTF-8 text.

    Yields:
        The lines that have arrived, without waiting for more of them.
    """
    numbers = itertools.count(1)
    begun: list[bytes] = []  # parts of a line whose end was not yet read
    reader = cast(io.BufferedIOBase, source)
    while block := reader.read1(_BLOCK):
        *whole, rest = block.split(b"\n")
        if whole:
            whole[0] = b"".join([*begun, whole[0]])
            begun = []
            yield Chunk([_line(next(numbers), line) for line in whole], Place(), 0)
        begun.append(rest)
    if last := b"".join(begun):
        yield Chunk([_line(next(numbers), last)], Place(), 0)


def _line(number: int, line: bytes) -> Row:
    text = line.removesuffix(b"\r").decode("utf-8", "surrogateescape")
    return Row(number, {TEXT_COLUMN: text})
