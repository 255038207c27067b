"""What is likely to be wrong is said once, with a remedy; sound data passes in silence."""

import numpy as np
import pytest
from tiny_corpus import rows

from textlstm.config import TokenizerConfig
from textlstm.data import checks
from textlstm.data.corpus import load_corpus


def corpus(**splits):
    return load_corpus({name: tuple(zip(*part, strict=True)) for name, part in splits.items()})


def numbered(n, seed):
    return [
        (f"{text} {seed} {number}", label) for number, (text, label) in enumerate(rows(n, seed))
    ]


def test_sound_data_passes_in_silence():
    sound = corpus(train=numbered(100, 0), validation=numbered(50, 1), test=numbered(50, 2))
    assert checks.corpus_warnings(sound, folded=True) == {}
    assert checks.check_corpus(sound, TokenizerConfig(min_frequency=1)).warnings.keys() <= {
        "unknown_words"  # the numbers
    }


def test_every_finding_of_a_corpus_is_reported_the_most_serious_first():
    train = [*numbered(200, 0), ("both ways", "bad"), ("both ways ", "good"), ("odd", "rare")]
    part = numbered(9, 1)
    test = [*train[:3], *part, ("  BOTH, ways!", "bad")]
    data = corpus(train=train, validation=[*part, train[4]], test=test)
    found = checks.corpus_warnings(data, folded=True).values()
    begins = [
        "3 of 13 test texts are in train too: the test figures",
        "1 of 10 validation texts are in train too: the validation figures",
        "1 of 13 test texts are in train but for case",
        "texts that occur in train with different labels: 1",
    ]
    begins += [
        "fewer than 5 rows in train: 'rare'",
        "label 'bad' has 101 rows",
        "validation has only 10",
    ]
    assert len(found) == len(begins)
    for sentence, begin in zip(found, begins, strict=True):
        assert sentence.startswith(begin)
    assert len(checks.corpus_warnings(data)) == len(begins) - 1
    alone = corpus(train=numbered(200, 0), validation=numbered(50, 1))
    assert checks.corpus_warnings(alone) == {"no_test": checks.NO_TEST}


def test_copies_are_reported_if_there_are_many():
    texts = np.arange(100)
    assert checks.copies(np.array([*texts[:98], 1, 2])) is None
    assert checks.copies(np.array([*texts[:97], 1, 1, 2])).startswith("3 of 100 texts in train are")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A film!", "a  film", True),
        ("Straße №1", "STRASSE no1", True),
        ("ﬁne", "fine", True),
        ("a film", "a filming", False),
        ("?!", "!?", False),
        ("你好。", "你好", True),
    ],
)
def test_folding_leaves_the_words(one, other, same):
    assert (checks.folded_text(one) == checks.folded_text(other)) == same


def checked(texts, **options):
    """What is wrong with these texts, each in train with two labels."""
    rows = [
        (f"{text} {number}", ("bad", "good")[number % 2]) for number, text in enumerate(texts * 2)
    ]
    data = corpus(train=rows, validation=numbered(50, 1))
    return checks.check_corpus(data, TokenizerConfig(**options))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a\x00b", "control_characters"),
        ("a\x97b", "control_characters"),
        ("caf\ufffd", "control_characters"),
        ("a\tb\nc\r\n", None),
        ("cafÃ©", "encoding"),
        ("donâ€™t", "encoding"),
        ("Ð¿Ñ\x80", "encoding"),
        ("café, don’t, São, Ângela, привет, Ð", None),
    ],
)
def test_wrong_encodings_are_found(text, rule):
    found = {"control_characters", "encoding"} & checked([text]).warnings.keys()
    assert (rule in found) if rule else not found


def test_a_tokenizer_that_finds_no_words_is_reported():
    chinese = ["这部电影非常好看我很喜欢演员的表演也很出色" * 3]
    assert "long_tokens" in checked(chinese, tokenizer="whitespace").warnings
    assert "long_tokens" not in checked(chinese, tokenizer="word").warnings
    long = ["Donaudampfschifffahrtsgesellschaft war gestern ein Wort"]
    assert "long_tokens" not in checked(long, tokenizer="whitespace").warnings


