"""Activations that are computed again in backward instead of kept (Chen et al. 2016, arXiv:1604.06174).

Of each layer only the input stays, and what `computed_once` keeps. Plain twin: the network outside of the block. The
same operations run again on the same numbers, so results are the same to the bit; a step takes about a quarter longer.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from pipeline.kernels.flat_rows import FlatRows, current_layout, flat_rows


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


class _Layer:
    """Results of one layer that are kept from its forward pass, in their order, until it is computed again."""

    def __init__(self) -> None:
        self._kept: deque[Tensor] = deque()
        self._again = False

    def result(self, function: Callable[[], Tensor]) -> Tensor:
        if self._again and self._kept:
            return self._kept.popleft()
        result = function()
        if not self._again:
            # another tensor with the same numbers: this one becomes a part of the graph
            self._kept.append(result.detach())
        return result

    @contextmanager
    def pass_(self, layout: FlatRows | None, *, again: bool) -> Iterator[None]:
        self._again = again
        token = _layer.set(self)
        try:
            with flat_rows(layout):
                yield
        finally:
            _layer.reset(token)


_layer: ContextVar[_Layer | None] = ContextVar("layer that will be computed again", default=None)


def computed_once(function: Callable[[], Tensor]) -> Tensor:
    """The result of a function inside an autograd function's forward; a layer that is computed again has it kept.

    For what is small and takes long. Outside of such layers it is just called.
    """
    layer = _layer.get()
    return function() if layer is None else layer.result(function)


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Of forward and of backward, which runs when the rows' layout is no longer set."""
    layout, layer = current_layout(), _Layer()
    return layer.pass_(layout, again=False), layer.pass_(layout, again=True)
