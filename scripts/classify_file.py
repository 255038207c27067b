"""Label the rows of a file: csv, tsv, json lines or parquet in, any of these out.

python scripts/classify_file.py my-sentiment reviews.csv labelled.jsonl
"""

from __future__ import annotations

import argparse
import sys

from textlstm import TextClassifier, TextLSTMError
from textlstm.config import PredictionConfig
from textlstm.prediction.files import classify_file


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="the model folder")
    parser.add_argument("input", help="the file to read")
    parser.add_argument("output", help="the file to write")
    parser.add_argument("--text-column", nargs="+", default=(), help="(default: detected)")
    arguments = parser.parse_args()

    try:
        classifier = TextClassifier.load(arguments.model)
        config = PredictionConfig(text_column=tuple(arguments.text_column))
        summary = classify_file(classifier, arguments.input, arguments.output, config)
    except TextLSTMError as error:
        sys.exit(f"error: {error}")
    print(f"{summary.rows} rows, {sum(summary.failed.values())} of them without a label")


if __name__ == "__main__":
    main()
