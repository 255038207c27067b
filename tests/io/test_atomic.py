"""An interrupted write leaves the old file, and nothing beside it."""

import errno
import os
import stat
from pathlib import Path

import pytest

from textlstm.errors import OutputError
from textlstm.io.atomic import atomic_folder, atomic_path, sync, write_text


def test_the_file_appears_under_its_name_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with atomic_path(target) as path:
        path.write_text("done")
        assert not target.exists()
        assert path.parent == target.parent
        assert path.suffix == ".txt"
    assert target.read_text() == "done"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, failure):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half():
        with atomic_path(target) as path:
            path.write_text("half")
            raise failure

    with pytest.raises(failure):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*a\.txt"):
        write_text(tmp_path / "a.txt", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*a/b\.txt"):
        write_text(tmp_path / "a" / "b.txt", "x")


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    with (
        pytest.raises(OutputError, match=r"a\.txt: No space left"),
        atomic_path(tmp_path / "a.txt"),
    ):
        raise OSError(28, "No space left on device")


def test_text_is_written_as_utf8_with_unix_line_ends(tmp_path):
    write_text(tmp_path / "a.txt", "schön\n")
    assert (tmp_path / "a.txt").read_bytes() == "schön\n".encode()


def test_the_file_can_be_read_by_those_the_umask_allows(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / "b.txt").write_text("x")  # what the umask gives a plain file
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")}
    assert len(modes) == 1


def export(target, text, **options):
    with atomic_folder(target, **options) as folder:
        (folder / "a.txt").write_text(text)
        assert folder.parent == target.parent
        assert not target.exists() or contents(target).get("a.txt") != text


def contents(target):
    return {path.name: path.read_text() for path in target.iterdir()}


def test_a_folder_appears_under_its_name_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "folder"
    export(target, "1")
    assert contents(target) == {"a.txt": "1"}
    assert list(target.parent.iterdir()) == [target]
    (tmp_path / "plain").mkdir()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (target, tmp_path / "plain")}
    assert len(modes) == 1


def test_a_folder_is_replaced_as_a_whole_if_it_holds_nothing_else(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    export(target, "1")
    (target / "b.txt").write_text("old")
    with pytest.raises(OutputError, match=r"holds other files \(b\.txt\)"):
        export(target, "2", replaceable=["a.txt"].__contains__)
    with pytest.raises(OutputError, match=r"holds other files \(a\.txt, b\.txt\)"):
        export(target, "2")
    assert contents(target) == {"a.txt": "1", "b.txt": "old"}
    export(target, "2", replaceable=["a.txt", "b.txt"].__contains__)
    assert contents(target) == {"a.txt": "2"}
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failed_folder_leaves_the_old_one_and_no_other(tmp_path, failure):
    target = tmp_path / "folder"
    export(target, "old")

    def fail():
        with atomic_folder(target, replaceable=["a.txt"].__contains__) as folder:
            (folder / "a.txt").write_text("new")
            raise failure

    with pytest.raises(failure):
        fail()
    assert contents(target) == {"a.txt": "old"}
    assert list(tmp_path.iterdir()) == [target]


def test_the_old_folder_comes_back_if_the_new_one_can_not_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "folder"
    export(target, "old")
    replace = Path.replace

    def broken(self, other):
        if (self / "a.txt").read_text() == "new":
            raise OSError(5, "Input/output error")
        return replace(self, other)

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OutputError, match="folder: Input/output error"):
        export(target, "new", replaceable=["a.txt"].__contains__)
    assert contents(target) == {"a.txt": "old"}
    assert list(tmp_path.iterdir()) == [target]


def test_what_was_put_into_the_old_folder_meanwhile_is_kept(tmp_path):
    target = tmp_path / "folder"
    export(target, "old")

    def late():
        with atomic_folder(target, replaceable=["a.txt"].__contains__) as folder:
            (folder / "a.txt").write_text("new")
            (target / "late.txt").write_text("late")

    with pytest.raises(OutputError, match=r"late\.txt"):
        late()
    assert contents(target) == {"a.txt": "old", "late.txt": "late"}


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file is not a folder"):
        export(tmp_path / "file", "1", replaceable=["file"])
    with pytest.raises(OutputError, match="cannot write"):
        export(tmp_path / "file" / "folder", "1")


def test_the_umask_of_the_process_is_never_changed(tmp_path, monkeypatch):
    """For a moment, files that other threads create could be written to by everyone."""

    def refuse(mask):
        raise AssertionError("os.umask was called")

    monkeypatch.setattr(os, "umask", refuse)
    write_text(tmp_path / "a.txt", "x")
    export(tmp_path / "folder", "x")


def test_a_library_that_keeps_others_from_reading_does_not_have_its_way(tmp_path):
    with atomic_path(tmp_path / "a.txt") as path:
        path.unlink()
        path.touch(0o600)  # as safetensors does
    (tmp_path / "b.txt").touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")}
    assert len(modes) == 1


@pytest.fixture
def windows_files(monkeypatch):
    """Folders can't be opened, and only files opened for writing can be synced."""
    opened = {}
    real_open, real_fsync = os.open, os.fsync

    def open_file(path, flags, *rest, **options):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        descriptor = real_open(path, flags, *rest, **options)
        opened[descriptor] = flags
        return descriptor

    def fsync(descriptor):
        if not opened.get(descriptor, os.O_RDWR) & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EBADF, "Bad file descriptor")
        real_fsync(descriptor)

    monkeypatch.setattr(os, "open", open_file)
    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.usefixtures("windows_files")
def test_files_and_folders_are_written_where_folders_cannot_be_synced(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    assert (tmp_path / "a.txt").read_text() == "x"
    export(tmp_path / "folder", "x")
    assert contents(tmp_path / "folder") == {"a.txt": "x"}


def test_a_file_that_cannot_be_synced_is_an_error(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    sync(tmp_path)
    with pytest.raises(OutputError, match=r"a\.txt: Input/output error"):
        write_text(tmp_path / "a.txt", "x")
