"""Outputs grow chunk by chunk, appear whole, and are the same however often they were resumed."""

import errno
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from textlstm.errors import ConfigError, DataError, OutputError
from textlstm.io import output as row_output
from textlstm.io import work_folder
from textlstm.io.output import RowOutput, Target
from textlstm.io.readers import read_rows
from textlstm.io.work_folder import WorkFolder
from textlstm.io.writers import OutputRow

COLUMNS = pa.schema([("text", pa.string()), ("n", pa.int64())])
CHUNKS = [[OutputRow({"text": f"t{c}-{r}", "n": c}, {}) for r in range(3)] for c in range(5)]
NAMES = ["out.csv", "out.csv.gz", "out.jsonl.zst", "out.parquet", "out.parquet.gz", "out"]


class Killed(BaseException):
    pass


def write(path, *, kill_at=(), overwrite=False):
    """Write `CHUNKS`; at each step of `kill_at` the run is broken off and resumed."""
    with RowOutput(Target.of_path(path), COLUMNS) as output:
        job, begun = {"input": {"x": "y"}}, {"chunks": 0}
        resume = WorkFolder(path).is_begun()
        state = output.open(job, begun, overwrite=overwrite, resume=resume)
        for number in range(state["chunks"], len(CHUNKS)):
            data = output.encoder.encode(CHUNKS[number])
            if (number, "data") in kill_at:
                output._append(data)  # and the state is never written
                kill_at.remove((number, "data"))
                raise Killed
            output.commit(data, 3, {"chunks": number + 1})
            if (number, "state") in kill_at:
                kill_at.remove((number, "state"))
                raise Killed
        output.finish({"chunks": len(CHUNKS)}, overwrite=overwrite)


def write_through(path, kills):
    kills = list(kills)
    for _ in range(len(kills) + 1):
        try:
            write(path, kill_at=kills)
        except Killed:
            assert not path.exists()
    return path


