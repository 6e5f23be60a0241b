"""Adapters that are in the weights while a policy samples: two small products less for each layer and token.

Plain twin: the network outside of the block, where each layer adds its adapter's product to its own.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from pipeline.kernels.packed_weights import PackedWeight, packs, replaced_by
from pipeline.kernels.quantized import QuantizedLinear

if TYPE_CHECKING:
    from peft import PeftModel


@contextmanager
def merged_for_sampling(network: "PeftModel", *, packed: bool = False) -> Iterator[None]:
    """Inside the block the adapters are in the weights, which have the number format of the frozen ones.

    Afterwards the frozen weights come back as they were. Nothing changes where an adapter lies on another layer than a
    linear one, such as embeddings, or on weights in 4 bits, which merged would need four times the memory.

    Args:
        network: to which PEFT has added one adapter a layer.
        packed: multiply with packed weights where `packs` agrees, which take the place of the merged ones.
    """
    if not _all_linear(network):
        yield
        return
    from peft.tuners.lora import Linear

    layers: list[Any] = [module for module in network.modules() if isinstance(module, Linear)]
    frozen = [(weight := layer.get_base_layer().weight, weight.data) for layer in layers]
    # all of them before the first sum: between sums, whose pieces come and go, they would leave a heap full of holes
    merged = [torch.empty_like(data) for _, data in frozen]
    with torch.no_grad():
        for layer, (weight, data), place in zip(layers, frozen, merged, strict=True):
            delta = layer.get_delta_weight(layer.active_adapters[0]).float()
            weight.data = place.copy_(data.float() + delta)
    try:
        with torch.no_grad(), network.disable_adapter(), ExitStack() as stack:
            for layer, (weight, data) in zip(layers, frozen, strict=True):
                base = layer.get_base_layer()
                if packed and type(base) is torch.nn.Linear and packs(weight):
                    merged.pop(0)
                    stack.enter_context(replaced_by(base, PackedWeight(weight)))
                    weight.data = data
            yield
    finally:
        for weight, data in frozen:
            weight.data = data


def _all_linear(network: "PeftModel") -> bool:
    from peft.tuners.lora import Linear
    from peft.tuners.tuners_utils import BaseTunerLayer

    return all(
        isinstance(module, Linear) and not isinstance(module.get_base_layer(), QuantizedLinear)
        for module in network.modules()
        if isinstance(module, BaseTunerLayer)
    )
