"""An interrupted write leaves the old file, and nothing beside it."""

import stat

import pytest

from textlstm.errors import OutputError
from textlstm.files import atomic_path, write_text


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
