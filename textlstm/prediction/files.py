"""Rows in, the same rows with labels out: from an input to an output, or from stream to stream.

Rows out are rows in, in order. A row without a usable text gets no label, and the reason in a
column `error`. Rows are read, encoded, judged and written in chunks, each stage in a thread of
its own, and a few chunks are held at a time. A chunk that is written is kept whatever happens;
a run that was broken off goes on behind the last one.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import pyarrow as pa

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.labelling import (
    SEPARATOR,
    TEXT_COLUMN,
    Labeller,
    Summary,
    choose_texts,
    name_columns,
    require_new_names,
)
from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, OutputError
from textlstm.io.input import CHUNK_CHARACTERS, FileRows, Place, RowInput, chunks, find_input
from textlstm.io.output import RowOutput, Target
from textlstm.io.work_folder import WorkFolder
from textlstm.io.writers import Encoder, JsonEncoder
from textlstm.options import differences, resumable_names
from textlstm.prediction.engines import Engine, make_engine
from textlstm.prediction.stream import Done, Sink, run, run_lines

if TYPE_CHECKING:
    from datasets import Dataset

Progress = Callable[[int, "int | None", int], None]
"""Told the rows done, the rows there seem to be (if known), and those done by earlier runs."""


def classify_file(
    classifier: TextClassifier,
    source: str | os.PathLike[str] | Dataset,
    target: str | os.PathLike[str] | BinaryIO,
    config: PredictionConfig,
    *,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Label the rows of files or of a dataset.

    Args:
        classifier: the model.
        source: see `textlstm.io.input.find_input`.
        target: where the rows go: a file, its format told by its name; a folder, which gets
            parquet parts; or a stream, which gets json lines. All columns are kept; those of
            `added_columns` follow them (in json lines, `error` only where there is one).
        config: names of columns, what is added, engine, sizes.
        overwrite: whether a target that is there may be replaced.
        resume: whether to go on with a run that was broken off, if there is one.
        progress: told of each chunk that is kept.

    Returns:
        What was counted, rows of earlier runs included.

    Raises:
        ConfigError: an added column has the name of another, there are not so many labels, or
            the run to resume was asked for something else.
        DataError: the source can't be read, or it is not clear which column holds the text.
        OutputError: the target exists or can't be written. What was kept stays in its work
            folder.
    """
    engine = make_engine(classifier, config)
    place = Target.of_path(target) if isinstance(target, str | os.PathLike) else None
    kind = place.kind if place else "jsonl"
    rows = find_input(source, config, kind)
    if place and isinstance(rows, FileRows):
        _require_apart(place, rows)
    texts = choose_texts(rows.name, rows.columns.names, config.text_column, engine.trained_columns)
    config = name_columns(config, rows.columns.names)
    labeller = _labeller(classifier, texts, config, kind)
    columns = _output_columns(rows.columns, labeller, source=rows.name)

    def go(sink: Sink, summary: Summary, start: Place) -> Summary:
        tell = _Teller(rows, summary, progress)
        if config.engine == "ray":
            from textlstm.prediction.ray import run_on_ray  # an optional library

            run_on_ray(classifier, labeller, rows, start, sink, summary, tell)
        else:
            source = chunks(rows, start, rows=config.chunk_rows, characters=CHUNK_CHARACTERS)
            run(engine, labeller, source, sink, summary, tell)
        return summary

    if place is None:
        if resume:
            raise ConfigError("resume: what went to a stream can't be gone on with")
        return go(_Stream(cast(BinaryIO, target)), Summary(), Place())
    job = _job(rows, engine, labeller, columns)
    with WorkFolder(place.path) as work:
        output = RowOutput(place, work, columns)
        _begin_or_resume(place, work, output, job, overwrite=overwrite, resume=resume)
        kept = _Kept(output)
        summary, start = kept.so_far()
        if not output.is_whole():
            go(kept, summary, start)
        output.finish(kept.state, overwrite=overwrite)
    return summary


def classify_lines(
    classifier: TextClassifier,
    source: BinaryIO,
    target: str | os.PathLike[str] | BinaryIO,
    config: PredictionConfig,
    *,
    overwrite: bool = False,
) -> Summary:
    """Label the lines of a stream of text, each as soon as it is there.

    Args:
        classifier: the model.
        source: UTF-8 text; each line is a row with one column, `text`.
        target: as in `classify_file`.
        config: as in `classify_file`.
        overwrite: as in `classify_file`.

    Returns:
        What was counted.

    Raises:
        ConfigError: as in `classify_file`.
        OutputError: as in `classify_file`; nothing is kept.
    """
    engine = make_engine(classifier, config)
    column = pa.schema([(TEXT_COLUMN, pa.string())])
    place = Target.of_path(target) if isinstance(target, str | os.PathLike) else None
    labeller = _labeller(classifier, (TEXT_COLUMN,), config, place.kind if place else "jsonl")
    columns = _output_columns(column, labeller, source="a line of text")
    if place is None:
        return run_lines(engine, labeller, source, _Stream(cast(BinaryIO, target)))
    with WorkFolder(place.path) as work:
        output = RowOutput(place, work, columns)
        job = {"resumable": {"resumable": False}}
        _begin_or_resume(place, work, output, job, overwrite=overwrite, resume=False)
        kept = _Kept(output)
        try:
            summary = run_lines(engine, labeller, source, kept)
            output.finish(kept.state, overwrite=overwrite)
        except BaseException:
            work.remove()  # the lines that were read are gone
            raise
    return summary


