"""Masked reductions: by hand, against plain reductions of the kept values, and with garbage under the mask."""

import math

import pytest
import torch

from pipeline.objectives.masked import check_same_shape, masked_mean, masked_sum, masked_var, whiten

NAN, INF = math.nan, math.inf
VALUES = torch.tensor([[1.0, 2.0, NAN], [6.0, INF, -INF]])
MASK = torch.tensor([[True, True, False], [True, False, False]])


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"values \(2, 3\), mask \(2, 1\)"):
        check_same_shape(values=torch.zeros(2, 3), mask=torch.zeros(2, 1))


@pytest.mark.parametrize("reduce", [masked_sum, masked_mean, masked_var, whiten])
def test_nothing_broadcasts(reduce) -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        reduce(torch.zeros(2, 3), torch.ones(3, dtype=torch.bool))


def test_sum_and_mean_by_hand() -> None:
    assert masked_sum(VALUES, MASK).item() == 9.0
    assert masked_sum(VALUES, MASK, 1).tolist() == [3.0, 6.0]
    assert masked_mean(VALUES, MASK).item() == 3.0
    assert masked_mean(VALUES, MASK, 1).tolist() == [1.5, 6.0]


def test_variance_is_the_biased_one() -> None:
    # 1, 2, 6: mean 3, squares 4 + 1 + 9
    assert masked_var(VALUES, MASK).item() == pytest.approx(14 / 3)


def test_a_fully_masked_row_is_zero_and_finite() -> None:
    mask = torch.tensor([[False, False, False], [True, False, False]])
    assert masked_mean(VALUES, mask, 1).tolist() == [0.0, 6.0]
    assert whiten(VALUES, torch.zeros_like(mask)).tolist() == [[0.0] * 3] * 2
    assert masked_mean(VALUES, torch.zeros_like(mask)).item() == 0.0


def test_the_gradient_of_a_mean_ignores_nan_under_the_mask() -> None:
    values = VALUES.clone().requires_grad_()
    masked_mean(values, MASK).backward()
    assert values.grad.tolist() == [[pytest.approx(1 / 3), pytest.approx(1 / 3), 0.0], [pytest.approx(1 / 3), 0.0, 0.0]]


def test_whitening_by_hand() -> None:
    deviation = math.sqrt(14 / 3)
    expected = [[-2 / deviation, -1 / deviation, 0.0], [3 / deviation, 0.0, 0.0]]
    assert torch.allclose(whiten(VALUES, MASK), torch.tensor(expected), atol=1e-6)


def test_whitening_without_shift_keeps_the_mean_and_scales_to_one() -> None:
    kept = whiten(VALUES, MASK, shift_mean=False)[MASK]
    assert kept.mean().item() == pytest.approx(3.0, abs=1e-6)
    assert kept.var(unbiased=False).item() == pytest.approx(1.0, abs=1e-5)
    shifted = whiten(VALUES, MASK)[MASK]
    assert shifted.mean().item() == pytest.approx(0.0, abs=1e-6)


def test_constant_values_whiten_to_zero() -> None:
    assert whiten(torch.full((2, 3), 7.0), MASK).abs().max().item() == 0.0


def test_whitening_does_not_see_padding() -> None:
    padded = torch.cat([VALUES, torch.full((2, 4), 1e9)], 1)
    mask = torch.cat([MASK, torch.zeros(2, 4, dtype=torch.bool)], 1)
    assert torch.equal(whiten(padded, mask)[:, :3], whiten(VALUES, MASK))


def test_the_gradient_of_whitening_ignores_nan_under_the_mask() -> None:
    weights = torch.tensor([[1.0, -2.0, 0.0], [0.5, 0.0, 0.0]])
    dirty = VALUES.clone().requires_grad_()
    (whiten(dirty, MASK) * weights).sum().backward()
    clean = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64, requires_grad=True)
    ((clean - clean.mean()) / clean.std(unbiased=False) * torch.tensor([1.0, -2.0, 0.5])).sum().backward()
    assert torch.allclose(dirty.grad[MASK].double(), clean.grad, atol=1e-5)
    assert dirty.grad[~MASK].tolist() == [0.0, 0.0, 0.0]
