"""The table of mistakes: the most similar training text of what was predicted."""

import datasets
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from tiny_tokenizers import train

from textlstm.classifier.mistakes import list_mistakes
from textlstm.data.split import Split

TEXTS = ["dull plot", "dull cast", "great plot", "great cast", "odd film"]
NAMES = ("bad", "good")


def split(texts, labels):
    rows = datasets.Dataset.from_dict({"text": texts})
    return Split(rows, ["text"], np.array(labels))


def nearest(labels, probabilities, training=None, thresholds=None):
    """Return the nearest text of each mistake by the number of its row."""
    own = split(TEXTS, labels)
    tokenizer = train(texts=TEXTS)
    probabilities = np.array(probabilities, np.float32)
    found = list_mistakes(tokenizer, own, probabilities, NAMES, thresholds, training or own, top=9)
    return {row["row"]: row["nearest_text"] for row in found.rows}


def test_the_nearest_text_has_the_label_that_was_predicted():
    found = [[0.1, 0.9], [0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.9, 0.1]]
    # the texts of a label are themselves no choice, and a text without a like one gets none
    assert nearest([0, 0, 1, 1, 1], found) == {1: "great plot", 4: "dull cast", 5: None}
    other = split(["odd cast", "great film"], [0, 1])
    assert nearest([0, 0, 1, 1, 1], found, other) == {1: None, 4: "odd cast", 5: "odd cast"}


def test_of_several_labels_the_nearest_text_has_one_that_was_predicted_or_none_as_well():
    labels = [[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]]
    found = [[0.1, 0.9], [0.9, 0.9], [0.1, 0.2], [0.9, 0.8], [0.1, 0.1]]
    nearest_texts = nearest(np.array(labels, bool), found, thresholds=(0.5, 0.5))
    # 1 is predicted good, 3 and 5 neither, 4 both
    assert nearest_texts == {1: "dull cast", 3: "great cast", 4: "dull cast", 5: None}


def nearest_of(texts, others, allowed=None):
    """Return the nearest of other texts for each text; by default all of them are a choice."""
    own = split(texts, [0] * len(texts))
    training = split(others, [1] * len(others) if allowed is None else allowed)
    tokenizer = train("whitespace", [*texts, *others])
    probabilities = np.tile(np.float32([0.1, 0.9]), (len(texts), 1))
    found = list_mistakes(tokenizer, own, probabilities, NAMES, None, training, top=len(texts))
    assert [row["text"] for row in found.rows] == texts
    return [row["nearest_text"] for row in found.rows]


def test_the_nearest_text_shares_rare_tokens_and_is_allowed():
    others = ["film plot", "film great cast", "film film film", "odd"]
    found = nearest_of(["film cast", "odd", "dull"], others)
    assert found == ["film great cast", "odd", None]
    assert nearest_of(["great", "film"], others, [1, 0, 1, 1]) == [None, "film film film"]


def test_the_nearest_text_is_that_of_the_weights_of_scikit_learn():
    random = np.random.default_rng(1)
    some, others = (
        [" ".join(random.choice(list("abcdefghij"), random.integers(5, 30))) for _ in range(n)]
        for n in (40, 60)
    )
    vectorizer = TfidfVectorizer(analyzer=str.split, sublinear_tf=True)
    second = vectorizer.fit_transform(others)
    nearest = (vectorizer.transform(some) @ second.T).toarray().argmax(axis=1)
    assert nearest_of(some, others) == [others[row] for row in nearest]
