"""textlstm vocab COMMAND ...

Build a vocabulary from texts, or show one.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from textlstm.cli.console import messages, say
from textlstm.cli.parser import add_data, add_verbosity, positive
from textlstm.cli.paths import require_data, require_file, require_free
from textlstm.config import DataConfig, TokenizerConfig
from textlstm.options import add_flags, read_flags

_DATA = ("text_column", "delimiter", "dataset_config", "dataset_revision")
_TOKENIZER = ("tokenizer", "vocab_size", "min_frequency")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    actions = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, prog="textlstm vocab"
    )
    maker = actions.add_parser(
        "build",
        help="count the tokens of texts",
        usage="textlstm vocab build DATA [DATA ...] --out FILE [OPTION ...]",
        description="Count the tokens of texts and write a vocabulary for `train --vocab`.",
    )
    add_verbosity(maker)
    add_data(maker, "as for train; no labels are needed")
    maker.add_argument(
        "--out", required=True, metavar="FILE", help="the file to write: JSON if it ends in .json"
    )
    maker.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    add_flags(maker, DataConfig, "data", only=_DATA)
    add_flags(maker, TokenizerConfig, "tokenizer", only=_TOKENIZER)
    maker.set_defaults(run=run_build)
    viewer = actions.add_parser(
        "show",
        help="list the most frequent tokens",
        usage="textlstm vocab show FILE [OPTION ...]",
        description="List id, token and count of the most frequent tokens, separated by tabs.",
    )
    add_verbosity(viewer)
    viewer.add_argument("file", metavar="FILE", help="a vocabulary file, or a model folder")
    viewer.add_argument(
        "--top", type=positive, default=20, metavar="N", help="number of tokens (default: 20)"
    )
    viewer.set_defaults(run=run_show)


def run_build(arguments: argparse.Namespace) -> int:
    """Run `vocab build` and return the exit code."""
    require_data(arguments.data)
    require_free(arguments.out, overwrite=arguments.overwrite)
    data = read_flags(arguments, DataConfig, _DATA)
    config = read_flags(arguments, TokenizerConfig, _TOKENIZER)
    from textlstm.data.corpus import load_texts
    from textlstm.text.tokenizer import TextTokenizer
    from textlstm.text.vocabulary import UNK_ID

    with messages():
        texts, notes, _ = load_texts(arguments.data, data)
        for note in notes:
            say(note)
        vocabulary = TextTokenizer.train(texts, config).vocabulary
        vocabulary.save(arguments.out)
    read, unknown = sum(vocabulary.counts), vocabulary.counts[UNK_ID]
    say(
        f"wrote {len(vocabulary):,} entries to {arguments.out}; they cover "
        f"{1 - unknown / max(1, read):.2%} of {read:,} tokens"
    )
    say(f"next: textlstm train DATA --vocab {shlex.quote(arguments.out)} --out MODEL")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Run `vocab show` and return the exit code."""
    require_file(arguments.file)
    from textlstm.text.vocabulary import Vocabulary

    path = Path(arguments.file)
    if path.is_dir():
        from textlstm.classifier.json_files import FILES

        path = path / FILES.vocabulary
    lines = Vocabulary.load(path).to_text().split("\n")[:-1]
    for number, line in enumerate(lines[: arguments.top]):
        sys.stdout.write(f"{number}\t{line}\n")
    if len(lines) > arguments.top:
        sys.stdout.flush()
        say(f"the first {arguments.top:,} of {len(lines):,} entries of {path}; --top N shows more")
    say(f"next: textlstm train DATA --vocab {shlex.quote(str(path))} --out MODEL")
    return 0
