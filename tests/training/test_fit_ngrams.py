"""The n-gram weights are those of a penalised logistic regression, found in any order of texts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_training import texts

from textlstm.data.encoded import EncodedTexts, LabelledTexts, collate
from textlstm.nn.loss import MultiLabelLoss, TextLoss
from textlstm.nn.ngrams import NgramLinear
from textlstm.training import fit_ngrams as ngram_fitting
from textlstm.training.fit_ngrams import fit_ngrams

PLAIN = TextLoss(None, 0.0)
TRAIN = texts(300, seed=1, classes=3)


def fitted(train=TRAIN, loss=PLAIN, classes=3, order=2, cache=None, **options):
    model = NgramLinear(20, classes, order=order, buckets=64)
    fit_ngrams(model, train, loss, cache, **options)
    return model


def right(model, judged):
    logits = model(*collate(judged.texts, np.arange(len(judged))))
    return (logits.argmax(dim=1).numpy() == judged.labels).mean()


def shuffled(train, seed=3):
    order = np.random.default_rng(seed).permutation(len(train))
    ids = [train.texts.ids[train.texts.offsets[i] : train.texts.offsets[i + 1]] for i in order]
    encoded = EncodedTexts.from_batches([(np.concatenate(ids), train.texts.lengths[order])])
    weights = None if train.weights is None else train.weights[order]
    return LabelledTexts(encoded, train.labels[order], weights)


def test_it_learns_and_generalises():
    assert right(fitted(), texts(200, seed=2, classes=3)) > 0.7


def test_the_weights_are_where_the_penalised_loss_is_least(monkeypatch):
    monkeypatch.setattr(ngram_fitting, "_PASSES", 500)
    monkeypatch.setattr(ngram_fitting, "_TOLERANCE", 0.0)
    model = fitted()
    rows = ngram_fitting._rows_of(model, TRAIN.texts, None)
    ratios, _ = ngram_fitting._ratios(len(model.table), 3, rows, TRAIN)
    table = model.table.clone().requires_grad_()
    bias = model.bias.clone().requires_grad_()
    model.table, model.bias = table, bias
    logits = model(*collate(TRAIN.texts, np.arange(len(TRAIN))))
    used = ratios != 0
    distance = (table[used] / ratios[used] - 0.5).square().sum() / (2 * 7.5)
    total = torch.nn.functional.cross_entropy(
        logits, torch.from_numpy(TRAIN.labels), reduction="sum"
    )
    by_table, by_bias = torch.autograd.grad(total + distance, [table, bias])
    # Where no step changes the loss in float32, a gradient g has g * g < 2 * curvature * error,
    # and the curvature of a bias is at most a quarter of the rows.
    error = torch.finfo(torch.float32).eps * (total + distance).item()
    least = (2 * len(TRAIN) / 4 * error) ** 0.5
    assert (by_table * ratios)[used].abs().max() < least
    assert by_bias.abs().max() < least


def test_ratios_are_those_of_naive_bayes():
    ids = np.array([2, 3, 2, 4, 5], np.int32)
    encoded = EncodedTexts.from_batches([(ids, np.array([2, 2, 1]))])
    train = LabelledTexts(encoded, np.array([0, 0, 1]))
    model = NgramLinear(6, 2, order=1, buckets=1)
    rows = ngram_fitting._rows_of(model, train.texts, None)
    ratios, bias = ngram_fitting._ratios(6, 2, rows, train)
    # texts of label 0 with word 2, 3, 4, 5: 2, 1, 1, 0; of label 1: 0, 0, 0, 1; 1 is added to each
    p, q = np.array([3, 2, 2, 1]) / 10, np.array([1, 1, 1, 2]) / 7
    np.testing.assert_allclose(ratios[2:, 0], np.log(p / q), rtol=1e-5)
    np.testing.assert_allclose(ratios[:, 1], -ratios[:, 0], rtol=1e-5)
    assert (ratios[:2] == 0).all()
    np.testing.assert_allclose(bias.exp(), [3 / 5, 2 / 5], rtol=1e-6)


@pytest.mark.slow
def test_neither_the_order_of_texts_nor_the_size_of_chunks_matters(monkeypatch):
    # The fit ends at a tolerance, so weights (up to 8.5 here) are known to about 1%. How far a
    # sum is off in its last digit, which differs between CPUs, decides where in that range.
    model = fitted()
    batch = collate(TRAIN.texts, np.arange(len(TRAIN)))

    def same(other):
        torch.testing.assert_close(other.table, model.table, atol=0.08, rtol=0)
        found, expected = other(*batch).softmax(dim=1), model(*batch).softmax(dim=1)
        torch.testing.assert_close(found, expected, atol=0.005, rtol=0)

    same(fitted(shuffled(TRAIN)))
    monkeypatch.setattr(ngram_fitting, "_CHUNK", 50)
    same(fitted())


def test_the_same_texts_give_the_same_weights_bit_for_bit(tmp_path):
    model = fitted()
    assert torch.equal(fitted().table, model.table)
    assert torch.equal(fitted(cache=tmp_path).table, model.table)


def test_a_row_that_no_text_has_stays_0():
    model = NgramLinear(25, 3, order=1, buckets=1)  # words 20 to 24 are in no text
    fit_ngrams(model, TRAIN, PLAIN)
    assert (model.table[20:] == 0).all()
    assert (model.table[0] == 0).all()
    assert (model.table[1:20] != 0).all()


def test_texts_and_labels_count_by_their_weights():
    weights = np.where(TRAIN.labels == 1, 30.0, 1.0)
    heavy = fitted(replace(TRAIN, weights=weights))
    by_label = fitted(loss=TextLoss(torch.tensor([1.0, 30.0, 1.0]), 0.0))
    for model in (heavy, by_label):
        logits = model(*collate(TRAIN.texts, np.arange(len(TRAIN))))
        plain = fitted()(*collate(TRAIN.texts, np.arange(len(TRAIN))))
        assert (logits.argmax(dim=1) == 1).sum() > (plain.argmax(dim=1) == 1).sum()


def test_several_labels_a_text_are_judged_each_by_itself():
    marks = np.stack([TRAIN.labels == 0, TRAIN.labels != 1], axis=1)
    model = fitted(LabelledTexts(TRAIN.texts, marks), MultiLabelLoss(None, 0.0), classes=2)
    logits = model(*collate(TRAIN.texts, np.arange(len(TRAIN)))).numpy()
    assert ((logits > 0) == marks).mean() > 0.8


@pytest.mark.parametrize("label", [0, 2])
def test_a_label_without_texts_is_no_trouble(label):
    train = LabelledTexts(TRAIN.texts, np.where(TRAIN.labels == label, 1, TRAIN.labels))
    model = fitted(train)
    assert model.table.isfinite().all()
    assert model.bias[label] < model.bias[1]


@pytest.mark.slow
def test_a_teacher_counts_like_labels_by_its_share(monkeypatch):
    monkeypatch.setattr(ngram_fitting, "_PASSES", 500)
    monkeypatch.setattr(ngram_fitting, "_TOLERANCE", 0.0)
    other = np.roll(TRAIN.labels, 1)
    taught = np.eye(3, dtype=np.float32)[other]
    for share, labels in ((0.0, other), (1.0, TRAIN.labels)):
        shares = np.full(len(TRAIN), share, np.float32)
        found = fitted(LabelledTexts(TRAIN.texts, TRAIN.labels, None, taught, shares))
        expected = fitted(LabelledTexts(TRAIN.texts, labels))
        torch.testing.assert_close(found.table, expected.table, rtol=0, atol=0.05)
        torch.testing.assert_close(found.bias, expected.bias, rtol=0, atol=0.05)


def factors(train=TRAIN, loss=PLAIN, classes=3):
    model = NgramLinear(25, classes, order=2, buckets=64, rank=4)  # words 20 to 24 are in no text
    fit_ngrams(model, train, loss)
    return model


@pytest.mark.slow
def test_a_row_of_few_numbers_learns_and_generalises():
    model = factors()
    assert model.table.shape == (25 + 64, 4)
    assert right(model, texts(200, seed=2, classes=3)) > 0.6  # a third by chance
    assert (model.table[0] == 0).all()
    assert (model.table[20:25] == 0).all()


@pytest.mark.slow
def test_rows_of_few_numbers_are_the_same_whatever_was_drawn_before():
    model = factors()
    torch.rand(3)
    for name, value in factors().state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


@pytest.mark.slow
def test_rows_of_few_numbers_heed_the_weights_of_texts():
    heavy = replace(TRAIN, weights=np.where(TRAIN.labels == 0, 50.0, 0.01))
    batch = collate(TRAIN.texts, np.arange(len(TRAIN)))
    assert (factors(heavy)(*batch).argmax(dim=1) == 0).float().mean() > 0.9


@pytest.mark.slow
def test_rows_of_few_numbers_learn_several_labels_a_text():
    several = replace(TRAIN, labels=np.eye(3, dtype=bool)[TRAIN.labels])
    assert right(factors(several, MultiLabelLoss(None, 0.0)), TRAIN) > 0.7


def test_fewer_rows_are_read_together_of_many_labels():
    rows = ngram_fitting._rows_of(NgramLinear(20, 3, order=2, buckets=64), TRAIN.texts, None)
    few, many = (list(ngram_fitting._chunks(rows, TRAIN, n)) for n in (20, 2**20))
    assert len(few) == 1
    assert len(many) > 100
    assert sum(len(chunk.starts) for chunk in many) == len(TRAIN)


TWO = texts(300, seed=1)
WORDS = [*("", "<unk>"), *(f"{stem}{end}" for stem in "abcdef" for end in ("bad", "bed", "bid"))]
EXACT = {"_MARGIN_PASSES": 1000, "_MARGIN_TOLERANCE": 0.0, "_CONFIDENCE": 1.0}


def exactly(monkeypatch, **values):
    for name, value in {**EXACT, **values}.items():
        monkeypatch.setattr(ngram_fitting, name, value)


@pytest.mark.parametrize("words", [(), WORDS])
def test_margins_learn_and_generalise(words):
    model = fitted(TWO, classes=2, margins=True, words=words)
    assert right(model, texts(200, seed=2)) > 0.7


def test_margins_are_where_hinges_and_squares_are_least(monkeypatch):
    exactly(monkeypatch)
    model = fitted(margins=True)
    rows = ngram_fitting._rows_of(model, TRAIN.texts, None)
    sizes, size = ngram_fitting._sizes(rows, TRAIN, len(model.table), 3, plus=1.0)
    scale = sizes / size
    own = torch.where(scale > 0, model.table / scale, 0.0).requires_grad_()
    bias = model.bias.clone().requires_grad_()
    model.table, model.bias = own * scale, bias
    logits = model(*collate(TRAIN.texts, np.arange(len(TRAIN))))
    signs = 2 * torch.nn.functional.one_hot(torch.from_numpy(TRAIN.labels), 3) - 1
    total = 2.0 * (1 - signs * logits).clamp(min=0).square().sum() + own.square().sum() / 2
    for gradient in torch.autograd.grad(total, [own, bias]):
        assert gradient.abs().max() < 1e-3 * total


def test_rare_and_telling_rows_may_weigh_more():
    ids = np.array([2, 3, 2, 4, 2, 3, 2, 5], np.int32)  # word 2 is in all texts, 3 in one of each
    encoded = EncodedTexts.from_batches([(ids, np.full(4, 2))])
    train = LabelledTexts(encoded, np.array([0, 0, 1, 1]))
    sizes, size = ngram_fitting._sizes(encoded, train, 6, 2, plus=1.0)
    rare = np.log(5 / np.array([5, 3, 2, 2])) + 1
    expected = np.sqrt((rare[0] ** 2 + (rare[1] ** 2 + rare[2] ** 2) / 2) / 2)
    assert size == pytest.approx(expected)
    assert sizes[4, 0] > sizes[3, 0]
    assert sizes[2, 0] == 0  # no label has more of it


def test_words_share_what_is_learned_of_their_letters():
    words = ["", "<unk>", "goodly", "goodness", "awful", "awfully"]
    ids = np.array([2, 4] * 20 + [3, 3, 5, 5], np.int32)  # the last four tell nothing
    labels = np.array([0, 1] * 22)
    train = LabelledTexts(EncodedTexts.from_batches([(ids, np.full(44, 1))]), labels)

    def weights(words):
        model = NgramLinear(6, 2, order=1, buckets=1)
        fit_ngrams(model, train, PLAIN, margins=True, words=words)
        return model.table[:, 0] - model.table[:, 1]

    alone, sharing = weights(()), weights(words)
    assert alone[[3, 5]].abs().max() < 0.1
    assert sharing[5] < -0.1 < 0.1 < sharing[3]


def test_runs_of_letters_are_those_of_several_words_once_a_text():
    letters = ngram_fitting._letters(["abc", "xbc", "", "q"])
    # of <abc> and <xbc> both have bc>; of 3 letters and more nothing else
    assert letters.toarray().tolist() == [[1], [1], [0], [0]]
    rows = EncodedTexts(np.array([0, 1, 3, 2, 1]), np.array([0, 2, 3, 5]))
    found = ngram_fitting._letters_of(rows, letters)
    assert (found.ids.tolist(), found.offsets.tolist()) == ([0, 0], [0, 1, 1, 2])


@pytest.mark.parametrize("words", [[], ["abc"], ["abc", "xyz"], ["", "a"]])
def test_words_may_have_no_run_of_letters_in_common(words):
    assert ngram_fitting._letters(words).shape == (len(words), 0)


def test_runs_of_letters_are_numbered_in_their_order_with_white_space_as_it_is():
    words = ["b  a", "b a", "Ba", "a  b", "b  acb", "", "acbb"]
    of_words = [
        {f"<{word}>"[i : i + size] for size in (3, 4, 5, 6) for i in range(len(word) + 3 - size)}
        for word in words
    ]
    of_words[words.index("")] = set()
    runs = sorted(run for run in set().union(*of_words) if sum(run in of for of in of_words) > 1)
    assert {"  a", "<b ", "acb"} < set(runs)
    expected = [[run in of for run in runs] for of in of_words]
    assert ngram_fitting._letters(words).toarray().astype(bool).tolist() == expected


@pytest.mark.parametrize("words", [(), WORDS])
def test_margins_do_not_depend_on_the_order_of_texts(monkeypatch, words):
    exactly(monkeypatch, _MARGIN_PASSES=200)
    model = fitted(margins=True, words=words)
    other = fitted(shuffled(TRAIN), margins=True, words=words)
    torch.testing.assert_close(other.table, model.table, atol=0.02, rtol=0)


def test_margins_heed_class_weights_and_weights_of_texts():
    batch = collate(TRAIN.texts, np.arange(len(TRAIN)))
    plain = (fitted(margins=True)(*batch).argmax(dim=1) == 1).sum()
    by_label = fitted(loss=TextLoss(torch.tensor([1.0, 30.0, 1.0]), 0.0), margins=True)
    weights = np.where(TRAIN.labels == 1, 30.0, 1.0)
    for model in (by_label, fitted(replace(TRAIN, weights=weights), margins=True)):
        assert (model(*batch).argmax(dim=1) == 1).sum() > plain


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 5.0])])
def test_margins_of_several_labels_a_text(weights):
    marks = np.stack([TRAIN.labels == 0, TRAIN.labels != 1], axis=1)
    train = LabelledTexts(TRAIN.texts, marks)
    model = fitted(train, MultiLabelLoss(weights, 0.0), classes=2, margins=True)
    logits = model(*collate(TRAIN.texts, np.arange(len(TRAIN)))).numpy()
    assert ((logits > 0) == marks).mean() > 0.8


def test_margins_give_a_row_that_no_text_has_0():
    model = NgramLinear(25, 3, order=1, buckets=1)
    fit_ngrams(model, TRAIN, PLAIN, margins=True)
    assert (model.table[20:] == 0).all()
    assert (model.table[1:20] != 0).all()
