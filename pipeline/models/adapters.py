"""LoRA adapters, through PEFT, which is imported where adapters are used: that takes two seconds."""

import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from pipeline.errors import PipelineError
from pipeline.models.backbone import cast_weights
from pipeline.models.folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from pipeline.params.base import Finetuning
from pipeline.seeding import seeded_globals

if TYPE_CHECKING:
    from peft import PeftModel


def has_adapters(network: nn.Module) -> bool:
    """Whether PEFT has put adapters on a network."""
    return "peft" in sys.modules and isinstance(network, sys.modules["peft"].PeftModel)


def add_adapters(
    network: Any, finetuning: Finetuning, *, task: str | None, seed: int, name: str, fused: bool = True
) -> "PeftModel":
    """LoRA adapters (Hu et al. 2021, arXiv:2106.09685) on a frozen network.

    Args:
        network: changed in place.
        finetuning: rank, scale and the layers that get adapters.
        task: PEFT's name of what the network does.
        seed: root seed of their initial values.
        name: names their random generator.
        fused: compute a layer and its adapter in one step, see `lora_linear`.
    """
    from peft import LoraConfig, get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    config = LoraConfig(
        task_type=task,
        r=finetuning.lora_r,
        lora_alpha=finetuning.lora_alpha,
        lora_dropout=0.0,
        target_modules=finetuning.lora_target_modules,
    )
    with seeded_globals(seed, name), old_names_allowed():
        adapted = get_peft_model(network, config)
    _refuse_tied_weights(adapted)
    for module in adapted.modules():
        if isinstance(module, BaseTunerLayer):
            # autocast picks the number format; PEFT would first copy every input to the adapters' fp32
            module.cast_input_dtype_enabled = False  # type: ignore[assignment]
            if fused and _is_plain(module):
                module.forward = partial(_fused_forward, module)  # type: ignore[method-assign]
    return adapted


def _refuse_tied_weights(adapted: Any) -> None:
    """An adapter on one of two layers that share their weight is in one of them, and merged it would be in both."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    places: dict[int, list[str]] = {}
    for name, parameter in adapted.named_parameters(remove_duplicate=False):
        places.setdefault(id(parameter), []).append(name)
    layers = [name for name, module in adapted.named_modules() if isinstance(module, BaseTunerLayer)]
    for names in places.values():
        found = next((layer for layer in layers for name in names if name.startswith(f"{layer}.base_layer")), None)
        if len(names) > 1 and found is not None:
            layer = found.rpartition(".")[2]
            raise PipelineError(
                f"finetuning.lora_target_modules has {layer}, whose weight this model shares with another layer (tied "
                f"embeddings): an adapter cannot be merged into one of them. Leave {layer} out, or train in full."
            )


@contextmanager
def old_names_allowed() -> Iterator[None]:
    """For PEFT, which asks for a property of models under the name that transformers has given up."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


def lora_linear(x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float) -> Tensor:
    """x W^T + bias + scaling (x A^T) B^T, equation 3 of Hu et al. 2021, in the number format of autocast or of x.

    PEFT's four steps write and read the layer's result three times more, and keep what backward does not need.

    Args:
        x: (..., in).
        weight: (out, in), frozen.
        bias: (out,), frozen.
        a: (r, in), trained.
        b: (out, r), trained.
        scaling: alpha / r.
    """
    result: Tensor = _LoraLinear.apply(x, weight, bias, a, b, scaling)
    return result


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float
    ) -> Tensor:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        weight, low, high = weight.to(dtype), a.to(dtype), b.to(dtype)
        hidden = rows @ low.t()
        result = nn.functional.linear(rows, weight, None if bias is None else bias.to(dtype))
        result.addmm_(hidden, high.t(), alpha=scaling)
        ctx.save_for_backward(rows, hidden, weight, low, high)
        ctx.scaling, ctx.shape, ctx.dtypes = scaling, x.shape, (x.dtype, a.dtype, b.dtype)
        return result.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        rows, hidden, weight, low, high = ctx.saved_tensors
        x_dtype, a_dtype, b_dtype = ctx.dtypes
        gradient = grad_outputs[0].reshape(-1, weight.shape[0])
        grad_hidden = (gradient @ high).mul_(ctx.scaling)
        grad_a = (grad_hidden.t() @ rows).to(a_dtype)
        grad_b = (gradient.t() @ hidden).mul_(ctx.scaling).to(b_dtype)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (gradient @ weight).addmm_(grad_hidden, low).view(ctx.shape).to(x_dtype)
        return grad_x, None, None, grad_a, grad_b, None


