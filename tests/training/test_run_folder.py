"""A folder is never lost by accident, and a run in it is found again whenever it died."""

import dataclasses
import errno
import json
from pathlib import Path

import pytest

from textlstm.classifier.json_files import read_config, write_config
from textlstm.config import TrainSettings
from textlstm.errors import ConfigError, DataError, ModelFolderError, OutputError
from textlstm.training.run_folder import RunFolder, RunRequest, resumed_settings

SETTINGS = TrainSettings.from_options(epochs=3, text_column=["a", "b"])
REQUEST = RunRequest("sample", SETTINGS, "f00d")
NEW = {"resume": False, "overwrite": False}
MODEL_FILES = ["README.md", "config.json", "history.jsonl", "model.safetensors"]


def finished(folder: Path) -> RunFolder:
    """A folder with what stands for a model."""
    folder.mkdir()
    for name in MODEL_FILES:
        (folder / name).write_text("{}")
    data = {"source": "sample", "fingerprint": "f00d", "rows": {}, "notes": []}
    config = {"labels": ["a", "b"], "settings": SETTINGS.to_dict(), "data": data}
    write_config(folder / "config.json", {**config, "training": {}, "versions": {}, "sha256": {}})
    return RunFolder(folder)


def unfinished(folder: Path) -> RunFolder:
    """A folder in which a run has written its first checkpoint."""
    run = RunFolder(folder)
    run.claim(REQUEST)
    (folder / "checkpoint.safetensors").write_text("x")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "train.tokens").write_text("x")
    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_or_empty_folder_is_free(tmp_path):
    RunFolder(tmp_path / "new" / "one").require_free(overwrite=False)
    RunFolder(tmp_path).require_free(overwrite=False)
    assert not (tmp_path / "new").exists()


def test_what_a_killed_process_left_half_written_counts_as_nothing(tmp_path):
    (tmp_path / ".checkpoint-ab12_x9z.safetensors").write_text("half")
    (tmp_path / ".run-ab12_x9z.json").write_text("half")
    run = RunFolder(tmp_path)
    assert run.is_empty()
    run.require_free(overwrite=False)
    run.claim(REQUEST)
    assert names(tmp_path) == ["run.json"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "model").write_text("x")
    with pytest.raises(OutputError, match=r"model is a file"):
        RunFolder(tmp_path / "model")


@pytest.mark.parametrize(
    ("make", "said"),
    [(finished, r"holds a model: pass --overwrite"), (unfinished, "unfinished run: pass --resume")],
)
def test_a_model_or_run_is_kept_unless_told_otherwise(tmp_path, make, said):
    run = make(tmp_path / "model")
    before = names(run.path)
    with pytest.raises(OutputError, match=said):
        run.require_free(overwrite=False)
    run.require_free(overwrite=True)
    assert names(run.path) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_others_are_never_overwritten(tmp_path, overwrite):
    run = finished(tmp_path / "model")
    (run.path / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match=r"not part of a textlstm model \(thesis\.tex\)"):
        run.require_free(overwrite=overwrite)


def test_a_readme_alone_is_not_taken_for_a_model(tmp_path):
    (tmp_path / "README.md").write_text("my project")
    with pytest.raises(OutputError, match=r"README\.md"):
        RunFolder(tmp_path).require_free(overwrite=True)


def test_the_old_model_stays_while_a_new_run_replaces_it(tmp_path):
    run = finished(tmp_path / "model")
    run.open("sample", {}, resume=False, overwrite=True)
    assert names(run.path) == MODEL_FILES
    run.claim(REQUEST)
    assert names(run.path) == sorted([*MODEL_FILES, "run.json"])


def test_a_new_run_does_not_inherit_the_state_of_an_old_one(tmp_path):
    run = unfinished(tmp_path / "model")
    run.write_request(RunRequest("sample", SETTINGS))  # killed here: the data is not yet read
    assert not run.has_begun()
    run.claim(REQUEST)
    assert names(run.path) == ["run.json"]
    assert run.has_begun()


def test_a_resumed_run_keeps_its_files(tmp_path):
    run = unfinished(tmp_path / "model")
    before = names(run.path)
    RunFolder(run.path).claim(REQUEST, resume=True)
    assert names(run.path) == before


