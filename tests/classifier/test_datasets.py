"""A dataset gets its labels as new columns, and is otherwise as it was."""

from pathlib import Path

import datasets
import numpy as np
import pytest
from tiny_classifier import texts, tiny_classifier, tiny_tagger

from textlstm.classifier.classifier import TextClassifier
from textlstm.errors import ConfigError, DataError
from textlstm.training.train import train

SOME = [*(text or "dull" for text in texts(60)), None]
FEATURES = datasets.Features(
    {
        "id": datasets.Value("int32"),
        "text": datasets.Value("string"),
        "truth": datasets.ClassLabel(names=["no", "yes"]),
    }
)


@pytest.fixture(scope="module")
def classifier():
    return tiny_classifier()


def dataset(**columns):
    rows = {"id": range(61), "text": SOME, "truth": [row % 2 for row in range(61)], **columns}
    return datasets.Dataset.from_dict(rows, features=FEATURES)


def test_labels_and_scores_are_those_of_the_classifier(classifier):
    labelled = classifier.classify_dataset(dataset())
    expected = classifier.predict(SOME[:-1])
    assert labelled["label"][:-1] == [item.label for item in expected]
    np.testing.assert_allclose(labelled["score"][:-1], [item.score for item in expected], atol=1e-6)
    assert labelled["error"][:-1] == [None] * 60
    assert labelled[-1] == {
        "id": 60,
        "text": None,
        "truth": 0,
        "label": None,
        "score": None,
        "error": "null",
    }


def test_all_columns_stay_as_they_were(classifier):
    labelled = classifier.classify_dataset(dataset())
    assert {name: labelled.features[name] for name in FEATURES} == FEATURES
    assert labelled.select_columns(list(FEATURES))[:] == dataset()[:]
    assert labelled.column_names == ["id", "text", "truth", "label", "score", "error"]
    assert labelled.features["score"].dtype == "float64"


def test_options_rename_and_add_columns(classifier):
    labelled = classifier.classify_dataset(
        dataset(), output_column="l", score_column="s", top_k=2, probabilities=True, batch_size=7
    )
    added = labelled.column_names[3:]
    assert added[:4] == ["l", "s", "l_2", "s_2"]
    assert [name for name in added if name.startswith("probability_")] == [
        f"probability_{label}" for label in classifier.labels
    ]


def test_the_text_may_stand_in_several_columns(classifier):
    rows = {"title": ["dull", None, None], "body": ["film", "bright", None]}
    labelled = classifier.classify_dataset(
        datasets.Dataset.from_dict(rows), text_column=["title", "body"]
    )
    expected = classifier.predict(["dull film", " bright"])
    assert labelled["label"][:2] == [item.label for item in expected]
    assert labelled["error"][:] == [None, None, "null"]


def test_rows_that_were_selected_or_shuffled_are_labelled_in_their_order(classifier):
    chosen = dataset().select([5, 3, 60, 1])
    labelled = classifier.classify_dataset(chosen)
    assert labelled["text"][:] == [SOME[row] for row in (5, 3, 60, 1)]
    expected = [item.label for item in classifier.predict([SOME[row] for row in (5, 3, 1)])]
    assert [label for label in labelled["label"] if label] == expected


def test_a_format_stays_set_and_shows_the_new_columns(classifier):
    labelled = classifier.classify_dataset(dataset().with_format("numpy", columns=["id"]))
    assert labelled.format["type"] == "numpy"
    assert labelled.format["columns"] == ["id", "label", "score", "error"]
    assert isinstance(labelled[:2]["score"], np.ndarray)
    assert classifier.classify_dataset(dataset()).format["type"] is None


