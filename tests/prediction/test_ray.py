"""On a Ray cluster comes out what comes out here, byte for byte, also if actors are killed."""

import importlib
import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_classifier import CASCADE, texts, tiny_classifier, tiny_tagger

from textlstm.classifier.labelling import Labeller
from textlstm.config import PredictionConfig
from textlstm.errors import ConfigError, DataError
from textlstm.io.guess import TableColumns
from textlstm.nn.device import cpu_threads
from textlstm.prediction.files import classify_file

pytestmark = pytest.mark.slow

if find_spec("ray") is None:
    pytest.skip("Ray is not installed: pip install 'textlstm[ray]'", allow_module_level=True)

OPTIONS = {"chunk_rows": 40, "top_k": 2}
CASCADED = {"cascade": 0.01, "engine_column": "by"}


@pytest.fixture(autouse=True)
def one_reader(monkeypatch):
    """A process that reads takes five seconds to start."""
    monkeypatch.setattr("textlstm.prediction.ray._READERS", 1)


@pytest.fixture(scope="module", autouse=True)
def handler():
    """Ray leaves a handler of SIGTERM behind that would end the tests of stopped trainings."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def classifier():
    return tiny_classifier(labels=("bad", "good", "so so"), cascade=CASCADE)


@pytest.fixture(scope="module")
def model(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    classifier.save(folder)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder of three files, with rows that can't be read."""
    folder = tmp_path_factory.mktemp("in")
    some = texts(600)
    for number in range(3):
        lines = [f'{row},"{text}"\n' for row, text in enumerate(some[number::3])]
        lines[7:9] = ["7\n", '8," "\n']
        (folder / f"{number}.csv").write_text("id,text\n" + "".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def expected(classifier, source, tmp_path_factory):
    """What a local run gives, for some name of an output."""
    folder = tmp_path_factory.mktemp("expected")

    def run(name, **options):
        if not (folder / name).exists():
            config = PredictionConfig(**OPTIONS, **options)
            with cpu_threads(1):
                classify_file(classifier, source, folder / name, config)
        return (folder / name).read_bytes()

    return run


@pytest.fixture(scope="module")
def ray():
    """The library; it takes a second to import, and many runs leave these tests out."""
    return importlib.import_module("ray")


@pytest.fixture(scope="module")
def cluster(ray):
    with pytest.MonkeyPatch.context() as patched:
        # Ray's own 15 leaves its workers next to nothing beside other tests
        patched.setenv("RAY_worker_niceness", "0")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


def classify(classifier, source, target, **options):
    told = options.pop("on_progress", None)
    resume = options.pop("resume", False)
    config = PredictionConfig(engine="ray", **{**OPTIONS, **options})
    return classify_file(classifier, source, target, config, on_progress=told, resume=resume)


def test_the_output_is_that_of_a_local_run(
    cluster, classifier, source, expected, tmp_path, monkeypatch
):
    monkeypatch.setattr("textlstm.io.input._GROUP_BYTES", 1)  # a group for each file
    monkeypatch.setattr("textlstm.prediction.ray._READERS", 2)
    summary = classify(classifier, source, tmp_path / "out.parquet", **CASCADED)
    assert (tmp_path / "out.parquet").read_bytes() == expected("out.parquet", **CASCADED)
    engines = pq.read_table(tmp_path / "out.parquet")["by"].to_pylist()
    assert {"ngrams", "lstm"} <= set(engines)
    assert summary.rows == 600
    assert summary.failed == {"blank": 3, "1 field instead of 2": 3}


def test_an_actor_that_is_killed_costs_only_its_task(cluster, classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("textlstm.io.input._GROUP_BYTES", 1)  # a task for each file
    source = tmp_path / "in"
    source.mkdir()
    some = texts(600)
    for group in range(6):
        lines = [json.dumps({"text": text}) + "\n" for text in some[group::6]]
        (source / f"{group}.jsonl").write_text("".join(lines))
    journal, dead = tmp_path / "journal", tmp_path / "dead"

    class Mortal:  # defined here, it travels to the actors as it is
        def __init__(self, *arguments):
            from textlstm.prediction import ray as ray_data

            self.judge = ray_data._ChunkClassifier(*arguments)

        def __call__(self, batch):
            place = batch["chunk"][0].end
            with journal.open("a") as file:
                file.write(f"{place.group} {place.row} {os.getpid()}\n")
            if (place.group, place.row) == (3, 80) and not dead.exists():
                dead.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            return self.judge(batch)

    monkeypatch.setattr("textlstm.prediction.ray._ChunkClassifier", Mortal)
    classify(classifier, source, tmp_path / "out.csv", workers=1)
    judged = [line.split() for line in journal.read_text().splitlines()]
    ends = [(int(group), int(row)) for group, row, _ in judged]
    assert sorted(set(ends)) == [(group, row) for group in range(6) for row in (40, 80, 100)]
    again = {end for end in ends if ends.count(end) > 1}
    assert (3, 80) in again
    assert {group for group, _ in again} == {3}  # the other tasks were not repeated
    assert {process for *_, process in judged} > {dead.read_text()}  # another one took over
    with cpu_threads(1):
        config = PredictionConfig(**OPTIONS)
        classify_file(classifier, source, tmp_path / "local.csv", config)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()


def test_a_run_that_is_broken_off_goes_on_behind_the_last_chunk(
    cluster, classifier, source, expected, tmp_path
):
    def stop(done, total, earlier):
        if done > 250:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classify(classifier, source, tmp_path / "out.csv", on_progress=stop, workers=1)
    assert not (tmp_path / "out.csv").exists()
    told = []
    classify(
        classifier,
        source,
        tmp_path / "out.csv",
        resume=True,
        workers=1,
        on_progress=lambda done, total, earlier: told.append((done, earlier)),
    )
    assert told[0][0] == told[0][1] > 250
    assert (tmp_path / "out.csv").read_bytes() == expected("out.csv")


def test_a_ray_dataset_gets_the_columns_and_keeps_its_own(ray, cluster, classifier):
    from textlstm.prediction.ray import label_dataset

    some = [*texts(30), None]
    dataset = ray.data.from_items([{"id": i, "text": text} for i, text in enumerate(some)])
    labelled = label_dataset(dataset, classifier, PredictionConfig(workers=1, chunk_rows=7))
    rows = sorted(labelled.take_all(), key=lambda row: row["id"])
    assert [row["text"] for row in rows] == some
    assert list(rows[0]) == ["id", "text", "label", "score", "error"]
    predictions = classifier.predict(some[:-1])
    assert [row["label"] for row in rows[:-1]] == [item.label for item in predictions]
    scores = [item.score for item in predictions]
    np.testing.assert_allclose([row["score"] for row in rows[:-1]], scores, atol=1e-6)
    assert (rows[-1]["label"], rows[-1]["error"]) == (None, "null")
    with pytest.raises(ConfigError, match="the dataset already has a column 'error'"):
        label_dataset(labelled, classifier)


def test_several_labels_are_lists(ray):
    from textlstm.prediction.ray import _TableClassifier

    tagger, some = tiny_tagger(), texts(30)
    columns = TableColumns("the dataset", {"id": "text", "text": "text"})
    labeller = Labeller.of_table(columns, ["id", "text"], tagger, PredictionConfig())
    with cpu_threads(1):  # what an actor does with each table
        table = _TableClassifier(tagger, labeller)(pa.table({"id": range(30), "text": some}))
    assert table["label"].to_pylist() == [list(item.labels) for item in tagger.predict(some)]


def test_an_error_of_the_input_is_one_clear_line(cluster, classifier, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("text\ndull\n")

    def vanish(*_):
        raise AssertionError("nothing is done")

    from textlstm.io import input as row_input

    find = row_input.find_input(source, PredictionConfig(), "csv")
    source.unlink()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("textlstm.prediction.files.find_input", lambda *_: find)
        patched.setattr("textlstm.prediction.files._require_apart", lambda *_: None)
        patched.setattr(row_input.FileRows, "fingerprint", lambda self: {"in.csv": "gone"})
        with pytest.raises(DataError, match=r"^no such file: .*in\.csv$"):
            classify(classifier, source, tmp_path / "out.csv", on_progress=vanish)


def test_a_cluster_is_joined_by_its_address(cluster, model, source, expected, tmp_path):
    command = [sys.executable, "-m", "textlstm", "predict", model, source]
    options = ["--out", tmp_path / "out.csv", "--chunk-rows", "40", "--top-k", "2"]
    options += ["--workers", "1"]
    result = subprocess.run(
        [*map(str, [*command, *options]), "--engine", "ray", "--address", cluster, "--strict"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 2  # --strict, and three rows that can't be read
    assert result.stdout == ""
    assert f"wrote 600 rows to {tmp_path / 'out.csv'}" in result.stderr
    assert (tmp_path / "out.csv").read_bytes() == expected("out.csv")


def test_a_second_cluster_cannot_be_joined(cluster, classifier, source, tmp_path):
    with pytest.raises(ConfigError, match=r"address = '10.0.0.1:6379': this process is in a Ray"):
        classify(classifier, source, tmp_path / "out.csv", address="10.0.0.1:6379")


def test_other_engines_have_no_cluster(classifier, source, tmp_path):
    config = PredictionConfig(address="auto")
    with pytest.raises(ConfigError, match="address and workers are for the engine ray"):
        classify_file(classifier, source, tmp_path / "out.csv", config)


def test_an_address_without_a_cluster_is_an_error_that_says_what_to_do(
    ray, classifier, source, tmp_path, monkeypatch
):
    def refuse(**options):
        raise ConnectionError("nobody is there\nand much more")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    expected = r"'10.0.0.1:6379': no Ray .* \(nobody is there\): start one"
    with pytest.raises(ConfigError, match=expected) as caught:
        classify(classifier, source, tmp_path / "out.csv", address="10.0.0.1:6379")
    assert "\n" not in str(caught.value)
