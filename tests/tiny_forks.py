"""Programs in forks of one process that has loaded torch for all: a start takes no seconds.

`Forks` makes the executables `python` and `textlstm`, which ask the process for a fork; it runs
with their arguments, folder, environment and streams. There, `sample` is a small one. This file
is the process, and in Python's isolated mode one of the executables.
"""

import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

ROWS = {"train": 24, "validation": 10, "test": 10}


class Forks:
    """The process, and executables that stand first in the PATH of `env`.

    Args:
        folder: gets the executables, the sample and the socket; made here.
    """

    def __init__(self, folder):
        self.folder = folder
        (folder / "sample").mkdir(parents=True)
        for name in ("python", "textlstm"):
            words = [sys.executable, "-I", "-S", __file__, str(folder), name]
            (folder / name).write_text(f'#!/bin/sh\nexec {" ".join(map(repr, words))} "$@"\n')
            (folder / name).chmod(0o755)
        self.env = {
            **os.environ,
            "PATH": os.pathsep.join([str(folder), os.environ["PATH"]]),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
        self._server = subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=self.env,
            start_new_session=True,  # to end what hangs
        )
        assert self._server.stdout.readline() == "ready\n"

    def run(self, *command, folder):
        """Run a program there; return what `subprocess.run` does."""
        words = [str(word) for word in command]
        return subprocess.run(
            words, cwd=folder, env=self.env, capture_output=True, text=True, timeout=600
        )

    def close(self):
        os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait(60)


def serve(folder):
    import pyarrow.parquet as pq

    from textlstm.io import locate

    for split, n in ROWS.items():
        name = f"{split}.parquet"
        pq.write_table(pq.read_table(locate.SAMPLE / name).slice(0, n), folder / "sample" / name)
    locate.SAMPLE = folder / "sample"

    import sklearn.model_selection
    from tiny_training import trainer

    import textlstm.classifier.report
    import textlstm.cli.console
    import textlstm.prediction.files
    import textlstm.report.page
    import textlstm.training.train

    del sklearn, textlstm
    trainer(epochs=1).run()  # torch loads much on the first step
    gc.collect()
    gc.freeze()  # forks share it as long as nobody writes to it
    sys.executable = str(folder / "python")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    listener.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        asker, _ = listener.accept()
        if not os.fork():
            listener.close()
            run(asker)
        asker.close()
        while True:  # bury the dead
            try:
                if not os.waitpid(-1, os.WNOHANG)[0]:
                    break
            except ChildProcessError:
                break


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
    if arguments[:2] == ["-m", "textlstm"]:
        return execute("textlstm", arguments[2:])
    if arguments[0] == "-c":
        program, *rest = arguments[1:]
        sys.argv = ["-c", *rest]
        sys.path.insert(0, "")
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")
    return 0


def ask(folder, name, *arguments):
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(f"{folder}/socket")
        message = json.dumps([name, arguments, str(Path.cwd()), dict(os.environ)])
        socket.send_fds(server, [message.encode()], [0, 1, 2])
        answer = server.recv(1)
        return answer[0] if answer else 70  # it crashed


if __name__ == "__main__":
    if sys.flags.isolated:
        sys.exit(ask(*sys.argv[1:]))
    serve(Path(sys.argv[1]))
