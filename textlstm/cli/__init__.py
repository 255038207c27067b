"""The command line: arguments, progress, exit codes; it only dispatches.

- `parser`: the list of commands; parsing, and errors in one line
- `console`: log lines and progress on stderr
- `paths`: missing files and models reported before anything heavy is imported
- `model`: the argument MODEL
- `runs`: what the commands that train share
- a module for each command, listed in `parser.COMMANDS`
- `train_options`, `settings_file`: the options of a training, and their TOML file
- `tables`: results on stdout

Exit codes: 0; 1 for warnings of `check --strict`; 2 for an error that the user can fix; 130 after
Ctrl-C; 143 after SIGTERM.
Results go to stdout, everything else to stderr. May import: every folder.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from textlstm.cli.console import interrupt_code, is_verbose, say, set_verbosity, term_as_interrupt
from textlstm.cli.parser import ERROR_CODE, complain, parse
from textlstm.errors import PeerError, TextLSTMError
from textlstm.training.launch import read_rank

_WAIT = 5.0  # seconds
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_TOO_LARGE = ("can't allocate memory", "out of memory")  # torch, on a CPU and on a GPU

# How often an OpenMP thread looks for work before it sleeps. GNU's default of 300,000 makes it
# hold a core that another process waits for: two trainings on two cores then run at a tenth of
# their speed or less. An idle machine loses about 3%. Read when torch is loaded.
_SPINS = "1000"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: default: those of the process.

    Returns:
        The exit code.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who started us
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack a letter of a label
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = parse(arguments)
        set_verbosity(quiet=options.quiet, verbose=options.verbose)
        if options.trains:
            from textlstm.nn.memory import keep_freed_memory

            keep_freed_memory()  # before NumPy starts threads
        # one of several processes, which waits for the others, would ignore SIGTERM
        with term_as_interrupt(wanted=read_rank().size == 1):
            code: int = options.run(options)
        sys.stdout.flush()  # a closed pipe must show here, not when the interpreter exits
        return code
    except TextLSTMError as error:
        if isinstance(error, PeerError) and not read_rank().is_main:
            time.sleep(_WAIT)  # torchrun ends all when one ends: let the other say why first
            return ERROR_CODE
        if is_verbose():
            import traceback

            traceback.print_exc()
        complain(str(error))
        return ERROR_CODE
    except KeyboardInterrupt as stop:
        say("interrupted")
        return interrupt_code(stop)
    except BrokenPipeError:
        # whoever read our output has closed it (`| head`); there is nothing more to write
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        # what is written to a stream has no name; other errors without one say something else
        if error.filename is not None or error.errno not in _FULL:
            raise
        complain(f"the output can't be written: {error.strerror}")
        return ERROR_CODE
    except (MemoryError, RuntimeError) as error:
        too_large = any(words in str(error) for words in _TOO_LARGE)
        if not (too_large or isinstance(error, MemoryError)):
            raise
        wanted = re.search(r"tried to allocate [\d.]+ \w+", str(error), re.IGNORECASE)
        complain(
            f"there is not enough memory{f' ({wanted[0]})' if wanted else ''}: lower hidden_size, "
            "vocab_size, max_length or the size of batches, or use a machine with more"
        )
        return ERROR_CODE
    finally:
        set_verbosity(quiet=False, verbose=False)
