"""Activations that are computed again in backward instead of kept (Chen et al. 2016, arXiv:1604.06174).

Of each layer only the input stays. Plain twin: the network outside of the block. The same operations run again on the
same numbers, so results are the same to the bit; a step takes about a third longer.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from pipeline.kernels.flat_rows import current_layout, flat_rows


@contextmanager
def recomputed(network: nn.Module, *, when: bool = True) -> Iterator[None]:
    """Inside the block, layers of the network keep their input alone; only a forward pass with gradient is changed."""
    layers = [module for module in network.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not when or not torch.is_grad_enabled():
        yield
        return
    before = [(layer.training, layer.gradient_checkpointing) for layer in layers]
    for layer in layers:
        # transformers does so in training mode only; of the layer itself, which has no dropout
        layer.training = layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = _checkpointed
    try:
        yield
    finally:
        for layer, (training, recomputing) in zip(layers, before, strict=True):
            layer.training, layer.gradient_checkpointing = training, recomputing


def _checkpointed(function: Callable[..., Any], *inputs: Any) -> Any:
    # there is no dropout, hence no random state to keep
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=_contexts)


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Of forward and of backward, which runs when the rows' layout is no longer set."""
    layout = current_layout()
    return flat_rows(layout), flat_rows(layout)
