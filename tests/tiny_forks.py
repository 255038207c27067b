"""Programs in forks of one process that has loaded torch for all: a start takes no seconds.

`Forks` makes an executable `python` and `textlstm` that each ask the process for a fork, in which
they run with their own arguments, folder, environment and streams. This file is the process, and
in Python's isolated mode one of the executables.
"""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path


class Forks:
    """The process, and a folder of executables for PATH.

    Args:
        folder: gets the executables and the socket; made here.
        prepare: what the process runs before it loads textlstm.
        env: the environment of the process.
    """

    def __init__(self, folder, prepare="", env=None):
        folder.mkdir()
        self.folder = folder
        for name in ("python", "textlstm"):
            path = folder / name
            words = [sys.executable, "-I", "-S", __file__, str(folder / "socket"), name]
            path.write_text(f'#!/bin/sh\nexec {" ".join(map(repr, words))} "$@"\n')
            path.chmod(0o755)
        self._server = subprocess.Popen(
            [sys.executable, __file__, str(folder / "socket"), prepare],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert self._server.stdout.readline() == "ready\n"

    def close(self):
        self._server.kill()
        self._server.wait(60)


def serve(path, prepare):
    exec(prepare, {})
    import sklearn.model_selection
    from tiny_training import trainer

    import textlstm.cli.progress
    import textlstm.prediction.files
    import textlstm.training.train

    del sklearn, textlstm
    trainer(epochs=1).run()  # torch loads much on the first step
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        asker, _ = listener.accept()
        if not os.fork():
            listener.close()
            run(asker)
        asker.close()
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def run(asker):
    """Be the program that is asked for, and answer with its exit code."""
    message, streams, *_ = socket.recv_fds(asker, 1 << 20, 3)
    name, arguments, folder, env = json.loads(message)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 1
    try:
        code = execute(name, arguments)
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        asker.sendall(bytes([code]))
        os._exit(code)


def execute(name, arguments):
    if name == "textlstm":
        from textlstm.cli import main

        return main(arguments)
    first, *rest = arguments
    sys.argv = arguments
    if first == "-c":
        program, *rest = rest
        sys.argv = ["-c", *rest]
        sys.path.insert(0, "")
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.path.insert(0, str(Path(first).parent))
        runpy.run_path(first, run_name="__main__")
    return 0


def ask(path, name, *arguments):
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        message = json.dumps([name, arguments, str(Path.cwd()), dict(os.environ)])
        socket.send_fds(server, [message.encode()], [0, 1, 2])
        answer = server.recv(1)
        return answer[0] if answer else 70  # it crashed


if __name__ == "__main__":
    if sys.flags.isolated:
        sys.exit(ask(*sys.argv[1:]))
    serve(*sys.argv[1:])
