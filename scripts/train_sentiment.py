"""Train a sentiment classifier on any labelled texts and try it on two.

    python scripts/train_sentiment.py sample my-sentiment
    python scripts/train_sentiment.py reviews.csv my-sentiment --text-column body --epochs 5
    python scripts/train_sentiment.py cornell-movie-review-data/rotten_tomatoes my-sentiment

The last one needs the network: it is the name of a dataset on the Hugging Face Hub.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from textlstm import TextLSTMError, train
from textlstm.cli.console import messages


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="a file, a folder, the name of a Hub dataset, or sample")
    parser.add_argument("out", help="the model folder, new or empty")
    parser.add_argument("--text-column", nargs="+", default=argparse.SUPPRESS)
    parser.add_argument("--label-column", default=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, default=argparse.SUPPRESS)
    options: dict[str, Any] = vars(parser.parse_args())
    data, out = options.pop("data"), options.pop("out")

    try:
        with messages():  # what the library logs, above a bar
            classifier = train(data, out, **options)
    except TextLSTMError as error:
        sys.exit(f"error: {error}")

    for split, metrics in classifier.metrics.items():
        print(f"{split}: accuracy {metrics['accuracy']:.3f}, macro F1 {metrics['macro_f1']:.3f}")
    texts = ["A wonderful story.", "The acting was dull, but the ending redeemed all of it."]
    for text, prediction in zip(texts, classifier.predict(texts), strict=True):
        print(f"{prediction.label} ({prediction.score:.2f}): {text}")


if __name__ == "__main__":
    main()
