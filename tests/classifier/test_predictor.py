import threading

import numpy as np
import pytest
import torch
from tiny_classifier import texts, tiny_classifier

from textlstm.classifier import predictor
from textlstm.classifier.predictor import predict_texts, stream_predictions
from textlstm.data.encoded import EncodedTexts
from textlstm.errors import ModelFolderError
from textlstm.nn.probabilities import to_probabilities


@pytest.fixture(scope="module")
def classifier():
    return tiny_classifier()


@pytest.fixture(scope="module")
def batches(classifier):
    some = texts(50)
    return [classifier.tokenizer.encode_batch(some[i : i + 7]) for i in range(0, 50, 7)]


def stream_probabilities(model, batches, **options):
    return (found for found, _ in stream_predictions(model, batches, **options))


def alone(model, batches):
    """Judge each text by itself, without padding and without a batch."""
    rows = []
    for ids, lengths in batches:
        for text in np.split(ids, np.cumsum(lengths)[:-1]):
            tensor = torch.from_numpy(text.astype(np.int64))[None]
            with torch.no_grad():
                rows.append(model(tensor, torch.tensor([len(text)])).softmax(1)[0].numpy())
    return np.stack(rows)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("window", [1, 10, 4096])
def test_each_text_gets_what_it_gets_alone(classifier, batches, batch_size, window, monkeypatch):
    monkeypatch.setattr(predictor, "WINDOW_ROWS", window)
    expected = alone(classifier.model, batches)
    assert np.ptp(expected, axis=0).min() > 0.1  # else this test could not see a wrong order
    encoded = EncodedTexts.from_batches(batches)
    found, _ = predict_texts(classifier.model, encoded, batch_size=batch_size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 10, 4096])
def test_a_stream_gives_one_result_per_item_in_order(classifier, batches, window, monkeypatch):
    monkeypatch.setattr(predictor, "WINDOW_ROWS", window)
    empty = (np.zeros(0, np.int32), np.zeros(0, np.int64))
    given = [empty, *batches, empty]
    found = list(stream_probabilities(classifier.model, given, batch_size=8))
    assert [len(item) for item in found] == [0, 7, 7, 7, 7, 7, 7, 7, 1, 0]
    np.testing.assert_allclose(np.concatenate(found), alone(classifier.model, batches), atol=1e-6)


def test_a_stream_reads_no_further_than_a_window(classifier, batches, monkeypatch):
    monkeypatch.setattr(predictor, "WINDOW_ROWS", 10)
    read = []
    stream = stream_probabilities(
        classifier.model, (read.append(i) or item for i, item in enumerate(batches))
    )
    assert read == []
    next(stream)
    assert read == [0, 1]  # 7 + 7 rows
    next(stream)
    assert read == [0, 1]
    next(stream)
    assert read == [0, 1, 2, 3]


def test_a_stream_of_nothing_gives_nothing(classifier):
    assert list(stream_probabilities(classifier.model, [])) == []


def test_no_texts_give_no_rows_but_all_columns(classifier):
    assert predict_texts(classifier.model, EncodedTexts.from_batches([]))[0].shape == (0, 3)


def test_dropout_is_off_and_the_training_mode_is_as_before(classifier, batches):
    model, encoded = classifier.model, EncodedTexts.from_batches(batches)
    expected, _ = predict_texts(model, encoded)
    assert not model.training
    model.train()
    try:
        np.testing.assert_array_equal(predict_texts(model, encoded)[0], expected)
        assert model.training
        assert model.lstm.training
    finally:
        model.eval()


def test_no_gradient_is_kept_and_the_mode_does_not_leak_to_the_caller(classifier, batches):
    stream = stream_probabilities(classifier.model, batches)
    next(stream)
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()
    assert classifier.model.linear.weight.grad is None


def test_rows_sum_to_one_for_any_logits():
    logits = torch.tensor([[1000.0, -1000.0, 0.0], [0.1, 0.2, 0.3]])
    found = to_probabilities(logits, multi_label=False)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found[0], [1, 0, 0])
    expected = np.exp([0.1, 0.2, 0.3]) / np.exp([0.1, 0.2, 0.3]).sum()
    np.testing.assert_allclose(found[1], expected, rtol=1e-6)


def test_several_threads_may_share_a_model(classifier, batches):
    expected = alone(classifier.model, batches)
    errors = []

    def read():
        for _ in range(5):
            found = np.concatenate(list(stream_probabilities(classifier.model, batches)))
            errors.append(np.abs(found - expected).max())

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 20
    assert max(errors) < 1e-6


@pytest.mark.parametrize(("tokens", "windows"), [(64, [40, 10]), (1, [10] * 5)])
def test_a_window_of_short_texts_has_more(classifier, batches, monkeypatch, tokens, windows):
    encoded = EncodedTexts.from_batches(batches)
    expected, _ = predict_texts(classifier.model, encoded)
    sizes = []
    divide = predictor.sorted_batches

    def noting(lengths, **options):
        sizes.append(len(lengths))
        return divide(lengths, **options)

    monkeypatch.setattr(predictor, "sorted_batches", noting)
    monkeypatch.setattr(predictor, "WINDOW_ROWS", 10)
    monkeypatch.setattr(predictor, "_FEW_TOKENS", tokens)
    found, _ = predict_texts(classifier.model, encoded)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert sizes == windows


def test_of_many_labels_fewer_texts_are_held(classifier, batches, monkeypatch):
    assert [predictor.rows_at_once(4096, labels) for labels in (2, 10_000)] == [4096, 419]
    monkeypatch.setattr(predictor, "_MOST_NUMBERS", 30)  # of 3 labels: 10 texts
    monkeypatch.setattr(predictor, "_LEAST_ROWS", 1)
    read = []
    stream = stream_probabilities(
        classifier.model, (read.append(i) or item for i, item in enumerate(batches))
    )
    next(stream)
    assert read == [0, 1]  # 7 + 7 rows


def test_numbers_that_overflow_are_no_prediction():
    classifier = tiny_classifier(ngrams=2)
    with torch.no_grad():
        classifier.model.ngrams.table.fill_(1e38)
    with pytest.raises(ModelFolderError, match="not finite: the model's weights are damaged"):
        classifier.predict(["a dull film"])
