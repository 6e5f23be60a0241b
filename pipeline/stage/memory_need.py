"""What training holds in memory at its peak, from configs and parameters alone: no weights are loaded.

A sum of what is there at once: libraries, weights, gradients and AdamW's two moments, activations, logits, and before
PPO's update the key-value cache or the reward model's forward pass, whichever is larger. docs/operations.md says how
far it was off.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from pipeline.data.tokens import ForwardLimit
from pipeline.models.compute import choose_device, choose_dtype, forward_limit, kept_activations
from pipeline.models.footprint import NetworkSize, kept_bytes, recomputed_bytes
from pipeline.models.long_attention import is_long
from pipeline.params.base import Finetuning
from pipeline.params.schema import Runtime

LIBRARIES = 560 << 20
"""Bytes of Python with torch, transformers and peft (on a GPU: of its context and the workspace of its products)."""
_WORKSPACE = 1.1
"""Of activations: buffers inside products, and what the allocator cannot use again."""
_HEAD_ROWS = {"lora": 128, "full": 512}
"""Rows of logits that are there at once, see `linear_logprobs`."""
_SOFTMAX_ROWS = 16


@dataclass(frozen=True)
class Conditions:
    """What the section `runtime` comes to on this machine."""

    device: torch.device
    number: int
    """Bytes of a number of the matrix products, and of frozen weights."""
    attention: str
    limit: ForwardLimit | None
    kept: int | None
    """Bytes of activations that a forward pass may keep; None is no limit."""
    fused_logprobs: bool

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
            runtime.fused_logprobs,
        )


@dataclass(frozen=True)
class Model:
    """A network by its config."""

    size: NetworkSize
    weights: int
    is_decoder: bool = True

    @classmethod
    def of(cls, config: Any, *, writes: bool) -> "Model":
        """Args: writes: it has a vocabulary head, which is a second matrix where it is not tied to the first."""
        size, text = NetworkSize.of(config), config.get_text_config()
        untied = writes and not getattr(text, "tie_word_embeddings", True)
        encoder = config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
        return cls(size, size.weights + untied * size.vocabulary * size.width, is_decoder=not encoder)


@dataclass(frozen=True)
class Rollout:
    """What PPO samples at once, and who scores it."""

    episodes: int
    prompt: int
    """Tokens of the longest prompt."""
    new: int
    """Tokens of a response."""
    scorer: Model


@dataclass(frozen=True)
class Work:
    """One training stage."""

    section: str
    """Of params.yaml."""
    length_key: str
    """What bounds the rows' length."""
    model: Model
    finetuning: Finetuning
    batch: int
    """Examples of one forward pass, where it is not split."""
    length: int
    """Tokens of the longest row."""
    paired: bool = False
    """Both responses of a pair are in one row."""
    rows: int = 1
    """Of one example."""
    writes: bool = True
    """Rows end in log-probs, not in a score."""
    frozen: int = 0
    """Copies of the model that are only read."""
    critics: int = 0
    """Networks of their own that are trained like the model."""
    rollout: Rollout | None = None


def needed_bytes(work: Work, conditions: Conditions) -> int:
    """The peak."""
    return sum(memory_parts(work, conditions).values())


def memory_parts(work: Work, conditions: Conditions) -> Mapping[str, int]:
    """Bytes by what they are for; together the peak."""
    trained = _trained_weights(work)
    weights, number = work.model.weights, conditions.number
    full = _keeps_fp32(work)
    held = (1 + work.critics) * weights * (4 if full else number) + work.frozen * weights * number
    passing = _passing(work, conditions) * (1 + work.critics)
    if work.rollout is not None:
        held += work.rollout.scorer.weights * 4
        # not the larger of both: on a CPU the update finds the heap of the rollout in pieces that are too small for it
        passing += _rollout_bytes(work, work.rollout, conditions)
    # adapters are merged into weights in fp32 when all else but the optimiser has gone
    merging = 0 if full else (4 - number) * weights
    return {
        "libraries": LIBRARIES,
        "weights": held + (0 if full else 4 * trained),
        "gradients": 4 * trained,
        "optimiser": 8 * trained,
        "passing": max(passing, merging),
    }


def _trained_weights(work: Work) -> int:
    full = work.finetuning.method == "full"
    one = work.model.weights if full else work.model.size.adapter_weights(work.finetuning.lora_r)
    return one * (1 + work.critics)


def _keeps_fp32(work: Work) -> bool:
    """All weights are in fp32: they are trained, or an encoder's, which adapters leave as they are."""
    return work.finetuning.method == "full" or not work.model.is_decoder


def tokens_at_once(work: Work, limit: ForwardLimit | None) -> int:
    """Of one forward pass, padding included."""
    example = work.rows * work.length
    tokens = work.batch * example
    if limit is None or tokens <= limit.above:
        return tokens
    # a batch of shorter rows may come to what passes whole
    return max(limit.above, limit.part, example)


def _passing(work: Work, conditions: Conditions) -> int:
    """Activations, their gradients, and logits of one forward and backward pass."""
    size, number = work.model.size, conditions.number
    tokens = tokens_at_once(work, conditions.limit)
    sizes: dict[str, Any] = {
        "tokens": tokens,
        "length": work.length,
        "full": _keeps_fp32(work),
        "attention": conditions.attention,
        "number": number,
    }
    kept = kept_bytes(size, **sizes)
    one = kept // size.layers
    if conditions.kept is not None and kept > conditions.kept:
        kept = recomputed_bytes(size, **sizes)
    mask = tokens * work.length * (3 + 2 * number) if work.paired else 0
    return int(_WORKSPACE * (kept + one)) + mask + (_head_bytes(work, conditions, tokens) if work.writes else 0)


def _head_bytes(work: Work, conditions: Conditions, tokens: int) -> int:
    size, number = work.model.size, conditions.number
    if not conditions.fused_logprobs:
        return tokens * size.vocabulary * (2 * number + 8)
    rows = min(tokens, _HEAD_ROWS[work.finetuning.method]) * number + _SOFTMAX_ROWS * 12
    states = 3 * tokens * size.width * number
    matrices = (4 + 2 * number) * size.vocabulary * size.width if work.finetuning.method == "full" else 0
    return rows * size.vocabulary + states + matrices


def _rollout_bytes(work: Work, rollout: Rollout, conditions: Conditions) -> int:
    """Of sampling, with merged weights and the cache, or of scoring."""
    size, number, width = work.model.size, conditions.number, rollout.prompt + rollout.new
    cache = 2 * size.layers * rollout.episodes * width * size.key_width * number
    merged = size.layers * size.layer_weights * number if work.finetuning.method == "lora" else 0
    logits = (rollout.episodes * number + _SOFTMAX_ROWS * 20) * size.vocabulary
    sampled = cache + merged + logits + _reading(size, rollout.episodes, rollout.prompt, conditions, number)
    scorer = rollout.scorer.size
    return max(sampled, _reading(scorer, rollout.episodes, width, conditions, number=4))


def _reading(size: NetworkSize, rows: int, length: int, conditions: Conditions, number: int) -> int:
    """One layer of a forward pass without gradient."""
    row = 12 * size.width + number * (3 * size.width + 3 * size.inner + size.query_width + 2 * size.key_width)
    squares = conditions.attention == "eager" or (conditions.attention == "grouped" and not is_long(length, length))
    return rows * length * (row + (2 * size.heads * length * number if squares else length * number))
