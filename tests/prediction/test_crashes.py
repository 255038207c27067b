"""A run that is killed, again and again, comes to the same bytes as one that nobody disturbed."""

import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_classifier import texts, tiny_classifier

from textlstm.cli import main
from textlstm.io.work_folder import WorkFolder
from textlstm.prediction.files import unfinished

pytestmark = pytest.mark.slow

ROWS = int(os.environ.get("TEXTLSTM_CRASH_ROWS", "900"))
KILLS = int(os.environ.get("TEXTLSTM_CRASH_KILLS", "4"))
OPTIONS = ["--chunk-rows", "60", "--threads", "1", "--top-k", "2"]

# Forks for each command line, so that a killed process costs no start-up.
SERVER = """
import json, os, sys
from textlstm.cli import main
main(json.loads(sys.argv[1]))
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.close(0)
        os._exit(main(json.loads(line)))
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Server:
    """Runs command lines in processes of their own."""

    def __init__(self, forks, first):
        environment = {**forks.env, "TOKENIZERS_PARALLELISM": "false"}
        self._process = subprocess.Popen(
            [forks.folder / "python", "-c", SERVER, json.dumps(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def run(self, words, *, kill_after=None, number=signal.SIGKILL):
        """Run a command line, killed after some seconds; give the exit code."""
        self._process.stdin.write(json.dumps([str(word) for word in words]) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
                os.kill(child, number)
        return int(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    tiny_classifier(labels=("bad", "good", "so so")).save(folder)
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder of three parquet files, with a null here and there."""
    folder = tmp_path_factory.mktemp("in")
    some = texts(ROWS)
    for number in range(3):
        part = [text if row % 50 else None for row, text in enumerate(some[number::3])]
        pq.write_table(
            pa.table({"id": range(len(part)), "text": part}), folder / f"{number}.parquet"
        )
    return folder


@pytest.fixture(scope="module")
def server(forks, model, source, tmp_path_factory):
    if not hasattr(os, "fork"):
        pytest.skip("processes cannot be forked on this system")
    first = tmp_path_factory.mktemp("first") / "out.csv"
    server = Server(forks, ["predict", str(model), str(source), "--out", str(first), *OPTIONS])
    yield server
    server.close()


def content(path):
    if path.is_dir():
        return {file.name: file.read_bytes() for file in sorted(path.iterdir())}
    return path.read_bytes()


@pytest.mark.parametrize("name", ["out.csv.gz", "out.parquet", "out"])
def test_a_run_killed_at_many_random_moments_comes_to_the_same_bytes(
    server, model, source, tmp_path, name
):
    words = ["predict", model, source, *OPTIONS]
    began = time.perf_counter()
    assert server.run([*words, "--out", tmp_path / "whole" / name]) == 0
    longest = time.perf_counter() - began
    expected = content(tmp_path / "whole" / name)
    out = tmp_path / "killed" / name
    chosen = random.Random(name)
    killed = 0
    while killed < KILLS:
        moment = chosen.uniform(0, longest)
        code = server.run([*words, "--out", out, "--resume"], kill_after=moment)
        assert code in (0, -signal.SIGKILL)
        assert not out.exists() or content(out) == expected
        if code:
            killed += 1
        else:
            longest *= 0.9  # the first run was disturbed
            assert [path.name for path in out.parent.iterdir()] == [name]
        if code == 0 or (out.exists() and not unfinished(out)):
            remove(out)
    assert server.run([*words, "--out", out, "--resume"]) == 0
    assert content(out) == expected
    assert [path.name for path in out.parent.iterdir()] == [name]


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_ends_in_order_and_says_how_to_go_on(
    model, source, tmp_path, capsys, monkeypatch, number, code
):
    out = tmp_path / "an output.csv"
    words = ["predict", str(model), str(source), "--out", str(out), *OPTIONS]
    keep = WorkFolder.write_state

    def stop(self, state):
        keep(self, state)
        if state["given"]["rows"] == 600:
            os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs of a shell ignore it
    with monkeypatch.context() as patched:
        patched.setattr(WorkFolder, "write_state", stop)
        assert main(words) == code
    signal.signal(signal.SIGINT, before)
    said = capsys.readouterr().err.splitlines()
    assert said == [f"to resume: {shlex.join(['textlstm', *words])} --resume"]
    assert not out.exists()
    assert main([*words, "--resume"]) == 0
    whole = [*words[:4], str(tmp_path / "whole.csv"), *words[5:]]
    assert main(whole) == 0
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, timeout=10, check=False)
    except OSError as error:
        pytest.skip(f"no small file system can be mounted here: {error}")
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=False, timeout=10)


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "out"])
def test_a_full_disk_is_one_line_and_the_run_goes_on_when_there_is_room(
    model, source, tmp_path, small_disk, capsys, name
):
    words = ["predict", str(model), str(source), *OPTIONS, "--probabilities"]
    assert main([*words, "--out", str(tmp_path / "whole" / name)]) == 0
    size = sum(len(part) for part in parts_of(tmp_path / "whole" / name))
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2**18 - size // 2 - 2**14))
    capsys.readouterr()
    out = small_disk / name
    assert main([*words, "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"textlstm: error: cannot write {out}: No space left on device")
    assert "finished rows are kept" in line
    assert not out.exists()
    assert main([*words, "--out", str(out), "--resume"]) == 2  # there still is no room
    filler.unlink()
    assert main([*words, "--out", str(out), "--resume"]) == 0
    assert content(out) == content(tmp_path / "whole" / name)
    assert [path.name for path in small_disk.iterdir()] == [name]


def parts_of(path):
    found = content(path)
    return list(found.values()) if isinstance(found, dict) else [found]
