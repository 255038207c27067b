import hashlib
import itertools
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_classifier import CASCADE, CASCADED, LABELS, METRICS, RECORD, tiny_classifier, tiny_tagger

import textlstm
from textlstm.classifier import model_folder
from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.json_files import FILES, RUN, read_config, write_config
from textlstm.classifier.model_folder import read_folder
from textlstm.cli import main
from textlstm.errors import ConfigError, ModelFolderError, OutputError
from textlstm.training.run_folder import RunFolder

NAMES = {
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "vocab.txt",
    "metrics.json",
    "history.jsonl",
    "README.md",
}


@pytest.fixture
def folder(tmp_path):
    tiny_classifier().save(tmp_path / "model")
    return tmp_path / "model"


def change_config(folder, **changes):
    path = folder / FILES.config
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_model_folder_has_its_files_and_no_other(folder):
    assert {path.name for path in folder.iterdir()} == NAMES


def test_the_files_say_what_happened(folder):
    config = json.loads((folder / FILES.config).read_text(encoding="utf-8"))
    assert config["labels"] == list(LABELS)
    assert config["format_version"] == 1
    assert config["library_version"] == textlstm.__version__
    assert set(config["settings"]) == {"data", "tokenizer", "model", "training"}
    assert config["settings"]["model"]["hidden_size"] == 6
    assert config["data"] == {
        "source": "data/film reviews",
        "fingerprint": "0123abcd",
        "dataset_id": "",
        "rows": {"train": 1200, "validation": 4},
        "notes": ["2 rows of train have no label"],
    }
    assert config["training"]["best_epoch"] == 2
    assert torch.__version__.startswith(config["versions"]["torch"])  # it adds +cpu or the like
    assert {"textlstm", "python", "tokenizers"} <= set(config["versions"])
    assert json.loads((folder / FILES.metrics).read_text()) == {"validation": METRICS}
    history = (folder / FILES.history).read_text().splitlines()
    assert [json.loads(line) for line in history] == list(RECORD.history)


def test_labels_stay_readable_in_the_files(folder):
    for name in (FILES.config, FILES.metrics):
        assert "très" in (folder / name).read_text(encoding="utf-8")