def _is_plain(module: nn.Module) -> bool:
    """One adapter on a linear layer, without dropout or a variant of LoRA."""
    from peft.tuners.lora import Linear

    return (
        isinstance(module, Linear)
        and type(module.get_base_layer()) is nn.Linear
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
    return lora_linear(x, base.weight, base.bias, a, b, module.scaling[name])


def merge_adapters(model: Any) -> PreTrainedModel:
    """One whole model in fp32; the adapters are used up.

    A merged weight is the sum of the frozen one and a product of two fp32 matrices: in fp32, so that storing it in
    another format rounds it only once.
    """
    model.float()
    return model.merge_and_unload()  # type: ignore[no-any-return]


@torch.no_grad()
def merge_stored_adapters(network: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """W + (alpha / r) B A in the place of each weight W that stored adapters lie on, in W's number format.

    Each layer is summed in fp32 and rounded once, as `merge_adapters` and storing do, without a second network.

    Args:
        network: what the adapters were trained on; used up.
        folder: as `PeftModel.save_pretrained` wrote it.

    Raises:
        PipelineError: the network has no layer of a name that the adapters have, or of another shape.
    """
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as stored:
        tensors = list(stored.keys())
        if not all(name.endswith((".lora_A.weight", ".lora_B.weight")) for name in tensors):
            return _merge_with_peft(network, folder)
        names = {name.removesuffix(".lora_A.weight").removesuffix(".lora_B.weight") for name in tensors}
        for name in sorted(names):
            a, b = (stored.get_tensor(f"{name}.lora_{side}.weight").float() for side in "AB")
            delta = (b @ a) * (config["lora_alpha"] / config["r"])
            try:
                layer: Any = network.get_submodule(name.removeprefix("base_model.model."))
                # the linear layer of GPT-2 keeps its weight the other way round
                delta = delta.t() if isinstance(layer, Conv1D) else delta
                layer.weight.copy_(layer.weight.float() + delta)
            except (AttributeError, RuntimeError) as error:
                raise PipelineError(f"{folder}: they do not fit the network that they lie on: {error}") from error
    return network


def _merge_with_peft(network: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """For adapters of embeddings and whatever else PEFT knows."""
    from peft import PeftModel

    stored = network.dtype
    with old_names_allowed():
        adapted = PeftModel.from_pretrained(network, str(folder))
    merged = merge_adapters(adapted)
    cast_weights(merged, stored)
    return merged


def _all_linear(network: Any) -> bool:
    from peft.tuners.lora import Linear
    from peft.tuners.tuners_utils import BaseTunerLayer

    return all(isinstance(module, Linear) for module in network.modules() if isinstance(module, BaseTunerLayer))


@contextmanager
def merged_for_sampling(network: Any) -> Iterator[None]:
    """Inside the block the adapters are in the weights: two small products less for each layer and token.

    The merged weights have the number format of the frozen ones, which come back as they were. Nothing changes for a
    network without adapters, or with adapters of other layers than linear ones, such as embeddings.
    """
    if not has_adapters(network) or not _all_linear(network):
        yield
        return
    from peft.tuners.lora import Linear

    frozen = []
    for module in network.modules():
        if isinstance(module, Linear):
            weight: Any = module.get_base_layer().weight
            frozen.append((weight, weight.data))
            delta = module.get_delta_weight(module.active_adapters[0])
            weight.data = (weight.data.float() + delta.float()).to(weight.dtype)
    try:
        with torch.no_grad(), network.disable_adapter():
            yield
    finally:
        for weight, data in frozen:
            weight.data = data
