"""A linear layer and its LoRA adapter in one step.

Plain twin: the layer of PEFT, whose four steps write and read the layer's result three times more, and keep what
backward does not need.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.kernels.quantized import QuantizedLinear


def fuse(layer: Any) -> None:
    """Let a layer of PEFT compute itself and its adapter by `lora_linear`; others than plain linear ones stay."""
    if _is_plain(layer):
        layer.forward = partial(_fused_forward, layer)


def lora_linear(
    x: Tensor, weight: Tensor | QuantizedLinear, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float
) -> Tensor:
    """x W^T + bias + scaling (x A^T) B^T, equation 3 of Hu et al. 2021, in the number format of autocast or of x.

    Args:
        x: (..., in).
        weight: (out, in), frozen; or the layer that has it in 4 bits, widened in forward and in backward again.
        bias: (out,), frozen.
        a: (r, in), trained.
        b: (out, r), trained.
        scaling: alpha / r.
    """
    result: Tensor = _LoraLinear.apply(x, weight, bias, a, b, scaling)
    return result


def _is_plain(module: nn.Module) -> bool:
    """One adapter on a linear layer, without dropout or a variant of LoRA."""
    from peft.tuners.lora import Linear

    return (
        isinstance(module, Linear)
        and type(module.get_base_layer()) in (nn.Linear, QuantizedLinear)
        and len(module.lora_A) == 1
        and not module.lora_variant
        and all(isinstance(dropout, nn.Identity) for dropout in module.lora_dropout.values())
    )


def _fused_forward(module: Any, x: Tensor) -> Tensor:
    base = module.base_layer
    if module.disable_adapters or module.merged:
        result: Tensor = base(x)
        return result
    (name,) = module.lora_A
    a, b = module.lora_A[name].weight, module.lora_B[name].weight
    weight = base if isinstance(base, QuantizedLinear) else base.weight
    return lora_linear(x, weight, base.bias, a, b, module.scaling[name])


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | QuantizedLinear,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scaling: float,
    ) -> Tensor:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        ctx.quantized = weight if isinstance(weight, QuantizedLinear) else None
        weight = weight.dense(dtype) if isinstance(weight, QuantizedLinear) else weight.to(dtype)
        low, high = a.to(dtype), b.to(dtype)
        hidden = rows @ low.t()
        result = nn.functional.linear(rows, weight, None if bias is None else bias.to(dtype))
        result.addmm_(hidden, high.t(), alpha=scaling)
        ctx.save_for_backward(rows, hidden, weight if ctx.quantized is None else None, low, high)
        ctx.scaling, ctx.shape, ctx.dtypes = scaling, x.shape, (x.dtype, a.dtype, b.dtype)
        return result.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        rows, hidden, weight, low, high = ctx.saved_tensors
        x_dtype, a_dtype, b_dtype = ctx.dtypes
        gradient = grad_outputs[0].reshape(-1, high.shape[0])
        grad_hidden = (gradient @ high).mul_(ctx.scaling)
        grad_a = (grad_hidden.t() @ rows).to(a_dtype)
        grad_b = (gradient.t() @ hidden).mul_(ctx.scaling).to(b_dtype)
        grad_x = None
        if ctx.needs_input_grad[0]:
            weight = weight if ctx.quantized is None else ctx.quantized.dense(rows.dtype)
            grad_x = (gradient @ weight).addmm_(grad_hidden, low).view(ctx.shape).to(x_dtype)
        return grad_x, None, None, grad_a, grad_b, None