@pytest.mark.parametrize("fingerprint", ["f00d", "beef"])
def test_an_unfinished_run_that_is_replaced_leaves_nothing_to_the_new_one(tmp_path, fingerprint):
    run = unfinished(tmp_path / "model")
    request = RunRequest("other.csv", SETTINGS, fingerprint)
    run.claim(request)
    assert names(run.path) == ["run.json"]
    assert run.read_request() == request


def test_a_run_whose_data_has_changed_is_not_resumed(tmp_path):
    run = unfinished(tmp_path / "model")
    before = names(run.path)
    with pytest.raises(DataError, match=r"data has changed .*--overwrite"):
        run.claim(RunRequest("sample", SETTINGS, "beef"), resume=True)
    assert names(run.path) == before


def test_what_was_asked_for_reads_back_equal(tmp_path):
    run = RunFolder(tmp_path / "model")
    for request in (REQUEST, RunRequest(None, SETTINGS)):
        run.write_request(request)
        assert run.read_request() == request


def test_a_finished_folder_tells_what_was_asked_for(tmp_path):
    run = finished(tmp_path / "model")
    assert run.is_finished()
    assert run.read_request() == REQUEST


def test_a_folder_without_a_run_says_how_to_begin_one(tmp_path):
    with pytest.raises(ModelFolderError, match=r"no run to resume: start one with textlstm train"):
        RunFolder(tmp_path).read_request()
    with pytest.raises(ModelFolderError, match=r"start one with textlstm pretrain DATA --out"):
        RunFolder(tmp_path, "pretrain").read_request()


@pytest.mark.parametrize("commands", [("train", "pretrain"), ("pretrain", "train")])
def test_a_run_is_resumed_by_the_command_that_began_it(tmp_path, commands):
    began, other = commands
    folder = RunFolder(tmp_path, began)
    folder.claim(dataclasses.replace(folder.open("x", {}, **NEW), fingerprint="f00d"))
    again = {"resume": True, "overwrite": False}
    assert folder.open(None, {}, **again).command == began
    with pytest.raises(ConfigError, match=f"with textlstm {began} --resume --out {tmp_path}"):
        RunFolder(tmp_path, other).open(None, {}, **again)
    with pytest.raises(ModelFolderError, match=f"with textlstm {began} --resume --out {tmp_path}"):
        read_config(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    del record["command"]  # an older version wrote none
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert RunFolder(tmp_path, other).open(None, {}, **again).command is None
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ModelFolderError, match="with textlstm train --resume"):
        read_config(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"source": null}', '{"settings": {"modle": {}}}'])
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ModelFolderError, match=r"run\.json can't be read"):
        RunFolder(tmp_path).read_request()


def test_a_finished_run_leaves_only_the_model(tmp_path):
    run = unfinished(tmp_path / "model")
    (run.path / ".model-12345678.safetensors").write_text("half")
    (run.path / "config.json").write_text("{}")
    run.finish()
    assert names(run.path) == ["config.json"]
    assert run.is_finished()


@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_what_a_kill_at_the_very_end_left_is_removed_by_a_resume(tmp_path, command):
    run = unfinished(tmp_path / "model")
    (run.path / "run.json").unlink()
    finished(tmp_path / "other")
    for name in MODEL_FILES:
        (tmp_path / "other" / name).rename(run.path / name)
    RunFolder(run.path, command).open(None, {}, resume=True, overwrite=False)
    assert names(run.path) == MODEL_FILES


def test_run_json_goes_first_so_that_a_whole_model_is_never_trained_again(tmp_path, monkeypatch):
    run = unfinished(tmp_path / "model")
    removed = []
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok: removed.append(path.name))
    run.finish()
    assert removed[0] == "run.json"


@pytest.mark.parametrize("new", [True, False])
def test_a_run_that_could_not_begin_leaves_nothing(tmp_path, new):
    run = RunFolder(tmp_path / "new" / "model" if new else tmp_path)

    def fail():
        with run.held():
            run.open("sample", {}, resume=False, overwrite=False)
            assert names(run.path) == ["run.json"]
            raise DataError("no such file")

    with pytest.raises(DataError, match="no such file"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_one_process_at_a_time_trains_into_a_folder(tmp_path):
    path = tmp_path / "new" / "model"
    with RunFolder(path).held():
        held_too = RunFolder(path).held()
        with pytest.raises(OutputError, match="another process is training into"), held_too:
            raise AssertionError("held twice")
        (path / "run.json").write_text("{}")
    with RunFolder(path).held():
        assert names(path) == ["run.json"]


def test_a_folder_that_was_held_for_nothing_goes_again(tmp_path):
    with RunFolder(tmp_path / "new" / "model").held():
        assert (tmp_path / "new" / "model").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="cannot write"),
        RunFolder(tmp_path / "file" / "m").held(),
    ):
        pass


