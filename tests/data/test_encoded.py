"""Texts come back from the file as they went in, whatever was cut off is noticed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textlstm.data.encoded import EncodedTexts, LabelledTexts
from textlstm.errors import DataError, OutputError


def batch(*texts):
    """(flat ids, lengths) as the tokenizer gives them."""
    lengths = np.array([len(text) for text in texts], np.int64)
    return np.array([i for text in texts for i in text], np.int32), lengths


def read(encoded):
    spans = zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)
    return [encoded.ids[start:end].tolist() for start, end in spans]


TEXTS = st.lists(
    st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=5), max_size=4), max_size=4
)


@pytest.mark.slow
@settings(deadline=None)
@given(TEXTS)
def test_what_was_written_is_read(tmp_path_factory, batches):
    folder = tmp_path_factory.mktemp("encoded")
    flat = [text for texts in batches for text in texts]
    written = EncodedTexts.write(folder, "train", (batch(*texts) for texts in batches))
    held = EncodedTexts.from_batches(batch(*texts) for texts in batches)
    for encoded in (written, EncodedTexts.open(folder, "train"), held):
        assert read(encoded) == flat
        assert len(encoded) == len(flat)
        assert encoded.lengths.tolist() == [len(text) for text in flat]
        assert (encoded.ids.dtype, encoded.offsets.dtype) == (np.int32, np.int64)


def test_the_ids_stay_on_disk(tmp_path):
    encoded = EncodedTexts.write(tmp_path, "train", [batch([1, 2, 3])])
    assert isinstance(encoded.ids, np.memmap)
    assert isinstance(encoded.offsets, np.memmap)
    assert [path.name for path in tmp_path.iterdir()] == ["train.tokens"]


def test_several_splits_lie_in_one_folder(tmp_path):
    EncodedTexts.write(tmp_path, "train", [batch([1])])
    EncodedTexts.write(tmp_path, "test", [batch([2, 3], [4])])
    assert read(EncodedTexts.open(tmp_path, "train")) == [[1]]
    assert read(EncodedTexts.open(tmp_path, "test")) == [[2, 3], [4]]


def test_texts_that_break_off_leave_the_old_file(tmp_path):
    EncodedTexts.write(tmp_path, "train", [batch([1])])

    def broken():
        yield batch([2, 3])
        raise DataError("row 3 is bad")

    with pytest.raises(DataError, match="row 3"):
        EncodedTexts.write(tmp_path, "train", broken())
    assert read(EncodedTexts.open(tmp_path, "train")) == [[1]]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("kept", [0, 3, 8, 24, 30, -1, -8])
def test_a_file_cut_short_is_refused_by_name(tmp_path, kept):
    EncodedTexts.write(tmp_path, "train", [batch([1, 2], [3, 4, 5])])
    path = tmp_path / "train.tokens"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"train\.tokens is cut short.*encode again"):
        EncodedTexts.open(tmp_path, "train")


@pytest.mark.parametrize("change", [lambda b: b"x" + b, lambda b: bytes(8) + b, lambda b: b[8:]])
def test_a_file_with_bytes_too_many_or_too_few_before_its_end_is_refused(tmp_path, change):
    EncodedTexts.write(tmp_path, "train", [batch([1, 2], [3, 4, 5])])
    path = tmp_path / "train.tokens"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=r"train\.tokens"):
        EncodedTexts.open(tmp_path, "train")


def test_a_missing_file_and_a_folder_that_is_none_are_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*validation\.tokens"):
        EncodedTexts.open(tmp_path, "validation")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*train\.tokens"):
        EncodedTexts.write(tmp_path / "file", "train", [batch([1])])


def test_unknown_share_counts_the_unknown_token():
    assert EncodedTexts.from_batches([batch([1, 2, 0, 1], [5])]).unknown_share() == 0.4
    assert EncodedTexts.from_batches([]).unknown_share() == 0.0


def test_unknown_share_reads_past_its_first_chunk(monkeypatch):
    monkeypatch.setattr("textlstm.data.encoded._CHUNK", 2)
    assert EncodedTexts.from_batches([batch([1, 2, 3, 4, 1])]).unknown_share() == 0.4


def test_labels_and_weights_must_be_as_many_as_texts():
    with pytest.raises(DataError, match="1 texts and 2 labels"):
        LabelledTexts(EncodedTexts.from_batches([batch([1])]), np.array([0, 1]))
    with pytest.raises(DataError, match="1 texts and 0 weights"):
        LabelledTexts(EncodedTexts.from_batches([batch([1])]), np.array([0]), np.array([]))
    assert len(LabelledTexts(EncodedTexts.from_batches([batch([1])]), np.array([0]))) == 1
