"""Models go to the Hub and come back; the Hub is a stand-in on this machine."""

import io
import json
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub import utils as progress
from tiny_classifier import needs_bf16, texts, tiny_classifier
from tiny_hub import TOKEN, TinyHub

from textlstm.classifier.base import Base, base_settings, read_base, save_base
from textlstm.classifier.classifier import TextClassifier
from textlstm.classifier.hub import find_model, upload_model
from textlstm.classifier.json_files import FILES
from textlstm.classifier.model_folder import PARTS, RunRecord
from textlstm.cli import main
from textlstm.errors import ConfigError, ModelFolderError, OutputError

pytestmark = pytest.mark.slow

CLASSIFIER = tiny_classifier()
OURS = {name for name in vars(FILES).values() if name != FILES.checkpoint}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "films"
    CLASSIFIER.save(path)
    return path


@pytest.fixture
def server(monkeypatch, tmp_path):
    server = TinyHub()
    server.point_client_here(monkeypatch, tmp_path / "cache")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def offline(monkeypatch):
    """A function that takes the network away."""

    def cut():
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    return cut


def copy_of(folder):
    """Writes what is in `folder`, and a note of the name, as `upload_model` wants it."""

    def write(target, name):
        for path in folder.iterdir():
            (target / path.name).write_bytes(path.read_bytes())
        (target / FILES.card).write_text(name)

    return write


def assert_same(found, classifier=CLASSIFIER):
    loaded = TextClassifier.load(found, device="cpu")
    assert loaded.predict(texts(5)) == classifier.predict(texts(5))


def test_a_folder_is_taken_as_it_is(folder, monkeypatch, tmp_path):
    assert find_model(folder) == folder
    monkeypatch.chdir(folder.parent.parent)
    name = f"{folder.parent.name}/{folder.name}"  # might be owner/name
    assert_same(find_model(name))
    for missing in ("no-such-model", "./no/such", "/no/such", "a/b/c", "no such/model", "a//b", ""):
        assert find_model(missing) == Path(missing)
    assert find_model(tmp_path / "owner" / "name") == tmp_path / "owner" / "name"


def test_a_model_of_the_hub_is_fetched(server, folder):
    commit = server.put_folder("me/films", folder)
    found = find_model("me/films")
    assert found.name == commit
    assert {path.name for path in found.iterdir()} == OURS
    assert_same(found)


def test_a_base_of_the_hub_is_one_to_start_from(server, tmp_path):
    weights = {
        name: tensor
        for name, tensor in CLASSIFIER.model.state_dict().items()
        if name.startswith(PARTS)
    }
    base = Base("films", CLASSIFIER.tokenizer, CLASSIFIER.settings, weights)
    save_base(tmp_path, base, RunRecord())
    upload_model(copy_of(tmp_path), "someone/base", token=TOKEN)
    found = read_base("someone/base")
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in weights.items())
    assert base_settings("someone/base") == (CLASSIFIER.settings, True)
    with pytest.raises(ModelFolderError, match="is a base, which has no labels"):
        TextClassifier.from_pretrained("someone/base")


def test_only_the_files_of_a_model_folder_are_fetched(server, folder):
    server.put("me/films", {"modeling.py": b"raise SystemExit", "pytorch_model.bin": b"\x80"})
    server.put_folder("me/films", folder)
    found = find_model("me/films")
    assert {path.name for path in found.iterdir()} == OURS
    fetched = [path for _, path in server.requests if "/resolve/" in path]
    assert not [path for path in fetched if path.endswith((".py", ".bin"))]


def test_what_is_no_model_of_textlstm_is_seen_before_its_weights_are_fetched(server):
    server.put(
        "big/bert", {"config.json": b'{"model_type": "bert"}', "model.safetensors": b"x" * 9}
    )
    with pytest.raises(
        ModelFolderError, match=r"big/bert on the Hub .* not a configuration of tex"
    ):
        find_model("big/bert")
    assert not [path for _, path in server.requests if "safetensors" in path]
    server.put("big/none", {"README.md": b"hello"})
    with pytest.raises(ModelFolderError, match=r"big/none on the Hub has no config\.json"):
        find_model("big/none")


def test_a_revision_is_a_branch_a_tag_or_a_commit(server, folder, tmp_path):
    first = server.put_folder("me/films", folder)
    other = tiny_classifier(seed=2)
    other.save(tmp_path / "other")
    second = server.put_folder("me/films", tmp_path / "other")
    server.put_folder("me/films", folder, branch="v1")
    assert find_model("me/films").name == second
    assert_same(find_model("me/films"), other)
    for revision in (first, "v1"):
        assert find_model("me/films", revision=revision).name == first
        assert_same(find_model("me/films", revision=revision))
    with pytest.raises(ModelFolderError, match="me/films on the Hub has no revision 'v9'"):
        find_model("me/films", revision="v9")
    with pytest.raises(ConfigError, match=r"revision = 'v1': .*films is a folder"):
        find_model(folder, revision="v1")


def test_a_copy_in_the_cache_does_without_the_hub(server, folder, offline):
    commit = server.put_folder("me/films", folder)
    find_model("me/films")
    server.requests.clear()
    find_model("me/films")
    assert not [path for method, path in server.requests if method == "GET" and "resolve" in path]
    offline()
    assert find_model("me/films").name == commit
    assert find_model("me/films", revision=commit).name == commit
    assert_same(find_model("me/films"))
    with pytest.raises(ModelFolderError, match=r"its cache has no .* me/films at 'v2'"):
        find_model("me/films", revision="v2")


