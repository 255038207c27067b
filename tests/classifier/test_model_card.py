import dataclasses
import re

import pytest
import yaml
from huggingface_hub import ModelCard
from tiny_classifier import CASCADE, CASCADED, LABELS, METRICS, RECORD, tiny_classifier

from textlstm.classifier.model_card import description_table, model_card
from textlstm.classifier.model_folder import RunRecord


@pytest.fixture(scope="module")
def description():
    return tiny_classifier(text_column=["title", "body"]).describe()


def metadata_of(card):
    _, block, body = card.split("---\n", 2)
    return yaml.safe_load(block), body


def section(card, title):
    return re.search(rf"^## {title}$(.*?)(^## |\Z)", card, re.MULTILINE | re.DOTALL)[1]


def test_the_metadata_block_is_what_the_hub_reads(description):
    metadata, _ = metadata_of(model_card("film model", description))
    assert metadata["library_name"] == "textlstm"
    assert metadata["pipeline_tag"] == "text-classification"
    assert "lstm" in metadata["tags"]
    assert metadata["model-index"] == [
        {
            "name": "film model",
            "results": [
                {
                    "task": {"type": "text-classification"},
                    "dataset": {
                        "name": "film reviews",
                        "type": "film-reviews",
                        "split": "validation",
                    },
                    "metrics": [
                        {"type": "accuracy", "name": "accuracy", "value": 0.75},
                        {"type": "f1", "name": "macro F1", "value": 0.7123},
                    ],
                }
            ],
        }
    ]


def test_the_hub_client_reads_the_results(description):
    data = ModelCard(model_card("film model", description)).data
    assert [result.metric_value for result in data.eval_results] == [0.75, 0.7123]
    assert data.eval_results[0].dataset_split == "validation"


@pytest.mark.parametrize(
    "name",
    [
        "no",
        "Null",
        "1.5",
        "a: b #c",
        '"quoted" \\ \'',
        "- dash",
        "映画 😀 \x7f\x85\u2028",
        "{x}",
        "",
        "true",
        "2024-01-01",
        "a/b.c-d_e",
        "*star",
        "a:",
    ],
)
def test_any_name_reads_back_from_the_metadata(description, name):
    metadata, _ = metadata_of(model_card(name, description))
    assert metadata["model-index"][0]["name"] == name


def test_the_card_tells_data_settings_and_results(description):
    card = model_card("film model", description)
    assert "# film model" in card
    data = section(card, "Data")
    assert "data/film reviews" in data
    assert "train 1,200, validation 4" in data
    assert "2 rows of train have no label" in data
    assert "| model.hidden_size | 6 |" in section(card, "Settings")
    assert "| data.text_column | title body |" in section(card, "Settings")
    assert "| tokenizer.max_length | 20 |" in section(card, "Settings")
    assert "best epoch: 2" in section(card, "Training")
    results = section(card, "Results")
    assert "|  | validation |" in results
    assert "| accuracy | 0.7500 |" in results
    assert "| texts | 4 |" in results
    assert "| good | 0.5000 | 0.2500 | 0.3333 | 1 |" in results
    assert "torch" in section(card, "Made with")


def test_every_split_has_its_column_and_its_labels(description):
    test = {**METRICS, "accuracy": 0.5}
    both = {**description, "metrics": {"validation": METRICS, "test": test}}
    card = model_card("m", both)
    assert "|  | validation | test |" in card
    assert "| accuracy | 0.7500 | 0.5000 |" in card
    assert "By label, validation:" in card
    assert "By label, test:" in card
    assert [r["dataset"]["split"] for r in metadata_of(card)[0]["model-index"][0]["results"]] == [
        "validation",
        "test",
    ]


def test_names_are_shown_as_they_are_and_keep_the_tables_whole(description):
    card = model_card("m", description)
    assert "very good \\| \\<b\\>très\\</b\\>" in card
    for table in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table


def test_nothing_is_claimed_of_a_model_without_a_record(description):
    bare = dataclasses.replace(RECORD, source="", rows={}, notes=(), training={}, metrics={})
    bare = tiny_classifier(record=dataclasses.replace(bare, fingerprint="", history=())).describe()
    card = model_card("m", bare)
    metadata, body = metadata_of(card)
    assert "model-index" not in metadata
    assert "No results were recorded." in body
    assert "None" not in body
    assert "accuracy" not in body
    assert RunRecord().metrics == {}


def test_a_name_that_is_not_utf8_can_be_written(description):
    assert "udc80" in model_card("a\udc80", description).encode().decode()


