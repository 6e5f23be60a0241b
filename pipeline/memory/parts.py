"""Bytes of memory, by what they are for."""

from collections.abc import Iterable

Parts = dict[str, int]
"""Bytes by what they are for, see `ROLES`."""
ROLES = ("libraries", "weights", "gradients", "optimiser", "activations", "cache", "logits", "copies")
"""What memory holds. `cache` is of keys and values; `copies` are weights that are there twice for a while: merged
adapters, number formats that are changed, and what a heap cannot use again."""


def total(parts: Parts) -> int:
    """The sum of all parts, in bytes."""
    return sum(parts.values())


def added(*several: Parts) -> Parts:
    """The parts of several things that are in memory at once, added by what they are for."""
    return {role: total for role in ROLES if (total := sum(parts.get(role, 0) for parts in several))}


def largest_of(moments: Iterable[Parts]) -> Parts:
    """The parts of that moment at which most bytes are in memory; empty without any moment."""
    return max(moments, key=total, default={})
