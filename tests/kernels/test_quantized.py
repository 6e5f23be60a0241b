"""Layers in 4 bits: how far from their weights, the same in every pass, and nothing kept for backward."""

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("bitsandbytes")

from pipeline.kernels.fused_adapters import lora_linear
from pipeline.kernels.quantized import QuantizedLinear, is_quantized, quantize_linears, restore_linears
from tests.models.counting import bytes_kept

CPU = torch.device("cpu")


@pytest.fixture
def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(128, 96)


def test_a_weight_takes_half_a_byte_and_is_near_what_it_was(layer: nn.Linear) -> None:
    quantized = QuantizedLinear(layer, CPU)
    assert quantized.weight.nbytes == layer.weight.numel() // 2
    dense = quantized.dense(torch.float32)
    # of 16 levels of a normal distribution, the error is a tenth of its spread at most
    assert 0 < (dense - layer.weight).std() < 0.1 * layer.weight.std()
    assert quantized.dense(torch.bfloat16).dtype == torch.bfloat16


def test_results_and_gradients_are_those_of_the_widened_weight(layer: nn.Linear) -> None:
    quantized = QuantizedLinear(layer, CPU)
    plain = nn.Linear(128, 96)
    plain.weight.data, plain.bias.data = quantized.dense(torch.float32), layer.bias.data
    x = torch.randn(5, 7, 128, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    result, expected = quantized(x), plain(y)
    assert torch.allclose(result, expected, atol=1e-6)
    result.square().sum().backward()
    expected.square().sum().backward()
    assert torch.allclose(x.grad, y.grad, rtol=1e-5, atol=1e-5)


def test_an_adapter_on_it_gives_the_results_and_gradients_of_the_widened_weight(layer: nn.Linear) -> None:
    quantized = QuantizedLinear(layer, CPU)
    gradients = []
    for weight in (quantized, quantized.dense(torch.float32)):
        torch.manual_seed(1)
        x, a, b = (torch.randn(size).requires_grad_() for size in ((5, 128), (4, 128), (96, 4)))
        result = lora_linear(x, weight, quantized.bias, a, b, 2.0)
        gradients.append([result, *torch.autograd.grad(result.square().sum(), (x, a, b))])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("adapted", [False, True], ids=["alone", "with an adapter"])
def test_nothing_of_the_size_of_the_weight_is_kept_for_backward(layer: nn.Linear, adapted: bool) -> None:
    quantized = QuantizedLinear(layer, CPU)
    x = torch.randn(2, 128, requires_grad=True)
    a, b = nn.Parameter(torch.randn(4, 128)), nn.Parameter(torch.randn(96, 4))

    def forward() -> Tensor:
        return lora_linear(x, quantized, None, a, b, 1.0) if adapted else quantized(x)

    assert bytes_kept(forward, quantized) < quantized.weight.nbytes


def test_layers_come_back_as_they_are_stored() -> None:
    torch.manual_seed(0)
    network, head = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.Linear(64, 8)), None
    head = network[2]
    weight = network[0].weight.detach().clone()
    stored = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.Linear(64, 8))
    stored.load_state_dict(network.state_dict())
    quantize_linears(network, CPU, keep=head)
    assert is_quantized(network) and network[2] is head
    restore_linears(network, stored, torch.float32)
    assert not is_quantized(network) and torch.equal(network[0].weight, weight)
