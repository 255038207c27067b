"""Dropout from random bytes: shares, scale, gradient and reproducibility."""

import pytest
import torch

from textlstm.nn.layers import dropout


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9])
def test_the_asked_share_is_dropped_and_the_mean_kept(share):
    torch.manual_seed(0)
    result = dropout(torch.ones(1000, 203), share, True)
    assert (result == 0).float().mean() == pytest.approx(share, abs=0.005)
    assert result.mean() == pytest.approx(1.0, abs=0.01)
    assert len(result.unique()) == 2


@pytest.mark.slow
def test_every_byte_of_a_draw_drops_the_same_share():
    torch.manual_seed(0)
    dropped = (dropout(torch.ones(400_000), 0.25, True) == 0).view(-1, 8).float().mean(0)
    torch.testing.assert_close(dropped, torch.full((8,), 0.25), atol=0.01, rtol=0)


def test_the_gradient_passes_where_the_number_passed():
    torch.manual_seed(0)
    x = torch.randn(50, 7, requires_grad=True)
    result = dropout(x, 0.4, True)
    result.sum().backward()
    torch.testing.assert_close(x.grad * x, result)


def test_evaluation_and_share_zero_give_the_tensor_itself():
    x = torch.randn(3)
    assert dropout(x, 0.5, False) is x
    assert dropout(x, 0.0, True) is x


@pytest.mark.parametrize("share", [0.0001, 0.9999])
def test_shares_too_near_to_none_or_all_for_a_byte_are_not_rounded_away(share):
    torch.manual_seed(0)
    zeros = (dropout(torch.ones(300_000), share, True) == 0).float().mean()
    assert zeros == pytest.approx(share, abs=1e-4)
    assert 0 < zeros < 1


def test_one_seed_gives_one_mask():
    x = torch.ones(1001)
    torch.manual_seed(5)
    first = dropout(x, 0.3, True)
    torch.manual_seed(5)
    assert torch.equal(dropout(x, 0.3, True), first)


def test_bf16_stays_bf16():
    assert dropout(torch.ones(9, dtype=torch.bfloat16), 0.3, True).dtype == torch.bfloat16
