"""Vectors of the wanted words, and the embedding that is made of them."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from textlstm.errors import DataError
from textlstm.text.word_vectors import embedding_matrix, has_vector, read_vectors

GLOVE = Path(__file__).resolve().parents[3] / "shared" / "data" / "glove.6B.100d.top50k.txt.gz"
LINES = ["the 1 2", "The 3 4", "Paris 5 6", "film 7 8", "PARIS 9 9", "élan 0.5 1", "the 8 8"]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("\n".join(LINES), encoding="utf-8")
    return path


def rows(vectors):
    return dict(zip(vectors.tokens, vectors.matrix.tolist(), strict=True))


def test_only_wanted_words_are_kept_in_their_order(path):
    vectors = read_vectors(path, ["film", "plot", "the"])
    assert rows(vectors) == {"film": [7, 8], "the": [1, 2]}
    assert vectors.tokens == ("film", "the")
    assert vectors.matrix.dtype == np.float32
    assert (vectors.rows, vectors.other_case, vectors.extension) == (7, 0, ())


def test_of_a_word_that_is_there_twice_the_first_counts(path):
    assert rows(read_vectors(path, ["the"])) == {"the": [1, 2]}


def test_a_token_takes_another_spelling_only_if_its_own_is_missing(path):
    vectors = read_vectors(path, ["paris", "Film", "The", "the", "ÉLAN", "THE"])
    assert rows(vectors) == {
        "paris": [5, 6],
        "Film": [7, 8],
        "The": [3, 4],
        "the": [1, 2],
        "ÉLAN": [0.5, 1],
        "THE": [1, 2],
    }
    assert vectors.other_case == 4


def test_its_own_spelling_counts_even_if_it_comes_later(path):
    assert rows(read_vectors(path, ["PARIS"])) == {"PARIS": [9, 9]}


def test_memory_grows_with_the_words_taken_only(tmp_path, monkeypatch):
    import tracemalloc

    monkeypatch.setattr("textlstm.text.vector_files._BLOCK", 2**15)
    path = tmp_path / "vectors.gz"
    numbers = " 0.5" * 100
    spellings = ["the", "The", "tHe", "thE", "THe", "ThE", "tHE", "THE"]
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.writelines(f"word{n}{numbers}\n" for n in range(8000))  # 3.2 MB as 32-bit numbers
        file.writelines(f"{word}{numbers}\n" for word in spellings)
    tracemalloc.start()
    vectors = read_vectors(path, ["tHE", "plot"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert vectors.tokens == ("tHE",)
    assert vectors.rows == 8008
    assert peak < 1.5e6


def test_the_most_frequent_words_are_taken_besides(path):
    vectors = read_vectors(path, ["film", "the", "plot"], extend=3)
    assert vectors.extension == ("The", "Paris")
    assert rows(vectors) == {"film": [7, 8], "the": [1, 2], "The": [3, 4], "Paris": [5, 6]}


def test_words_that_no_text_can_give_are_not_taken(path):
    vectors = read_vectors(path, ["the"], extend=6, usable=str.islower)
    assert vectors.extension == ("film", "élan")


def test_the_specials_and_the_empty_word_are_not_taken(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("<pad> 1 1\n<unk> 2 2\n 3 3\na 4 4\na 5 5\n", encoding="utf-8")
    assert read_vectors(path, [], extend=9).extension == ("a",)


def test_rows_that_are_not_wanted_are_checked_too(tmp_path):
    path = tmp_path / "vectors.txt"
    for row in ("b 1", "b 1 nan", "b 1 2 3"):
        path.write_text(f"a 1 2\n{row}\n", encoding="utf-8")
        with pytest.raises(DataError, match="line 2"):
            read_vectors(path, ["a"])


def test_the_embedding_has_the_vectors_in_the_order_of_the_ids(path):
    tokens = ["<pad>", "<unk>", "film", "plot", "the"]
    vectors = read_vectors(path, tokens[1:])
    matrix = embedding_matrix(tokens, vectors, seed=1)
    assert matrix.shape == (5, 2)
    assert matrix.dtype == np.float32
    assert matrix[[0, 2, 4]].tolist() == [[0, 0], [7, 8], [1, 2]]
    assert matrix[1].tolist() == [4, 5]  # the mean of what was found
    assert has_vector(tokens, vectors).tolist() == [False, False, True, False, True]


def test_the_unknown_token_takes_its_vector_from_the_file(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("a 1 2\n<unk> 9 9\n", encoding="utf-8")
    tokens = ["<pad>", "<unk>", "a"]
    vectors = read_vectors(path, tokens[1:])
    assert embedding_matrix(tokens, vectors, seed=1)[1].tolist() == [9, 9]
    assert has_vector(tokens, vectors).tolist() == [False, False, True]


def test_tokens_without_a_vector_get_random_rows_of_the_same_scale(tmp_path):
    generator = np.random.default_rng(5)
    path = tmp_path / "vectors.txt"
    known = [f"known{n}" for n in range(300)]
    lines = (" ".join([w, *map(str, generator.normal(scale=0.4, size=20))]) for w in known)
    path.write_text("\n".join(lines), encoding="utf-8")
    tokens = ["<pad>", "<unk>", *(f"new{n}" for n in range(300)), *known]
    vectors = read_vectors(path, known)
    matrix = embedding_matrix(tokens, vectors, seed=1)
    new = matrix[2:302]
    assert abs(new.std() - 0.4) < 0.02
    assert abs(new.mean()) < 0.02
    assert len(np.unique(new)) > 5900
    np.testing.assert_array_equal(matrix, embedding_matrix(tokens, vectors, seed=1))
    assert (new != embedding_matrix(tokens, vectors, seed=2)[2:302]).all()


def test_how_vectors_were_asked_for_does_not_matter_to_the_embedding(path):
    tokens = ["<pad>", "<unk>", "film", "plot", "The", "Paris"]
    extended = read_vectors(path, ["<unk>", "film", "plot"], extend=3, usable=str.istitle)
    asked = read_vectors(path, tokens[::-1])
    np.testing.assert_array_equal(
        embedding_matrix(tokens, extended, seed=3), embedding_matrix(tokens, asked, seed=3)
    )


def test_vectors_that_fit_no_token_are_refused(path):
    tokens = ["<pad>", "<unk>", "xyz"]
    vectors = read_vectors(path, tokens)
    with pytest.raises(DataError, match=r"vectors.txt has a vector for none of the 1 entries"):
        embedding_matrix(tokens, vectors, seed=1)


@pytest.mark.slow
def test_a_real_file_of_glove():
    if not GLOVE.exists():
        pytest.skip(f"{GLOVE} is not there")
    wanted = ["the", "Obama", "no-such-word", "."]
    vectors = read_vectors(GLOVE, wanted, extend=10)
    assert vectors.rows == 50_000
    assert vectors.matrix.shape[1] == 100
    assert vectors.tokens[:3] == ("the", "Obama", ".")
    assert vectors.extension[:4] == (",", "of", "to", "and")
    assert len(vectors.extension) == 8
    assert vectors.other_case == 1
    with gzip.open(GLOVE, "rt", encoding="utf-8") as file:
        first = file.readline().split()
    np.testing.assert_array_equal(vectors.matrix[0], np.array(first[1:], np.float32))
