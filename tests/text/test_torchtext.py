"""Vocabularies of torchtext are read without it, and asking for one says what it takes."""

import builtins
import importlib.metadata

import pytest

from textlstm.errors import MissingDependencyError, VocabularyError
from textlstm.text.torchtext import make_vocab, read_vocab
from textlstm.text.vocabulary import Vocabulary


class Foreign:
    """What torchtext.vocab.Vocab offers of itself."""

    def __init__(self, itos, default=None):
        self.itos, self.default = itos, default

    def get_itos(self):
        return self.itos

    def get_default_index(self):
        return self.default


def test_tokens_and_default_index_are_read():
    assert read_vocab(Foreign(["<unk>", "a"], 0)) == (["<unk>", "a"], 0)
    assert read_vocab(Foreign(["a"])) == (["a"], None)


@pytest.mark.parametrize("other", [{"a": 0}, ["a"], None])
def test_anything_else_is_refused_with_its_type(other):
    with pytest.raises(
        VocabularyError, match=f"a {type(other).__name__} is not a vocabulary of torch"
    ):
        read_vocab(other)


@pytest.mark.parametrize(
    "itos", [["<unk>", "b", "<pad>", "a"], ["<pad>", "<unk>", "b", "a"], ["b"]]
)
def test_indices_specials_and_default_index_are_kept(itos):
    vocabulary = Vocabulary.from_torchtext(Foreign(itos, itos.index("b")))
    assert vocabulary.get_itos() == itos
    assert vocabulary.get_stoi() == {token: i for i, token in enumerate(itos)}
    assert vocabulary.get_default_index() == itos.index("b")
    assert vocabulary["never seen"] == vocabulary["b"] == itos.index("b")
    assert vocabulary.lookup_indices(["zzz", *itos]) == [itos.index("b"), *range(len(itos))]
    assert vocabulary.counts == (0,) * len(itos)


def test_without_a_default_index_an_unknown_token_is_an_error_as_in_torchtext():
    vocabulary = Vocabulary.from_torchtext(Foreign(["a", "b"]))
    assert vocabulary.get_default_index() is None
    assert vocabulary.lookup_indices(["b", "a"]) == [1, 0]
    with pytest.raises(VocabularyError, match="'zzz' is not in the vocabulary"):
        vocabulary["zzz"]


def test_one_in_our_order_is_one_of_ours():
    ours = Vocabulary.from_itos(["b", "a"])
    assert Vocabulary.from_torchtext(Foreign(ours.get_itos(), 1)) == ours
    assert Vocabulary.from_torchtext(Foreign(ours.get_itos(), 0)) != ours
    assert Vocabulary.from_torchtext(Foreign(ours.get_itos(), None)) != ours


@pytest.mark.parametrize(
    ("itos", "default", "expected"),
    [
        (["<unk>", "b", "<pad>", "a"], 0, ["<pad>", "<unk>", "b", "a"]),
        (["b", "[UNK]", "a"], 1, ["<pad>", "<unk>", "b", "a"]),
        (["b", "a"], None, ["<pad>", "<unk>", "b", "a"]),
        (["b", "<unk>", "a"], 0, ["<pad>", "<unk>", "b", "a"]),
    ],
)
def test_renumbered_it_fits_a_model_here(itos, default, expected):
    renumbered = Vocabulary.from_torchtext(Foreign(itos, default)).renumbered()
    assert renumbered == Vocabulary(expected)
    assert renumbered.renumbered() == renumbered


@pytest.mark.parametrize("name", ["v.txt", "v.json"])
@pytest.mark.parametrize("itos", [["<unk>", "b", "a"], ["[UNK]", "b"], ["\ufeffx", "<unk>"]])
def test_a_saved_one_reads_back_renumbered(tmp_path, name, itos):
    vocabulary = Vocabulary.from_torchtext(Foreign(itos, 0))
    vocabulary.save(tmp_path / name)
    assert Vocabulary.load(tmp_path / name) == vocabulary.renumbered()


def test_a_token_that_no_file_can_hold_is_refused():
    with pytest.raises(VocabularyError, match=r"'\\ud800' is not valid Unicode"):
        Vocabulary.from_torchtext(Foreign(["<unk>", "\ud800"]))


def versions(monkeypatch, **installed):
    def version(name):
        if name in installed:
            return installed[name]
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", version)


def test_with_a_newer_torch_the_error_says_that_torchtext_needs_an_older_one(monkeypatch):
    versions(monkeypatch, torch="2.13.0+cpu", torchtext="0.18.0")
    expected = (
        r"torchtext 0\.18, .* works with torch 2\.3 only, and torch 2\.13\.0\+cpu is installed: "
    )
    with pytest.raises(MissingDependencyError, match=expected + r".*textlstm\[torchtext\]"):
        Vocabulary.from_itos(["a"]).to_torchtext()


def test_without_torchtext_the_error_says_how_to_get_it(monkeypatch):
    versions(monkeypatch, torch="2.3.1")
    with pytest.raises(MissingDependencyError, match=r"pip install 'textlstm\[torchtext\]'"):
        make_vocab(["a"], None)


def test_a_torchtext_that_does_not_load_is_told_in_one_line(monkeypatch):
    versions(monkeypatch, torch="2.3.1", torchtext="0.18.0")
    real = builtins.__import__

    def broken(name, *args, **kwargs):
        if name.startswith("torchtext"):
            raise OSError("libtorchtext.so: undefined symbol: _ZN3c1017Regis\nand more")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(MissingDependencyError, match="undefined symbol") as error:
        make_vocab(["a"], None)
    assert "\n" not in str(error.value)