def test_weights_are_float32_whatever_the_model_is_in(tmp_path):
    classifier = tiny_classifier()
    classifier.model.half()
    classifier.save(tmp_path)
    tensors = load_file(tmp_path / FILES.weights)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    with safe_open(tmp_path / FILES.weights, framework="pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_other_files_in_the_folder_are_left_alone(folder):
    (folder / "notes.md").write_text("mine")
    tiny_classifier(seed=2).save(folder)
    assert (folder / "notes.md").read_text() == "mine"
    assert {path.name for path in folder.iterdir()} == {*NAMES, "notes.md"}


def test_saving_where_nothing_can_be_made_names_the_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file/model"):
        tiny_classifier().save(tmp_path / "file" / "model")


@pytest.mark.parametrize("broken", ["save_weights", "write_config"])
def test_a_save_that_fails_leaves_the_old_model_whole(folder, monkeypatch, broken):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(path, *_):
        raise OutputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(model_folder, broken, fail)
    with pytest.raises(OutputError, match=r"^cannot write [^:]+: No space left on device$"):
        tiny_classifier(seed=2).save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_model_is_replaced_as_a_whole(folder, monkeypatch):
    """After every rename the old model or the new one is there, under its name or beside it."""
    replace = type(folder).replace
    old = {path.name: path.read_bytes() for path in folder.iterdir()}
    seen = []

    def spy(self, target):
        done = replace(self, target)
        place = folder if folder.exists() else next(folder.parent.glob(".model-*-old"))
        seen.append({path.name: path.read_bytes() for path in place.iterdir()})
        return done

    monkeypatch.setattr(type(folder), "replace", spy)
    tiny_classifier(seed=2).save(folder)
    monkeypatch.undo()
    assert TextClassifier.load(folder).fingerprint() == tiny_classifier(seed=2).fingerprint()
    new = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert new.keys() == old.keys()
    assert len(seen) > len(NAMES)
    assert all(files in (old, new) for files in seen)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_other_files_and_folders_survive_the_swap(folder):
    (folder / "notes").mkdir()
    (folder / "notes" / FILES.config).write_text("mine")
    (folder / "link").symlink_to("notes")
    tiny_classifier(seed=2).save(folder)
    assert (folder / "notes" / FILES.config).read_text() == "mine"
    assert (folder / "link").readlink() == Path("notes")
    assert {path.name for path in folder.iterdir()} == {*NAMES, "notes", "link"}


def test_a_link_to_a_folder_stays_a_link(folder):
    link = folder.parent / "current"
    link.symlink_to("model")
    tiny_classifier(seed=2).save(link)
    assert link.is_symlink()
    assert TextClassifier.load(folder).fingerprint() == tiny_classifier(seed=2).fingerprint()


def test_the_folder_of_an_unfinished_run_stays_the_one_that_is_locked(folder):
    before = folder.stat().st_ino
    (folder / RUN).write_text("{}")
    tiny_classifier(seed=2).save(folder)
    assert folder.stat().st_ino == before
    (folder / RUN).unlink()
    tiny_classifier(seed=3).save(folder)
    assert folder.stat().st_ino != before


def test_the_working_folder_is_written_file_by_file(folder, monkeypatch):
    monkeypatch.chdir(folder)
    tiny_classifier(seed=2).save(".")
    assert Path.cwd() == folder
    assert TextClassifier.load(".").fingerprint() == tiny_classifier(seed=2).fingerprint()


def test_the_configuration_takes_its_place_last(tmp_path, monkeypatch):
    placed = []
    replace = type(tmp_path).replace

    def spy(self, target):
        placed.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(type(tmp_path), "replace", spy)
    tiny_classifier().save(tmp_path)
    final = [name for name in placed if not name.startswith(".")]
    assert set(final) == NAMES
    assert final[-1] == "config.json"


# what is wrong with a folder


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelFolderError, match=r"no model folder .*nowhere"):
        TextClassifier.load(tmp_path / "nowhere")


def test_a_file_is_no_folder(folder):
    with pytest.raises(ModelFolderError, match=r"model\.safetensors is a file"):
        TextClassifier.load(folder / FILES.weights)


@pytest.mark.parametrize("name", sorted(NAMES - {"README.md"}))
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelFolderError, match=f"{name} is missing.*copy"):
        TextClassifier.load(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NAMES - {"README.md", "history.jsonl"}))
@pytest.mark.parametrize("share", [0, 0.5, 0.98])
def test_a_truncated_file_is_named(folder, name, share):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFolderError, match=f"{name} .*(truncated|not JSON).*cop"):
        TextClassifier.load(folder)


@pytest.mark.parametrize("name", sorted(NAMES - {"README.md"}))
def test_a_foreign_file_is_named(folder, name):
    (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    with pytest.raises(ModelFolderError, match=name):
        TextClassifier.load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "vocab.txt"])
