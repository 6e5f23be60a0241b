"""Bytes by what they are for."""

from collections.abc import Iterable

Parts = dict[str, int]
"""Bytes by what they are for, see `ROLES`."""
ROLES = ("libraries", "weights", "gradients", "optimiser", "activations", "cache", "logits", "copies")
"""What memory holds. `cache` is of keys and values; `copies` are weights that are there twice for a while: merged
adapters, number formats that are changed, and what a heap cannot use again."""


def total(parts: Parts) -> int:
    """All of them."""
    return sum(parts.values())


def added(*several: Parts) -> Parts:
    """What is there at once."""
    return {role: total for role in ROLES if (total := sum(parts.get(role, 0) for parts in several))}


def largest_of(moments: Iterable[Parts]) -> Parts:
    """Of what is there at different moments, the largest; none of no moment."""
    return max(moments, key=total, default={})
