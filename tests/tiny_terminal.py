"""A terminal that remembers what was written on it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

_CONTROL = re.compile(r"\x1b\[(\??\d*(?:;\d+)*)([A-Za-z])|(.)", re.DOTALL)


def on_terminal(code, *words, columns=80, stdout=None, **environ):
    """Run Python code with a terminal as its stderr, and stdout if that is not given.

    Returns:
        Exit code, and all that was written on the terminal.
    """
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    hidden = {"NO_COLOR", "COLUMNS", "JPY_PARENT_PID", "FORCE_COLOR"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdin=inner,
        stdout=inner if stdout is None else stdout,
        stderr=inner,
        env={**kept, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environ},
    ) as process:
        os.close(inner)
        written = bytearray()
        while True:
            try:
                found = os.read(outer, 65536)
            except OSError:  # the other end is closed
                break
            written += found
    os.close(outer)
    return process.returncode, written.decode()


def lines_on_screen(written):
    """What a high terminal shows after all this was written on it."""
    lines, row, column = [""], 0, 0
    for found in _CONTROL.finditer(written):
        number, command, letter = found.groups()
        if letter == "\r":
            column = 0
        elif letter == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif letter:
            old = lines[row].ljust(column)
            lines[row] = old[:column] + letter + old[column + 1 :]
            column += 1
        elif command == "A":
            row -= int(number)
        elif command == "K":
            lines[row] = ""
        else:
            assert command == "m", found.group()  # a colour; nothing else is expected
    return [line.rstrip() for line in lines]
