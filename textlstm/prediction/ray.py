"""Classification on a Ray cluster: the stages of `stream` as tasks and actors of Ray Data.

Tasks read the groups of an input into chunks, actors that hold the model turn chunks into bytes,
and this process writes them in order. If a machine fails, its tasks and actors are started again
elsewhere. The bytes are those of a local run with as many threads as an actor has.

Other machines need textlstm installed and must see the input under the same path; Ray sends them
the model.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.labelling import Labeller
from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, MissingDependencyError, TextLSTMError
from textlstm.io.arrow import batch_values
from textlstm.io.formats import first_line
from textlstm.io.guess import TableColumns
from textlstm.io.input import CHUNK_CHARACTERS, Place, RowInput, group_chunks
from textlstm.io.readers import Row
from textlstm.io.writers import Encoder
from textlstm.nn.device import pick_device, pick_precision
from textlstm.prediction.engines import Engine, torch_engine
from textlstm.prediction.stream import Commit, finish_chunk

try:
    import ray
    import ray.data
except ImportError as error:
    raise MissingDependencyError(
        f"the engine ray needs the package ray ({error}): pip install 'textlstm[ray]'"
    ) from error

_BLOCK_BYTES = 2**23  # Ray hands a block on when it is as large: about a chunk of long texts
_READERS = 4  # tasks that read at the same time
_AHEAD = 2  # finished chunks that wait for this process

Columns = dict[str, Any]  # a batch of Ray Data: name -> array


def run_on_ray(
    classifier: TextClassifier,
    labeller: Labeller,
    rows: RowInput,
    start: Place,
    encoder: Encoder,
    commit: Commit,
) -> None:
    """Classify an input on a Ray cluster; see `textlstm.prediction.stream.classify_chunks`.

    Args:
        classifier: the model.
        labeller: finds the texts of rows, and adds labels to rows; `labeller.config` has the
            address of the cluster and the number of actors.
        rows: the input.
        start: where to begin.
        encoder: turns labelled rows into bytes.
        commit: gets each finished chunk, in order.

    Raises:
        ConfigError: there is no cluster at the address.
        TextLSTMError: a task met an error that the user can fix.
    """
    config = labeller.config
    groups = [
        {"group": group, "skip": start.row if group == start.group else 0}
        for group in range(start.group, rows.groups)
    ]
    if not groups:
        return
    with _cluster(config.address), _clear_errors():
        dataset = ray.data.from_items(groups, override_num_blocks=len(groups))
        dataset.context.execution_options.preserve_order = True
        dataset.context.target_max_block_size = _BLOCK_BYTES
        dataset.context.enable_progress_bars = False
        dataset = dataset.map_batches(
            _Reader(rows, config.chunk_rows),
            batch_size=1,
            num_cpus=0,  # actors may take all CPUs, and need chunks to work on
            compute=ray.data.TaskPoolStrategy(_READERS),
        ).map_batches(
            _ChunkClassifier,
            fn_constructor_args=(classifier, labeller, encoder),
            batch_size=1,
            **_room(config),
        )
        batches = iter(dataset.iter_batches(batch_size=1, prefetch_batches=_AHEAD))
        with contextlib.closing(batches):  # or after an error the actors would stay for a while
            for batch in batches:
                commit(batch["finished"][0])


def label_dataset(
    dataset: Any, classifier: TextClassifier, config: PredictionConfig | None = None
) -> Any:
    """Label a dataset of Ray Data.

    Args:
        dataset: a `ray.data.Dataset` of rows with a column of texts.
        classifier: the model.
        config: names of columns, what is added, actors.

    Returns:
        A `ray.data.Dataset` with the columns of `Labeller.added_columns` too. It is
        computed when it is read.

    Raises:
        ConfigError: an added column has the name of another.
        DataError: it is not clear which column holds the text.
    """
    config = config or PredictionConfig()
    names = dataset.columns() or []
    columns = TableColumns("the dataset", dict.fromkeys(names, "text"))
    labeller = Labeller.of_table(columns, names, classifier, config)
    return dataset.map_batches(
        _TableClassifier,
        fn_constructor_args=(classifier, labeller),
        batch_size=config.chunk_rows,
        batch_format="pyarrow",
        **_room(config),
    )


def _engine(classifier: TextClassifier, config: PredictionConfig) -> Engine:
    """Create the engine of an actor from the classifier that Ray sent it."""
    torch.set_num_threads(config.threads or 1)
    classifier.model.to(pick_device(config.device))
    classifier.model.compute_dtype = pick_precision(config.precision, classifier.device)
    return torch_engine(classifier, config)


class _Reader:
    """Reads groups into chunks."""

    def __init__(self, rows: RowInput, chunk_rows: int) -> None:
        self._rows = rows
        self._chunk_rows = chunk_rows

    def __call__(self, batch: Columns) -> Iterator[Columns]:
        for group, skip in zip(batch["group"].tolist(), batch["skip"].tolist(), strict=True):
            for chunk in group_chunks(
                self._rows, group, skip, rows=self._chunk_rows, characters=CHUNK_CHARACTERS
            ):
                yield {"chunk": _cell(chunk)}


class _ChunkClassifier:
    """An actor that turns chunks into the bytes to be written."""

    def __init__(self, classifier: TextClassifier, labeller: Labeller, encoder: Encoder) -> None:
        self._engine = _engine(classifier, labeller.config)
        self._labeller = labeller
        self._encoder = encoder

    def __call__(self, batch: Columns) -> Columns:
        chunk = batch["chunk"][0]
        return {"finished": _cell(finish_chunk(self._engine, self._labeller, self._encoder, chunk))}


class _TableClassifier:
    """An actor that adds the columns to tables."""

    def __init__(self, classifier: TextClassifier, labeller: Labeller) -> None:
        self._engine = _engine(classifier, labeller.config)
        self._labeller = labeller

    def __call__(self, table: pa.Table) -> pa.Table:
        rows = [Row(number, *found) for number, found in enumerate(batch_values(table), 1)]
        texts = self._engine.encode(self._labeller.texts(rows))
        labelled = self._labeller.label(rows, *self._engine.predict(texts))
        for name, kind in self._labeller.added_columns().items():
            column = pa.array([row.get(name) for row in labelled], kind)
            table = table.append_column(name, column)
        return table


def _cell(value: object) -> np.ndarray:
    """Return a column of one object."""
    column = np.empty(1, object)
    column[0] = value
    return column


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Use a Ray cluster: the one at an address, the one this process is in, or a new one."""
    if ray.is_initialized():
        if address:
            raise ConfigError(f"address = {address!r}: this process is in a Ray cluster already")
        yield
        return
    # Ray's core logs straight to stderr
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"address = {address!r}: no Ray cluster can be joined ({first_line(error)}): start one "
            "with `ray start --head`, with the same Ray and Python as here; where it asks for a "
            "token, set RAY_AUTH_MODE=token"
        ) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of idle actors, for a small input
            yield
    finally:
        ray.shutdown()


def _room(config: PredictionConfig) -> dict[str, Any]:
    """Choose the number of actors and the resources of each."""
    cluster = ray.cluster_resources()
    threads = config.threads or 1
    gpus = int(cluster.get("GPU", 0)) if config.device != "cpu" else 0
    if gpus:
        return {"compute": _actors(config.workers or gpus), "num_gpus": 1}
    most = max(1, int(cluster.get("CPU", 1)) // threads)
    return {"compute": _actors(config.workers or most), "num_cpus": threads}


def _actors(count: int) -> Any:
    return ray.data.ActorPoolStrategy(min_size=1, max_size=count)


@contextlib.contextmanager
def _clear_errors() -> Iterator[None]:
    """Raise an error of ours as the task raised it, without what Ray wraps it in."""
    try:
        yield
    except ray.exceptions.RayError as error:
        cause: BaseException | None = error
        while isinstance(cause, ray.exceptions.RayError):  # of both classes, with a long message
            cause = getattr(cause, "cause", None) or cause.__cause__
        if isinstance(cause, TextLSTMError):
            raise type(cause)(first_line(cause)) from error  # Ray adds lines of advice
        raise
