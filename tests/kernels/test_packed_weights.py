"""Packed weights: the same bytes as plain ones, and a plain layer again for whoever wants more than products."""

import copy

import pytest
import torch
from torch import Tensor, nn

from pipeline.kernels import packed_weights
from pipeline.kernels.packed_weights import PackedLinear, PackedWeight, pack_linears, packed_inside, packs

pytestmark = pytest.mark.skipif(
    not packs(torch.zeros(256, 256, dtype=torch.bfloat16)), reason="this processor or this torch packs nothing"
)
SHAPES = [(256, 256), (576, 192), (200, 1000), (333, 257), (64, 5000)]


@pytest.fixture(autouse=True)
def forgotten() -> None:
    packed_weights._same_bytes.cache_clear()


def linear(inner: int, outer: int, *, bias: bool = False) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inner, outer, bias=bias).to(torch.bfloat16).requires_grad_(False)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_have_the_same_bytes(shape: tuple[int, int], bias: bool) -> None:
    plain = linear(*shape, bias=bias)
    packed = PackedLinear(copy.deepcopy(plain))
    for rows in (1, 3, 32, 65, 200):
        x = torch.randn(rows, shape[0], dtype=torch.bfloat16)
        assert torch.equal(packed(x), plain(x))
    x = torch.randn(2, 5, shape[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(packed(x), plain(x))
        assert torch.equal(packed(x.transpose(0, 1)), plain(x.transpose(0, 1)))
    assert packed.packed is not None, "no shape was computed plainly"


def test_inputs_in_another_layout_have_the_same_bytes_and_leave_the_weight_packed() -> None:
    """Of a wide input torch adds the sums of a transposed one in another order than those of a contiguous one."""
    plain = linear(4864, 896)
    packed = PackedLinear(copy.deepcopy(plain))
    tall = torch.randn(4864, 70, dtype=torch.bfloat16)
    several = torch.randn(2, 4, 4864, dtype=torch.bfloat16)
    for x in (tall.t(), tall.t()[:7], several[:, :1], several.transpose(0, 1)):
        assert torch.equal(packed(x), plain(x))
    assert packed.packed is not None


@pytest.mark.parametrize("shape", [(0, 256), (2, 0, 256)], ids=str)
def test_no_rows_give_no_rows(shape: tuple[int, ...]) -> None:
    plain = linear(256, 256, bias=True)
    packed = PackedLinear(copy.deepcopy(plain))
    x = torch.zeros(shape, dtype=torch.bfloat16)
    assert packed(x).shape == plain(x).shape
    assert packed.packed is not None


def test_the_question_tells_other_orders_of_sums_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product that adds its sums from the other end fails, though it is right but for the last digits."""
    shape = (8, 576, 192, torch.bfloat16, torch.get_num_threads())
    assert packed_weights._same_bytes(*shape)
    packed_weights._same_bytes.cache_clear()
    monkeypatch.setattr(packed_weights, "_multiplied", backwards)
    assert not packed_weights._same_bytes(*shape)


def backwards(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    return nn.functional.linear(x.flip(-1), packed.to_dense().flip(-1), bias)


def test_a_shape_with_other_bytes_is_computed_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_weights, "_multiplied", backwards)
    plain = linear(576, 192)
    weight = PackedWeight(plain.weight)
    x = torch.randn(8, 576, dtype=torch.bfloat16)
    for _ in range(2):
        assert torch.equal(weight.product(x, None), plain(x))
    assert torch.equal(weight.dense(), plain.weight)


def test_gradients_flow_through_a_packed_layer() -> None:
    plain = linear(256, 256)
    packed = PackedLinear(copy.deepcopy(plain))
    x = torch.randn(4, 256, dtype=torch.bfloat16, requires_grad=True)
    one, other = (torch.autograd.grad(layer(x).float().square().sum(), x)[0] for layer in (packed, plain))
    assert torch.equal(one, other)


@pytest.mark.parametrize("use", ["weight", "state_dict", "float", "load"])
def test_whoever_wants_the_weight_has_the_plain_layer(use: str) -> None:
    plain = linear(256, 256, bias=True)
    network = nn.Sequential(copy.deepcopy(plain))
    pack_linears(network)
    layer = network[0]
    assert type(layer) is PackedLinear and [name for name, _ in layer.named_parameters()] == ["bias"]
    if use == "weight":
        assert torch.equal(layer.weight, plain.weight)
    elif use == "state_dict":
        assert all(torch.equal(network.state_dict()[f"0.{name}"], one) for name, one in plain.state_dict().items())
    elif use == "float":
        assert torch.equal(network.float()[0].weight, plain.weight.float())
    else:
        network.load_state_dict({f"0.{name}": 2 * one for name, one in plain.state_dict().items()})
        assert torch.equal(layer.weight, 2 * plain.weight)
    assert layer.packed is None and not layer.weight.requires_grad


def test_only_frozen_layers_with_a_weight_of_their_own_are_packed() -> None:
    tied, trained, small, wide = linear(256, 256), linear(256, 256), linear(8, 8), linear(256, 256).float()
    table = nn.Embedding(256, 256)
    table.weight = tied.weight
    trained.weight.requires_grad_()
    head, free = linear(256, 256), linear(256, 256)
    network = nn.ModuleList([table, tied, trained, small, wide, head, free])
    pack_linears(network, keep=head)
    assert [type(layer) is PackedLinear for layer in network] == [False] * 6 + [True]


def test_inside_the_block_a_layer_is_packed_and_then_as_it_was() -> None:
    plain = linear(256, 256)
    x = torch.randn(4, 256, dtype=torch.bfloat16)
    expected = plain(x)
    with pytest.raises(KeyboardInterrupt), packed_inside(plain):
        assert torch.equal(plain(x), expected)
        plain.weight.data = torch.zeros_like(plain.weight)
        assert torch.equal(plain(x), expected), "it computes with the packed copy"
        raise KeyboardInterrupt
    assert not plain(x).any() and "forward" not in vars(plain)
