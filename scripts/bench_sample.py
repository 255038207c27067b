"""Show that the bundled sample needs word order: compare a bag of 1-2-grams with textlstm.

    python scripts/bench_sample.py

Prints the accuracy on the test split of TF-IDF with logistic regression (C selected on
validation) and of textlstm with default settings.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import textlstm

SAMPLE = Path(textlstm.__file__).parent / "sample"
STRENGTHS = (0.1, 1.0, 10.0, 100.0)


def read(split: str) -> tuple[list[str], list[int]]:
    """Return the texts and labels of a split of the sample."""
    table = pq.read_table(SAMPLE / f"{split}.parquet")
    return table["text"].to_pylist(), table["label"].to_pylist()


def bag_of_ngrams(longest: int = 2) -> tuple[float, float]:
    """Fit TF-IDF with logistic regression on train.

    Args:
        longest: maximum number of words in an n-gram.

    Returns:
        Its accuracy on test, and C, the best of `STRENGTHS` on validation.
    """
    (train, labels), validation, test = read("train"), read("validation"), read("test")
    vectorizer = TfidfVectorizer(ngram_range=(1, longest))
    features = vectorizer.fit_transform(train)
    models = [LogisticRegression(C=c, solver="liblinear").fit(features, labels) for c in STRENGTHS]
    best = max(
        models, key=lambda model: model.score(vectorizer.transform(validation[0]), validation[1])
    )
    return float(best.score(vectorizer.transform(test[0]), test[1])), float(best.C)


def ours() -> float:
    """Train with default settings; return the accuracy on test."""
    with tempfile.TemporaryDirectory() as folder:
        classifier = textlstm.train("sample", out=Path(folder) / "model")
        texts, labels = read("test")
        predictions = classifier.predict(texts)
    hits = [p.label == classifier.labels[y] for p, y in zip(predictions, labels, strict=True)]
    return sum(hits) / len(hits)


def main() -> None:
    """Print both figures."""
    form = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=__doc__, formatter_class=form).parse_args()
    accuracy, strength = bag_of_ngrams()
    print(f"TF-IDF (1-2-grams) + logistic regression, C = {strength:g}: {accuracy:.1%} of test")
    began = time.perf_counter()
    print(f"textlstm, default settings: {ours():.1%} of test", end="")
    print(f" ({time.perf_counter() - began:.0f} s with data and evaluation)")


if __name__ == "__main__":
    main()
