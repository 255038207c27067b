"""What the state says is true, whatever happens, and two runs never share an output."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from textlstm.errors import OutputError
from textlstm.io.work_folder import WorkFolder

JOB = {"input": {"a.csv": "10 bytes"}}


def begin(work, name="data"):
    work.begin(JOB)
    (work.path / name).write_bytes(b"head")
    work.write_state({"kept": name})


def begun(target, name="data"):
    with WorkFolder(target) as work:
        begin(work, name)
    return work


def test_it_lies_hidden_beside_the_output_and_stays_when_left(tmp_path):
    work = begun(tmp_path / "out.csv")
    assert work.path == tmp_path / ".out.csv.partial"
    assert work.is_begun()
    assert work.job() == JOB
    assert work.state() == {"kept": "data"}
    assert (work.path / "data").read_bytes() == b"head"


def test_a_run_has_begun_once_its_first_state_is_written(tmp_path):
    with WorkFolder(tmp_path / "out.csv") as work:
        work.begin(JOB)
        assert not work.is_begun()
        work.write_state({"bytes": 0})
        assert work.is_begun()


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


def test_beginning_anew_forgets_what_was_there(tmp_path):
    work = begun(tmp_path / "out.csv")
    (work.path / "parts").mkdir()
    (work.path / "parts" / "part-00000.parquet").write_text("old")
    begun(tmp_path / "out.csv", "new")
    assert sorted(path.name for path in work.path.iterdir()) == [
        *("job.json", "lock", "new", "state.json")
    ]


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
    begun(target, "old")
    entries = Path.iterdir

    def in_some_order(self):
        return iter(sorted(entries(self), reverse=reverse))

    monkeypatch.setattr(Path, "iterdir", in_some_order)
    killed_at(lambda: begun(target, "new"), count)
    folder = WorkFolder(target)
    if folder.is_begun():
        assert (folder.path / folder.state()["kept"]).read_bytes() == b"head"
        assert folder.job() == JOB


@pytest.mark.parametrize("has_begun", [True, False])
def test_the_lock_is_held_until_the_folder_is_gone(tmp_path, monkeypatch, has_begun):
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
        if has_begun:
            begin(work)
        monkeypatch.setattr(Path, "unlink", watched(Path.unlink))
        if has_begun:
            work.remove()
    assert removed[-1] == "lock"
    assert not work.path.exists()


def test_a_folder_that_another_run_took_after_the_removal_is_left_alone(tmp_path):
    other = WorkFolder(tmp_path / "out.csv")
    with WorkFolder(tmp_path / "out.csv") as work:
        begin(work)
        work.remove()
        other.take()
    begin(other)
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
        begin(work)
        with pytest.raises(OutputError, match="another process"):
            WorkFolder(target).take()