@pytest.mark.parametrize("how", ["offline mode", "a Hub that is not well"])
def test_the_cache_serves_when_the_hub_does_not(server, folder, how, monkeypatch):
    server.put_folder("me/films", folder)
    find_model("me/films")
    if how == "offline mode":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        server.down = True
    assert_same(find_model("me/films"))


def test_out_of_reach_and_not_in_the_cache_is_told_at_once(server, offline):
    offline()
    expected = (
        r"no folder me/films; the Hub is out of reach and its cache has no whole copy of me/f"
    )
    with pytest.raises(ModelFolderError, match=expected + ".*refused"):
        find_model("me/films")


def test_a_hub_that_is_not_well_is_told_with_its_answer(server):
    server.down = True
    with pytest.raises(ModelFolderError, match=r"the Hub is out of reach .* \(.*503.*\)$") as error:
        find_model("me/films")
    assert "\n" not in str(error.value)


def test_half_a_copy_is_no_copy(server, folder, offline):
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    weights = files.pop(FILES.weights)
    server.put("me/films", files)
    with pytest.raises(ModelFolderError, match=r"model\.safetensors is missing"):
        TextClassifier.from_pretrained("me/films", device="cpu")
    server.put("me/films", {**files, FILES.weights: weights})
    huggingface_hub.hf_hub_download("me/films", FILES.config)
    offline()
    with pytest.raises(ModelFolderError, match="its cache has no whole copy of me/films"):
        find_model("me/films")


@pytest.mark.parametrize("name", ["me/nothing", "me/secret", "a--b/c..d"])
def test_a_model_that_is_not_there_or_not_open(server, folder, name):
    server.put_folder("me/secret", folder, private=True)
    with pytest.raises(ModelFolderError, match=f"no folder {name}, and no such model"):
        find_model(name)


def test_a_token_opens_a_private_model(server, folder):
    server.put_folder("me/secret", folder, private=True)
    assert_same(find_model("me/secret", token=TOKEN))


def test_an_upload_is_one_commit_and_comes_back(server, folder):
    url = upload_model(copy_of(folder), "me/new", private=True, token=TOKEN, message="First")
    assert url == f"{server.url}/me/new"
    assert set(server.files("me/new")) == OURS
    assert server.repos["me/new"]["private"]
    assert len(server.repos["me/new"]["commits"]) == 2  # that of the new repository is empty
    assert_same(find_model("me/new", token=TOKEN))
    upload_model(copy_of(folder), "me/new", token=TOKEN)  # again, into what is there


def test_a_name_alone_is_one_of_the_users_own(server, folder):
    assert upload_model(copy_of(folder), "films", token=TOKEN) == f"{server.url}/me/films"
    assert not server.repos["me/films"]["private"]
    assert server.files("me/films")[FILES.card] == b"me/films"


@pytest.mark.parametrize(
    ("name", "token", "message"),
    [
        ("me/new", None, "me/new can't be uploaded to the Hub .* log in with `hf auth login`"),
        ("me/new", "hf_wrong", "with write access"),
        (
            "forbidden/new",
            TOKEN,
            "forbidden/new can't be uploaded .* with write access",
        ),
        ("a/b/c", TOKEN, "a/b/c can't be uploaded to the Hub .* check the name"),
    ],
)
def test_an_upload_that_is_refused(server, folder, name, token, message):
    with pytest.raises(OutputError, match=message) as error:
        upload_model(copy_of(folder), name, token=token)
    assert "\n" not in str(error.value)


def test_no_progress_bar_is_left_switched_off_or_on(server, folder, capsys):
    server.put_folder("me/films", folder)
    for before in (True, False):
        switch = progress.disable_progress_bars if before else progress.enable_progress_bars
        switch()
        find_model("me/films")
        assert progress.are_progress_bars_disabled() == before
    assert capsys.readouterr().err == ""


def test_a_classifier_goes_to_the_hub_with_its_card_and_comes_back(server):
    url = CLASSIFIER.push_to_hub("films", private=True, token=TOKEN, message="First")
    assert url == f"{server.url}/me/films"
    loaded = TextClassifier.from_pretrained("me/films", token=TOKEN, device="cpu")
    assert loaded.predict(texts(5)) == CLASSIFIER.predict(texts(5))
    assert loaded.describe() == CLASSIFIER.describe()
    card = huggingface_hub.ModelCard(server.files("me/films")[FILES.card].decode())
    assert card.data.library_name == "textlstm"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.model_name == "films"
    assert card.data.eval_results[0].metric_value == 0.75
    assert 'from_pretrained("me/films")' in card.text


@needs_bf16
def test_a_folder_is_loaded_as_by_load(folder):
    loaded = TextClassifier.from_pretrained(folder, device="cpu", precision="bf16")
    assert loaded.model.compute_dtype == torch.bfloat16
    with pytest.raises(ModelFolderError, match="there is no model folder no-such-model"):
        TextClassifier.from_pretrained("no-such-model")


def test_the_command_line_takes_a_name_on_the_hub(server, folder, capsys, monkeypatch):
    server.put_folder("me/films", folder, branch="v1")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a bright film\n")))
    revision = ["--revision", "v1"]
    assert main(["predict", "me/films", "-", *revision, "--device", "cpu"]) == 0
    expected = CLASSIFIER.predict(["a bright film"])[0]
    assert json.loads(capsys.readouterr().out)["label"] == expected.label
    assert main(["inspect", "me/films"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "me/films on the Hub has no revision 'main'" in line
    server.down = True
    assert main(["inspect", "me/films", *revision, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == list(CLASSIFIER.labels)
