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
    step = _Step(weight, bias, scaling)
    result: Tensor = _Products.apply(_Operands.apply(x, a, b, step), step)
    return result.view(*x.shape[:-1], -1)


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


class _Step:
    """What the two halves of one layer's step hand each other."""

    def __init__(self, weight: Tensor | QuantizedLinear, bias: Tensor | None, scaling: float) -> None:
        self.weight, self.bias, self.scaling = weight, bias, scaling
        self.operands: tuple[Tensor, ...] = ()
        """Rows (N, in) and hidden (N, r), weight and B, as they are multiplied: from the first half to the second."""
        self.gradient: Tensor | None = None
        """(N, out), from the second half's backward to the first's."""

    def dense(self, dtype: torch.dtype) -> Tensor:
        return self.weight.dense(dtype) if isinstance(self.weight, QuantizedLinear) else self.weight.to(dtype)


class _Operands(torch.autograd.Function):
    """The first half, which keeps all that backward needs; its result (), a link of the graph, has no value.

    Layers that are computed again stop where the last tensor is there that backward needs. So the large product of a
    layer's last linear layer, a third of its weights, is not computed again: it comes after this.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor, step: _Step) -> Tensor:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        low, high = a.to(dtype), b.to(dtype)
        hidden = rows @ low.t()
        weight = step.dense(dtype)
        step.operands = rows, hidden, weight, high
        kept = None if isinstance(step.weight, QuantizedLinear) else weight
        ctx.save_for_backward(rows, hidden, kept, low, high)
        ctx.step, ctx.shape, ctx.dtypes = step, x.shape, (x.dtype, a.dtype, b.dtype)
        return rows.new_empty(())

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        rows, hidden, weight, low, high = ctx.saved_tensors
        x_dtype, a_dtype, b_dtype = ctx.dtypes
        step = ctx.step
        gradient, step.gradient = step.gradient, None
        grad_hidden = (gradient @ high).mul_(step.scaling)
        grad_a = (grad_hidden.t() @ rows).to(a_dtype)
        grad_b = (gradient.t() @ hidden).mul_(step.scaling).to(b_dtype)
        grad_x = None
        if ctx.needs_input_grad[0]:
            weight = step.dense(rows.dtype) if weight is None else weight
            grad_x = (gradient @ weight).addmm_(grad_hidden, low).view(ctx.shape).to(x_dtype)
        return grad_x, grad_a, grad_b, None


class _Products(torch.autograd.Function):
    """The second half, (N, out), which keeps nothing."""

    @staticmethod
    def forward(ctx: Any, link: Tensor, step: _Step) -> Tensor:
        (rows, hidden, weight, high), step.operands = step.operands, ()
        bias = None if step.bias is None else step.bias.to(rows.dtype)
        result = nn.functional.linear(rows, weight, bias)
        ctx.step = step
        return result.addmm_(hidden, high.t(), alpha=step.scaling)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        ctx.step.gradient = grad_outputs[0]
        return grad_outputs[0].new_empty(()), None
