"""The table of mistakes: the most similar training text of what was predicted."""

import datasets
import numpy as np
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
