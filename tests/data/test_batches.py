"""Every row is in one batch, batches are of like length, and ids come out as they are."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from textlstm.data.encoded import EncodedTexts, collate, sorted_batches, train_batches

LENGTHS = st.lists(st.integers(1, 50), max_size=300).map(lambda x: np.array(x, np.int64))


def encoded(texts):
    lengths = np.array([len(text) for text in texts], np.int64)
    return EncodedTexts.from_batches([(np.concatenate(texts).astype(np.int32), lengths)])


def padding(lengths, batches):
    """Share of padding in all that is read."""
    cells = sum(len(rows) * lengths[rows].max() for rows in batches)
    return 1 - lengths.sum() / cells


def test_collate_pads_at_the_end():
    ids, lengths = collate(encoded([[5, 6], [7], [8, 9, 10]]), np.array([2, 0, 1]))
    assert ids.tolist() == [[8, 9, 10], [5, 6, 0], [7, 0, 0]]
    assert lengths.tolist() == [3, 2, 1]
    assert (ids.dtype, lengths.dtype) == (torch.int64, torch.int64)


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6), min_size=1, max_size=9),
    st.data(),
)
def test_collate_gives_each_text_its_own_ids(texts, data):
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=12))
    ids, lengths = collate(encoded(texts), np.array(rows, np.int64))
    assert [row[:n].tolist() for row, n in zip(ids, lengths, strict=True)] == [
        texts[row] for row in rows
    ]
    assert all((row[n:] == 0).all() for row, n in zip(ids, lengths, strict=True))
    assert ids.shape == (len(rows), max((len(texts[row]) for row in rows), default=0))


def test_collate_reads_a_file_as_it_reads_memory(tmp_path):
    texts = encoded([[5, 6], [7], [8, 9, 10]])
    on_disk = EncodedTexts.write(tmp_path, "train", [(texts.ids, texts.lengths)])
    rows = np.array([1, 2])
    for one, other in zip(collate(texts, rows), collate(on_disk, rows), strict=True):
        assert torch.equal(one, other)
        one.add_(1)  # a batch of its own, which may be written to


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40), st.integers(0, 2**31 - 1), st.integers(0, 9))
def test_every_row_is_in_exactly_one_batch(lengths, batch_size, seed, epoch):
    for batches in (
        train_batches(lengths, batch_size=batch_size, seed=seed, epoch=epoch),
        sorted_batches(lengths, batch_size=batch_size),
    ):
        assert sorted(np.concatenate([[], *batches])) == list(range(len(lengths)))
        assert len(batches) == -(-len(lengths) // batch_size)
        assert all(0 < len(rows) <= batch_size for rows in batches)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40), st.integers(0, 2**31 - 1), st.integers(0, 9))
def test_train_batches_are_of_nearly_one_size(lengths, batch_size, seed, epoch):
    batches = train_batches(lengths, batch_size=batch_size, seed=seed, epoch=epoch)
    sizes = {len(rows) for rows in batches}
    assert not sizes or max(sizes) - min(sizes) <= 1


RANDOM_LENGTHS = np.random.default_rng(0).integers(1, 400, 5000)


def batches_of(seed, epoch, lengths=RANDOM_LENGTHS):
    batches = train_batches(lengths, batch_size=32, seed=seed, epoch=epoch)
    return [rows.tolist() for rows in batches]


def test_the_order_depends_on_seed_and_epoch_alone():
    np.random.seed(1)  # the global state must not matter
    one = batches_of(3, 5)
    np.random.seed(2)
    assert batches_of(3, 5) == one
    assert batches_of(3, 6) != one
    assert batches_of(4, 5) != one


def test_train_batches_hold_like_lengths():
    batches = train_batches(RANDOM_LENGTHS, batch_size=32, seed=1, epoch=0)
    assert padding(RANDOM_LENGTHS, batches) < 0.12  # without sorting it is nearly a half
    assert padding(RANDOM_LENGTHS, sorted_batches(RANDOM_LENGTHS, batch_size=32)) < 0.01


def test_batches_come_in_random_order_and_mix_anew_each_epoch():
    first, second = batches_of(1, 0), batches_of(1, 1)
    longest = np.array([RANDOM_LENGTHS[rows].max() for rows in first])
    assert abs(np.corrcoef(np.arange(len(longest)), longest)[0, 1]) < 0.3
    together = {frozenset(rows) for rows in first} & {frozenset(rows) for rows in second}
    assert not together


def test_equal_lengths_are_shuffled_too():
    lengths = np.full(100, 7)
    first, second = batches_of(1, 0, lengths), batches_of(1, 1, lengths)
    assert {frozenset(rows) for rows in first} != {frozenset(rows) for rows in second}


def test_texts_of_unlike_length_do_not_always_meet_the_same_neighbours():
    lengths = np.arange(1, 1001)
    first, second = batches_of(1, 0, lengths), batches_of(1, 1, lengths)
    assert not {frozenset(rows) for rows in first} & {frozenset(rows) for rows in second}


def test_windows_bound_what_is_sorted_together(monkeypatch):
    monkeypatch.setattr("textlstm.data.encoded._WINDOW", 2)
    batches = train_batches(RANDOM_LENGTHS, batch_size=32, seed=1, epoch=0)
    assert padding(RANDOM_LENGTHS, batches) > 0.2


def test_sorted_batches_begin_with_the_longest():
    batches = sorted_batches(np.array([2, 5, 9, 5, 1]), batch_size=2)
    assert [rows.tolist() for rows in batches] == [[2, 1], [3, 0], [4]]


def test_short_rows_are_in_batches_of_twice_as_many():
    lengths = np.array([2, 5, 9, 5, 1, 2, 1, 1])
    batches = sorted_batches(lengths, batch_size=2, pair_up_to=4)
    assert [rows.tolist() for rows in batches] == [[2, 1], [3, 0], [5, 4, 6, 7]]
    short = sorted_batches(lengths, batch_size=2, pair_up_to=9)
    assert [rows.tolist() for rows in short] == [[2, 1, 3, 0], [5, 4, 6, 7]]


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40), st.integers(0, 400))
def test_every_row_is_in_one_batch_where_short_ones_are_paired(lengths, batch_size, up_to):
    batches = sorted_batches(lengths, batch_size=batch_size, pair_up_to=up_to)
    assert sorted(np.concatenate([[], *batches])) == list(range(len(lengths)))
    for rows in batches:
        assert 0 < len(rows) <= batch_size * (2 if lengths[rows].max() <= up_to else 1)


@pytest.mark.parametrize("make", [sorted_batches, train_batches])
def test_no_rows_give_no_batches(make):
    seeds = {"seed": 1, "epoch": 0} if make is train_batches else {}
    assert make(np.zeros(0, np.int64), batch_size=4, **seeds) == []


@pytest.mark.slow
@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40), st.integers(1, 400))
def test_batches_stay_within_the_token_budget_and_hold_every_row(lengths, batch_size, budget):
    batches = train_batches(lengths, batch_size=batch_size, seed=1, epoch=0, batch_tokens=budget)
    assert sorted(np.concatenate([[], *batches])) == list(range(len(lengths)))
    for rows in batches:
        assert 0 < len(rows) <= batch_size
        assert len(rows) == 1 or len(rows) * lengths[rows].max() <= budget


def test_a_budget_that_is_never_reached_changes_nothing():
    lengths = np.random.default_rng(0).integers(1, 50, 200)
    free, bounded = (
        train_batches(lengths, batch_size=16, seed=1, epoch=3, batch_tokens=tokens)
        for tokens in (0, 16 * 50)
    )
    assert [rows.tolist() for rows in free] == [rows.tolist() for rows in bounded]


def test_few_shapes_pad_a_little_more_and_change_no_text():
    lengths = np.arange(1, 1001)
    texts = EncodedTexts.from_batches([(np.ones(lengths.sum(), np.int32), lengths)])
    shapes = set()
    for row, length in enumerate(lengths):
        ids, true = collate(texts, np.array([row]), few_shapes=True)
        assert true.tolist() == [length] == [int(ids.sum())]
        assert length <= ids.shape[1] < length * (1 + 1 / 16) + 1
        shapes.add(ids.shape[1])
    assert len([shape for shape in shapes if 256 <= shape < 512]) == 16