def test_a_file_of_another_model_of_the_same_shape_is_named(folder, tmp_path, name):
    options = {"tokenizer": "whitespace"} if name == "tokenizer.json" else {}
    other = tiny_classifier(seed=2, **options)
    if name == "vocab.txt":
        tokens = other.vocabulary.get_itos()
        other.tokenizer.vocabulary = type(other.vocabulary)([*tokens[:2], *tokens[:1:-1]])
    other.save(tmp_path / "other")
    (folder / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(ModelFolderError, match=f"{name} is not the file .*another model"):
        TextClassifier.load(folder)


def test_a_vocabulary_that_does_not_fit_the_tokenizer_is_named(folder):
    text = (folder / FILES.vocabulary).read_text(encoding="utf-8")
    (folder / FILES.vocabulary).write_text(text + "extra\t1\n", encoding="utf-8")
    digest = hashlib.sha256((folder / FILES.vocabulary).read_bytes()).hexdigest()
    sealed = json.loads((folder / FILES.config).read_text())["sha256"]
    change_config(folder, sha256={**sealed, FILES.vocabulary: digest})
    with pytest.raises(ModelFolderError, match=r"tokenizer\.json and vocab\.txt .*do not fit"):
        TextClassifier.load(folder)


def test_a_save_killed_at_any_file_leaves_an_unfinished_run_that_can_be_cleaned(
    tmp_path, monkeypatch
):
    classifier = tiny_classifier()
    replace = type(tmp_path).replace
    for done in itertools.count():
        folder = tmp_path / str(done)
        folder.mkdir()
        (folder / RUN).write_text("{}")
        left = iter(range(done))

        def place(self, target, left=left):
            if next(left, None) is None:
                raise SystemExit
            return replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(type(tmp_path), "replace", place)
            patch.setattr(type(tmp_path), "unlink", lambda *_, **__: None)  # kill -9 tidies nothing
            try:
                classifier.save(folder)
            except SystemExit:
                with pytest.raises(ModelFolderError, match="unfinished"):
                    TextClassifier.load(folder)
            else:
                break
        RunFolder(folder).require_free(overwrite=True)
        RunFolder(folder).finish()
        assert {path.name for path in folder.iterdir()} <= NAMES
    assert done > len(NAMES)
    TextClassifier.load(folder)


def test_a_checkpoint_without_a_model_is_unfinished_training(folder):
    (folder / FILES.config).unlink()
    (folder / FILES.checkpoint).write_bytes(b"")
    with pytest.raises(ModelFolderError, match=rf"unfinished.*train --resume --out {folder}"):
        TextClassifier.load(folder)


def test_a_run_that_has_only_begun_is_unfinished_training(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ModelFolderError, match=r"unfinished.*--resume"):
        TextClassifier.load(tmp_path)


def test_a_configuration_of_another_library_is_refused(folder):
    text = json.dumps({"model_type": "bert", "hidden_size": 768})
    (folder / FILES.config).write_text(text)
    with pytest.raises(ModelFolderError, match=r"config\.json is not a configuration of textlstm"):
        read_config(folder)
    (folder / FILES.config).write_text("[1]")
    with pytest.raises(ModelFolderError, match=r"config\.json holds a list"):
        read_config(folder)


def test_a_newer_format_asks_for_an_upgrade(folder):
    change_config(folder, format_version=2, library_version="7.1", labels=None)
    with pytest.raises(ModelFolderError, match=r"format_version 2, written by textlstm 7\.1.*pip"):
        read_config(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format_version": "1"}, "format_version = '1'"),
        ({"format_version": True}, "format_version = True"),
        ({"format_version": 0}, "format_version = 0"),
        ({"labels": None}, "labels = None"),
        ({"labels": ["a"]}, r"labels = \['a'\]"),
        ({"labels": ["a", 1]}, r"labels = \['a', 1\]"),
        ({"labels": ["a", "a"]}, r"labels = \['a', 'a'\]"),
        ({"settings": []}, r"settings = \[\]"),
        ({"settings": {"model": {"hiden_size": 3}}}, "'hiden_size'.*hidden_size"),
        ({"settings": {"model": {"hidden_size": "6"}}}, "hidden_size = '6'"),
        ({"settings": {"model": 3}}, "model = 3"),
        ({"data": None}, "data = None"),
        ({"data": {"source": 3}}, "data.source = 3"),
        ({"data": {"source": "", "fingerprint": "", "rows": [], "notes": []}}, r"data.rows = \[\]"),
        ({"data": {"source": "", "fingerprint": "", "rows": {}, "notes": "x"}}, "data.notes = 'x'"),
        ({"sha256": "abc"}, "sha256 = 'abc'"),
        ({"training": 3}, "training = 3"),
        ({"versions": 3}, "versions = 3"),
        ({"versions": {"torch": 2}}, "versions = {'torch': 2} must be an object of strings"),
        ({"cascade": 3}, "cascade = 3 must be a scale"),
        ({"cascade": {"scale": 1.0, "certainty": {"0.001": 0.9}}}, "cascade = "),
        ({"cascade": {**CASCADE.to_dict(), "scale": -1.0}}, "cascade = "),
        ({"labels": 3, "multi_label": True, "thresholds": [1]}, "labels = 3"),
    ],
)
def test_a_configuration_with_a_wrong_value_names_it(folder, changes, match):
    change_config(folder, **changes)
    with pytest.raises(ModelFolderError, match=rf"config\.json, written by textlstm .*: .*{match}"):
        read_config(folder)


