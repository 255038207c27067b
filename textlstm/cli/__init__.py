"""The command line: reading arguments, showing progress, errors in one line.

Exit codes: 0; 2 for an error that the user can mend; 130 after Ctrl-C; 143 after SIGTERM. What
is asked for goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Sequence

from textlstm.cli.parser import ERROR_CODE, complain, parse
from textlstm.errors import PeerError, TextLSTMError
from textlstm.training.launch import read_place

_WAIT = 5.0  # seconds

# How often an OpenMP thread looks for work before it sleeps. GNU's default of 300,000 has it
# hold a core that another process waits for: two trainings on two cores then run at a tenth of
# their speed or less. An idle machine loses about 3%. Read when torch is loaded.
_SPINS = "1000"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: those of the process if not given.

    Returns:
        The exit code.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack a letter that a label has
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = parse(arguments)
        code: int = options.run(options)
        sys.stdout.flush()  # a closed pipe shall show here, not in the interpreter's last breath
        return code
    except TextLSTMError as error:
        if isinstance(error, PeerError) and not read_place().is_main:
            time.sleep(_WAIT)  # torchrun ends all when one ends: first the other shall tell why
        else:
            complain(str(error))
        return ERROR_CODE
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    except BrokenPipeError:
        # the reader of our output has gone (`| head`); nothing more can or need be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
