"""Attention of long rows, whose memory grows with the length and not with its square.

A block of queries at a time meets the keys that the mask lets any of them see, which of a causal mask is half; backward
keeps no probabilities and computes them again, block by block (Rabe and Staats 2021, arXiv:2112.05682). Plain twin:
`grouped` attention of short rows. Which of both reads a row depends on the shapes alone, so that every machine computes
the same.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from pipeline.kernels.recomputation import computed_once

LONG = 384
"""Queries and keys from which on a row is long. Below, all probabilities of a row fit into a processor's cache."""
_BLOCK = 128
"""Queries at once."""


def block_bytes(heads: int, keys: int, *, number: int) -> int:
    """Bytes that backward holds of one block of queries: scores, probabilities in fp32, and what they become.

    Args:
        number: bytes of a number of the matrix products.
    """
    return heads * _BLOCK * keys * (8 + 3 * number)


def is_long(queries: int, keys: int) -> bool:
    """Whether rows of these lengths are read block by block. A few queries, as in sampling, make no large matrix."""
    return queries >= LONG and keys >= LONG


def long_attention(query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, length: int) -> Tensor:
    """softmax(Q K^T + mask) V, without ever holding all of it.

    Args:
        query: (B, K, G * T, D), scaled; each of K heads of keys serves G heads of queries.
        key, value: (B, K, S, D).
        attention_mask: (B or 1, 1, T, S), added to the scores; None hides nothing.
        length: T.

    Returns:
        (B, K, G * T, D).
    """
    stops = _visible_keys(attention_mask, length, key.shape[2])
    result: Tensor = _LongAttention.apply(query, key, value, attention_mask, length, stops)
    return result


def _visible_keys(attention_mask: Tensor | None, length: int, keys: int) -> list[int]:
    """For each block of queries, how many of the first keys hold all that any of its queries sees, in any row."""
    ends = [min(start + _BLOCK, length) for start in range(0, length, _BLOCK)]
    if attention_mask is None or length != keys:
        return [keys] * len(ends)
    hidden = torch.finfo(attention_mask.dtype).min / 2
    later = [attention_mask[:, :, start:end, end:] for start, end in zip(range(0, length, _BLOCK), ends, strict=True)]
    return [keys if bool((part > hidden).any()) else end for part, end in zip(later, ends, strict=True)]


class _LongAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        length: int,
        stops: list[int],
    ) -> Tensor:
        # of its layer this takes longest for its size, and backward computes its probabilities a second time anyway
        output = computed_once(lambda: _attended(query, key, value, attention_mask, length, stops))
        ctx.save_for_backward(query, key, value, attention_mask)
        ctx.length, ctx.stops = length, stops
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        query, key, value, attention_mask = ctx.saved_tensors
        length = ctx.length
        grad_query = torch.empty_like(query)
        # sums over the blocks are in fp32, whatever the number format
        grad_key, grad_value = (torch.zeros_like(tensor, dtype=torch.float32) for tensor in (key, value))
        for row, queries, stop in _blocks(query, length, ctx.stops):
            weights = _weights(query, key, attention_mask, length, row, queries, stop)
            gradient = _block(grad_outputs[0], length, row, queries)
            grad_value[row, :, :stop] += weights.transpose(1, 2) @ gradient
            grad_weights = gradient @ value[row, :, :stop].transpose(1, 2)
            grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
            grad_key[row, :, :stop] += grad_scores.transpose(1, 2) @ _block(query, length, row, queries)
            _of_heads(grad_query, length)[row, :, :, queries] = (grad_scores @ key[row, :, :stop]).unflatten(
                1, (-1, queries.stop - queries.start)
            )
        return grad_query, grad_key.to(key.dtype), grad_value.to(value.dtype), None, None, None


def _attended(
    query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, length: int, stops: list[int]
) -> Tensor:
    """The result (B, K, G * T, D)."""
    output = torch.empty_like(query)
    for row, queries, stop in _blocks(query, length, stops):
        weights = _weights(query, key, attention_mask, length, row, queries, stop)
        _of_heads(output, length)[row, :, :, queries] = (weights @ value[row, :, :stop]).unflatten(
            1, (-1, queries.stop - queries.start)
        )
    return output


def _blocks(query: Tensor, length: int, stops: list[int]) -> Iterator[tuple[int, slice, int]]:
    """Row, queries and the number of keys of each block."""
    for row in range(len(query)):
        for at, stop in enumerate(stops):
            yield row, slice(at * _BLOCK, min((at + 1) * _BLOCK, length)), stop


def _of_heads(tensor: Tensor, length: int) -> Tensor:
    """(B, K, G * T, D) as (B, K, G, T, D)."""
    return tensor.unflatten(2, (-1, length))


def _block(tensor: Tensor, length: int, row: int, queries: slice) -> Tensor:
    """(K, G * block, D) of one row."""
    return _of_heads(tensor, length)[row, :, :, queries].flatten(1, 2)


def _weights(
    query: Tensor,
    key: Tensor,
    attention_mask: Tensor | None,
    length: int,
    row: int,
    queries: slice,
    stop: int,
) -> Tensor:
    """Probabilities (K, G * block, stop) of one block, in the number format of the products."""
    scores = _block(query, length, row, queries) @ key[row, :, :stop].transpose(1, 2)
    if attention_mask is not None:
        mask = attention_mask[min(row, len(attention_mask) - 1), 0, queries, :stop].to(scores.dtype)
        # added in place, for every query head that shares the keys
        scores.unflatten(1, (-1, len(mask))).add_(mask)
    return torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