class _Teller:
    """Tells of progress.

    Args:
        rows: the input.
        summary: what is done.
        progress: who is told.
    """

    def __init__(self, rows: RowInput, summary: Summary, progress: Progress | None) -> None:
        self._rows = rows
        self._summary = summary
        self._progress = progress
        self._earlier = summary.rows
        if summary.rows:
            self(0)

    def __call__(self, share: float) -> None:
        """Tell how much is done; rows still to come are guessed from the share of bytes."""
        if self._progress is None:
            return
        done, total = self._summary.rows, self._rows.total
        if total is None and share:
            total = round(done / share)
        self._progress(done, total, self._earlier)


class _Stream:
    """A stream as a sink: what is written is gone."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.encoder: Encoder = JsonEncoder()

    def keep(self, done: Done, summary: Summary) -> None:
        """Write a chunk."""
        self._stream.write(done.data)
        self._stream.flush()


class _Kept:
    """An output as a sink: after each chunk its state says how far it is.

    Args:
        output: begun or resumed.
    """

    def __init__(self, output: RowOutput) -> None:
        self._output = output
        self.encoder = output.encoder
        self.state: dict[str, Any] = output.given()

    def so_far(self) -> tuple[Summary, Place]:
        """Give what earlier runs did."""
        summary = Summary(self.state["rows"], Counter(self.state["failed"]))
        return summary, Place(self.state["group"], self.state["row"])

    def keep(self, done: Done, summary: Summary) -> None:
        """Write a chunk and have it on the disk."""
        self.state = _state(summary, done.end)
        self._output.commit(done.data, done.rows, self.state)


def _state(summary: Summary, end: Place) -> dict[str, Any]:
    failed = dict(summary.failed)
    return {"rows": summary.rows, "failed": failed, "group": end.group, "row": end.row}


def _require_apart(place: Target, rows: FileRows) -> None:
    """Raise an `OutputError` if the output is the input or a part of it."""
    for file in rows.files:
        same = place.path.exists() and place.path.samefile(file)
        if same or (place.is_folder and place.path.resolve() == file.resolve().parent):
            raise OutputError(f"{place.path} is the input: choose another name for the output")


def _labeller(
    classifier: TextClassifier, texts: tuple[str, ...], config: PredictionConfig, kind: str
) -> Labeller:
    """Make what puts labels into rows, for an output of a format."""
    trained = classifier.settings.data.label_separator
    separator = config.label_separator or trained or SEPARATOR
    return Labeller(
        classifier.labels,
        texts,
        config,
        sparse=kind == "jsonl",
        thresholds=classifier.thresholds,
        separator=separator if kind in ("csv", "tsv") else None,
    )


def _output_columns(columns: pa.Schema, labeller: Labeller, *, source: str) -> pa.Schema:
    """Give the columns of the output, after a check that none gets lost."""
    added = labeller.added_columns()
    require_new_names(columns.names, added, source=source)
    return pa.schema([*columns, *(pa.field(name, kind) for name, kind in added.items())])


def _job(
    rows: RowInput,
    engine: Engine,
    labeller: Labeller,
    columns: pa.Schema,
) -> dict[str, Any]:
    """Describe all that the bytes of the output depend on."""
    options = labeller.config.to_dict()
    options |= {"text_column": list(labeller.text_columns), "label_separator": labeller.separator}
    for name in resumable_names(PredictionConfig):  # the engine's facts have what they came to
        del options[name]
    job = {
        "input": rows.fingerprint(),
        "engine": engine.facts(),
        "options": options,
        "output": {
            "the output's columns": ", ".join(f"{field.name} {field.type}" for field in columns),
            "pyarrow": pa.__version__,
        },
    }
    return cast("dict[str, Any]", json.loads(json.dumps(job)))


def _begin_or_resume(
    place: Target,
    work: WorkFolder,
    output: RowOutput,
    job: dict[str, Any],
    *,
    overwrite: bool,
    resume: bool,
) -> None:
    """Begin a run, or go on with the one that is there, as was asked for."""
    begun = work.is_begun()
    if begun and resume:
        found = differences(work.job(), job)
        if found:
            raise ConfigError(
                f"the unfinished run of {place.path} is another one: {'; '.join(found[:3])}: "
                "repeat its command with --resume, or begin anew with --overwrite alone"
            )
        output.resume()
        if not output.is_whole():
            place.require_free(overwrite=overwrite)
        return
    if begun and not overwrite and work.job().get("input") and _has_rows(work):
        raise OutputError(
            f"a run of {place.path} was broken off and is in {work.path}: pass --resume to go on "
            "with it, or --overwrite to begin anew"
        )
    if resume and place.path.exists() and not overwrite:
        raise OutputError(
            f"{place.path} exists and there is no unfinished run of it: pass --overwrite to begin "
            "anew"
        )
    place.require_free(overwrite=overwrite)
    output.begin(job, _state(Summary(), Place()))


def _has_rows(work: WorkFolder) -> bool:
    """Tell whether a run has kept rows; if it ended before, as where no cluster was found, none."""
    given = work.state().get("given")
    return not (isinstance(given, dict) and given.get("rows") == 0)


def unfinished(target: str | os.PathLike[str]) -> Path | None:
    """Give the work folder of an output whose run was broken off and can be resumed, if any."""
    work = WorkFolder(Target.of_path(target).path)
    return work.path if work.is_begun() else None
