"""Which prompts are sampled at once: as many as the key-value cache has room for, those of similar length together.

Planned from lengths and a config alone, so that whoever estimates memory can ask before a network is loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.models.footprint import NetworkSize

_SHARE = 4
"""A quarter of the memory for the cache: weights, logits, training state and other programs need the rest."""
_ENOUGH = 64
"""Rows that keep a processor busy while each reads one token; a chunk of so many goes on for rows of like length."""
_LIKE = 0.75
"""Of the longest row, prompt and response together: what a row of like length has at least."""


@dataclass(frozen=True)
class Chunk:
    """Prompts that are sampled at once."""

    rows: tuple[int, ...]
    """Their numbers, the longest first."""
    prompt: int
    """Tokens of the longest."""
    new: int
    """Tokens of a response at most."""

    @property
    def places(self) -> int:
        """Tokens that the cache has room for."""
        return len(self.rows) * (self.prompt + self.new)


def cache_bytes(size: NetworkSize, *, number: int) -> int:
    """Bytes of the keys and values of one token; `number` is the bytes of a number of the matrix products."""
    return 2 * size.layers * size.key_width * number


def cache_places(size: NetworkSize, *, number: int, memory: int) -> int:
    """Tokens that one chunk's cache may have room for in a memory of so many bytes."""
    return memory // _SHARE // cache_bytes(size, number=number)


def plan_chunks(lengths: Sequence[int], *, new: int, batch_size: int, places: int) -> list[Chunk]:
    """Every prompt in one chunk, the longest first, so that what does not fit fails at once.

    A chunk that is large enough takes no rows that are much shorter: for each token they would read their padding.

    Args:
        lengths: of the prompts, in tokens.
        new: tokens of a response at most.
        batch_size: prompts of a chunk at most.
        places: tokens of a chunk's cache at most, padding included; a prompt that needs more is a chunk of its own.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    chunks = []
    while order:
        longest = lengths[order[0]]
        count = max(1, min(batch_size, places // (longest + new)))
        like = sum(lengths[row] + new >= _LIKE * (longest + new) for row in order[:count])
        count = min(count, max(like, _ENOUGH))
        chunks.append(Chunk(tuple(order[:count]), longest, new))
        order = order[count:]
    return chunks
