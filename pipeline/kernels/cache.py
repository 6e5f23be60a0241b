"""Keys and values of rows that are sampled together, one token at a time.

Plain twin: `DynamicCache` of transformers, which grows. Here a token costs its own keys, not a copy of all before it:
they are written into room that is there. Room is added for a few tokens at a time, so that keys and values lie in one
piece, which products read as they are, and the shapes stay the same from one token to the next. Rows that have ended
leave with it, and so do columns that hold nothing but padding.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

ROOM = 32
"""Tokens that room is added for: what is there is copied once in so many steps."""


class RoomyLayer(DynamicLayer):
    """Keys and values (B, K, S, D) of one layer, of which the first `length` columns are written."""

    def __init__(self, keys: Tensor, values: Tensor, length: int) -> None:
        super().__init__()
        super().lazy_initialization(keys, values)
        self.keys, self.values, self._length = keys, values, length

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write (B, K, T, D) behind what is there and return all S columns; the mask hides those without a token.

        Raises:
            ValueError: there is no room left.
        """
        stop = self._length + key_states.shape[2]
        if stop > self.keys.shape[2]:
            raise ValueError(f"the cache has room for {self.keys.shape[2]} tokens, not for {stop}")
        self.keys[:, :, self._length : stop] = key_states
        self.values[:, :, self._length : stop] = value_states
        self._length = stop
        return self.keys, self.values

    def get_seq_length(self) -> int:
        return self._length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """All columns, from the first."""
        return self.keys.shape[2], 0

    def keep(self, rows: Tensor, first: int, room: int) -> None:
        """Leave these rows alone, without the columns before `first`, and room for `room` more tokens."""
        kept = [states[:, :, first : self._length][rows] for states in (self.keys, self.values)]
        self.keys, self.values = (_with_room(states, room) for states in kept)
        self._length -= first


class RowCache:
    """The cache of rows that end in the same column and begin, behind padding, each in its own."""

    def __init__(self, layers: DynamicCache, starts: Tensor, length: int) -> None:
        self.layers = layers
        """What a network takes as `past_key_values`."""
        self._starts, self._length = starts, length

    @classmethod
    def of(cls, read: Sequence[tuple[DynamicCache, Tensor]], copies: Tensor, *, room: int) -> "RowCache":
        """From caches of prompts that were read in parts.

        Layers that are not plain attention over all that was read (sliding windows, states) cannot be joined: there
        only one part is possible.

        Args:
            read: each part's cache, which is emptied, and its mask (b, P), left-padded.
            copies: (B,), to each row the number of its prompt, counted over all parts.
            room: tokens to come, or fewer.

        Raises:
            ValueError: several parts of a network whose caches cannot be joined.
        """
        caches, masks = zip(*read, strict=True)
        width = max(mask.shape[1] for mask in masks)
        starts = torch.cat([width - mask.sum(1) for mask in masks])[copies]
        if not is_plain(caches[0]):
            if len(caches) > 1:
                raise ValueError("a cache of sliding windows or states is read in one part")
            caches[0].reorder_cache(copies)
            return cls(caches[0], starts, width)
        joined = DynamicCache()
        for parts in zip(*(cache.layers for cache in caches), strict=True):
            keys = _joined([part.keys for part in parts], width)[copies]
            values = _joined([part.values for part in parts], width)[copies]
            for part in parts:
                part.keys = part.values = None
            joined.layers.append(RoomyLayer(_with_room(keys, room), _with_room(values, room), width))
        return cls(joined, starts, width)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another token; never of layers that grow."""
        return self.has_room_layers and self._length == self.layers.layers[0].keys.shape[2]

    @property
    def has_room_layers(self) -> bool:
        """Whether its layers have room, and columns without a token; others grow by what is read."""
        return isinstance(self.layers.layers[0], RoomyLayer)

    def next_token(self) -> tuple[Tensor, Tensor]:
        """Mask (B, S) and position (B, 1) of the token that each row reads now, in the next column."""
        width = self.layers.layers[0].keys.shape[2] if self.has_room_layers else self._length + 1
        columns = torch.arange(width, device=self._starts.device)
        mask = (columns >= self._starts[:, None]) & (columns <= self._length)
        positions = (self._length - self._starts)[:, None]
        self._length += 1
        return mask, positions

    def keep(self, rows: Tensor, *, room: int) -> None:
        """Leave these rows (N,) alone, and room for `room` more tokens."""
        self._starts = self._starts[rows]
        if not self.has_room_layers:
            self.layers.reorder_cache(rows)
            return
        first = int(self._starts.min())
        for layer in self.layers.layers:
            layer.keep(rows, first, room)
        self._starts, self._length = self._starts - first, self._length - first


def is_plain(cache: DynamicCache) -> bool:
    """Whether every layer is plain attention over all that was read, whose keys can be moved."""
    return all(type(layer) is DynamicLayer for layer in cache.layers)


def _joined(parts: Sequence[Tensor], width: int) -> Tensor:
    """Parts (b, K, P, D) under one another, (B, K, width, D), with zeros on their left."""
    first = parts[0]
    whole = first.new_zeros((sum(len(part) for part in parts), first.shape[1], width, first.shape[3]))
    row = 0
    for part in parts:
        whole[row : row + len(part), :, width - part.shape[2] :] = part
        row += len(part)
    return whole


def _with_room(states: Tensor, room: int) -> Tensor:
    """Zeros, not memory as it was found: hidden columns are weighed with 0, and 0 times NaN is NaN."""
    return torch.nn.functional.pad(states, (0, 0, 0, room))
