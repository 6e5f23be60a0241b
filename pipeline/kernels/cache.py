"""A key-value cache with room for the whole response: a token costs its own keys, not a copy of all before it.

Plain twin: `DynamicCache` of transformers, which grows.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


class PreallocatedLayer(DynamicLayer):
    """Keys and values of one layer, written into memory that is taken once."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self._memory = [
            torch.empty((*states.shape[:2], self._capacity, states.shape[3]), dtype=states.dtype, device=states.device)
            for states in (key_states, value_states)
        ]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append (B, K, T, D) and return all there is, (B, K, S, D).

        Raises:
            ValueError: there is no room left.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        stop = start + key_states.shape[2]
        if stop > self._capacity:
            raise ValueError(f"the cache has room for {self._capacity} tokens, not for {stop}")
        for memory, states in zip(self._memory, (key_states, value_states), strict=True):
            memory[:, :, start:stop] = states
        self.keys, self.values = (memory[:, :, :stop] for memory in self._memory)
        return self.keys, self.values


def preallocated_cache(config: Any, capacity: int) -> DynamicCache:
    """The cache of a network, whose plain attention layers have room for `capacity` tokens a row."""
    cache = DynamicCache(config=config)
    cache.layers = [PreallocatedLayer(capacity) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
