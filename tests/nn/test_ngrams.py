"""The n-gram model adds up the distinct n-grams of a text, and of nothing else.

Shapes: B batch, T time, C classes.
"""

import pytest
import torch
from torch import nn

from textlstm.nn.ngrams import NgramLinear

WORDS = 30


def make(order=2, buckets=101, seed=0, rank=0):
    model = NgramLinear(WORDS, 3, order=order, buckets=buckets, rank=rank)
    generator = torch.Generator().manual_seed(seed)
    model.table[1:] = torch.randn(model.table[1:].shape, generator=generator)
    model.bias[:] = torch.randn(3, generator=generator)
    return model


def batch(lengths, seed=1):
    generator = torch.Generator().manual_seed(seed)
    texts = [torch.randint(1, WORDS, (length,), generator=generator) for length in lengths]
    return nn.utils.rnn.pad_sequence(texts, batch_first=True), torch.tensor(lengths)


def by_hand(model, text):
    """Logits of one text, a list of ids, by a set of its n-grams."""
    rows = set(text)
    for order in range(2, model.order + 1):
        led = [0] * (order - 1) + text
        for end in range(order, len(led) + 1):
            last, *before = reversed(led[end - order : end])
            factors = model.factors[: order - 1]
            key = last + sum(a * b for a, b in zip(before, factors, strict=True))
            rows.add(WORDS + key % model.buckets)
    return model.table[sorted(rows)].sum(dim=0) / len(rows) ** 0.5 + model.bias


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_logits_are_the_sum_over_a_set_of_ngrams_divided_by_the_root_of_its_size(order):
    model = make(order)
    ids, lengths = batch([1, 2, 9, 40])
    for row, length, logits in zip(ids, lengths, model(ids, lengths), strict=True):
        torch.testing.assert_close(logits, by_hand(model, row[:length].tolist()))


@pytest.mark.parametrize("order", [1, 2, 4])
def test_padding_batch_and_order_change_nothing(order):
    model = make(order)
    ids, lengths = batch([5, 12, 1, 7])
    together = model(ids, lengths)
    filled = nn.functional.pad(ids, (0, 9), value=7)
    past = torch.arange(filled.shape[1]) >= lengths[:, None]
    torch.testing.assert_close(model(filled.masked_fill(past, 7), lengths), together)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(model(ids[order], lengths[order]), together[order])
    alone = [model(ids[i : i + 1, :n], lengths[i : i + 1]) for i, n in enumerate(lengths)]
    torch.testing.assert_close(torch.cat(alone), together)


def test_a_repeated_ngram_counts_once():
    model = make(order=1)
    once, twice = torch.tensor([[3, 4]]), torch.tensor([[3, 4, 3, 3]])
    torch.testing.assert_close(
        model(once, torch.tensor([2])), model(twice, torch.tensor([4])), atol=1e-6, rtol=0
    )


def test_two_words_in_the_other_order_are_another_text_for_bigrams_only():
    ids, swapped, two = torch.tensor([[3, 4]]), torch.tensor([[4, 3]]), torch.tensor([2])
    assert torch.equal(make(order=1).rows(ids, two), make(order=1).rows(swapped, two))
    assert not torch.equal(make().rows(ids, two), make().rows(swapped, two))


def test_few_pairs_of_words_share_a_row_of_a_large_table():
    model = NgramLinear(300, 2, order=2, buckets=2**18)
    first, second = torch.meshgrid(torch.arange(1, 300), torch.arange(1, 300), indexing="ij")
    pairs = torch.stack([first.flatten(), second.flatten()], dim=1)  # [89401, 2]
    rows = model.rows(pairs, torch.full((len(pairs),), 2))
    taken = rows[rows >= 300].unique()
    assert len(taken) > 0.95 * len(pairs)
    assert rows.max() < len(model.table)


def test_rows_of_few_numbers_give_the_logits_of_their_product_with_the_labels():
    model, plain = make(rank=2), make()
    model.labels[:] = torch.randn(3, 2, generator=torch.Generator().manual_seed(5))
    plain.table[:] = model.table @ model.labels.t()
    plain.bias[:] = model.bias
    ids, lengths = batch([1, 2, 9, 40])
    torch.testing.assert_close(model(ids, lengths), plain(ids, lengths))
    rows = torch.tensor([3, 0, 50])
    torch.testing.assert_close(model.column(rows, 1), plain.column(rows, 1))
    assert torch.equal(plain.column(rows, 1), plain.table[rows, 1])
