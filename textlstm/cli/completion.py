"""textlstm completion {bash,zsh,fish}

Print a script with which your shell completes commands, options and their values:

  bash:  textlstm completion bash > ~/.local/share/bash-completion/completions/textlstm
  zsh:   textlstm completion zsh > ~/.zfunc/_textlstm    (~/.zfunc must be in $fpath)
  fish:  textlstm completion fish > ~/.config/fish/completions/textlstm.fish
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from textlstm.cli.parser import build_parser, shown_flags

# Each asks `textlstm completion SHELL -- WORD ...` for the possible last words.
_SCRIPTS = {
    "bash": """\
_textlstm() {
  local IFS=$'\\n'
  COMPREPLY=($(textlstm completion bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$2"))
}
complete -o filenames -F _textlstm textlstm
""",
    "zsh": """\
#compdef textlstm
_textlstm() {
  local -a found
  found=("${(@f)$(textlstm completion zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n $found[1] ]]; then _describe textlstm found; else _files; fi
}
if [[ $funcstack[1] == _textlstm ]]; then _textlstm "$@"; else compdef _textlstm textlstm; fi
""",
    "fish": """\
complete -c textlstm -a '(textlstm completion fish -- (commandline -opc)[2..-1] "" 2>/dev/null)'
""",
}
_FORMS = {"bash": "{0}", "zsh": "{0}:{1}", "fish": "{0}\t{1}"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("shell", choices=list(_SCRIPTS), help="the shell")
    parser.add_argument("typed", nargs="*", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return the exit code."""
    if arguments.typed:
        for word, help_line in complete(arguments.typed, prefix=arguments.shell != "fish"):
            sys.stdout.write(_FORMS[arguments.shell].format(word, help_line) + "\n")
    else:
        sys.stdout.write(_SCRIPTS[arguments.shell])
    return 0


def complete(words: Sequence[str], *, prefix: bool = True) -> list[tuple[str, str]]:
    """Return what the last word of a command line can be.

    Args:
        words: the words after `textlstm`; the last one is to be completed, '' if not begun.
        prefix: whether only what the last word begins is returned; fish selects itself.

    Returns:
        Words with their help; none where a file name is expected.
    """
    *before, last = words
    parser: argparse.ArgumentParser = build_parser(*before[:1])
    commands = _commands(parser)
    for word in before:
        if word in commands:
            parser = commands[word][0]
            commands = _commands(parser)
    flags = shown_flags(parser)
    previous = flags.get(before[-1]) if before else None
    if previous is not None and previous.nargs != 0:
        found = [(value, "") for value in _values(previous)]
    elif commands:
        found = [(name, help_line) for name, (_, help_line) in commands.items()]
    else:
        found = [
            (value, "")
            for action in parser._actions
            if not action.option_strings
            for value in _values(action)
        ]
        if last.startswith("-") or not prefix:
            found += [(flag, " ".join((a.help or "").split())) for flag, a in flags.items()]
    return [entry for entry in found if not prefix or entry[0].startswith(last)]


def _commands(parser: argparse.ArgumentParser) -> dict[str, tuple[argparse.ArgumentParser, str]]:
    return {
        name: (child, next(a.help or "" for a in action._choices_actions if a.dest == name))
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, child in action.choices.items()
    }


def _values(action: argparse.Action) -> list[str]:
    """Return the values that an option or argument allows, if they are few."""
    metavar = str(action.metavar)
    named = metavar.strip("{}").split(",") if metavar.startswith("{") else []
    return list(action.choices or named)
