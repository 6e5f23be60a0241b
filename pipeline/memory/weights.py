"""Bytes of weights, and of what an optimiser keeps of them, by their number formats."""

import torch

from pipeline.memory.work import Model
from pipeline.models.footprint import NetworkSize
from pipeline.models.reward_size import is_large
from pipeline.params.base import OptimizerName, Quantization

_NF4 = 1 / 2 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a weight in 4 bits: its code, the scale of its block of 64 in 8 bits, and for 256 of those one in fp32."""
_MOMENTS = {"adamw": 8.0, "adamw_8bit": 2 * (1 + 4 / 256), "paged_adamw_8bit": 2 * (1 + 4 / 256)}
"""Bytes of the moments of a trained weight: both in fp32, or in 8 bits with a scale in fp32 for 256 of them."""


def weight_bytes(model: Model, number: int, quantization: Quantization = "none") -> int:
    """Bytes of a network's weights.

    Args:
        number: bytes of a weight that is not quantised.
        quantization: of the linear layers but the vocabulary head; embeddings and norms are never quantised.
    """
    if quantization == "none":
        return model.weights * number
    matrices = model.size.layers * model.size.layer_weights
    return int(matrices * _NF4) + (model.weights - matrices) * number


def widest_layer(size: NetworkSize) -> int:
    """Weights of the largest linear layer."""
    return size.width * max(size.inner, size.query_width)


def moment_bytes(trained: int, optimizer: OptimizerName, device: torch.device) -> int:
    """Bytes that the optimiser keeps of so many trained weights; paged moments leave a GPU that is full."""
    if optimizer == "paged_adamw_8bit" and device.type == "cuda":
        return 0
    return int(trained * _MOMENTS[optimizer])


def scorer_number(scorer: Model, *, stored: int, products: int) -> int:
    """Bytes of a weight of a frozen reward model, see `pipeline.models.reward_loading.frozen_dtype`.

    Args:
        stored: of a weight on the disk.
        products: of a number of the matrix products.
    """
    return products if is_large(scorer.weights, decoder=scorer.is_decoder) else stored
