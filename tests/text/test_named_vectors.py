"""Vectors known by name come from the Hub once, and from its cache later."""

import dataclasses
import hashlib
import io
import logging
import re
import zipfile

import numpy as np
import pytest
from huggingface_hub import constants
from tiny_hub import TinyHub

from textlstm.cli import main
from textlstm.config import VECTORS, TrainSettings
from textlstm.errors import DataError
from textlstm.text import named_vectors
from textlstm.text.named_vectors import KNOWN, find_vectors, shown_size
from textlstm.text.vector_files import vector_size
from textlstm.text.word_vectors import read_vectors

pytestmark = pytest.mark.slow

VECTORS_TEXT = b"the 1 2 3\na 4 5 6\n"


def zipped(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, VECTORS_TEXT)
    return stream.getvalue()


ARCHIVE = zipped("glove.6B.50d.txt", "glove.6B.100d.txt")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub with small files in place of the large ones, each pinned as the large ones are."""
    hub = TinyHub()
    hub.point_client_here(monkeypatch, tmp_path / "cache")
    for name, known in KNOWN.items():
        content = ARCHIVE if known.file.endswith(".zip") else VECTORS_TEXT
        repo = f"spaces/{known.repo}" if known.kind == "space" else known.repo
        small = dataclasses.replace(
            known,
            revision=hub.put(repo, {known.file: content}),
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        monkeypatch.setitem(named_vectors.KNOWN, name, small)
        hub.large[known.file] = None
    yield hub
    hub.shutdown()
    hub.server_close()


def take_the_network_away(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def test_every_name_is_pinned():
    assert tuple(KNOWN) == VECTORS
    for known in KNOWN.values():
        assert len(known.revision) == 40
        assert len(known.sha256) == 64
    assert shown_size(KNOWN["glove-100"].size) == "862 MB"
    assert shown_size(KNOWN["fasttext-en"].size) == "7.24 GB"


def test_vectors_are_fetched_once_and_read_offline_afterwards(hub, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "textlstm")
    vectors = read_vectors("glove-100", ["a"])
    np.testing.assert_array_equal(vectors.matrix, [[4, 5, 6]])
    [line] = caplog.messages
    assert line.startswith("fetching glove-100, once: 0 MB, glove.6B.zip of stanfordnlp/glove")
    asked = len(hub.requests)
    take_the_network_away(monkeypatch)
    assert vector_size("glove-50") == 3  # of the same archive
    assert read_vectors("glove-100", ["a"]).tokens == ("a",)
    assert (len(hub.requests), len(caplog.messages)) == (asked, 1)


def test_vectors_of_a_space_are_found(hub):
    assert read_vectors("wiki-news", ["the"]).tokens == ("the",)
    path, member = find_vectors("wiki-news")
    assert (path.name, member) == ("wiki-news-300d-1M.vec", None)


def test_a_member_that_is_not_there_is_named(hub):
    with pytest.raises(DataError, match=r"holds 2 files \(glove.6B.50d.txt"):
        vector_size("glove-300")


def test_another_file_on_the_hub_is_not_downloaded(hub, monkeypatch):
    other = dataclasses.replace(KNOWN["wiki-news"], sha256="0" * 64)
    monkeypatch.setitem(named_vectors.KNOWN, "wiki-news", other)
    with pytest.raises(DataError, match="is not the file that wiki-news stands for"):
        find_vectors("wiki-news")
    short = dataclasses.replace(KNOWN["glove-50"], size=2 * len(ARCHIVE))
    monkeypatch.setitem(named_vectors.KNOWN, "glove-50", short)
    with pytest.raises(DataError, match="is not the file that glove-50 stands for"):
        find_vectors("glove-50")
    assert not [path for method, path in hub.requests if method == "GET"]


def test_a_damaged_download_is_not_kept(hub, monkeypatch):
    known = KNOWN["glove-50"]
    damaged = ARCHIVE[:-1] + b"!"
    revision = hub.put(known.repo, {known.file: damaged})
    monkeypatch.setitem(
        named_vectors.KNOWN, "glove-50", dataclasses.replace(known, revision=revision)
    )
    hub.large[known.file] = known.sha256  # announced, but not what comes
    for _ in range(2):
        with pytest.raises(DataError, match=r"its hash differs\): run the command again"):
            find_vectors("glove-50")
    assert named_vectors.KNOWN["glove-50"].cached() is None


def test_a_cached_copy_of_another_size_is_refused(hub):
    path, _ = find_vectors("wiki-news")
    path.resolve().write_bytes(b"the 1")
    with pytest.raises(DataError, match="the cached copy of wiki-news has 5 bytes"):
        find_vectors("wiki-news")


def test_without_network_and_cache_there_is_a_way_out(hub, monkeypatch):
    take_the_network_away(monkeypatch)
    with pytest.raises(DataError, match="glove-100 is not in the cache and can't be fetched"):
        vector_size("glove-100")


def test_a_file_of_that_name_comes_first_and_other_names_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert TrainSettings.from_options(vectors="glove-100").training.vectors == "glove-100"
    (tmp_path / "glove-100").write_bytes(VECTORS_TEXT)
    settings = TrainSettings.from_options(vectors="glove-100")
    assert settings.training.vectors == str(tmp_path / "glove-100")
    assert vector_size("glove-100") == 3
    with pytest.raises(DataError, match=r"glove-10 \(did you mean 'glove-100'\?\); known by name"):
        vector_size("glove-10")


def test_the_command_lists_what_is_known_and_what_is_cached(hub, capsys):
    find_vectors("wiki-news")
    assert main(["vectors", "--quiet"]) == 0
    rows = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["name", "words", "numbers", "download", "cached", "repository"]
    assert [row[0] for row in rows[1:]] == list(VECTORS)
    assert {row[0]: row[4] for row in rows[1:]}["wiki-news"] == "yes"
    assert {row[0]: row[4] for row in rows[1:]}["fasttext-en"] == "no"


def test_train_takes_a_name_and_corrects_a_mistyped_one(hub, tmp_path, capsys):
    missing = str(tmp_path / "none.csv")
    assert main(["train", "sample", "--out", missing, "--vectors", "glove-10O"]) == 2
    assert "no such file: glove-10O (did you mean 'glove-100'?)" in capsys.readouterr().err
