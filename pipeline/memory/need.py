"""What training holds in memory at its peak, from configs and parameters alone: no weights are loaded.

A sum of what is there at once: libraries, weights, AdamW's two moments, and the largest step's activations, logits and
gradients; in PPO, the rollout, too: its key-value cache and merged weights, or a forward pass of the reward model.
docs/operations.md says how far it is off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.data.tokens import ForwardLimit
from pipeline.kernels.long_attention import is_long
from pipeline.memory.work import Pass, Rollout, Work, planned_steps
from pipeline.models.compute import choose_device, choose_dtype, forward_limit, kept_activations
from pipeline.models.footprint import NetworkSize, kept_bytes, recomputed_bytes
from pipeline.models.reward import SCORED_TOKENS
from pipeline.params.schema import Runtime

LIBRARIES = 560 << 20
"""Bytes of Python with torch, transformers and peft (on a GPU: of its context and the workspace of its products)."""
_HOLES = {("cpu", 2): 1.6, ("cpu", 4): 1.35, ("cuda", 2): 1.1, ("cuda", 4): 1.1}
"""What activations take against what is alive of them, by device and bytes of a number: buffers inside products, and
what the allocator cannot use again. A CPU's heap keeps pieces of all sizes between what stays, more where numbers are
cast."""
_REUSED = 0.5
"""Of a rollout's memory, the share that the update behind it finds in pieces large enough for it, on a CPU."""
_HEAD_ROWS = {"lora": 128, "full": 512}
"""Rows of logits that are there at once, see `linear_logprobs`."""
_SOFTMAX_ROWS = 16


@dataclass(frozen=True)
class Conditions:
    """What the section `runtime` comes to on this machine."""

    device: torch.device
    number: int
    """Bytes of a number of the matrix products, and of the weights below adapters."""
    attention: str
    limit: ForwardLimit | None
    kept: int | None
    """Bytes of activations that a forward pass may keep; None is no limit."""
    fused_logprobs: bool = True

    @property
    def holes(self) -> float:
        """Factor of what comes and goes."""
        return _HOLES.get((self.device.type, self.number), _HOLES["cuda", 2])

    @classmethod
    def of(cls, runtime: Runtime) -> "Conditions":
        """Raises PipelineError where the device asked for is not there."""
        device = choose_device(runtime.device)
        attention: str = runtime.attention
        if attention == "auto":
            attention = "grouped" if device == "cpu" else "sdpa"
        return cls(
            torch.device(device),
            choose_dtype(runtime.precision, device).itemsize,
            attention,
            forward_limit(runtime.max_forward_tokens),
            kept_activations(runtime.recompute, torch.device(device)),
        )


def needed_bytes(work: Work, conditions: Conditions) -> int:
    """The peak."""
    return sum(memory_parts(work, conditions).values())


def memory_parts(work: Work, conditions: Conditions) -> Mapping[str, int]:
    """Bytes by what they are for; together the peak."""
    trained = _trained_weights(work)
    weights, number = work.model.weights, conditions.number
    full = _keeps_fp32(work)
    # a reference has the number format of what is trained
    held = (1 + work.critics + work.frozen) * weights * (4 if full else number)
    steps = planned_steps(work, conditions.limit)
    passing = max((_step_bytes(work, step, conditions, 4 * trained) for step in steps), default=4 * trained)
    if work.rollout is not None:
        held += work.rollout.scorer.weights * 4
        sampling = _rollout_bytes(work, work.rollout, conditions)
        reused = _REUSED if conditions.device.type == "cpu" else 1.0
        passing, sampling = max(passing, sampling), min(passing, sampling)
        passing += int((1 - reused) * sampling)
    if not work.writes and not full and conditions.device.type == "cpu":
        held += 4 * weights  # a reward model is loaded in fp32 and then cast, into the same heap
    # adapters are merged into weights in fp32 at the end
    merging = 0 if full else (4 - number) * weights
    return {
        "libraries": LIBRARIES,
        "weights": held + (0 if full else 4 * trained),
        "optimiser": 8 * trained,
        # a reward model goes on to score, in fp32 and in the same heap
        "passing": max(passing, merging) if work.writes else passing + merging,
    }


def _trained_weights(work: Work) -> int:
    full = work.finetuning.method == "full"
    one = work.model.weights if full else work.model.size.adapter_weights(work.finetuning.lora_r)
    return one * (1 + work.critics)


def _keeps_fp32(work: Work) -> bool:
    """All weights are in fp32: they are trained, or an encoder's, which adapters leave as they are."""
    return work.finetuning.method == "full" or not work.model.is_decoder


def _step_bytes(work: Work, step: Sequence[Pass], conditions: Conditions, gradients: int) -> int:
    """Activations and gradients: each pass but the first finds those of the passes before it.

    In the first, a layer's gradients come when its activations go.
    """
    first, *others = (_passing(work, one, conditions) for one in step)
    return max(first, gradients, gradients + max(others, default=0))


def _passing(work: Work, one: Pass, conditions: Conditions) -> int:
    """Activations, their gradients, and logits of one forward and backward pass."""
    size, number = work.model.size, conditions.number
    sizes: dict[str, Any] = {
        "tokens": one.tokens,
        "length": one.length,
        "full": _keeps_fp32(work),
        "attention": conditions.attention,
        "number": number,
    }
    kept = kept_bytes(size, **sizes)
    layer = kept // size.layers
    if conditions.kept is not None and kept > conditions.kept:
        kept = recomputed_bytes(size, **sizes)
    mask = one.tokens * one.length * (3 + 2 * number) if one.branched else 0
    head = _head_bytes(work, one.predicted, conditions) if work.writes else 0
    return (1 + work.critics) * int(conditions.holes * kept + mask) + int(conditions.holes * layer) + head


def _head_bytes(work: Work, tokens: int, conditions: Conditions) -> int:
    size, number = work.model.size, conditions.number
    if not conditions.fused_logprobs:
        return tokens * size.vocabulary * (2 * number + 8)
    rows = min(tokens, _HEAD_ROWS[work.finetuning.method]) * number + _SOFTMAX_ROWS * 12
    states = 3 * tokens * size.width * number
    matrices = (4 + 2 * number) * size.vocabulary * size.width if work.finetuning.method == "full" else 0
    return rows * size.vocabulary + states + matrices


def _rollout_bytes(work: Work, rollout: Rollout, conditions: Conditions) -> int:
    """Of sampling, with merged weights and the cache, or of scoring."""
    size, number, width = work.model.size, conditions.number, work.longest
    cache = 2 * size.layers * rollout.episodes * width * size.key_width * number
    merged = size.layers * size.layer_weights * number if work.finetuning.method == "lora" else 0
    logits = (rollout.episodes * number + _SOFTMAX_ROWS * 20) * size.vocabulary
    reading = _reading(size, rollout.episodes, width - rollout.new, conditions, number)
    sampled = cache + merged + logits + int(conditions.holes * reading)
    # on a CPU texts are scored in parts
    rows = max(1, SCORED_TOKENS // width) if conditions.device.type == "cpu" else rollout.episodes
    return max(sampled, int(conditions.holes * _reading(rollout.scorer.size, rows, width, conditions, number=4)))


def _reading(size: NetworkSize, rows: int, length: int, conditions: Conditions, number: int) -> int:
    """One layer of a forward pass without gradient."""
    row = 12 * size.width + number * (3 * size.width + 3 * size.inner + size.query_width + 2 * size.key_width)
    squares = conditions.attention == "eager" or (conditions.attention == "grouped" and not is_long(length, length))
    return rows * length * (row + (2 * size.heads * length * number if squares else length * number))
