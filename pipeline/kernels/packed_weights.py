"""Frozen weights in the layout that a processor's matrix products read, reordered once instead of at each product.

oneDNN, which multiplies bf16 on a CPU, copies a weight block by block into another order before it multiplies. With few
rows that copy is a third of the product, and more where units of matrix products (AMX) make the rest fast. Plain twin:
`nn.functional.linear` of the weight as it is stored. Sums are added in the same order, so results are the same to the
bit: each shape is asked once for it in a process, and a shape that answers otherwise is computed plainly.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

_SMALLEST = 1 << 16
"""Numbers of a weight below which packing is worth nothing. Of tiny ones torch computes products in other ways."""
_ROWS = 64
"""The layout is made for products of so many rows; others read it as fast."""
_WIDEST = 1 << 14
"""Outputs that a question is asked with at most. More only leave threads less reason to divide the sums."""


class PackedWeight:
    """A frozen weight (out, in), packed; the plain one is not kept."""

    def __init__(self, weight: Tensor) -> None:
        """Args: weight: that `packs` agrees to."""
        self.dtype, (self.outer, self.inner) = weight.dtype, weight.shape
        self._plain: Tensor | None = None
        self._packed: Tensor | None = _reordered(weight.detach())

    def dense(self) -> Tensor:
        """The weight as it was, to the bit."""
        return self._packed.to_dense() if self._packed is not None else _known(self._plain)

    def product(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """x W^T + bias (..., out) of (..., in), without gradient, in the number format of autocast or of x."""
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        # of x in another layout torch adds sums in another order, and a bias to more dimensions after rounding
        inside = x.is_contiguous() and (bias is None or x.ndim in (2, 3))
        nothing = x.numel() == 0  # there is no order of sums to ask for
        if dtype != self.dtype or not inside or nothing or (torch.is_grad_enabled() and x.requires_grad):
            return nn.functional.linear(x, self.dense(), bias)
        x, bias = x.to(dtype), None if bias is None else bias.to(dtype)
        rows = _class_of(x.numel() // self.inner)
        if self._packed is not None and not _same_bytes(rows, self.inner, self.outer, dtype, torch.get_num_threads()):
            self._plain, self._packed = self.dense(), None
        if self._packed is None:
            return nn.functional.linear(x, _known(self._plain), bias)
        return _multiplied(x, self._packed, bias)


class PackedLinear(nn.Linear):
    """A frozen linear layer with a packed weight. Whoever asks for its weight makes a plain layer of it again."""

    def __init__(self, layer: nn.Linear) -> None:
        """Args: layer: whose weight `packs` agrees to; it is emptied."""
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        self.packed: PackedWeight | None = PackedWeight(layer.weight)
        self.bias = layer.bias
        del layer.weight
        del self.weight

    def forward(self, input: Tensor) -> Tensor:
        """See `nn.Linear`."""
        return super().forward(input) if self.packed is None else self.packed.product(input, self.bias)

    def unpack(self) -> None:
        """Have the plain weight again."""
        if self.packed is not None:
            packed, self.packed = self.packed, None
            self.weight = nn.Parameter(packed.dense(), requires_grad=False)

    def __getattr__(self, name: str) -> Any:
        if name == "weight" and vars(self).get("packed") is not None:
            self.unpack()
        return super().__getattr__(name)

    def _apply(self, *arguments: Any, **options: Any) -> Any:
        self.unpack()
        return super()._apply(*arguments, **options)

    def _save_to_state_dict(self, *arguments: Any, **options: Any) -> None:
        self.unpack()
        super()._save_to_state_dict(*arguments, **options)  # type: ignore[no-untyped-call]

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        self.unpack()
        super()._load_from_state_dict(*arguments, **options)  # type: ignore[no-untyped-call]


def packs(weight: Tensor) -> bool:
    """Whether a weight may be packed here: frozen, on a CPU, in bf16, whose products oneDNN computes either way.

    Those in fp32 are computed by another library, in another order of sums.
    """
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.bfloat16
        and weight.ndim == 2
        and not weight.requires_grad
        and weight.numel() >= _SMALLEST
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def pack_linears(network: nn.Module, *, keep: nn.Module | None = None) -> None:
    """Pack the frozen linear layers of a network that is only read from now on, one layer at a time.

    Args:
        network: changed in place.
        keep: a layer whose weight is used in other ways, too: the vocabulary head.
    """
    places: dict[int, int] = {}
    for _, parameter in network.named_parameters(remove_duplicate=False):
        places[id(parameter)] = places.get(id(parameter), 0) + 1
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if type(layer) is nn.Linear and layer is not keep and places[id(layer.weight)] == 1 and packs(layer.weight):
                setattr(module, name, PackedLinear(layer))


@contextmanager
def packed_inside(layer: nn.Module) -> Iterator[None]:
    """Inside the block a plain frozen layer computes with a packed copy of its weight; another layer stays as it is."""
    if type(layer) is not nn.Linear or not packs(layer.weight):
        yield
        return
    with replaced_by(layer, PackedWeight(layer.weight)):
        yield


@contextmanager
def replaced_by(layer: nn.Linear, weight: PackedWeight) -> Iterator[None]:
    """Inside the block the layer computes with this weight, whatever its own is."""
    layer.forward = lambda input: weight.product(input, layer.bias)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del layer.forward


def _known(plain: Tensor | None) -> Tensor:
    assert plain is not None
    return plain


def _reordered(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
    return packed


def _multiplied(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return result


def _class_of(rows: int) -> int:
    """Numbers of rows that are computed alike: few may each be divided among threads in their own way."""
    return rows if rows <= _ROWS else min(1 << (rows - 1).bit_length(), 4 * _ROWS)


@cache
def _same_bytes(rows: int, inner: int, outer: int, dtype: torch.dtype, threads: int) -> bool:
    """Whether packed and plain products of this shape add their sums in the same order.

    Asked with numbers whose exact results are 0: for each product of two numbers there is another with the opposite
    sign somewhere. What comes out is the rounding of the sums alone, and that shows any other order of them.

    Args:
        threads: that compute it.
    """
    generator = torch.Generator().manual_seed(0)
    half = inner // 2
    order = torch.randperm(2 * half, generator=generator)
    x, weight = (torch.zeros(count, inner, dtype=dtype) for count in (rows, min(outer, _WIDEST)))
    x[:, : 2 * half] = torch.randn(rows, half, generator=generator).to(dtype).repeat(1, 2)[:, order]
    some = torch.randn(_ROWS, half, generator=generator).to(dtype)
    block = torch.cat([some, -some], 1)[:, order]
    weight[:, : 2 * half] = block.repeat(-(-len(weight) // _ROWS), 1)[: len(weight)]
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        packed = _reordered(weight)
        plain = nn.functional.linear(x, weight)
        bias = plain[0].clone()  # of the size of the roundings, which it must not hide
        return torch.equal(_multiplied(x, packed, None), plain) and torch.equal(
            _multiplied(x, packed, bias), nn.functional.linear(x, weight, bias)
        )
