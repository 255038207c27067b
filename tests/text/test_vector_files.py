"""Files of vectors are read in every form, and refused with the place of the damage."""

import gzip
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textlstm.errors import DataError
from textlstm.text.vector_files import open_vectors, vector_size

WORDS = ["the", ",", "don't", "naïve", "電影", "..."]
NUMBERS = np.array([[0.5, -1.25, 3e-5], [1, 2, 3], [-0.1, 0, 4e8], [7, 8, 9], [1, 0, 0], [0, 0, 1]])


def text_rows(words, numbers, end="\n"):
    rows = zip(words, numbers, strict=True)
    return "".join(f"{word} {' '.join(repr(float(x)) for x in row)}{end}" for word, row in rows)


def glove(words=WORDS, numbers=NUMBERS):
    return text_rows(words, numbers).encode()


def with_header(words=WORDS, numbers=NUMBERS):
    """As word2vec and fastText write it: a header, and a space at the end of each line."""
    size = np.asarray(numbers).shape[1]
    return f"{len(words)} {size}\n{text_rows(words, numbers, end=' ' + chr(10))}".encode()


def binary(words=WORDS, numbers=NUMBERS, end=b"\n"):
    head = f"{len(words)} {np.asarray(numbers).shape[1]}\n".encode()
    rows = zip(words, np.asarray(numbers, "<f4"), strict=True)
    return head + b"".join(word.encode() + b" " + row.tobytes() + end for word, row in rows)


def zipped(content, *names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ["vectors.txt"]:
            archive.writestr(name, content)
    return stream.getvalue()


FORMS = {"glove": glove, "word2vec text, fastText": with_header, "word2vec binary": binary}
PACKINGS = {"plain": bytes, "gzip": gzip.compress, "zip": zipped}


def read(path):
    with open_vectors(path) as file:
        rows = [(word.decode(), file.parse(numbers)) for word, numbers in file.rows()]
        return [word for word, _ in rows], np.array([numbers for _, numbers in rows])


def saved(tmp_path, content):
    path = tmp_path / "vectors"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_told_by_its_content(tmp_path, form, packing):
    path = saved(tmp_path, PACKINGS[packing](FORMS[form]()))
    words, numbers = read(path)
    assert words == WORDS
    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, NUMBERS.astype(np.float32))
    assert vector_size(path) == 3


_WORD = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(_WORD, min_size=1, max_size=6),
    size=st.integers(8, 12),
    seed=st.integers(0, 99),
    form=st.sampled_from(sorted(FORMS)),
    block=st.integers(1, 70),
)
def test_any_words_are_read_however_the_bytes_arrive(words, size, seed, form, block):
    from textlstm.text.vector_files import VectorFile

    numbers = np.random.default_rng(seed).normal(size=(len(words), size)).astype(np.float32)
    stream = io.BytesIO(FORMS[form](words, numbers))
    file = VectorFile("drawn", lambda _: stream.read(block))
    rows = [(word.decode(), file.parse(row)) for word, row in file.rows()]
    assert [word for word, _ in rows] == words
    np.testing.assert_array_equal([row for _, row in rows], numbers)


def test_letters_of_several_bytes_are_text(tmp_path):
    assert read(saved(tmp_path, "2 2\na 1 1\n電電 1 2\n"))[0] == ["a", "電電"]


def test_a_file_larger_than_a_block_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("textlstm.text.vector_files._BLOCK", 64)
    monkeypatch.setattr("textlstm.text.vector_files._HEAD", 100)
    words = [f"word{n}" for n in range(100)]
    numbers = np.random.default_rng(1).normal(size=(100, 5)).astype(np.float32)
    for form in FORMS.values():
        found, read_numbers = read(saved(tmp_path, form(words, numbers)))
        assert found == words
        np.testing.assert_array_equal(read_numbers, numbers)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    import tracemalloc

    path = tmp_path / "large.gz"
    row = b"word" + b" 0.123456" * 50 + b"\n"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(100):
            file.write(row * 500)  # 22 MB in all
    tracemalloc.start()
    with open_vectors(path) as file:
        assert sum(1 for _ in file.rows()) == 50_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6