def test_the_same_work_is_found_in_the_cache_and_other_work_is_not(classifier, tmp_path):
    dataset().save_to_disk(str(tmp_path / "saved"))
    saved = datasets.load_from_disk(str(tmp_path / "saved"))
    first = classifier.classify_dataset(saved)
    again = classifier.classify_dataset(saved)
    assert first.cache_files == again.cache_files
    other = tiny_classifier(seed=2).classify_dataset(saved)
    renamed = classifier.classify_dataset(saved, output_column="l")
    files = [result.cache_files[0]["filename"] for result in (first, other, renamed)]
    assert len(set(files)) == 3
    assert other["label"][:] != first["label"][:]


def test_an_empty_dataset_gets_the_columns_too(classifier):
    labelled = classifier.classify_dataset(dataset().select([]))
    assert labelled.num_rows == 0
    assert labelled.column_names == ["id", "text", "truth", "label", "score", "error"]


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda: [1], {}, "dataset of type list: must be a datasets.Dataset"),
        (lambda: datasets.DatasetDict(a=dataset()), {}, "of type DatasetDict"),
        (dataset, {"text_column": "txet"}, "column 'txet' is not in the dataset"),
        (dataset, {"output_column": "truth"}, "the dataset already has a column 'truth'"),
        (dataset, {"engine": "onnx"}, "unknown option 'engine'"),
        (dataset, {"top_k": 9}, "top_k = 9: the model has 3 labels"),
        (
            lambda: dataset().remove_columns("text"),
            {},
            "cannot tell which column of the dataset is the text",
        ),
    ],
)
def test_what_cannot_be_done_is_told_before_any_work(classifier, make, options, said):
    with pytest.raises((ConfigError, DataError), match=said):
        classifier.classify_dataset(make(), **options)


def test_several_labels_are_lists():
    tagger = tiny_tagger()
    labelled = tagger.classify_dataset(dataset(), top_k=2)
    expected = tagger.predict(SOME[:-1])
    assert labelled["label"][:] == [*(list(item.labels) for item in expected), None]
    np.testing.assert_allclose(labelled["score"][:-1], [item.score for item in expected], atol=1e-6)
    assert labelled.features["label"].feature.dtype == "string"
    assert labelled.features["score"].dtype == "float64"
    assert labelled.column_names[3:] == [
        *("label", "score", "label_1", "score_1", "label_2", "score_2", "error"),
    ]
    empty = tagger.classify_dataset(dataset().select([]))
    assert empty.features["label"] == labelled.features["label"]
    mapped = unlabelled().map(tagger.classify_batch, batched=True, fn_kwargs={"top_k": 2})
    assert mapped[:] == labelled.remove_columns(["error", "truth"])[:]


@pytest.mark.slow
def test_the_names_of_a_class_label_become_the_labels_of_the_model():
    names = ["other", "yes", "no"]  # neither in the order of the alphabet nor of the rows
    kind = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    rows = {"text": texts(30), "label": [2, 1, 0] * 10}
    trained = train(
        datasets.Dataset.from_dict(rows, features=kind),
        epochs=1,
        embedding_size=2,
        hidden_size=2,
        threads=1,
        device="cpu",
    )
    assert trained.labels == tuple(names)
    assert trained.evaluate(rows["text"], rows["label"])["per_label"]["no"]["support"] == 10
    new = trained.classify_dataset(datasets.Dataset.from_dict({"text": rows["text"]}))
    assert set(new["label"]) <= set(names)


def test_labels_can_be_cast_to_the_numbers_of_a_class_label(classifier):
    labelled = classifier.classify_dataset(dataset().select(range(60)))
    kind = datasets.ClassLabel(names=list(classifier.labels))
    numbered = labelled.cast_column("label", kind)
    best = classifier.predict_proba(SOME[:60]).argmax(axis=1)
    assert numbered["label"][:] == best.tolist()


def unlabelled():
    return dataset().remove_columns("truth")


def same_rows(found, expected):
    """Rows are equal, scores but for what another size of batch may round otherwise."""
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        assert row == {**wanted, "score": pytest.approx(wanted["score"], abs=1e-6)}