def test_labels_of_a_base_that_are_no_list_are_refused(folder):
    change_config(folder, base=True, labels=3)
    with pytest.raises(ModelFolderError, match="labels = 3 must be a list of at least 0 strings"):
        read_config(folder, base=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("figures", "fault"),
    [
        (3, "'test' = 3 must be an object of figures"),
        ({"accuracy": "high"}, "test.accuracy = 'high' must be a number"),
        ({"n": None}, "test.n = None must be a number"),
        ({"accuracy": 10**400}, "test.accuracy = 1000.* must be a number"),
        ({"macro_f1": [1]}, r"test.macro_f1 = \[1\] must be a number"),
        ({"per_label": {}}, "test.per_label must hold"),
        ({"per_label": [1]}, "test.per_label must hold precision, recall, f1 and support"),
        ({"per_label": {"bad": 3}}, "test.per_label must hold"),
        ({"per_label": {"bad": {"precision": 1}}}, "test.per_label must hold"),
        ({"cascade": 3}, "test.cascade must hold certainty, skipped and differ"),
        ({"cascade": CASCADE.to_dict()}, "test.cascade must hold certainty, skipped and differ"),
        ({"cascade": {**CASCADED, "differ": {"0.001": 0}}}, "test.cascade must hold"),
        ({"cascade": {**CASCADED, "skipped": {"0.001": "all"}}}, "test.cascade must hold"),
        (
            {"per_label": {"bad": {**METRICS["per_label"]["bad"], "threshold": "x"}}},
            "test.per_label",
        ),
    ],
)
def test_results_that_are_no_results_are_named(folder, figures, fault):
    (folder / FILES.metrics).write_text(json.dumps({"test": figures}))
    with pytest.raises(ModelFolderError, match=r"metrics\.json: " + fault):
        read_folder(folder)


def test_results_with_fewer_figures_are_shown_as_they_are(folder, capsys):
    (folder / FILES.metrics).write_text('{"validation": {"accuracy": 0.5}, "test": {}}')
    assert main(["inspect", str(folder)]) == 0
    assert "accuracy 0.5000" in capsys.readouterr().out
    TextClassifier.load(folder).save(folder.parent / "again")
    assert "| accuracy | 0.5000 |  |" in (folder.parent / "again" / FILES.card).read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes",
    [
        {"hidden_size": 10**9},
        {"embedding_size": 16_000_000},
        {"embedding_size": 2**31 - 1},
        {"num_layers": 1024},
        {"num_layers": 1},
        {"ngram_buckets": 2**28},
        {"pooling": "attention"},
        {"bidirectional": False},
        {"ngrams": 0},
    ],
)
def test_sizes_that_are_not_those_of_the_weights_are_refused_at_once(folder, monkeypatch, sizes):
    def refuse(*_, **__):
        raise AssertionError("the network was allocated")

    settings = json.loads((folder / FILES.config).read_text())["settings"]
    settings["model"] |= sizes
    change_config(folder, settings=settings)
    monkeypatch.setattr(model_folder, "network_of", refuse)
    with pytest.raises(ModelFolderError, match=r"model\.safetensors: .*config\.json .* ask for"):
        TextClassifier.load(folder)


