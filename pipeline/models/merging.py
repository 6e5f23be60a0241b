"""Adapters and the network that they lie on to one whole network."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from pipeline.errors import PipelineError
from pipeline.models.adapters import old_names_allowed
from pipeline.models.backbone import cast_weights
from pipeline.models.folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS, open_weights


def merge_adapters(model: Any, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """One whole model; the adapters are used up.

    A merged weight is the sum of the frozen one and a product of two fp32 matrices: in fp32, layer by layer, so that
    `dtype` rounds it only once and one layer at a time is there in fp32. Weights that have `dtype` already stay where
    they are: a CPU's heap finds no use for the places that they would leave, and grew by the whole network.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer):
            base = layer.get_base_layer()
            stored = [(one, one.data) for one in base.parameters() if one.dtype == dtype != torch.float32]
            layer.float()
            layer.merge()
            for parameter, place in stored:
                parameter.data = place.copy_(parameter.data)
            cast_weights(base, dtype)
    merged: PreTrainedModel = model.unload()
    cast_weights(merged, dtype)
    return merged


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
    with open_weights(folder / ADAPTER_WEIGHTS) as stored:
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
