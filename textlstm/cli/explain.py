"""textlstm explain MODEL TEXT... [OPTION ...]

Show the contribution of each word of a text to the logit of a label.

The n-gram branch is exact; the LSTM is explained by integrated gradients over the embeddings
(Sundararajan et al. 2017). The contributions add up to the change of the logit from an empty
baseline; the remaining error is shown. Words that are not in the vocabulary have a ?.

On a terminal words that speak for the label are green, words against it red; NO_COLOR switches
colors off. Without colors each word is followed by its contribution.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from textlstm.cli.console import messages, say
from textlstm.cli.model import add_model, load_model
from textlstm.cli.paths import exists, is_text, require_data
from textlstm.cli.tables import terminal
from textlstm.errors import ConfigError
from textlstm.io.formats import expanded
from textlstm.io.progress import Display, Screen

if TYPE_CHECKING:
    from rich.text import Text

    from textlstm.classifier.explain import Explanation, Word

_GREEN = (22, 28, 34)  # of the 256 colors of a terminal, from weak to strong
_RED = (52, 88, 124)
_LEAST_SHADE = 0.1  # of the strongest word; weaker words have no color


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_model(parser)
    parser.add_argument(
        "texts",
        nargs="+",
        metavar="TEXT",
        help="a text, a file with a text per line, or - for stdin",
    )
    parser.add_argument("--label", help="label to explain (default: the most probable)")
    parser.add_argument(
        "--method",
        default="gradients",
        metavar="{gradients,occlusion}",
        help="occlusion: the change of the logit when a word becomes unknown (default: gradients)",
    )
    parser.add_argument("--json", action="store_true", help="write a line of JSON per text")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    console = terminal()
    with messages():
        classifier = load_model(arguments)
        screen = Screen() if console else None  # what is shown says how far it is
        display = Display("texts", brief=True, screen=screen)
        for text in display.over(_read_texts(arguments.texts)):
            found = classifier.explain(text, label=arguments.label, method=arguments.method)
            if arguments.json:
                sys.stdout.write(json.dumps(found.to_dict(), ensure_ascii=False) + "\n")
            elif console and not console.no_color:
                console.print(_colored(found))
            else:
                sys.stdout.write(format_explanation(found) + "\n")
    say(f"next: textlstm evaluate {shlex.quote(arguments.model)} DATA, on texts with labels")
    return 0


def format_explanation(explanation: Explanation) -> str:
    """Return an explanation as plain text: the label, and the words with their contributions."""
    words = (f"{_shown(word)} ({word.contribution:+.2f})" for word in explanation.words)
    return f"{explanation.summary()}\n  {' '.join(words)}"


def _colored(explanation: Explanation) -> Text:
    """Return an explanation for a terminal: the label, and the words in colors."""
    from rich.text import Text

    found = Text(f"{explanation.summary()}\n  ")
    for word, shade in zip(explanation.words, explanation.shades(), strict=True):
        color = (_GREEN if shade > 0 else _RED)[min(2, int(abs(shade) * 3))]
        style = f"bright_white on color({color})" if abs(shade) >= _LEAST_SHADE else ""
        found.append(_shown(word), style).append(" ")
    found.rstrip()
    return found


def _shown(word: Word) -> str:
    return word.token if word.known else f"{word.token}?"


def _read_texts(arguments: list[str]) -> Iterator[str]:
    """Yield texts: those on the command line, and the lines, not blank, of files and of stdin."""
    for argument in arguments:
        if argument == "-":
            given = (line.decode("utf-8", "surrogateescape") for line in sys.stdin.buffer)
            yield from (line.rstrip("\r\n") for line in given if line.strip())
        elif not argument.strip():
            raise ConfigError(f"TEXT = {argument!r}: it is blank: pass a text with words")
        elif exists(argument):
            try:
                lines = expanded(argument).read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"{argument} can't be read as UTF-8 text ({error}): pass a text file with a "
                    "text per line, or the text itself"
                ) from error
            yield from filter(str.strip, lines)
        else:
            if not is_text(argument):
                require_data(argument)
            yield argument