@pytest.mark.slow
def test_the_python_example_runs_as_printed(forks, tmp_path):
    name = 'my "model" 1'
    tiny_classifier().save(tmp_path / name)
    card = (tmp_path / name / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]
    done = forks.run("python", "-c", code, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(any(line.startswith(label) for label in LABELS) for line in lines)
    assert "textlstm predict 'my \"model\" 1' texts.csv --out labelled.csv" in card


def test_a_terminal_gets_one_line_per_fact(description):
    lines = str(description_table(description)).splitlines()
    text = "\n".join(lines)
    assert lines[0].split() == ["labels", "3:", *", ".join(LABELS).split()]
    assert "2 bidirectional LSTM layers of 6 units per direction, final pooling" in text
    assert re.search(r"results: validation +texts 4, accuracy 0.7500, .*macro F1 0.7123", text)
    assert re.search(r"settings: model +embedding_size=5 hidden_size=6", text)
    assert re.search(r"data: rows +train 1,200", text)
    starts = {re.match(r"[^ ](?:.*?[^ ])?(?=  )  +", line).end() for line in lines}
    assert len(starts) == 1  # the values stand below each other


def test_many_labels_are_cut_on_a_terminal(description):
    many = {**description, "labels": [f"label{i}" for i in range(150)]}
    first = str(description_table(many)).splitlines()[0]
    assert "150: label0" in first
    assert "and 130 more" in first


def of_hub_dataset(description, **options):
    data = {**description["data"], "source": "owner/reviews", "dataset_id": "owner/reviews"}
    settings = {**description["settings"], "data": {**description["settings"]["data"], **options}}
    return {**description, "data": data, "settings": settings}


def test_a_dataset_of_the_hub_is_named_as_there(description):
    described = of_hub_dataset(description, dataset_config="en", dataset_revision="v1")
    metadata, _ = metadata_of(model_card("film model", described))
    assert metadata["datasets"] == ["owner/reviews"]
    assert metadata["model-index"][0]["results"][0]["dataset"] == {
        "name": "reviews",
        "type": "owner/reviews",
        "config": "en",
        "revision": "v1",
        "split": "validation",
    }
    data = ModelCard(model_card("film model", described)).data
    assert data.datasets == ["owner/reviews"]
    assert data.eval_results[0].dataset_config == "en"


def test_a_path_that_looks_like_a_name_on_the_hub_is_not_one(description):
    local = {**description, "data": {**description["data"], "source": "owner/reviews"}}
    metadata, _ = metadata_of(model_card("film model", local))
    assert "datasets" not in metadata
    assert metadata["model-index"][0]["results"][0]["dataset"]["type"] == "reviews"


def test_on_the_hub_the_card_tells_how_to_load_it_from_there(description):
    card = model_card("owner/films", description, on_hub=True)
    use = section(card, "Use")
    assert 'TextClassifier.from_pretrained("owner/films")' in use
    assert "textlstm predict owner/films texts.csv" in use
    metadata, _ = metadata_of(card)
    assert metadata["model-index"][0]["name"] == "films"
    assert "# owner/films" in card
    assert "from_pretrained" not in model_card("films", description)


def test_what_a_cascade_skips_and_changes_is_in_the_card_and_on_a_terminal(description):
    assert "Cascade" not in model_card("film model", description)
    metrics = {"validation": {**METRICS, "cascade": CASCADED}, "test": METRICS}
    record = dataclasses.replace(RECORD, metrics=metrics)
    cascaded = tiny_classifier(record=record, cascade=CASCADE).describe()
    text = section(model_card("film model", cascaded), "Cascade")
    assert "with a confidence of 95%" in text
    assert "On validation:" in text
    assert "On test:" not in text
    assert "| share | least certainty | skipped | labels differ | accuracy |" in text
    assert "| 0.0005 | too few texts | 0.0% | 0 | 0.7500 |" in text
    assert "| 0.01 | 0.75 | 75.0% | 1 | 0.5000 |" in text
    lines = str(description_table(cascaded)).splitlines()
    (line,) = [line for line in lines if line.startswith("cascade 0.01: validation")]
    assert line.endswith("75.0% skip the LSTM, labels that differ: 1, accuracy 0.5000")
    cascaded["metrics"]["validation"]["cascade"] |= {"accuracy": {}}  # of unlabelled texts
    assert "| 0.01 | 0.75 | 75.0% | 1 |  |" in model_card("film model", cascaded)


def test_of_very_many_labels_a_card_shows_some(description):
    names = [f"label{i}" for i in range(300)]
    rows = {name: {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 3} for name in names}
    figures = next(iter(description["metrics"].values()))
    metrics = {"test": {**figures, "labels": names, "per_label": rows}}
    card = model_card("m", {**description, "labels": names, "metrics": metrics})
    assert "300 labels: label0, label1," in card
    assert "label199 and 100 more." in card
    assert "The other 100 labels are in `metrics.json`." in card
    assert card.count("label200") == 0
