"""Tokens from logits: a uniform number for every row and step, and the token that it falls on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_DRAW_ROWS = 16
_SUMS_IN_ORDER = frozenset(("cpu",))
"""Devices that add the numbers of a row one after the other. Where many threads share a row, torch refuses its running
sums of floats, because their order, and with it their last digits, would change from run to run."""
_UNIT = 2.0**-52
"""What probabilities are counted in there: a row's sum of about 1 is a number of 53 bits, as float64 has them."""


class Truncation(NamedTuple):
    """What of a softmax is drawn from: the `top_k` most probable tokens (0: all), and of these those with `top_p`."""

    top_k: int
    top_p: float


class Draws(NamedTuple):
    """`token_ids` (B,) and the log-probs (B,) under which they were drawn, fp32, in nats."""

    token_ids: Tensor
    logprobs: Tensor


def stream_key(generator: torch.Generator) -> int:
    """Name the numbers of one sampling by a draw from a generator on the CPU."""
    return int(torch.randint(2**63 - 1, (), generator=generator))


def row_uniforms(key: int, rows: Sequence[int], steps: int) -> Tensor:
    """Uniform numbers in [0, 1), (len(rows), steps), float64, on the CPU.

    Each row has a stream of its own, Philox4x64 (Salmon et al. 2011) with the key `(key, row)`: its numbers depend on
    no other row, and the first of them not on how many are asked for.

    Args:
        key: see `stream_key`.
        rows: numbers of the prompts.
    """
    raw = [np.random.Philox(key=np.array([key, row], dtype=np.uint64)).random_raw(steps) for row in rows]
    return torch.from_numpy((np.array(raw, dtype=np.uint64).reshape(len(rows), steps) >> np.uint64(11)) * 2.0**-53)


def row_seeds(key: int, rows: Sequence[int]) -> list[int]:
    """A seed in [0, 2^63) for each row, where another program draws: it depends on no other row, see `row_uniforms`."""
    raw = [np.random.Philox(key=np.array([key, row], dtype=np.uint64)).random_raw() for row in rows]
    return [int(number) >> 1 for number in raw]


def draw(logits: Tensor, uniform: Tensor, *, temperature: float = 1.0, truncation: Truncation | None = None) -> Draws:
    """Sample from softmax(logits / temperature), logits (B, V), by inverting its cumulative distribution.

    One uniform number a row, instead of one exponential a vocabulary entry as in `torch.multinomial`: 30 times
    less time at 50,000 entries on a CPU.

    Args:
        uniform: (B,) in [0, 1), float64, see `row_uniforms`.
        truncation: what of that softmax is drawn from, and renormalised; None is all of it.
    """
    # a few rows at a time stay in a CPU's cache; a GPU wants all of them at once
    size = len(logits) if logits.is_cuda else _DRAW_ROWS
    parts = zip(logits.split(size), uniform[:, None].split(size), strict=True)
    drawn = [_draw(*part, temperature, truncation) for part in parts]
    return Draws(*(torch.cat(values) for values in zip(*drawn, strict=True)))


def _draw(logits: Tensor, uniform: Tensor, temperature: float, truncation: Truncation | None) -> Draws:
    logits = logits.float() / temperature
    if truncation is not None:
        logits = truncate(logits, truncation)
    probabilities = torch.softmax(logits, -1, dtype=torch.float32)
    # float64: over 50,000 entries an fp32 running sum loses the digits that tell rare tokens apart
    cumulative = running_sums(probabilities, torch.float64)
    total = cumulative[:, -1:]
    # right=True finds the first entry whose cumulative probability exceeds the number, so an entry of
    # probability 0 is never drawn
    drawn = torch.searchsorted(cumulative, uniform * total, right=True).clamp(max=logits.shape[-1] - 1)
    # no second pass over the vocabulary: what is drawn is hardly rarer than 1e-16, the steps of the uniform number, and
    # fp32 has all digits of such probabilities
    logprobs = (probabilities.gather(1, drawn) / total).log()
    return Draws(drawn.squeeze(1), logprobs.squeeze(1).float())


def truncate(logits: Tensor, truncation: Truncation) -> Tensor:
    """Apply top-k and top-p; untouched, and nothing sorted, when both are off."""
    if 0 < truncation.top_k < logits.shape[-1]:
        smallest_kept = logits.topk(truncation.top_k).values[:, -1:]
        logits = logits.masked_fill(logits < smallest_kept, -torch.inf)
    if truncation.top_p < 1.0:
        ordered, order = logits.sort(descending=True)
        probabilities = ordered.softmax(-1)
        # a token is dropped when those before it already hold top_p; nothing is before the first
        dropped = running_sums(probabilities, torch.float32) - probabilities >= truncation.top_p
        logits = logits.masked_fill(dropped.scatter(1, order, dropped), -torch.inf)
    return logits


def running_sums(probabilities: Tensor, dtype: torch.dtype) -> Tensor:
    """Sums (B, V) of the probabilities of each entry and those before it, the same in every run on every device.

    On a CPU they are floats of `dtype`. Elsewhere they are counted in whole units of 2^-52, whose sum has no order and
    is exact as float64, which it is returned as.
    """
    if probabilities.device.type in _SUMS_IN_ORDER:
        return probabilities.cumsum(-1, dtype=dtype)
    return (probabilities.double() / _UNIT).long().cumsum(-1).double() * _UNIT
