"""Write a model's vocabulary and weights for other tools.

    python scripts/export_model.py my-sentiment exported

writes exported/vocab.txt (token, tab, count), exported/vocab.json and exported/weights.safetensors.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from textlstm import TextClassifier, TextLSTMError
from textlstm.export.formats import export_model


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="the model folder")
    parser.add_argument("folder", type=Path, help="the output folder; existing files are replaced")
    arguments = parser.parse_args()

    try:
        classifier = TextClassifier.load(arguments.model, device="cpu")
        for format, name in (
            ("vocab", "vocab.txt"),
            ("vocab", "vocab.json"),
            ("safetensors", "weights.safetensors"),
        ):
            export_model(classifier, format, arguments.folder / name)
            print(arguments.folder / name)
    except TextLSTMError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
