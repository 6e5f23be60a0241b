"""Attention of long rows equals that of short ones, values and gradients, and keeps nothing that grows as a square."""

import pytest
import torch
from torch import Tensor

from pipeline.kernels import attention, long_attention
from pipeline.kernels.packed_states import visible_keys

HEADS, SHARED, LENGTH, SIZE = 6, 2, 23, 4


def inputs(rows: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rows)
    return [
        torch.randn(rows, heads, LENGTH, SIZE, generator=generator).requires_grad_()
        for heads in (HEADS, SHARED, SHARED)
    ]


def mask_of(kind: str, rows: int) -> Tensor | None:
    if kind == "none":
        return None
    if kind == "branches":
        branch = torch.tensor([[0] * 7 + [1] * 8 + [2] * 5 + [-1] * 3, [0] * 3 + [1] * 20])[:rows]
        visible = visible_keys(branch)
    elif kind == "causal":
        visible = torch.ones(1, LENGTH, LENGTH, dtype=torch.bool).tril()
    else:
        visible = torch.rand(rows, LENGTH, LENGTH, generator=torch.Generator().manual_seed(0)) < 0.5
        visible |= torch.eye(LENGTH, dtype=torch.bool)
    return torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)[:, None]


@pytest.mark.parametrize("kind", ["none", "causal", "branches", "any"])
@pytest.mark.parametrize("rows", [1, 2])
def test_blocks_equal_the_whole(kind: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_attention, "_BLOCK", 5)
    mask, upstream = mask_of(kind, rows), torch.randn(rows, LENGTH, HEADS, SIZE)
    results = []
    for limit in (LENGTH + 1, LENGTH):
        monkeypatch.setattr(long_attention, "LONG", limit)
        tensors = inputs(rows)
        output, _ = attention.grouped_attention(torch.nn.Module(), *tensors, mask)
        results.append((output, *torch.autograd.grad((output * upstream).sum(), tensors)))
    for whole, blocks in zip(*results, strict=True):
        assert torch.allclose(whole, blocks, atol=1e-5)


def test_of_causal_rows_half_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_attention, "_BLOCK", 5)
    stops = long_attention._visible_keys(mask_of("causal", 1), LENGTH, LENGTH)
    assert stops == [5, 10, 15, 20, 23]
    assert long_attention._visible_keys(mask_of("any", 2), LENGTH, LENGTH) == [LENGTH] * 5


def kept(length: int) -> int:
    """Bytes that forward keeps for backward, besides its inputs and the mask."""
    query, key, value = (torch.randn(1, heads, length, 8, requires_grad=True) for heads in (HEADS, SHARED, SHARED))
    mask = torch.zeros(1, 1, length, length)
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() != mask.data_ptr():
            seen[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output, _ = attention.grouped_attention(torch.nn.Module(), query, key, value, mask)
    assert output.shape == (1, length, HEADS, 8)
    return sum(seen.values())


def test_what_is_kept_grows_with_the_length_from_there_on() -> None:
    limit = long_attention.LONG
    assert kept(limit - 1) > HEADS * (limit - 1) ** 2, "a short row keeps its probabilities, as ever"
    assert kept(2 * limit) == pytest.approx(2 * kept(limit), rel=0.01)
    assert kept(limit) < kept(limit - 1) / 5


def test_the_shapes_alone_decide() -> None:
    limit = long_attention.LONG
    assert long_attention.is_long(limit, limit) and not long_attention.is_long(limit - 1, limit)
    assert not long_attention.is_long(1, 10 * limit), "one query, as in sampling, has no large matrix"
