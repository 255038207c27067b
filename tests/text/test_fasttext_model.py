"""The vectors of a fastText model are those that fastText computes."""

import struct

import numpy as np
import pytest

from textlstm.errors import DataError
from textlstm.text.vector_files import open_vectors, vector_size
from textlstm.text.word_vectors import read_vectors

WORDS = ["</s>", "the", "naïve", "的"]
BUCKETS = 7


def model(*, words=WORDS, labels=("__label__a",), ngrams=(2, 3), version=12, kind=2, pruned=-1,
          quantized=False, rows=None):  # fmt: skip
    """A model of two numbers per word; row i of its matrix is (i, i²)."""
    rows = len(words) + BUCKETS if rows is None else rows
    head = struct.pack("<2i", 793712314, version)
    head += struct.pack("<12i", 2, 5, 1, 1, 5, 1, 1, kind, BUCKETS, *ngrams, 100)
    head += struct.pack("<d", 1e-4)
    head += struct.pack("<3i2q", len(words) + len(labels), len(words), len(labels), 99, pruned)
    entries = [(word.encode("utf-8", "surrogateescape"), 0) for word in words]
    entries += [(label.encode(), 1) for label in labels]
    head += b"".join(word + b"\0" + struct.pack("<qb", 9, kind) for word, kind in entries)
    numbers = np.array([(i, i * i) for i in range(rows)], "<f4")
    return head + struct.pack("<?2q", quantized, rows, 2) + numbers.tobytes() + b"the output"


def fnv(text):
    """The hash of fastText's `Dictionary::hash`, in numpy's 32-bit numbers."""
    value = np.uint32(2166136261)
    with np.errstate(over="ignore"):
        for byte in text.encode():
            value = (value ^ np.uint32(np.int8(byte - 256 * (byte > 127)))) * np.uint32(16777619)
    return int(value)


def expected(number, ngrams):
    rows = [number, *(len(WORDS) + fnv(ngram) % BUCKETS for ngram in ngrams)]
    return np.array([(i, i * i) for i in rows], np.float32).mean(axis=0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.bin"


def read(path):
    with open_vectors(path) as file:
        return {word.decode(): file.parse(row) for word, row in file.rows()}


def test_a_word_has_the_mean_of_its_row_and_those_of_its_ngrams(path):
    path.write_bytes(model())
    found = read(path)
    assert list(found) == WORDS  # without the label
    assert vector_size(path) == 2
    the = ["<t", "<th", "th", "the", "he", "he>", "e>"]
    naive = ["<n", "<na", "na", "naï", "aï", "aïv", "ïv", "ïve", "ve", "ve>", "e>"]
    np.testing.assert_allclose(found["the"], expected(1, the), rtol=1e-6)
    np.testing.assert_allclose(found["naïve"], expected(2, naive), rtol=1e-6)
    np.testing.assert_allclose(found["的"], expected(3, ["<的", "<的>", "的>"]), rtol=1e-6)
    np.testing.assert_array_equal(found["</s>"], [0, 0])  # its own row alone
    assert found["the"].dtype == np.float32


def test_ngrams_of_one_letter_are_not_the_marks_at_the_ends(path):
    path.write_bytes(model(ngrams=(1, 1)))
    np.testing.assert_allclose(read(path)["the"], expected(1, ["t", "h", "e"]), rtol=1e-6)


@pytest.mark.parametrize("options", [{"ngrams": (0, 0)}, {"version": 11, "kind": 3}])
def test_a_model_without_ngrams_has_the_rows_alone(path, options):
    path.write_bytes(model(**options))
    assert {word: list(vector) for word, vector in read(path).items()} == {
        word: [i, i * i] for i, word in enumerate(WORDS)
    }


def test_words_of_the_vocabulary_get_their_vectors(path):
    path.write_bytes(model(words=[*WORDS, "\udcff"]))  # the last is not UTF-8
    vectors = read_vectors(path, ["THE", "missing"], extend=2)
    assert vectors.tokens == ("THE", "</s>", "the")
    assert len(read(path)) == len(WORDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": 13}, "has version 13, not 11 or 12: pass its .vec"),
        ({"pruned": 0}, "is pruned"),
        ({"quantized": True}, "is quantized"),
        ({"rows": 3}, "is damaged"),
    ],
)
def test_what_can_not_be_read_is_refused(path, options, message):
    path.write_bytes(model(**options))
    with pytest.raises(DataError, match=message):
        read(path)


def test_a_number_that_is_not_finite_is_refused(path):
    content = model(ngrams=(0, 0))
    path.write_bytes(content.replace(struct.pack("<2f", 1, 1), struct.pack("<2f", np.nan, 1), 1))
    with pytest.raises(DataError, match=r"not finite \('the'\)"):
        read(path)


@pytest.mark.parametrize("size", [9, 100, 140, 250])
def test_a_model_cut_short_is_refused(path, size):
    path.write_bytes(model()[:size])
    with pytest.raises(DataError, match="is cut short: download"):
        read(path)
