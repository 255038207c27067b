"""Chunks of rows, from reading to writing: what overlaps, what is counted, how far a run is.

Chunks are read, encoded, predicted and written. Reading, encoding and writing have a thread each,
and the network computes in the thread of the caller.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from textlstm.classifier.labelling import Labeller, Summary
from textlstm.classifier.predictor import Predicted
from textlstm.data.encoded import EncodedTexts
from textlstm.io.input import Chunk, Place
from textlstm.io.output import RowOutput
from textlstm.io.writers import Encoder, JsonEncoder
from textlstm.nn.memory import release_excess
from textlstm.prediction.engines import Engine

T = TypeVar("T")

_CHUNKS_OF_HOLES = 8  # threads leave holes in memory, more with every chunk; filling takes time


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

Progress = Callable[[int, "int | None", int], None]
"""Takes the rows done, the estimated number of rows (if known), and the rows of earlier runs."""


class StreamOutput:
    """A stream of json lines."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.encoder: Encoder = JsonEncoder()

    def commit(self, data: bytes, rows: int, state: dict[str, Any]) -> None:
        """Write the bytes of a chunk."""
        self._stream.write(data)
        self._stream.flush()


class Run:
    """A run: its output and how far it is.

    Args:
        output: the output.
        total: number of rows of the input, if known; otherwise estimated from the share of bytes.
        on_progress: called after each chunk.
    """

    def __init__(
        self,
        output: RowOutput | StreamOutput,
        total: int | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        self.output = output
        self.summary = Summary()
        self.end = Place()
        self._earlier = 0
        self._total = total
        self._on_progress = on_progress

    def state(self) -> dict[str, Any]:
        """Return how far the run is, fit for JSON."""
        rows, failed = self.summary.rows, dict(self.summary.failed)
        return {"rows": rows, "failed": failed, "group": self.end.group, "row": self.end.row}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the state of an earlier run."""
        self.summary = Summary(state["rows"], Counter(state["failed"]))
        self.end = Place(state["group"], state["row"])
        self._earlier = self.summary.rows
        if self._earlier:
            self._report(0)

    def commit(self, chunk: FinishedChunk) -> None:
        """Count a chunk, write it and report the progress."""
        self.summary.rows += chunk.rows
        self.summary.failed.update(chunk.failed)
        self.end = chunk.end
        self.output.commit(chunk.data, chunk.rows, self.state())
        self._report(chunk.share)

    def _report(self, share: float) -> None:
        done, total = self.summary.rows, self._total
        if total is None and share:
            total = round(done / share)
        if self._on_progress is not None:
            self._on_progress(done, total, self._earlier)


def classify_chunks(
    engine: Engine,
    labeller: Labeller,
    encoder: Encoder,
    source: Iterable[Chunk],
    commit: Commit,
) -> None:
    """Classify chunks in overlapping stages.

    Args:
        engine: predicts the labels of texts.
        labeller: finds the texts of rows, and adds labels to rows.
        encoder: turns labelled rows into bytes.
        source: the chunks.
        commit: gets each finished chunk, in a thread of its own.
    """

    def encode(chunk: Chunk) -> tuple[Chunk, EncodedTexts]:
        return chunk, engine.encode(labeller.texts(chunk.rows))

    def write(chunk: Chunk, predicted: Predicted) -> None:
        commit(_finish(chunk, predicted, labeller, encoder))

    written: Future[None] | None = None
    with (
        ahead(source) as read,
        ahead(map(encode, read)) as encoded,
        ThreadPoolExecutor(1, "textlstm-write") as writer,
    ):
        # in this thread, so that Ctrl-C gets in between batches
        for number, (chunk, texts) in enumerate(encoded):
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