def killed_once(function):
    """Return a function whose first call does what `function` does, or nothing, and is killed."""
    calls = []

    def call(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise Killed
        return function(*arguments)

    return call


def content(path):
    if path.is_dir():
        return {file.name: file.read_bytes() for file in sorted(path.iterdir())}
    return path.read_bytes()


def rows_of(path):
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [row.values["text"] for file in files for row in read_rows(file)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(row_output, "PART_ROWS", 5)
    monkeypatch.setattr(row_output, "_GROUP_ROWS", 4)


@pytest.mark.parametrize("name", NAMES)
def test_an_output_is_whole_and_in_order(tmp_path, name):
    write(tmp_path / name)
    assert rows_of(tmp_path / name) == [f"t{c}-{r}" for c in range(5) for r in range(3)]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", ["data", "state"])
def test_an_output_is_the_same_however_often_it_was_broken_off(tmp_path, name, step):
    write(tmp_path / "whole" / name)
    kills = [(number, step) for number in range(5)]
    path = write_through(tmp_path / "killed" / name, kills)
    assert content(path) == content(tmp_path / "whole" / name)
    assert list((tmp_path / "killed").iterdir()) == [path]


@pytest.mark.parametrize("step", ["_close_part", "_write_parquet", "_cut"])
def test_a_kill_while_a_part_is_written_is_harmless(tmp_path, step, monkeypatch):
    write(tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(RowOutput, step, killed_once(getattr(RowOutput, step)))
        with pytest.raises(Killed):
            write(tmp_path / "out")
    write(tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_parts_of_a_folder_hold_enough_rows_each(tmp_path):
    write(tmp_path / "out")
    counts = [pq.read_metadata(path).num_rows for path in sorted((tmp_path / "out").iterdir())]
    assert counts == [6, 6, 3]


def test_a_parquet_file_has_row_groups_of_some_size(tmp_path):
    write(tmp_path / "out.parquet")
    metadata = pq.read_metadata(tmp_path / "out.parquet")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [6, 6, 3]


@pytest.mark.parametrize("name", NAMES)
def test_an_output_without_rows_is_whole_too(tmp_path, name, monkeypatch):
    monkeypatch.setitem(globals(), "CHUNKS", [])
    write(tmp_path / name)
    if "jsonl" not in name:
        assert rows_of(tmp_path / name) == []
    if name == "out":
        assert pq.read_schema(tmp_path / "out" / "part-00000.parquet") == COLUMNS


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", ["before", "after"])
def test_a_kill_while_the_output_takes_its_place_is_harmless(tmp_path, name, step, monkeypatch):
    write(tmp_path / "whole" / name)
    path = tmp_path / "killed" / name
    put = RowOutput._put_in_place

    def killed(self, made):
        if step == "after":
            put(self, made)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(RowOutput, "_put_in_place", killed)
        with pytest.raises(Killed):
            write(path)
    assert path.exists() == (step == "after")
    write(path)
    assert content(path) == content(tmp_path / "whole" / name)
    assert list((tmp_path / "killed").iterdir()) == [path]


def test_a_kill_while_a_parquet_file_is_made_is_harmless(tmp_path, monkeypatch):
    write(tmp_path / "whole.parquet")
    with monkeypatch.context() as patched:
        patched.setattr(row_output, "sync", lambda path: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            write(tmp_path / "out.parquet")
    write(tmp_path / "out.parquet")
    assert content(tmp_path / "out.parquet") == content(tmp_path / "whole.parquet")


def test_an_output_that_is_gone_after_it_was_written_is_told(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    with monkeypatch.context() as patched:
        patched.setattr(WorkFolder, "remove", lambda self: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            write(path)
    path.unlink()
    with pytest.raises(OutputError, match=r"out\.csv was written and then removed: remove"):
        write(path)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out"])
def test_what_is_there_is_kept_unless_told_otherwise(tmp_path, name):
    write(tmp_path / name)
    before = content(tmp_path / name)
    with pytest.raises(OutputError, match=r"exists: pass --overwrite"):
        write(tmp_path / name)
    assert content(tmp_path / name) == before
    write(tmp_path / name, overwrite=True)
    assert content(tmp_path / name) == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("state", ["", "{}"])
def test_a_run_whose_state_is_damaged_can_be_started_over(tmp_path, state):
    path = tmp_path / "out.csv"
    with pytest.raises(Killed):
        write(path, kill_at=[(3, "state")])
    (WorkFolder(path).path / "state.json").write_text(state)
    with pytest.raises(OutputError, match=r"state\.json .*--overwrite"):
        write(path)
    with RowOutput(Target.of_path(path), COLUMNS) as output:
        output.open({}, {}, overwrite=True, resume=False)
        output.finish({}, overwrite=True)
    assert rows_of(path) == []


@pytest.mark.parametrize("name", ["out.csv", "out"])
def test_a_link_stays_a_link_to_what_is_written(tmp_path, name):
    link, real = tmp_path / name, tmp_path / "deep" / "real"
    write(real.parent / name)
    (real.parent / name).rename(real)
    link.symlink_to(real)
    for _ in range(2):
        before = real.stat().st_ino
        write(link, overwrite=True)
        assert link.is_symlink()
        assert real.stat().st_ino != before
    assert rows_of(link)[-1] == "t4-2"
    assert sorted(path.name for path in tmp_path.rglob("*.partial")) == []


def test_what_appears_while_the_run_goes_on_is_kept_too(tmp_path, monkeypatch):
    path = tmp_path / "out.csv"
    with pytest.raises(Killed):
        write(path, kill_at=[(3, "state")])
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists: pass --overwrite"):
        write(path)
    assert path.read_text() == "mine"
    write(path, overwrite=True)
    assert rows_of(path)[-1] == "t4-2"


def test_a_file_is_never_replaced_by_a_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    with (
        RowOutput(Target.of_path(tmp_path / "out"), COLUMNS) as output,
        pytest.raises(OutputError, match=r"out is not a folder: choose another name"),
    ):
        output.open({}, {}, overwrite=True, resume=False)  # before any row
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("name", ["out.csv", "out"])
def test_a_link_to_itself_is_refused(tmp_path, name):
    (tmp_path / name).symlink_to(name)
    with pytest.raises(OutputError, match=rf"cannot write .*{name}: Too many levels of symbolic"):
        Target.of_path(tmp_path / name)


def test_a_link_to_nothing_is_filled(tmp_path):
    (tmp_path / "out.csv").symlink_to("real")
    write(tmp_path / "out.csv")
    assert len(rows_of(tmp_path / "out.csv")) == 15
    assert (tmp_path / "real").is_file()


def test_a_folder_with_other_files_is_never_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match=r"holds other files \(thesis\.tex\)"):
        write(tmp_path / "out", overwrite=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", [".", "..", "../here"])
def test_the_folder_that_the_shell_is_in_is_never_replaced(tmp_path, monkeypatch, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(OutputError, match="is or holds the current folder: choose another"):
        write(Path(name))
    assert list((tmp_path / "here").iterdir()) == []


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "out.d").mkdir()
    write(tmp_path / "out.d")
    assert len(rows_of(tmp_path / "out.d")) == 15


def test_a_gzip_member_stands_for_each_chunk(tmp_path):
    write(tmp_path / "out.csv.gz")
    data = (tmp_path / "out.csv.gz").read_bytes()
    assert data.count(b"\x1f\x8b\x08") == 6  # the header and five chunks
    assert gzip.decompress(data).decode().splitlines()[:2] == ["text,n", "t0-0,0"]


@pytest.mark.parametrize(
    ("name", "kind", "is_folder", "compression"),
    [
        ("a.csv", "csv", False, ""),
        ("a.JSONL.GZ", "jsonl", False, ".gz"),
        ("a.parquet.zst", "parquet", False, ".zst"),
        ("a", "parquet", True, ""),
        ("a.csv/", "parquet", True, ""),
    ],
)
def test_the_name_tells_what_to_write(tmp_path, name, kind, is_folder, compression):
    target = Target.of_path(f"{tmp_path}/{name}")
    assert (target.kind, target.is_folder, target.compression) == (kind, is_folder, compression)


def test_a_folder_that_is_there_is_a_folder_whatever_its_name(tmp_path):
    (tmp_path / "a.csv").mkdir()
    assert Target.of_path(tmp_path / "a.csv").is_folder


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"x\.docx"):
        Target.of_path(tmp_path / "x.docx")


def test_a_run_that_can_not_be_resumed_is_not_resumed_by_another(tmp_path):
    """That over the lines of stdin, whose job is empty."""
    with RowOutput(Target.of_path(tmp_path / "out.csv"), COLUMNS) as output:
        output.open({}, {"chunks": 0}, overwrite=False, resume=False)
        output.commit(output.encoder.encode(CHUNKS[0]), 3, {"chunks": 1})
    with pytest.raises(
        ConfigError, match=r"the unfinished run of .*out\.csv differs: x was absent"
    ):
        write(tmp_path / "out.csv")


def test_data_that_is_shorter_than_the_state_says_is_refused(tmp_path):
    path = tmp_path / "out.csv"
    with pytest.raises(Killed):
        write(path, kill_at=[(0, "state")])
    data = WorkFolder(path).path / "data"
    size = data.stat().st_size
    data.write_bytes(data.read_bytes()[:-1])
    message = rf"data has {size - 1} bytes instead of {size}: .*--overwrite"
    with pytest.raises(OutputError, match=message):
        write(path)


def test_a_full_disk_is_told_in_one_line_and_costs_only_what_did_not_fit(tmp_path):
    with RowOutput(Target.of_path(tmp_path / "out.csv"), COLUMNS) as output:
        output.open({}, {"chunks": 0}, overwrite=False, resume=False)
        file = output._data
        head = file.tell()

        class Full:
            def __getattr__(self, name):
                return getattr(file, name)

            def write(self, data):
                if file.tell() == head:
                    return file.write(data[:3])
                raise OSError(errno.ENOSPC, "No space left on device")

        output._data = Full()
        with pytest.raises(OutputError, match=r"out\.csv: No space left.*are kept.*--resume"):
            output.commit(b" more", 1, {"chunks": 1})
    assert (output._work.path / "data").stat().st_size == head
    assert output._work.state()["given"] == {"chunks": 0}


def test_an_output_can_be_written_where_there_are_no_locks_and_open_files_stay(
    tmp_path, monkeypatch
):
    """As on Windows, which neither moves nor removes a file that is open."""
    monkeypatch.setattr(work_folder, "fcntl", None)
    opened = []
    real_open = Path.open

    def remember(self, *arguments, **options):
        opened.append(real_open(self, *arguments, **options))
        return opened[-1]

    def checked(change):
        def call(self, *arguments, **options):
            assert not any(file.name == str(self) and not file.closed for file in opened)
            return change(self, *arguments, **options)

        return call

    monkeypatch.setattr(Path, "open", remember)
    for name in ("unlink", "replace"):
        monkeypatch.setattr(Path, name, checked(getattr(Path, name)))
    write(tmp_path / "out.csv")
    assert opened
    with RowOutput(Target.of_path(tmp_path / "other.csv"), COLUMNS) as output:
        output.open({}, {}, overwrite=False, resume=False)
        output.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