def test_words_may_hold_spaces(tmp_path):
    content = "the 1 2\n. . . 3 4\nat name@domain.com 5 6\n"
    words, numbers = read(saved(tmp_path, content))
    assert words == ["the", ". . .", "at name@domain.com"]
    np.testing.assert_array_equal(numbers, [[1, 2], [3, 4], [5, 6]])


@pytest.mark.parametrize(
    "content",
    [
        "a\t1\t2\nb\t3\t4",
        "a  1  2\r\nb 3 4\r\n",
        "\ufeffa 1 2\nb 3 4\n\n \n",
        "2 2 \r\na 1 2\nb 3 4",
    ],
)
def test_tabs_line_ends_and_empty_lines_at_the_end_do_not_matter(tmp_path, content):
    words, numbers = read(saved(tmp_path, content))
    assert words == ["a", "b"]
    np.testing.assert_array_equal(numbers, [[1, 2], [3, 4]])


def test_only_ascii_white_space_parts_fields(tmp_path):
    words, _ = read(saved(tmp_path, "\x85 1 2\n\xa0 3 4\na\u3000b 5 6\n 7 8\n\t9\t9\n"))
    assert words == ["\x85", "\xa0", "a\u3000b", "", ""]


def test_a_binary_file_need_not_end_its_rows_with_a_line_feed(tmp_path):
    words, numbers = read(saved(tmp_path, binary(end=b"")))
    assert words == WORDS
    np.testing.assert_array_equal(numbers, NUMBERS.astype(np.float32))


@pytest.mark.parametrize("space", [" ", "\t", "  "])
def test_a_word_may_be_a_number(tmp_path, space):
    words, numbers = read(saved(tmp_path, "1 2 3\n2 4 5\n".replace(" ", space)))
    assert words == ["1", "2"]
    np.testing.assert_array_equal(numbers, [[2, 3], [4, 5]])


def test_numbers_whose_bytes_are_valid_text_are_told_from_text(tmp_path):
    words, numbers = read(saved(tmp_path, binary(["a", "b"], [[2.0, 2.0], [0.5, 0.0]])))
    assert words == ["a", "b"]
    np.testing.assert_array_equal(numbers, [[2.0, 2.0], [0.5, 0.0]])


