"""Beside the real torchtext: vocabularies go both ways, and basic_english gives its tokens.

torchtext works with torch 2.3 only: scripts/test_torchtext.sh makes an environment of both.
"""

import pickle
import subprocess
import sys
from collections import Counter
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

if not version("torch").startswith("2.3."):
    pytest.skip("torchtext works with torch 2.3 only", allow_module_level=True)
torchtext = pytest.importorskip("torchtext")
torchtext.disable_torchtext_deprecation_warning()

from torchtext.data.utils import get_tokenizer  # noqa: E402
from torchtext.vocab import Vocab, build_vocab_from_iterator, vocab  # noqa: E402

from textlstm.config import DataConfig, TokenizerConfig  # noqa: E402
from textlstm.data.corpus import load_corpus, load_split  # noqa: E402
from textlstm.text.tokenizer import TextTokenizer  # noqa: E402
from textlstm.text.vocabulary import Vocabulary  # noqa: E402
from textlstm.training.train import train  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
theirs = get_tokenizer("basic_english")


def ours(texts):
    config = TokenizerConfig(tokenizer="basic_english", min_frequency=1, max_length=10**6)
    return TextTokenizer.train(lambda: [texts], config)


READ = ours(["a"]).tokens


def sample(split="train"):
    return [text for batch in getattr(load_corpus("sample"), split).texts() for text in batch]


def same(one, other):
    """Whether two vocabularies of torchtext look everything up alike."""
    return (
        isinstance(one, Vocab)
        and one.get_itos() == other.get_itos()
        and one.get_stoi() == other.get_stoi()
        and one.get_default_index() == other.get_default_index()
    )


TEXTS = ["a b b c", "b c d c b"]


def built(*specials, default=None, **options):
    made = build_vocab_from_iterator(map(str.split, TEXTS), specials=list(specials), **options)
    if default is not None:
        made.set_default_index(made[default])
    return made


@pytest.mark.parametrize(
    "vocabulary",
    [
        built("<pad>", "<unk>", default="<unk>"),
        built("<unk>", default="<unk>"),
        built("<unk>", "<pad>", "<bos>", "<eos>", default="<unk>"),
        built("<bos>", "<unk>", special_first=False, default="<unk>"),
        built("[PAD]", "[UNK]", default="[UNK]"),
        built(default="b"),
        built(),
        built("<unk>", max_tokens=3, default="<unk>"),
        vocab({"é": 1, "\t": 2, " ": 3, "\\n": 1, "": 1, "映画": 9}),
    ],
)
def test_a_vocabulary_of_torchtext_comes_and_goes_unchanged(vocabulary):
    here = Vocabulary.from_torchtext(vocabulary)
    assert here.get_itos() == vocabulary.get_itos()
    assert here.get_default_index() == vocabulary.get_default_index()
    known = vocabulary.get_itos()
    assert here.lookup_indices(known) == vocabulary.lookup_indices(known)
    if vocabulary.get_default_index() is not None:
        assert here["never seen"] == vocabulary["never seen"]
    assert same(here.to_torchtext(), vocabulary)


@settings(deadline=None, max_examples=20)  # to make a vocabulary takes torchtext 0.2 seconds
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True))
def test_our_vocabulary_goes_and_comes_unchanged(tokens):
    here = Vocabulary.from_itos(tokens)
    there = here.to_torchtext()
    assert there.get_itos() == here.get_itos()
    assert there.lookup_indices(["<pad>", "<unk>"]) == [0, 1]
    assert there.get_default_index() == 1
    assert Vocabulary.from_torchtext(there) == here


@pytest.mark.parametrize("options", [{}, {"min_frequency": 3}, {"size": 500}])
def test_counting_gives_the_order_of_build_vocab_from_iterator(options):
    lists = [theirs(text) for text in sample()]
    there = build_vocab_from_iterator(
        lists,
        min_freq=options.get("min_frequency", 1),
        specials=["<pad>", "<unk>"],
        max_tokens=options.get("size"),
    )
    there.set_default_index(1)
    counts = Counter(token for tokens in lists for token in tokens)
    here = Vocabulary.from_counts(counts, **options)
    assert same(here.to_torchtext(), there)


PICKLE = """
import pickle, sys, torchtext
torchtext.disable_torchtext_deprecation_warning()
from torchtext.vocab import build_vocab_from_iterator
v = build_vocab_from_iterator([["dull", "bright", "bright"]], specials=["<unk>"])
v.set_default_index(0)
pickle.dump(v, open(sys.argv[1], "wb"))
"""


def test_a_vocabulary_pickled_by_torchtext_moves_over(tmp_path):
    subprocess.run([sys.executable, "-c", PICKLE, str(tmp_path / "v.pkl")], check=True, timeout=120)
    there = pickle.loads((tmp_path / "v.pkl").read_bytes())
    Vocabulary.from_torchtext(there).save(tmp_path / "v.txt")
    rows = (["bright film", "dull film"] * 10, ["good", "bad"] * 10)
    classifier = train(
        {"train": rows},
        vocab=str(tmp_path / "v.txt"),
        epochs=1,
        embedding_size=2,
        hidden_size=2,
        threads=1,
    )
    assert classifier.vocabulary.get_itos() == ["<pad>", "<unk>", "bright", "dull"]


def documents():
    """Real texts that are wherever Python is: the descriptions of what is installed."""
    found = [ROOT / "README.md", ROOT / "LICENSE"]
    texts = [path.read_text(encoding="utf-8") for path in found]
    texts += [d.metadata.get_payload() or "" for d in distributions()]
    return [text for text in texts if isinstance(text, str)]


def assert_same_tokens(texts):
    for text in texts:
        assert READ(text) == theirs(text)


def test_basic_english_reads_the_sample_as_torchtext_does():
    texts = [text for split in ("train", "validation", "test") for text in sample(split)]
    assert len(texts) >= 5000
    assert_same_tokens(texts)


def test_basic_english_reads_documents_as_torchtext_does():
    texts = documents()
    texts += [line for text in texts for line in text.splitlines()]
    assert sum(len(theirs(text)) for text in texts) > 20_000
    assert_same_tokens(texts)


@pytest.mark.parametrize("name", ["sst2", "trec", "imdb"])
def test_basic_english_reads_corpora_as_torchtext_does(name):
    if not (SHARED / name).is_dir():
        pytest.skip(f"no corpus {name} at hand")
    labels = load_corpus(SHARED / name).labels
    split, _ = load_split(SHARED / name, "validation", DataConfig(), labels)
    assert_same_tokens(text for texts in split.texts() for text in texts)


MARKS = st.sampled_from("aBİßΣς'\".,()!?;:<br />\t\n\x0b\x1c\x85\xa0\u2003-é\u03011")


@settings(deadline=None)
@given(st.text(MARKS | st.characters()))
@example('<"br />')
@example("İ'S Σ. ΑΣ")
def test_basic_english_reads_anything_as_torchtext_does(text):
    text = text.encode("utf-8", "ignore").decode().replace("<pad>", "")  # see token_rules.pad_guard
    assert READ(text) == theirs(text)


def test_ids_are_those_of_torchtext():
    texts = sample("validation")
    tokenizer = ours(texts)
    there = tokenizer.vocabulary.to_torchtext()
    for text in sample("test")[:200]:
        assert tokenizer.encode(text) == (there(theirs(text)) or [1])