def test_where_the_file_system_has_no_locks_a_run_goes_on_without(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("textlstm.training.run_folder.fcntl.flock", refuse)
    with RunFolder(tmp_path).held():
        pass


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("textlstm.training.run_folder.os.open", refuse)
    held = RunFolder(tmp_path).held()
    with pytest.raises(OutputError, match=r"cannot read .*: Permission denied"), held:
        pass


def test_options_unlike_the_runs_are_named():
    with pytest.raises(ConfigError, match="epochs was 3 and is now 4"):
        resumed_settings(Path("m"), SETTINGS, {"epochs": 4})
    with pytest.raises(ConfigError, match=r"text_column was a, b and is now absent.*epochs was 3"):
        resumed_settings(Path("m"), SETTINGS, {"epochs": 4, "text_column": []})


def test_options_like_the_runs_are_no_error():
    given = {"epochs": 3, "text_column": ["a", "b"], "learning_rate": 4e-3}
    assert resumed_settings(Path("m"), SETTINGS, given) == SETTINGS


def test_a_file_that_an_older_version_named_by_a_relative_path_is_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begun = TrainSettings.from_dict({"data": {"validation": "x.csv"}})
    Path("x.csv").touch()
    found = resumed_settings(tmp_path, begun, {"validation": "x.csv"})
    assert found.data.validation == str(tmp_path / "x.csv")


def test_time_and_machine_may_change():
    free = {"max_minutes": 5, "checkpoint_minutes": 1, "threads": 2, "device": "cpu", "patience": 9}
    resumed = resumed_settings(Path("m"), SETTINGS, free).training
    assert {name: getattr(resumed, name) for name in free} == free
    assert resumed.epochs == 3
    assert resumed_settings(Path("m"), SETTINGS, {}) == SETTINGS


def test_the_record_is_plain_json(tmp_path):
    run = RunFolder(tmp_path)
    run.write_request(REQUEST)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["settings"] == SETTINGS.to_dict()


def test_a_resume_as_it_was_leaves_the_record_of_an_older_version_alone(tmp_path):
    run = unfinished(tmp_path / "model")
    record = json.loads((run.path / "run.json").read_text())
    del record["settings"]["training"]["total_tokens"]  # as if there had not been such an option
    (run.path / "run.json").write_text(json.dumps(record))
    before = (run.path / "run.json").read_bytes()
    run.claim(REQUEST, resume=True)
    assert (run.path / "run.json").read_bytes() == before


def test_a_resume_with_other_options_is_recorded(tmp_path):
    run = unfinished(tmp_path / "model")
    longer = TrainSettings.from_options(max_minutes=5.0)
    run.claim(RunRequest("sample", longer, "f00d"), resume=True)
    assert run.read_request().settings.training.max_minutes == 5.0


@pytest.mark.parametrize("begun", ["best", "default", None])
def test_another_preset_than_the_runs_is_refused(tmp_path, begun):
    folder = RunFolder(tmp_path)
    request = folder.open("sample", {"preset": begun} if begun else {}, **NEW)
    folder.claim(dataclasses.replace(request, fingerprint="f00d"))
    for preset in ("best", "default"):
        options = {"preset": preset, "patience": 9}
        if preset == begun:
            folder.open(None, options, resume=True, overwrite=False)
            continue
        with pytest.raises(
            ConfigError, match=f"preset was {begun or 'absent'} and is now {preset}"
        ):
            folder.open(None, options, resume=True, overwrite=False)
    folder.open(None, {"patience": 9}, resume=True, overwrite=False)


def test_the_preset_of_a_run_by_an_older_version_is_not_known(tmp_path):
    run = unfinished(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    assert "preset" not in record
    run.open(None, {"preset": "default"}, resume=True, overwrite=False)
