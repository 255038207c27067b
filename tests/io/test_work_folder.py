"""What the state says is true, whatever happens, and two runs never share an output."""

import errno
import json
import subprocess
import sys

import pytest

from textlstm.errors import OutputError
from textlstm.io.work_folder import DATA, WorkFolder, differences

JOB = {"input": {"a.csv": "10 bytes"}}


def begun(target, data=b"head"):
    with WorkFolder(target) as work:
        work.begin(JOB, {"bytes": len(data)}, data)
    return work


def test_it_lies_hidden_beside_the_output_and_stays_when_left(tmp_path):
    work = begun(tmp_path / "out.csv")
    assert work.path == tmp_path / ".out.csv.partial"
    assert work.is_begun()
    assert work.job() == JOB
    assert work.state() == {"bytes": 4}
    assert (work.path / DATA).read_bytes() == b"head"


def test_a_folder_in_which_nothing_has_begun_goes(tmp_path):
    with WorkFolder(tmp_path / "out.csv") as work:
        assert work.path.is_dir()
        assert not work.is_begun()
    assert list(tmp_path.iterdir()) == []


def test_what_the_state_does_not_count_is_cut_off(tmp_path):
    begun(tmp_path / "out.csv")
    with WorkFolder(tmp_path / "out.csv") as work:
        work.reopen(4)
        work.append(b" one")
        work.keep({"bytes": 8})
        work.append(b" lost")
    with WorkFolder(tmp_path / "out.csv") as work:
        work.reopen(work.state()["bytes"])
        work.append(b" two")
    assert (work.path / DATA).read_bytes() == b"head one two"


def test_data_that_is_shorter_than_the_state_says_is_refused(tmp_path):
    begun(tmp_path / "out.csv")
    with (
        WorkFolder(tmp_path / "out.csv") as work,
        pytest.raises(OutputError, match=r"has 4 bytes and should have 5.*--overwrite"),
    ):
        work.reopen(5)


def test_beginning_anew_forgets_what_was_there(tmp_path):
    work = begun(tmp_path / "out.csv")
    (work.path / "parts").mkdir()
    (work.path / "parts" / "part-00000.parquet").write_text("old")
    begun(tmp_path / "out.csv", b"new")
    assert sorted(path.name for path in work.path.iterdir()) == [
        *("data", "job.json", "lock", "state.json")
    ]
    assert (work.path / DATA).read_bytes() == b"new"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 99}', "{}"])
def test_a_foreign_or_damaged_folder_is_refused(tmp_path, text):
    work = begun(tmp_path / "out.csv")
    (work.path / "job.json").write_text(text)
    with pytest.raises(OutputError, match=r"\.out\.csv\.partial"):
        work.job()


HOLD = """
import sys, time
from pathlib import Path
from textlstm.io.work_folder import WorkFolder
with WorkFolder(Path(sys.argv[1])) as work:
    print("held", flush=True)
    time.sleep(60)
"""


def test_only_one_process_may_be_at_work(tmp_path):
    pytest.importorskip("fcntl", reason="there are no such locks on this system")
    target = tmp_path / "out.csv"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(target)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match=r"another process is writing .*out\.csv"):
            WorkFolder(target).take()
    finally:
        other.kill()
        other.wait()
    with WorkFolder(target):
        pass  # the lock of a killed process is free


def test_a_full_disk_is_told_in_one_line_and_costs_only_what_did_not_fit(tmp_path):
    begun(tmp_path / "out.csv")
    with WorkFolder(tmp_path / "out.csv") as work:
        work.reopen(4)
        file = work._data

        class Full:
            def __getattr__(self, name):
                return getattr(file, name)

            def write(self, data):
                if file.tell() == 4:
                    return file.write(data[:3])
                raise OSError(errno.ENOSPC, "No space left on device")

        work._data = Full()
        with pytest.raises(OutputError, match=r"out\.csv: No space left.*is kept.*--resume"):
            work.append(b" more")
    assert (work.path / DATA).read_bytes() == b"head"
    assert work.state() == {"bytes": 4}


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file/out.csv: Not a directory"):
        WorkFolder(tmp_path / "file" / "out.csv").take()


def test_removing_leaves_nothing(tmp_path):
    begun(tmp_path / "out.csv")
    with WorkFolder(tmp_path / "out.csv") as work:
        work.remove()
    assert list(tmp_path.iterdir()) == []


def test_differences_are_told_by_name():
    there = {"input": {"a.csv": "10 bytes"}, "options": {"batch_size": 64, "top_k": 1}}
    here = {"input": {"b.csv": "10 bytes"}, "options": {"batch_size": 32, "top_k": 1}}
    assert differences(there, json.loads(json.dumps(there))) == []
    assert differences(there, here) == [
        "a.csv is 10 bytes there and absent here",
        "b.csv is absent there and 10 bytes here",
        "batch_size is 64 there and 32 here",
    ]
    assert differences({}, {"options": {"top_k": 2}}) == ["top_k is absent there and 2 here"]
