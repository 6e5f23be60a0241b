"""LoRA adapters, through PEFT, which is imported where adapters are used: that takes two seconds."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import PreTrainedModel

from pipeline.params.base import Finetuning
from pipeline.seeding import seeded_globals

if TYPE_CHECKING:
    from peft import PeftModel


def has_adapters(network: nn.Module) -> bool:
    """Whether PEFT has put adapters on a network."""
    return "peft" in sys.modules and isinstance(network, sys.modules["peft"].PeftModel)


def add_adapters(network: Any, finetuning: Finetuning, *, task: str | None, seed: int, name: str) -> "PeftModel":
    """LoRA adapters (Hu et al. 2021, arXiv:2106.09685) on a frozen network; `name` names their random generator."""
    from peft import LoraConfig, get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    config = LoraConfig(
        task_type=task,
        r=finetuning.lora_r,
        lora_alpha=finetuning.lora_alpha,
        lora_dropout=0.0,
        target_modules=finetuning.lora_target_modules,
    )
    with seeded_globals(seed, name):
        adapted = get_peft_model(network, config)
    for module in adapted.modules():
        if isinstance(module, BaseTunerLayer):
            # autocast picks the number format; PEFT would first copy every input to the adapters' fp32
            module.cast_input_dtype_enabled = False  # type: ignore[assignment]
    return adapted


def merge_adapters(model: Any) -> PreTrainedModel:
    """One whole model in fp32; the adapters are used up.

    A merged weight is the sum of the frozen one and a product of two fp32 matrices: in fp32, so that storing it in
    another format rounds it only once.
    """
    model.float()
    return model.merge_and_unload()  # type: ignore[no-any-return]


@contextmanager
def merged_for_sampling(network: Any) -> Iterator[None]:
    """Inside the block the adapters are in the weights: two small products less for each layer and token.

    The merged weights have the number format of the frozen ones, which come back as they were. Nothing changes for a
    network without adapters.
    """
    if not has_adapters(network):
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