@pytest.mark.slow
@pytest.mark.parametrize("size", [{"embedding_size": 2**63}, {"num_layers": 100_000}])
def test_sizes_that_no_network_has_are_refused_by_their_name(folder, size):
    settings = json.loads((folder / FILES.config).read_text())["settings"]
    settings["model"] |= size
    change_config(folder, settings=settings)
    with pytest.raises(ModelFolderError, match=f"config\\.json.*{next(iter(size))} = .*at most"):
        TextClassifier.load(folder)


def test_labels_that_were_edited_are_noticed(folder):
    change_config(folder, labels=["good", "bad", "other"])
    with pytest.raises(ModelFolderError, match=r"the labels in .*config\.json were edited"):
        TextClassifier.load(folder)


def test_a_configuration_reads_back(tmp_path):
    write_config(tmp_path / FILES.config, {"labels": ["\udc80", "é"]})
    text = (tmp_path / FILES.config).read_text(encoding="utf-8")
    assert json.loads(text)["labels"] == ["\udc80", "é"]


def test_nothing_of_a_model_folder_needs_pickle(folder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("pickle was used")

    for name in ("load", "loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr(pickle, name, refuse)
    classifier = TextClassifier.load(folder)
    classifier.save(folder.parent / "copy")
    assert classifier.predict(["a film"])[0].label in LABELS


def test_a_folder_says_whether_a_text_may_have_several_labels(folder, tmp_path):
    config = json.loads((folder / FILES.config).read_text())
    assert (config["multi_label"], config["thresholds"]) == (False, None)
    tiny_tagger().save(tmp_path / "tagger")
    config = json.loads((tmp_path / "tagger" / FILES.config).read_text())
    assert (config["multi_label"], config["thresholds"]) == (True, [0.4, 0.5, 0.6])
    assert read_folder(tmp_path / "tagger")["thresholds"] == [0.4, 0.5, 0.6]


def test_a_folder_from_before_there_were_several_labels_is_read(folder):
    path = folder / FILES.config
    config = json.loads(path.read_text())
    del config["multi_label"], config["thresholds"]
    path.write_text(json.dumps(config))
    assert read_folder(folder)["thresholds"] is None


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"multi_label": 1}, "multi_label = 1 must be true or false"),
        ({"multi_label": True}, "thresholds = None must be a number"),
        ({"multi_label": True, "thresholds": [0.5]}, r"thresholds = \[0.5\] must be a number"),
        ({"multi_label": True, "labels": []}, r"labels = \[\] must be a list of at least 1 str"),
        ({"labels": ["a"]}, r"labels = \['a'\] must be a list of at least 2 str"),
    ],
)
def test_thresholds_that_are_none_are_named(folder, changes, fault):
    change_config(folder, **changes)
    with pytest.raises(ModelFolderError, match=fault):
        read_folder(folder)


@pytest.mark.parametrize(
    ("line", "said"),
    [("[1]", "must hold one JSON object a line"), ("{", "is truncated or not JSON")],
)
def test_a_damaged_line_of_the_history_is_named(folder, line, said):
    with (folder / FILES.history).open("a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(ModelFolderError, match=rf"history\.jsonl {said}"):
        read_folder(folder)


def test_a_cascade_is_kept(folder, tmp_path):
    assert TextClassifier.load(folder, device="cpu").cascade is None
    tiny_classifier(cascade=CASCADE).save(tmp_path / "other")
    loaded = TextClassifier.load(tmp_path / "other", device="cpu")
    assert loaded.cascade == CASCADE
    assert pickle.loads(pickle.dumps(loaded)).cascade == CASCADE
    assert loaded.fingerprint() != tiny_classifier().fingerprint()


def test_a_network_without_ngrams_has_no_cascade():
    with pytest.raises(ConfigError, match=r"cascade = Cascade\(.*has no n-grams"):
        tiny_classifier(ngrams=0, cascade=CASCADE)
