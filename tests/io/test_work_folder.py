"""What the state says is true, whatever happens, and two runs never share an output."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from textlstm.errors import OutputError
from textlstm.io import work_folder
from textlstm.io.work_folder import DATA, WorkFolder

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


def test_a_link_in_it_goes_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "mine").mkdir()
    with WorkFolder(tmp_path / "out.csv") as work:
        (work.path / "old").symlink_to(tmp_path / "mine")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_what_the_state_does_not_count_is_cut_off(tmp_path):
    begun(tmp_path / "out.csv")
    with WorkFolder(tmp_path / "out.csv") as work:
        work.reopen(4)
        work.append(b" one")
        work.write_state({"bytes": 8})
        work.append(b" lost")
    with WorkFolder(tmp_path / "out.csv") as work:
        work.reopen(work.state()["bytes"])
        work.append(b" two")
    assert (work.path / DATA).read_bytes() == b"head one two"


def test_data_that_is_shorter_than_the_state_says_is_refused(tmp_path):
    begun(tmp_path / "out.csv")
    with (
        WorkFolder(tmp_path / "out.csv") as work,
        pytest.raises(OutputError, match=r"has 4 bytes instead of 5.*--overwrite"),
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
        with pytest.raises(OutputError, match=r"out\.csv: No space left.*are kept.*--resume"):
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


class Killed(BaseException):
    pass


@pytest.fixture
def killed_at(monkeypatch):
    """Run something that is killed before it removes its n-th file; return whether it was."""

    def run(action, count):
        left = [count]

        def limited(remove):
            def call(*arguments, **options):
                if not left[0]:
                    raise Killed
                left[0] -= 1
                return remove(*arguments, **options)

            return call

        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", limited(Path.unlink))
            patched.setattr(shutil, "rmtree", limited(shutil.rmtree))
            try:
                action()
            except Killed:
                return True
        return False

    return run


@pytest.mark.parametrize("count", range(6))
@pytest.mark.parametrize("reverse", [False, True])
def test_a_kill_while_a_run_begins_anew_leaves_no_state_without_its_data(
    tmp_path, monkeypatch, killed_at, count, reverse
):
    target = tmp_path / "out.csv"
    begun(target, b"the old data")
    entries = Path.iterdir

    def in_some_order(self):
        return iter(sorted(entries(self), reverse=reverse))

    monkeypatch.setattr(Path, "iterdir", in_some_order)
    killed_at(lambda: begun(target, b"new"), count)
    folder = WorkFolder(target)
    if folder.is_begun():
        assert (folder.path / DATA).stat().st_size == folder.state()["bytes"]
        assert folder.job() == JOB


@pytest.mark.parametrize("begin", [True, False])
def test_the_lock_is_held_until_the_folder_is_gone(tmp_path, monkeypatch, begin):
    """Or another run could begin in the folder, and lose its files."""
    pytest.importorskip("fcntl", reason="there are no such locks on this system")
    target = tmp_path / "out.csv"
    removed = []

    def watched(remove):
        def call(self, *arguments, **options):
            removed.append(self.name)
            if self.name != "lock":
                with pytest.raises(OutputError, match="another process"):
                    WorkFolder(target).take()
            remove(self, *arguments, **options)

        return call

    with WorkFolder(target) as work:
        if begin:
            work.begin(JOB, {"bytes": 4}, b"head")
        monkeypatch.setattr(Path, "unlink", watched(Path.unlink))
        if begin:
            work.remove()
    assert removed[-1] == "lock"
    assert not work.path.exists()


def test_a_folder_that_another_run_took_after_the_removal_is_left_alone(tmp_path):
    other = WorkFolder(tmp_path / "out.csv")
    with WorkFolder(tmp_path / "out.csv") as work:
        work.begin(JOB, {"bytes": 4}, b"head")
        work.remove()
        other.take()
    other.begin(JOB, {"bytes": 4}, b"head")
    other.release()
    assert other.is_begun()


def test_a_lock_whose_folder_was_removed_meanwhile_is_not_taken(tmp_path, monkeypatch):
    """Another process may remove the folder between the opening of the lock and its taking."""
    fcntl = pytest.importorskip("fcntl", reason="there are no such locks on this system")
    target = tmp_path / "out.csv"
    gone = []
    real = fcntl.flock

    def flock(file, how):
        if not gone:
            gone.append(True)
            shutil.rmtree(target.parent / ".out.csv.partial")
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with WorkFolder(target) as work:
        work.begin(JOB, {"bytes": 4}, b"head")
        with pytest.raises(OutputError, match="another process"):
            WorkFolder(target).take()


def test_an_output_can_be_written_where_there_are_no_such_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(work_folder, "fcntl", None)
    opened = []
    real_open = Path.open

    def remember(self, *arguments, **options):
        opened.append(real_open(self, *arguments, **options))
        return opened[-1]

    def unlink(self, *arguments, **options):  # Windows removes no file that is open
        assert not any(file.name == str(self) and not file.closed for file in opened)
        real_unlink(self, *arguments, **options)

    real_unlink = Path.unlink
    monkeypatch.setattr(Path, "open", remember)
    monkeypatch.setattr(Path, "unlink", unlink)
    with WorkFolder(tmp_path / "out.csv") as work:
        work.begin(JOB, {"bytes": 4}, b"head")
        work.remove()
    assert list(tmp_path.iterdir()) == []