DAMAGED = {
    "a number is missing": ("a 1 2\nb 1\n", "line 2: 1 number, expected 2"),
    "all numbers are missing": ("a 1 2\nb\n", "line 2: 0 numbers, expected 2"),
    "a number too many": ("a 1 2\nb 1 2 3\n", "line 2: 3 numbers, expected 2"),
    "two numbers too many": ("a 1 2\nb 1 2 3 4\n", "line 2: 4 numbers, expected 2"),
    "two spaces for a number": ("a 1 2\nb  1\n", "line 2: 1 number, expected 2"),
    "an empty first line": ("\na 1 2\n", "line 1: '' is not a word and its numbers"),
    "an empty line": ("a 1 2\n\nb 1 2\n", "line 2: the line is empty"),
    "NaN": ("a 1 2\nb nan 2\n", "line 2: 'nan' is not a finite"),
    "infinity": ("a 1 2\nb 1 2\nc 1 -inf\n", "line 3: '-inf' is not a finite"),
    "no number": ("a 1 2\nb 1 2,5\n", "line 2: '2,5' is not a finite"),
    "no number in the first line": ("a 1 x\nb 1 2\n", "line 1: 'x' is not a finite"),
    "a hexadecimal number": ("a 1 2\nb 1 0x1\n", "line 2: '0x1' is not a finite"),
    "a lower line": ("a 1 2\nb 1 1_0\n", "line 2: '1_0' is not a finite"),
    "a text": ("the movie was good\n", "line 1: 'the movie was good' is not a"),
    "a list of words": ("the\nmovie\n", "'the' is not a word and its numbers: pass GloVe"),
    "only white space": (" \n \n", "is empty"),
    "nothing": ("", "is empty"),
    "a header alone": ("3 2\n", "has 0 words, its header says 3"),
    "fewer words than its header": ("3 2\na 1 2\nb 1 2\n", "has 2 words, its header says 3"),
    "more words than its header": ("1 2\na 1 2\nb 1 2\n", "has 2 words, its header says 1"),
    "another size than its header": ("2 3\na 1 2\nb 1 2\n", "line 2: 2 numbers, expected 3"),
    "a header of no numbers": ("2 0\na\nb\n", "line 1: 0 numbers per word: must be 1"),
    "a header of too many numbers": (
        "2 99999\na\nb\n",
        "1: 99,999 numbers per word: .*: pass GloVe",
    ),
    "Latin-1": (b"the 1 2\nna\xefve 1 2\n", "line 2: byte 0xef is not UTF-8"),
    "UTF-16": ("the 1 2\n".encode("utf-16"), "neither text nor"),
    "a fastText model": (b"\xba\x16\x4f\x2f\x0c\x00\x00\x00", "is cut short: download"),
    "a packed one": (gzip.compress(b"\xba\x16\x4f\x2f"), "a packed fastText model: unpack it"),
    "something else": (b"\x89HDF\r\n\x1a\n" + bytes(100), "neither text nor"),
    "a binary file that ends early": (binary()[:-6], "word 6: the file ends in the middle"),
    "a binary file without its last rows": (binary()[:-37], "has 4 words, its header says 6"),
    "NaN in a binary file": (binary(numbers=[[1, np.nan]] * 6), "word 1: a number is not finite"),
    "bytes in a binary file": (
        binary().replace("ï".encode(), b"\xef\xef"),
        "word 4: byte 0xef is not UTF-8",
    ),
    "a zip of two": (zipped(b"a 1\n", "50d.txt", "100d.txt"), r"2 files \(50d.txt, 100d.txt\)"),
    "a zip of none": (zipped(b"", "folder/"), "is an empty archive: download it again"),
    "half a zip": (zipped(glove())[:60], "can't be unpacked"),
    "an empty gzip": (gzip.compress(b""), "is empty"),
    "the head of a gzip": (gzip.compress(glove())[:8], "damaged or cut short"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damage_is_refused_with_its_place(tmp_path, what):
    content, message = DAMAGED[what]
    path = saved(tmp_path, content)
    with pytest.raises(DataError, match=f"{path}.*{message}"):
        read(path)


def test_the_numbers_of_a_row_that_is_wanted_are_read_closely(tmp_path):
    for row, message in [
        ("b 1 1e39", "'1e39' is not"),
        ("b 1 .", "'.' is not"),
        ("b 1 2e", "'2e' is not"),
    ]:
        with pytest.raises(DataError, match=f"line 2: {message}"):
            read(saved(tmp_path, f"a 1 2\n{row}\n"))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_truncated_gzip_is_refused_after_the_last_row_that_could_be_read(tmp_path, form):
    words = [f"word{n}" for n in range(2000)]
    numbers = np.random.default_rng(1).normal(size=(2000, 20))
    packed = gzip.compress(FORMS[form](words, numbers))
    path = saved(tmp_path, packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"after (line|word) (\d,)?\d\d\d: damaged or cut"):
        read(path)


@pytest.mark.parametrize("place", [10, -8])  # the first block of deflate, the checksum
def test_a_gzip_whose_content_or_checksum_is_wrong_is_refused(tmp_path, place):
    packed = bytearray(gzip.compress(glove()))
    packed[place] ^= 0xFF
    with pytest.raises(DataError, match="damaged or cut short"):
        read(saved(tmp_path, bytes(packed)))


def test_a_damaged_gzip_or_zip_is_refused(tmp_path):
    for pack in (gzip.compress, zipped):
        packed = bytearray(pack(glove([f"w{n}" for n in range(500)], np.ones((500, 3)))))
        packed[len(packed) // 2] ^= 0xFF
        path = saved(tmp_path, bytes(packed))
        with pytest.raises(DataError, match=str(path)):  # as damage, or as what it made of a row
            read(path)


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("textlstm.text.vector_files._LONGEST", 1000)
    monkeypatch.setattr("textlstm.text.vector_files._BLOCK", 100)
    monkeypatch.setattr("textlstm.text.vector_files._HEAD", 100)
    with pytest.raises(DataError, match="line 2: over 1,000 bytes"):
        read(saved(tmp_path, "a 1 2\n" + "1 " * 2000))
    with pytest.raises(DataError, match="word 2: over 1,000 bytes"):
        read(saved(tmp_path, binary(["a"], [[1.0, 0.5]]) + b"x" * 3000))


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no such file of word vectors: .*none.txt"):
        vector_size(tmp_path / "none.txt")
    with pytest.raises(DataError, match="Is a directory"):
        vector_size(tmp_path)
