"""Rows without their padding, one after the other in one flat row, and back into rows for attention.

Padding then passes through attention alone, and through no other layer. Plain twin: the padded rows themselves, which
the network reads outside of a `flat_rows` block.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class FlatRows:
    """How the N real tokens of B rows of width T, one after the other, belong to their rows."""

    rows: int
    width: int
    places: Tensor
    """(N,) place of each real token among the B * T, then place 0 for each token that fills the row up."""
    numbers: Tensor
    """(B * T,) number of each place's real token; padding has the one of some token, which no result depends on."""
    real: int
    """How many of the N tokens are real."""

    @classmethod
    def of(cls, real: Tensor, *, multiple: int = 1) -> "FlatRows":
        """Of a mask (B, T) that is true on real tokens; the flat row is filled up to a multiple of `multiple`."""
        mask = real.flatten()
        places = mask.nonzero().squeeze(1)
        filled = nn.functional.pad(places, (0, -len(places) % multiple))
        return cls(real.shape[0], real.shape[1], filled, (mask.cumsum(0) - 1).clamp(min=0), len(places))


_layout: ContextVar[FlatRows | None] = ContextVar("layout of flat rows", default=None)


def current_layout() -> FlatRows | None:
    """The layout of the `flat_rows` block that this is in, if any."""
    return _layout.get()


@contextmanager
def flat_rows(layout: FlatRows | None) -> Iterator[None]:
    """Inside the block grouped attention reads one flat row (1, H, N, D) as the rows of `layout`.

    The network's mask is then that of the rows, (B or 1, 1, T, T). None is rows as they are.
    """
    token = _layout.set(layout)
    try:
        yield
    finally:
        _layout.reset(token)


def into_rows(flat: Tensor, layout: FlatRows) -> Tensor:
    """One flat row (1, H, N, D) as the rows of its layout, (B, H, T, D); padding holds copies that get no gradient."""
    rows: Tensor = _IntoRows.apply(flat, layout)
    return rows


def out_of_rows(rows: Tensor, layout: FlatRows) -> Tensor:
    """Rows (B, T, H, D) as one flat row, (1, N, H, D)."""
    flat: Tensor = _OutOfRows.apply(rows, layout)
    return flat


class _IntoRows(torch.autograd.Function):
    """(1, H, N, D) -> (B, H, T, D). Padding holds copies, whose gradients are 0: nothing sees them."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, layout: FlatRows) -> Tensor:
        ctx.layout = layout
        return flat[0].index_select(1, layout.numbers).unflatten(1, (layout.rows, layout.width)).transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        gradient = grad_outputs[0].transpose(0, 1).flatten(1, 2).index_select(1, ctx.layout.places)
        gradient[:, ctx.layout.real :] = 0  # no row has what fills the flat row up
        return gradient[None], None


class _OutOfRows(torch.autograd.Function):
    """(B, T, H, D) -> (1, N, H, D)."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, layout: FlatRows) -> Tensor:
        ctx.layout = layout
        return output.flatten(0, 1).index_select(0, layout.places)[None]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        layout, gradient = ctx.layout, grad_outputs[0][0]
        padded = gradient.new_zeros(layout.rows * layout.width, *gradient.shape[1:])
        real = slice(layout.real)
        padded.index_copy_(0, layout.places[real], gradient[real])
        return padded.unflatten(0, (layout.rows, layout.width)), None
