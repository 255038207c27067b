"""Build a vocabulary from texts, for train --vocab.

python scripts/build_vocab.py reviews.csv more-reviews.csv --out my-vocab.txt
"""

from __future__ import annotations

import argparse
import sys

from textlstm import TextLSTMError, TextTokenizer
from textlstm.config import DataConfig, TokenizerConfig
from textlstm.data.corpus import load_texts
from textlstm.options import add_flags, read_flags
from textlstm.text.vocabulary import UNK_ID

_TOKENIZER = ("tokenizer", "vocab_size", "min_frequency")


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="+", help="data as for train; several are read in order")
    parser.add_argument(
        "--out", required=True, help="the file to write: text, or JSON with the suffix .json"
    )
    parser.add_argument("--text-column", nargs="+", default=(), help="(default: detected)")
    add_flags(parser, TokenizerConfig, "tokenizer", only=_TOKENIZER)
    arguments = parser.parse_args()
    try:
        config = read_flags(arguments, TokenizerConfig, _TOKENIZER)
        columns = DataConfig(text_column=tuple(arguments.text_column))
        texts, notes, _ = load_texts(arguments.data, columns)
        for note in notes:
            print(note, file=sys.stderr)
        vocabulary = TextTokenizer.train(texts, config).vocabulary
        vocabulary.save(arguments.out)
    except TextLSTMError as error:
        sys.exit(f"error: {error}")
    read, unknown = sum(vocabulary.counts), vocabulary.counts[UNK_ID]
    print(f"{len(vocabulary):,} entries in {arguments.out}")
    print(f"{read:,} tokens read, {unknown:,} of them ({unknown / max(1, read):.2%}) left out")


if __name__ == "__main__":
    main()
