from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pytest
from tiny_hub import TinyHub

from textlstm.config import DataConfig
from textlstm.data.corpus import load_corpus
from textlstm.errors import DataError
from textlstm.io import hub_datasets as hub_data
from textlstm.io.hub_datasets import load_hub

DATA = datasets.DatasetDict(
    {
        "train": datasets.Dataset.from_dict({"text": ["a", "b"] * 5, "label": [0, 1] * 5}),
        "dev": datasets.Dataset.from_dict({"text": ["c"], "label": [1]}),
        "unsupervised": datasets.Dataset.from_dict({"text": ["d"], "label": [-1]}),
    }
)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_data, "_hub_answers", lambda name: True)


def raising(error: Exception) -> Any:
    def load_dataset(*args: Any, **kwargs: Any) -> None:
        raise error

    return load_dataset


@pytest.mark.usefixtures("online")
def test_name_configuration_and_revision_reach_the_hub_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def load_dataset(*args: Any, **kwargs: Any) -> datasets.DatasetDict:
        calls.append((args, kwargs))
        assert datasets.utils.are_progress_bars_disabled()
        return DATA

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    config = DataConfig(dataset_config="en", dataset_revision="v1")
    corpus = load_corpus("owner/reviews", config)
    assert calls == [(("owner/reviews", "en"), {"revision": "v1"})]
    assert not datasets.utils.are_progress_bars_disabled()
    assert corpus.labels == ("0", "1")
    assert (len(corpus.train), len(corpus.validation), corpus.test) == (10, 1, None)
    assert corpus.source == corpus.dataset_id == "owner/reviews"


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize(
    ("error", "what"),
    [
        (ConnectionError("Couldn't reach 'x' on the Hub"), "the Hub is out of reach"),
        (datasets.exceptions.DatasetNotFoundError("Dataset 'x' is gated"), "Dataset 'x' is gated"),
        (ValueError("Config name is missing.\nPick one of: ['en']"), r"\['en'\].*--dataset-config"),
        (RuntimeError("Dataset scripts are no longer supported"), "scripts are no longer"),
    ],
)
def test_whatever_the_hub_answers_becomes_one_line_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, error: Exception, what: str
) -> None:
    monkeypatch.setattr(datasets, "load_dataset", raising(error))
    with pytest.raises(DataError, match=what) as caught:
        load_hub("owner/reviews", DataConfig())
    assert "owner/reviews" in str(caught.value)
    assert "`sample` or local files" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not datasets.utils.are_progress_bars_disabled()


def test_an_unreachable_hub_is_asked_once_and_then_only_the_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class ConnectError(Exception):
        """As the HTTP library of the Hub's client names it."""

    def dataset_info(self: Any, name: str, timeout: float) -> None:
        raise ConnectError("Name or service not known")

    def load_dataset(*args: Any, **kwargs: Any) -> datasets.DatasetDict:
        assert datasets.config.HF_HUB_OFFLINE
        return DATA

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    before = datasets.config.HF_HUB_OFFLINE
    assert load_hub("owner/reviews", DataConfig()) is DATA
    assert before == datasets.config.HF_HUB_OFFLINE


@pytest.mark.slow
def test_offline_mode_ends_in_one_line(forks: Any, tmp_path: Path) -> None:
    program = (
        "from textlstm.data.corpus import load_corpus\n"
        "from textlstm.errors import DataError\n"
        "try:\n"
        "    load_corpus('owner/reviews')\n"
        "except DataError as error:\n"
        "    print(error)\n"
    )
    done = forks.run("python", "-c", program, folder=tmp_path)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert "owner/reviews; and the Hub is out of reach: use `sample`" in done.stdout


@pytest.mark.slow
def test_the_real_client_gets_a_dataset_over_the_network_and_later_without_it(
    tmp_path: Path,
) -> None:
    hub = TinyHub()
    files = {"README.md": b"---\nlicense: mit\n---\n"}
    for split, table in (("train", DATA["train"]), ("validation", DATA["dev"])):
        table.to_parquet(str(tmp_path / split))
        files[f"{split}.parquet"] = (tmp_path / split).read_bytes()
    hub.put("datasets/owner/reviews", files)
    program = (
        "from textlstm.data.corpus import load_corpus\n"
        "corpus = load_corpus('owner/reviews')\n"
        "print(corpus.dataset_id, corpus.labels, len(corpus.train), len(corpus.validation))\n"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache")}
    for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_CACHE", "HF_DATASETS_CACHE"):
        environment.pop(variable, None)
    for _ in ("from the network", "from the cache"):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment
        )
        assert done.stdout == "owner/reviews ('0', '1') 10 1\n", done.stderr
        hub.shutdown()
        hub.server_close()
