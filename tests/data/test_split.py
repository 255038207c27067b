"""The rows of a split: read in batches, chosen, in order."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from textlstm.config import DataConfig
from textlstm.data.corpus import Split, load_corpus, load_split


def texts(split: Split, batch_size: int = 1000) -> list[str]:
    return list(itertools.chain.from_iterable(split.texts(batch_size)))


def test_batches_are_of_the_size_asked_for_unless_texts_are_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = {"train": ([f"text {i}" for i in range(100)], ["a", "b"] * 50)}
    train = load_corpus(source).train
    assert [len(batch) for batch in train.texts(40)] == [40, 40, 10]
    monkeypatch.setattr("textlstm.data.split._LIST_BYTES", 60)
    short = load_corpus(source).train
    assert max(len(batch) for batch in short.texts(40)) < 10
    assert texts(short) == texts(train)


def test_selected_rows_keep_their_order_and_labels(tmp_path: Path) -> None:
    lines = '{"text": null, "label": 0}\n' + "".join(
        f'{{"text": "{i}", "label": {i}}}\n' for i in range(1, 9)
    )
    (tmp_path / "test.jsonl").write_text(lines)
    names = [str(i) for i in range(1, 9)]
    split, _ = load_split(tmp_path / "test.jsonl", None, DataConfig(), names)
    assert texts(split) == names
    for rows in ([5, 0, 3], [2, 3, 4], [1, 3, 4], [0, 7], [4, 4], []):
        chosen = split.select(np.array(rows, np.int64))
        assert texts(chosen, 2) == [names[row] for row in rows]
        assert chosen.labels.tolist() == rows
    again = split.select(np.array([7, 6, 5])).select(np.array([2, 0]))
    assert texts(again) == ["6", "8"]
