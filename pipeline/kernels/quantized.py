"""Frozen linear layers in 4 bits (NF4, double quantisation; Dettmers et al. 2023, arXiv:2305.14314), by bitsandbytes.

Plain twin: the linear layer itself. Weights are widened to the number format of the products each time they are used,
in backward again, so every pass, of a policy and of its reference alike, computes with the same weights.
"""

from typing import Any

import torch
from torch import Tensor, nn


class QuantizedLinear(nn.Linear):
    """A frozen linear layer whose weight is kept in 4 bits; `weight` holds the packed codes, two in a byte.

    `state`, with the scales of its blocks of 64 numbers, follows when the layer moves to another device.
    """

    def __init__(self, layer: nn.Linear, device: torch.device) -> None:
        """Quantise a layer's weight on `device`; the layer itself stays as it is."""
        from bitsandbytes.functional import quantize_4bit

        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        weight = layer.weight.detach().to(device)
        codes, self.state = quantize_4bit(weight, blocksize=64, compress_statistics=True, quant_type="nf4")
        self.weight = nn.Parameter(codes, requires_grad=False)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().to(device), requires_grad=False)

    def dense(self, dtype: torch.dtype) -> Tensor:
        """The weight (out, in) as it is computed with."""
        from bitsandbytes.functional import dequantize_4bit

        if self.state.absmax.device != self.weight.device:
            self.state.to(self.weight.device)
        return dequantize_4bit(self.weight.data, self.state).to(dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Results (..., out) of (..., in), in the number format of autocast or of the input."""
        kind = input.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else input.dtype
        result: Tensor = _FrozenProduct.apply(input.to(dtype), self)
        return result if self.bias is None else result + self.bias.to(dtype)


class _FrozenProduct(torch.autograd.Function):
    """x W^T, which keeps nothing for backward: W is widened again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantizedLinear) -> Tensor:
        ctx.layer = layer
        return nn.functional.linear(x, layer.dense(x.dtype))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return grad_outputs[0] @ ctx.layer.dense(grad_outputs[0].dtype), None


def quantize_linears(network: nn.Module, device: torch.device, *, keep: nn.Module | None = None) -> None:
    """Give every linear layer of a network but `keep` its place again in 4 bits, one layer at a time.

    Args:
        network: changed in place; what is no linear layer, such as embeddings and norms, stays as it is.
        device: where the layers are computed, which quantises.
        keep: the head, which is as exact as the network computes.
    """
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if type(layer) is nn.Linear and layer is not keep:
                setattr(module, name, QuantizedLinear(layer, device))


def restore_linears(network: nn.Module, stored: nn.Module, dtype: torch.dtype) -> None:
    """Put the layers of the same network, which were never rounded to 4 bits, in the place of those that were.

    Args:
        network: changed in place; adapters stay on its layers.
        stored: used up.
        dtype: that the layers get.
    """
    for name, layer in list(network.named_modules()):
        if isinstance(layer, QuantizedLinear):
            above, _, own = name.rpartition(".")
            whole = stored.get_submodule(name.removesuffix(".base_layer")).to(layer.weight.device, dtype)
            setattr(network.get_submodule(above), own, whole.requires_grad_(False))


def is_quantized(network: nn.Module) -> bool:
    """Whether any layer is in 4 bits."""
    return any(isinstance(module, QuantizedLinear) for module in network.modules())
