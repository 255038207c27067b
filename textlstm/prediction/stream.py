"""The stages that rows pass, from reading to writing: what overlaps, and what is counted.

Chunks of rows are read, encoded, judged and written; reading, encoding and writing have a thread
each, and the network computes in the thread of the caller.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

import numpy as np

from textlstm.classifier.labelling import TEXT_COLUMN, FoundTexts, Labeller, Summary
from textlstm.io.input import Chunk, Place
from textlstm.io.readers import Row
from textlstm.io.writers import Encoder
from textlstm.nn.memory import release_excess
from textlstm.prediction.engines import Engine, Tokens
from textlstm.prediction.stages import Behind, ahead

_BLOCK = 2**18  # bytes read at once from a stream


@dataclass(frozen=True)
class Done:
    """A chunk that is ready to be kept.

    Args:
        data: its bytes in the output.
        rows: how many rows it has.
        failed: reason -> rows without a label.
        end: the place behind it.
        share: how much of the input is done with it, from 0 to 1.
    """

    data: bytes
    rows: int
    failed: Counter[str]
    end: Place
    share: float


class Sink(Protocol):
    """Takes what is done, in order."""

    @property
    def encoder(self) -> Encoder:
        """Makes the bytes."""

    def keep(self, done: Done, summary: Summary) -> None:
        """Keep a chunk; the summary has it already."""


def run(
    engine: Engine,
    labeller: Labeller,
    source: Iterable[Chunk],
    sink: Sink,
    summary: Summary,
    tell: Callable[[float], None],
) -> None:
    """Classify chunks in overlapping stages.

    Args:
        engine: judges the texts.
        labeller: finds them in rows, and puts the labels in.
        source: the chunks.
        sink: gets the results.
        summary: of the rows done before; those done now are added.
        tell: called after each chunk with the share of the input that is done.
    """
    clock = _Clock(summary.seconds)

    def encode(read: Iterable[Chunk]) -> Iterator[_Encoded]:
        for chunk in read:
            with clock.stage("encode"):
                found = labeller.read(chunk.rows)
                tokens = engine.encode(found.texts)
            yield _Encoded(chunk, found, tokens)

    def write(judged: tuple[_Encoded, np.ndarray]) -> None:
        with clock.stage("write"):
            done = _done(*judged, labeller, sink.encoder)
            keep(done, sink, summary)
        tell(done.share)

    with (
        ahead(clock.reading(source)) as read,
        ahead(encode(read)) as encoded,
        Behind(write) as writer,
    ):
        for item in encoded:  # in this thread, so that Ctrl-C finds its way between batches
            with clock.stage("judge"):
                probabilities = engine.judge(item.tokens)
                release_excess()  # threads leave holes, more with every chunk
            writer.put((item, probabilities))


def run_lines(engine: Engine, labeller: Labeller, source: BinaryIO, sink: Sink) -> Summary:
    """Classify lines as they come, one thing after the other: none shall wait for the next.

    Args:
        engine: judges the texts.
        labeller: puts the labels in; its text column is `TEXT_COLUMN`.
        source: UTF-8 text; each line is a row.
        sink: gets the results.

    Returns:
        What was counted.
    """
    summary = Summary()
    for rows in _line_windows(source):
        done = finish_chunk(engine, labeller, sink.encoder, Chunk(rows, Place(), 0))
        keep(done, sink, summary)
    return summary


@dataclass(frozen=True)
class _Encoded:
    chunk: Chunk
    found: FoundTexts
    tokens: Tokens


def _done(item: _Encoded, probabilities: np.ndarray, labeller: Labeller, encoder: Encoder) -> Done:
    data = encoder.encode(labeller.label(item.found, probabilities))
    failed = labeller.failures(item.found)
    return Done(data, len(item.chunk.rows), failed, item.chunk.end, item.chunk.share)


def finish_chunk(engine: Engine, labeller: Labeller, encoder: Encoder, chunk: Chunk) -> Done:
    """Take a chunk through all stages but the last, one after the other."""
    found = labeller.read(chunk.rows)
    tokens = engine.encode(found.texts)
    return _done(_Encoded(chunk, found, tokens), engine.judge(tokens), labeller, encoder)


def keep(done: Done, sink: Sink, summary: Summary) -> None:
    """Count a chunk and give it to the sink."""
    summary.rows += done.rows
    summary.failed.update(done.failed)
    sink.keep(done, summary)


class _Clock:
    """Adds up the time that stages take."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of a block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - began

    def reading(self, items: Iterable[Chunk]) -> Iterator[Chunk]:
        """Count the time that each item takes to come."""
        iterator = iter(items)
        while True:
            with self.stage("read"):
                item = next(iterator, None)
            if item is None:
                return
            yield item


def _line_windows(source: BinaryIO) -> Iterator[list[Row]]:
    """Give the lines that are there, without waiting for more of them."""
    numbers = itertools.count(1)
    begun: list[bytes] = []  # of a line whose end was not yet read
    reader = cast(io.BufferedIOBase, source)
    while block := reader.read1(_BLOCK):
        *whole, rest = block.split(b"\n")
        if whole:
            whole[0] = b"".join([*begun, whole[0]])
            begun = []
            yield [_line(next(numbers), line) for line in whole]
        begun.append(rest)
    if last := b"".join(begun):
        yield [_line(next(numbers), last)]


def _line(number: int, line: bytes) -> Row:
    text = line.removesuffix(b"\r").decode("utf-8", "surrogateescape")
    return Row(number, {TEXT_COLUMN: text})
