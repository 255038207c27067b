"""Rows in, the same rows with labels out: from an input to an output, or from stream to stream.

Rows keep their order. A row without a usable text gets no label, and the reason in a column
`error`. What is set up here runs in `textlstm.prediction.stream`, in chunks, a few of them in
memory at a time. A chunk that is written survives a crash; a resumed run continues after the last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import pyarrow as pa

from textlstm.classifier.labelling import SEPARATOR, TEXT_COLUMN, Labeller, Summary
from textlstm.classifier.predictor import rows_at_once
from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, OutputError
from textlstm.io.guess import TableColumns
from textlstm.io.input import CHUNK_CHARACTERS, FileRows, RowInput, chunks, find_input, line_chunks
from textlstm.io.output import FILE_ORDER, RowOutput, Target
from textlstm.io.work_folder import WorkFolder
from textlstm.options import resumable_names
from textlstm.prediction.engines import Engine, Model, make_engine
from textlstm.prediction.stream import (
    Progress,
    Run,
    StreamOutput,
    classify_chunks,
    finish_chunk,
)

if TYPE_CHECKING:
    from datasets import Dataset


def classify_file(
    model: Model,
    source: str | os.PathLike[str] | Dataset,
    target: str | os.PathLike[str] | BinaryIO,
    config: PredictionConfig,
    *,
    overwrite: bool = False,
    resume: bool = False,
    on_progress: Progress | None = None,
) -> Summary:
    """Label the rows of files or of a dataset.

    Args:
        model: a `TextClassifier`, or the `OnnxModel` of an exported folder.
        source: see `textlstm.io.input.find_input`.
        target: a file with the suffix of a format; a folder, which gets parquet parts; or a
            stream, which gets json lines. All columns are kept; those of `added_columns` follow
            them (in json lines, `error` only if there is one). In parquet, a column of
            values without a common type becomes text (see `ArrowEncoder.texts`).
        config: names of columns, what is added, engine, sizes.
        overwrite: whether an existing target may be replaced.
        resume: whether to resume an interrupted run, if there is one.
        on_progress: called after each chunk that is written.

    Returns:
        The number of rows and of failures, those of earlier runs included.

    Raises:
        ConfigError: an added column has the name of another, `top_k` is greater than the number
            of labels, or the run to resume was asked for something else.
        DataError: the source can't be read, or it is not clear which column holds the text.
        OutputError: the target exists or can't be written. Finished rows stay in its work folder.
    """
    engine = make_engine(model, config)
    config = replace(config, chunk_rows=rows_at_once(config.chunk_rows, len(model.labels)))
    place = _target(target)
    kind = place.kind if place else "jsonl"
    rows = find_input(source, config, kind)
    if place and isinstance(rows, FileRows):
        _require_apart(place, rows)
    labeller = _labeller(rows.table, rows.columns.names, model, config, kind)
    columns = pa.schema([*rows.columns, *pa.schema(labeller.added_columns())])

    def classify(run: Run) -> None:
        if config.engine == "ray":
            from textlstm.prediction.ray import run_on_ray  # an optional library

            run_on_ray(cast(Any, model), labeller, rows, run.end, run.output.encoder, run.commit)
            return
        parts = chunks(rows, run.end, rows=config.chunk_rows, characters=CHUNK_CHARACTERS)
        classify_chunks(engine, labeller, run.output.encoder, parts, run.commit)

    if place is None:
        if resume:
            raise ConfigError("resume = True: a stream can't be resumed: pass the name of a file")
        run = Run(StreamOutput(cast(BinaryIO, target)), rows.total, on_progress)
        classify(run)
        return run.summary
    with RowOutput(place, columns) as output:
        job = _job(rows, engine, labeller, columns)
        run = Run(output, rows.total, on_progress)
        run.restore(output.open(job, run.state(), overwrite=overwrite, resume=resume))
        if not output.is_whole:
            classify(run)
        output.finish(run.state(), overwrite=overwrite)
    return run.summary


def classify_lines(
    model: Model,
    source: BinaryIO,
    target: str | os.PathLike[str] | BinaryIO,
    config: PredictionConfig,
    *,
    overwrite: bool = False,
) -> Summary:
    """Label the lines of a stream of text, each as soon as it arrives.

    Args:
        model: a `TextClassifier`, or the `OnnxModel` of an exported folder.
        source: UTF-8 text; each line is a row with one column, `text`.
        target: as in `classify_file`.
        config: as in `classify_file`.
        overwrite: as in `classify_file`.

    Returns:
        The number of rows and of failures.

    Raises:
        ConfigError: as in `classify_file`.
        OutputError: as in `classify_file`; nothing is kept.
    """
    engine = make_engine(model, config)
    place = _target(target)
    config = replace(config, text_column=(TEXT_COLUMN,))
    line = TableColumns("a line of text", {TEXT_COLUMN: "text"})
    labeller = _labeller(line, [TEXT_COLUMN], model, config, place.kind if place else "jsonl")
    columns = pa.schema({TEXT_COLUMN: pa.string(), **labeller.added_columns()})

    def classify(run: Run) -> None:
        for chunk in line_chunks(source):  # one after the other: no line waits for the next
            run.commit(finish_chunk(engine, labeller, run.output.encoder, chunk))

    if place is None:
        run = Run(StreamOutput(cast(BinaryIO, target)))
        classify(run)
        return run.summary
    with RowOutput(place, columns) as output:
        run = Run(output)
        output.open({}, run.state(), overwrite=overwrite, resume=False)
        try:
            classify(run)
            output.finish(run.state(), overwrite=overwrite)
        except BaseException:
            output.discard()  # the lines can't be read again
            raise
    return run.summary


def _target(target: str | os.PathLike[str] | BinaryIO) -> Target | None:
    """Return the file or folder to write, None for a stream."""
    return Target.of_path(target) if isinstance(target, str | os.PathLike) else None


def _require_apart(place: Target, rows: FileRows) -> None:
    """Raise an `OutputError` if the output is the input or a part of it."""
    for file in rows.files:
        same = place.path.exists() and place.path.samefile(file)
        if same or (place.is_folder and place.path.resolve() == file.resolve().parent):
            raise OutputError(f"{place.path} is the input: choose another name for the output")


def _labeller(
    table: TableColumns, names: Sequence[str], model: Model, config: PredictionConfig, kind: str
) -> Labeller:
    """Create the labeller for an output of a format."""
    mark = config.label_separator or model.settings.data.label_separator or SEPARATOR
    separator = mark if kind in ("csv", "tsv") else None
    options = {"sparse": kind == "jsonl", "separator": separator}
    return Labeller.of_table(table, names, model, config, **options)


def _job(rows: RowInput, engine: Engine, labeller: Labeller, columns: pa.Schema) -> dict[str, Any]:
    """Describe everything that the bytes of the output depend on."""
    options = labeller.config.to_dict()
    options |= {"text_column": list(labeller.text_columns), "label_separator": labeller.separator}
    for name in resumable_names(PredictionConfig):  # the engine's signature has their effect
        del options[name]
    job: dict[str, Any] = {
        "input": rows.fingerprint(),
        "engine": engine.signature(),
        "options": options,
        "output": {
            "the output's columns": ", ".join(f"{field.name} {field.type}" for field in columns),
            "pyarrow": pa.__version__,
        },
    }
    if isinstance(rows, FileRows):
        job[FILE_ORDER] = rows.order()
    return cast("dict[str, Any]", json.loads(json.dumps(job)))


def unfinished(target: str | os.PathLike[str]) -> Path | None:
    """Return the work folder of an output whose run can be resumed, if there is one."""
    work = WorkFolder(Target.of_path(target).path)
    return work.path if work.is_begun() else None
