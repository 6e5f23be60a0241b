"""Keys and values of rows that are sampled together, one token at a time.

Plain twin: `DynamicCache` of transformers, which grows. Here a token costs its own keys, not a copy of all before it:
they are written into room that is there. Room is added for a few tokens at a time, so that keys and values lie in one
piece, which products read as they are, and the shapes stay the same from one token to the next. Rows that have ended
leave with it, and so do columns that hold nothing but padding.

All of it is in one piece of memory that is asked for once, as large as the last token needs it: prompts are written
into it as they are read, and rows and columns move inside it, so there is never a second cache. The next rows get the
same piece, because a heap that has put something small into its hole would add a second one.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

ROOM = 32
"""Tokens that room is added for: what is there is moved once in so many steps."""
_BLOCKS = 16
"""In which rows move: one of so many parts of a layer is there twice."""
_ALIGNED = 64
"""Numbers; every layer begins where products like to begin."""


class RoomyLayer(DynamicLayer):
    """Keys and values (B, K, S, D) of one layer, of which the first `length` columns are written."""

    def __init__(self, memory: tuple[Tensor, Tensor], like: DynamicLayer, *, rows: int, length: int, room: int) -> None:
        """Zeros, not memory as it was found: hidden columns are weighed with 0, and 0 times NaN is NaN.

        Args:
            memory: of keys and of values, flat, and large enough for whatever they become.
            like: has the heads and their size.
            rows, length, room: B, and S is `length + room`.
        """
        super().__init__()
        self._memory, self._length = memory, length
        keys, values = (
            _laid(flat, rows, one.shape[1], length + room, one.shape[3]).zero_()
            for flat, one in zip(memory, (like.keys, like.values), strict=True)
        )
        super().lazy_initialization(keys, values)
        self.keys, self.values = keys, values

    def write(self, rows: Tensor, keys: Tensor, values: Tensor) -> None:
        """Give these rows (N,) their prompts (N, K, P, D), which end in the last column that is written."""
        for whole, states in ((self.keys, keys), (self.values, values)):
            whole[rows, :, self._length - states.shape[2] : self._length] = states

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

    def keep(self, rows: Tensor, first: int, room: int, block: int) -> None:
        """Leave these rows alone, without the columns before `first`, and room for `room` more tokens.

        Args:
            block: rows that move at once.
        """
        self.keys, self.values = (
            _moved(memory, states[:, :, first : self._length], rows, room, block)
            for memory, states in zip(self._memory, (self.keys, self.values), strict=True)
        )
        self._length -= first


class CacheMemory:
    """Memory in which the caches of rows lie, one after the other; the last one that was made is valid."""

    def __init__(self, places: int = 0) -> None:
        """Args: places: tokens that there is room for at least, when it is first asked for."""
        self._places, self._whole = places, torch.empty(0)

    def of_layers(self, places: int, like: DynamicCache) -> Iterator[tuple[Tensor, Tensor]]:
        """Flat memory for the keys and the values of so many tokens in each layer, as it is found."""
        self._places = max(self._places, places)
        keys = like.layers[0].keys
        sizes = [
            -(-self._places * states.shape[1] * states.shape[3] // _ALIGNED) * _ALIGNED
            for layer in like.layers
            for states in (layer.keys, layer.values)
        ]
        whole = self._whole
        if (whole.dtype, whole.device) != (keys.dtype, keys.device) or len(whole) < sum(sizes):
            del whole
            self._whole = torch.empty(0)
            self._whole = keys.new_empty(sum(sizes))
        pieces = self._whole[: sum(sizes)].split(sizes)
        return zip(pieces[::2], pieces[1::2], strict=True)


class RowCache:
    """The cache of rows that end in the same column and begin, behind padding, each in its own."""

    def __init__(self, layers: DynamicCache, starts: Tensor, length: int) -> None:
        self.layers = layers
        """What a network takes as `past_key_values`."""
        self._starts, self._length = starts, length

    @classmethod
    def of(
        cls,
        read: Iterable[tuple[DynamicCache, Tensor]],
        copies: Tensor,
        *,
        length: int,
        room: int,
        new: int,
        memory: CacheMemory | None = None,
    ) -> "RowCache":
        """From caches of prompts that are read in parts, one after the other.

        Layers that are not plain attention over all that was read (sliding windows, states) cannot be joined: there
        only one part is possible.

        Args:
            read: each part's cache, which is emptied, and its mask (b, P), left-padded.
            copies: (B,), to each row the number of its prompt, counted over all parts.
            length: tokens of the longest prompt.
            room: tokens to come, or fewer.
            new: tokens to come at most.
            memory: to lie in; None is some of its own.

        Raises:
            ValueError: several parts of a network whose caches cannot be joined.
        """
        starts = torch.zeros_like(copies)
        joined, number = None, 0
        for cache, mask in read:
            if not is_plain(cache):
                if number or len(mask) <= int(copies.max()):
                    raise ValueError("a cache of sliding windows or states is read in one part")
                cache.reorder_cache(copies)
                return cls(cache, (length - mask.sum(1))[copies], length)
            if joined is None:
                joined = DynamicCache()
                pieces = (memory or CacheMemory()).of_layers(len(copies) * (length + new), cache)
                joined.layers = [
                    RoomyLayer(piece, layer, rows=len(copies), length=length, room=room)
                    for piece, layer in zip(pieces, cache.layers, strict=True)
                ]
            rows = ((copies >= number) & (copies < number + len(mask))).nonzero().squeeze(1)
            here = copies[rows] - number
            starts[rows] = length - mask.sum(1)[here]
            for layer, part in zip(joined.layers, cache.layers, strict=True):
                layer.write(rows, part.keys[here], part.values[here])
                part.keys = part.values = None
            number += len(mask)
        if joined is None:
            raise ValueError("nothing was read")
        return cls(joined, starts, length)

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
        in_order = bool((rows[1:] > rows[:-1]).all())
        block = max(1, -(-len(rows) // _BLOCKS) if in_order else len(rows))
        for layer in self.layers.layers:
            layer.keep(rows, first, room, block)
        self._starts, self._length = self._starts - first, self._length - first


def is_plain(cache: DynamicCache) -> bool:
    """Whether every layer is plain attention over all that was read, whose keys can be moved."""
    return all(type(layer) is DynamicLayer for layer in cache.layers)


def _laid(memory: Tensor, *shape: int) -> Tensor:
    """The beginning of flat memory in a shape.

    Raises:
        ValueError: there is not so much of it.
    """
    count = math.prod(shape)
    if count > len(memory):
        raise ValueError(f"the cache has memory for {len(memory)} numbers, not for {count}")
    return memory[:count].view(shape)


def _moved(memory: Tensor, states: Tensor, rows: Tensor, room: int, block: int) -> Tensor:
    """Rows of `states` (B, K, L, D), which lie in `memory`, to its beginning, with zeros for `room` more columns.

    Rows in ascending order first close up, the first before the others, and then open up, the last before the others:
    so none is written over before it has moved.

    Args:
        block: rows that move at once; all of them where they are in another order.
    """
    _, heads, length, size = states.shape
    starts = range(0, len(rows), block)
    closed = _laid(memory, len(rows), heads, length, size)
    for start in starts:
        closed[start : start + block] = states[rows[start : start + block]]
    opened = _laid(memory, len(rows), heads, length + room, size)
    for start in reversed(starts):
        opened[start : start + block, :, :length] = closed[start : start + block].clone()
        opened[start : start + block, :, length:] = 0
    return opened