def test_facts_and_the_share_of_unknown_words():
    found = checked(["film " * 30, "a film"], max_length=20)
    assert found.rows == {"train": 4, "validation": 50}
    assert found.labels == {"bad": 2, "good": 2}
    assert found.lengths == {"median": 11, "95%": 20, "longest": 20, "max_length": 20}
    assert found.unknown > 0.5
    assert found.warnings["unknown_words"].startswith(f"{found.unknown:.0%} of the tokens in")
    assert found.warnings["cut_texts"].startswith("2 of 4 texts")
    assert found.to_dict()["lengths"]["longest"] == 20


def test_rows_with_several_labels_are_checked_too():
    texts = ["one", "one", "two", "two"]
    labels = np.array([[1, 0], [1, 1], [0, 1], [0, 1]], bool)
    keys = np.array([hash(text) for text in texts])
    assert checks.contradictions(keys, labels).startswith(
        "texts that occur in train with different labels: 1"
    )
    assert checks.contradictions(keys[2:], labels[2:]) is None


@pytest.mark.parametrize(
    ("labels", "rows", "suspect"),
    [
        ([str(n) for n in range(5)], 20, False),  # stars
        ([str(n) for n in range(40)], 10_000, False),  # ids of many classes
        ([str(n) for n in range(40)], 100, True),
        ([f"{n}.5" for n in range(25)], 10_000, True),
        ([f"class {n}" for n in range(40)], 100, False),
    ],
)
def test_many_numbers_as_labels_look_like_a_measurement(labels, rows, suspect):
    assert (checks.measurement(labels, rows) is not None) == suspect


@pytest.mark.parametrize(("counts", "suspect"), [([20, 1], False), ([21, 1], True), ([3, 0], True)])
def test_imbalance_is_beyond_1_to_20(counts, suspect):
    found = checks.imbalance(np.array(counts), ["a", "b"])
    assert (found is not None) == suspect
    if suspect:
        assert found.endswith("try --class-weights balanced")


def test_the_limits_of_few_rows():
    assert checks.small_validation(50) is None
    assert "only 49 rows" in checks.small_validation(49)
    assert checks.rare_labels(np.array([5, 9]), ["a", "b"]) is None
    many = checks.rare_labels(np.array([4] * 7), list("abcdefg"))
    assert "'e' and 2 more;" in many


def test_texts_that_are_cut_are_counted():
    assert checks.cut_texts(np.array([400] * 5 + [9] * 95), 400) is None
    found = checks.cut_texts(np.array([400] * 6 + [9] * 94), 400)
    assert found.startswith("6 of 100 texts of train have 400 tokens or more")


def figures(**changes):
    per_label = {"a": {"support": 3, "precision": 0.5}, "b": {"support": 2, "precision": 0.0}}
    return {"per_label": per_label, **changes}


def test_labels_that_are_never_predicted_are_named():
    said = "never predicted on validation: 'b'; "
    assert checks.never_predicted(figures(confusion_matrix=[[3, 0], [2, 0]])).startswith(said)
    assert checks.never_predicted(figures(confusion_matrix=[[2, 1], [2, 0]])) is None
    assert checks.never_predicted(figures(confusions=[[0, 0, 3], [1, 0, 2]])).startswith(said)
    assert checks.never_predicted(figures(confusions=[[0, 1, 3]])).startswith(said[:-5] + "'a'")
    assert checks.never_predicted(figures(confusions=[[0, 1, 3], [1, 0, 2]])) is None
    assert checks.never_predicted(figures()).startswith(said)  # several labels a text


def test_an_lstm_that_counts_for_little_is_reported():
    scales = {"calibration": {"scales": {"lstm": 0.12, "ngrams": 1.06}}}
    (found,) = checks.result_warnings(figures(confusion_matrix=[[3, 0], [1, 1]], **scales))
    assert "scales 0.12 and 1.06" in found
    assert checks.quiet_lstm({"lstm": 0.5, "ngrams": 1.0}) is None
    assert checks.quiet_lstm({"lstm": 0.1}) is None
