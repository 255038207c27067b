"""The bundled sample is what its grammar writes, and asks for the order of words."""

import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
FOLDER = Path(__file__).resolve().parents[1] / "textlstm" / "sample"
SIZES = {"train": 10_000, "validation": 600, "test": 1_000}
WORD = re.compile(r"[a-z]+(?:['’-][a-z]+)*")


@pytest.fixture(scope="module")
def scripts():
    """The modules `make_sample` and `bench_sample`."""
    names = ["make_sample", "bench_sample"]
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield {name: __import__(name) for name in names}
    finally:
        sys.path.remove(str(SCRIPTS))
        for name in names:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def shipped():
    tables = {split: pq.read_table(FOLDER / f"{split}.parquet") for split in SIZES}
    return {
        split: list(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))
        for split, table in tables.items()
    }


@pytest.fixture(scope="module")
def texts(shipped):
    return [text for rows in shipped.values() for text, _ in rows]


def words(text):
    return WORD.findall(text.lower().replace("<br />", " "))


@pytest.mark.slow
def test_building_it_again_gives_the_shipped_rows(scripts, shipped):
    assert scripts["make_sample"].make_rows() == shipped


def test_another_seed_gives_other_rows(scripts, shipped):
    other = scripts["make_sample"].make_rows(seed=2, sizes={"test": 1_000})
    assert len(set(other["test"]) & set(shipped["test"])) < len(shipped["test"]) / 10


def test_a_written_table_reads_back_with_its_label_names(scripts, shipped, tmp_path):
    maker = scripts["make_sample"]
    pq.write_table(maker.to_table(shipped["test"]), tmp_path / "test.parquet")
    again = pq.read_table(tmp_path / "test.parquet")
    assert again.equals(pq.read_table(FOLDER / "test.parquet"))
    assert again.schema.metadata == pq.read_schema(FOLDER / "test.parquet").metadata


@pytest.mark.parametrize("split", SIZES)
def test_datasets_sees_text_and_a_class_label(split):
    schema = pq.read_schema(FOLDER / f"{split}.parquet")
    assert datasets.Features.from_arrow_schema(schema) == {
        "text": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["negative", "positive"]),
    }


def test_a_split_has_as_many_rows_of_each_label_and_they_are_mixed(shipped):
    for split, size in SIZES.items():
        labels = [label for _, label in shipped[split]]
        assert Counter(labels) == {0: size // 2, 1: size // 2}
        assert 30 < sum(labels[:100]) < 70


def test_the_three_files_are_under_a_megabyte():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.parquet")) < 1_000_000


def test_no_text_comes_twice_whatever_its_capitals_and_punctuation(texts):
    kept = [re.sub(r"[^a-z0-9]+", " ", text.lower().replace("<br />", " ")) for text in texts]
    assert [text for text, count in Counter(kept).items() if count > 1] == []


def test_train_has_over_nine_hundred_words_that_come_more_than_once(shipped):
    counts = Counter(word for text, _ in shipped["train"] for word in words(text))
    assert sum(count > 1 for count in counts.values()) > 900


def test_the_words_of_validation_and_test_are_in_train(shipped):
    known = {word for text, _ in shipped["train"] for word in words(text)}
    for split in ("validation", "test"):
        assert {word for text, _ in shipped[split] for word in words(text)} <= known


def test_texts_are_short_and_many_have_a_single_sentence(texts):
    counts = Counter(
        sum(bool(words(part)) for part in re.split(r"[.!?]", text.replace('."', '"')))
        for text in texts
    )
    assert set(counts) <= set(range(1, 10))
    assert counts[1] > len(texts) / 10


def test_texts_have_the_habits_of_real_reviews(texts):
    for habit in (r"<br />", r"’", r"“[^”]+”", r"n't\b", r"\d", r"!$", r"\bNOT\b", r"^[^A-Z]+$"):
        assert 20 < sum(bool(re.search(habit, text)) for text in texts) < len(texts), habit


def test_texts_are_clean(texts):
    faults = {
        "a slot left open": r"[{}*|]",
        "two spaces": r"  ",
        "a space too many": r"\s[,.;:!?]|^\s|\s$",
        "a word twice": r"\b(\w+) \1\b",
        "'a' before a vowel": r"\b[Aa] [aeiouAEIOU]",
        "'an' before a consonant": r"\b[Aa]n (?!hour)[^aeiouAEIOU]",
        "a small letter after a full stop": r"[A-Z].*[.!?] [a-z]",
        "no end": r"[^.!?]$",
        "a straight quote among round ones": r"’.*[\"']|[\"'].*’",
        "a pair of quotes that is not": r"^[^\"]*\"[^\"]*$|“[^”]*$",
    }
    for what, fault in faults.items():
        assert [text for text in texts if re.search(fault, text)] == [], what


def test_a_third_of_the_rows_have_a_twin_of_the_same_words_and_the_other_label(shipped):
    for split, rows in shipped.items():
        labels = defaultdict(set)
        for text, label in rows:
            labels[tuple(sorted(words(text)))].add(label)
        twins = sum(len(labels[tuple(sorted(words(text)))]) == 2 for text, _ in rows)
        assert twins > len(rows) / 3, split


def test_a_twin_says_the_opposite_with_the_same_words(scripts):
    maker = scripts["make_sample"]
    pairs = [[maker.Review(seed, label).text() for label in (0, 1)] for seed in range(200)]
    assert all(negative != positive for negative, positive in pairs)
    assert sum(sorted(words(a)) == sorted(words(b)) for a, b in pairs) > 40


def test_words_alone_show_little(scripts):
    assert scripts["bench_sample"].bag_of_ngrams(1)[0] < 0.72


@pytest.mark.slow
def test_a_bag_of_ngrams_stays_under_80_percent(scripts):
    assert scripts["bench_sample"].bag_of_ngrams(2)[0] < 0.80


def test_words_with_a_side_are_on_one_side_only(scripts):
    rules = scripts["make_sample"].RULES
    words = {
        side: [w for rule in rules if rule[:2] == side for w in rules[rule]]
        for side in ("N.", "P.")
    }
    assert max(Counter(words["N."] + words["P."]).values()) == 1
    assert {rule[2:] for rule in rules if rule[:2] == "N."} == {
        r[2:] for r in rules if r[:2] == "P."
    }


def test_every_rule_is_used_and_defined_once(scripts):
    maker = scripts["make_sample"]
    text = (SCRIPTS / "sample_grammar.txt").read_text(encoding="utf-8")
    names = re.findall(r"(?m)^([\w.]+):", text)
    assert len(names) == len(set(names)) == len(maker.RULES)
    used = set(re.findall(r"\{(?:[FAPN]\.)?([^}+]+)", text))
    roots = {"plain", *maker.GROUPS, "fact", "opener", "closer", "craft", "story", "any", "rival"}
    assert {name.removeprefix("N.").removeprefix("P.") for name in names} <= used | roots


@pytest.mark.parametrize(
    "form",
    [
        r"\bnothing (in|about) it('s| is) \w+",
        r"\bnever [\w-]+[.!]",
        r"^a [\w-]+ (film|movie|picture|series|show)[.!]$",
        r"\bi('d| had)? expected (more|less)",
        r", but the \w+ \w+ed all of it",
    ],
)
def test_train_has_sentences_like_those_of_the_readme_for_both_labels(shipped, form):
    labels = Counter(label for text, label in shipped["train"] if re.search(form, text.lower()))
    assert min(labels[0], labels[1]) >= 5, labels