def test_map_gives_the_columns_of_the_whole_dataset(classifier):
    expected = classifier.classify_dataset(unlabelled()).remove_columns("error")
    mapped = unlabelled().map(classifier.classify_batch, batched=True, batch_size=7)
    assert mapped.features == expected.features
    same_rows(mapped, expected)
    shown = unlabelled().with_format("numpy").map(classifier.classify_batch, batched=True)
    same_rows(shown.with_format(None), expected)


def test_map_labels_streams_and_dictionaries_of_datasets(classifier):
    expected = list(classifier.classify_dataset(unlabelled()).remove_columns("error"))
    stream = unlabelled().to_iterable_dataset()
    assert list(stream.map(classifier.classify_batch, batched=True)) == expected
    splits = datasets.DatasetDict(a=unlabelled(), b=unlabelled().select([3, 60]))
    mapped = splits.map(classifier.classify_batch, batched=True)
    assert list(mapped["a"]) == expected
    same_rows(mapped["b"], [expected[3], expected[60]])


def test_map_passes_options(classifier):
    options = {"output_column": "l", "score_column": "s", "top_k": 2, "text_column": "text"}
    mapped = dataset().map(classifier.classify_batch, batched=True, fn_kwargs=options)
    expected = classifier.classify_dataset(dataset(), **options).remove_columns("error")
    assert mapped[:] == expected[:]


def test_map_finds_the_same_work_in_the_cache_and_other_work_not(classifier, tmp_path):
    unlabelled().save_to_disk(str(tmp_path / "saved"))
    saved = datasets.load_from_disk(str(tmp_path / "saved"))
    classifier.save(tmp_path / "model")
    loaded = [TextClassifier.load(tmp_path / "model", device="cpu") for _ in range(2)]
    files = [
        saved.map(judge.classify_batch, batched=True).cache_files[0]["filename"]
        for judge in (*loaded, tiny_classifier(seed=2))
    ]
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize(
    ("batch", "options", "said"),
    [
        ({"text": "one"}, {}, "column 'text' of the batch is one string: map with batched=True"),
        (["one"], {}, "batch of type list: must be columns by name"),
        ({"text": ["one"], "l": [1]}, {"output_column": "l"}, "the batch already has a column 'l'"),
        ({"a": ["one"], "b": ["two"]}, {}, "cannot tell which column of the batch is the text"),
        ({"text": ["one"]}, {"engine": "onnx"}, "unknown option 'engine'"),
    ],
)
def test_what_is_no_batch_of_columns_is_refused(classifier, batch, options, said):
    with pytest.raises((ConfigError, DataError), match=said):
        classifier.classify_batch(batch, **options)


def test_labels_that_are_there_already_stay(classifier):
    batch = {"text": ["one"], "label": [1]}
    assert list(classifier.classify_batch(batch)) == ["predicted_label", "score"]
    labelled = classifier.classify_dataset(dataset().rename_column("truth", "label"))
    assert labelled.column_names == ["id", "text", "label", "predicted_label", "score", "error"]


FORKING = """
import datasets, torch
from tiny_classifier import texts, tiny_classifier

if __name__ == "__main__":
    torch.set_num_threads(2)
    classifier = tiny_classifier()
    rows = datasets.Dataset.from_dict({"text": texts(400)})
    one = rows.map(classifier.classify_batch, batched=True)
    two = rows.map(classifier.classify_batch, batched=True, batch_size=99, num_proc=2)
    assert one["label"][:] == two["label"][:]
"""


@pytest.mark.slow
def test_map_may_use_several_processes_after_torch_used_several_threads(forks):
    done = forks.run("python", "-c", FORKING, folder=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr


def test_a_label_with_a_low_score_is_left_out(classifier):
    rows = datasets.Dataset.from_dict({"text": texts(5)})
    labelled = classifier.classify_dataset(rows, min_score=1.0)
    assert labelled["label"][:] == [None] * 5
    assert labelled["error"][:] == ["score below 1"] * 5
    assert classifier.classify_batch(rows[:], min_score=1.0)["label"] == [None] * 5
