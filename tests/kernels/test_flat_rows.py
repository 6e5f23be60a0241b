"""Rows go into one flat row and come back, and gradients go the same ways."""

import torch
from torch import Tensor

from pipeline.kernels.flat_rows import FlatRows, current_layout, flat_rows, into_rows, out_of_rows

REAL = torch.tensor([[True, True, True, False], [True, False, False, False], [True, True, False, False]])
TOKENS, FILLED = 6, 8


def layout() -> FlatRows:
    return FlatRows.of(REAL, multiple=4)


def normal(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator).requires_grad_()


def test_each_real_token_stands_at_its_place_in_its_row() -> None:
    flat = normal(1, 2, FILLED, 3)
    rows = into_rows(flat, layout())
    assert rows.shape == (3, 2, 4, 3)
    # (B, H, T, D) -> (B, T, H, D) -> real tokens, one after the other
    assert torch.equal(rows.transpose(1, 2)[REAL], flat[0, :, :TOKENS].transpose(0, 1))


def test_what_leaves_the_rows_is_their_real_tokens_in_order() -> None:
    rows = normal(3, 4, 2, 3)
    flat = out_of_rows(rows, layout())
    assert flat.shape == (1, FILLED, 2, 3)
    assert torch.equal(flat[0, :TOKENS], rows[REAL])


def test_gradients_reach_real_tokens_alone() -> None:
    flat, upstream = normal(1, 2, FILLED, 3), torch.ones(3, 2, 4, 3)
    # no result depends on padding, so none of its gradient is anything but 0
    upstream[~REAL[:, None].expand(3, 2, 4)] = 0
    (gradient,) = torch.autograd.grad((into_rows(flat, layout()) * upstream).sum(), flat)
    assert torch.equal(gradient[:, :, :TOKENS], torch.ones(1, 2, TOKENS, 3))
    assert torch.equal(gradient[:, :, TOKENS:], torch.zeros(1, 2, FILLED - TOKENS, 3))
    rows = normal(3, 4, 2, 3)
    (gradient,) = torch.autograd.grad(out_of_rows(rows, layout()).sum(), rows)
    assert torch.equal(gradient, REAL[:, :, None, None].expand_as(rows).float())


def test_a_layout_holds_inside_its_block_only() -> None:
    outer, inner = layout(), FlatRows.of(REAL)
    with flat_rows(outer):
        with flat_rows(inner):
            assert current_layout() is inner
        assert current_layout() is outer
        with flat_rows(None):
            assert current_layout() is None
    assert current_layout() is None
