"""How many bytes a forward pass keeps for its backward pass."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def bytes_kept(forward: Callable[[], Any], network: nn.Module) -> int:
    """Storages, each once, that autograd keeps, but for the network's own weights."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in weights:
            kept.setdefault(place, tensor)  # held, so that nobody else gets its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    del result
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
