"""Sampling from a policy: prompts together, a reused key-value cache, and one random number a token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import TokenizedExample
from pipeline.kernels.branch_attention import FLEX
from pipeline.kernels.cache import ROOM, CacheMemory
from pipeline.models.backbone import project_logits
from pipeline.models.drawing import Truncation, draw
from pipeline.models.engine import Engine
from pipeline.models.policy import Policy
from pipeline.models.prompt_reading import read_prompts
from pipeline.models.stopping import stop_token_ids
from pipeline.params.schema import Sampling

_LOOK = {"cpu": 1}
_LOOK_ELSEWHERE = 8
"""Steps from one look at which rows have ended to the next: a GPU would wait for each look."""
_BIAS_FROM_MASK = frozenset(("bloom", "falcon", "mpt"))
"""Families that compute more than a mask from the mask of tokens."""
_LEAVE = 2
"""Rows that have ended leave the batch when they are the larger half, or where room is made for more tokens."""


class Sampled(NamedTuple):
    """A prompt with its response, which holds the token that ended it, and the log-probs (R,) of the draws, fp32."""

    example: TokenizedExample
    logprobs: Tensor


@dataclass(frozen=True)
class Sampler:
    """A policy with everything that decides how it answers."""

    policy: Policy
    """Samples come from the weights that it has at that moment."""
    tokenizer: PreTrainedTokenizerBase
    sampling: Sampling
    """Length and temperature of a response, and how many are sampled at once."""
    stop_ids: Tensor
    """(S,), the tokens that end a response."""
    truncation: Truncation | None = None
    """What of the softmax is drawn from, and renormalised; None is all of it, which log-probs and KL of a policy are
    about."""
    engine: Engine | None = None
    """Who samples in place of this network, from its weights; None is the network itself."""

    @classmethod
    def of(
        cls,
        policy: Policy,
        tokenizer: PreTrainedTokenizerBase,
        sampling: Sampling,
        *,
        truncation: Truncation | None = None,
        engine: Engine | None = None,
    ) -> "Sampler":
        """With the tokens that end a response of this policy, see `stop_token_ids`."""
        stop_ids = stop_token_ids(tokenizer, sampling, policy.causal_lm)
        return cls(policy, tokenizer, sampling, stop_ids, truncation, engine)


@torch.no_grad()
def sample(
    sampler: Sampler, prompts: Sequence[list[int]], uniform: Tensor, *, memory: CacheMemory | None = None
) -> list[Sampled]:
    """Sample one response to each prompt, all at once.

    The log-probs are this network's, with its merged weights, number format and cache, at the temperature.

    Args:
        prompts: token ids.
        uniform: (B, at least `max_new_tokens`), on the CPU; the numbers that decide on each token, see `row_uniforms`.
        memory: that the cache may lie in, see `RowCache.of`.
    """
    network: Any = sampler.policy.causal_lm
    device, steps = network.device, sampler.sampling.max_new_tokens
    room = min(ROOM, steps - 1)
    pad = sampler.tokenizer.pad_token_id
    states, cache = read_prompts(network, prompts, pad_token_id=pad, room=room, new=steps - 1, memory=memory)
    stop_ids, uniform = sampler.stop_ids.to(device), uniform.to(device)
    look = _LOOK.get(device.type, _LOOK_ELSEWHERE)
    whole_mask = cache.has_room_layers and _takes_whole_mask(network)
    answers = _Answers.empty(len(prompts), steps, device)
    rows = torch.arange(len(prompts), device=device)  # which prompt each row of the cache answers
    running = torch.ones(len(prompts), dtype=torch.bool, device=device)
    for step in range(steps):
        logits = project_logits(network, states)
        numbers = uniform[rows, step]
        drawn = draw(logits, numbers, temperature=sampler.sampling.temperature, truncation=sampler.truncation)
        answers.write(step, rows, drawn.token_ids, drawn.logprobs, running)
        running = running & ~torch.isin(drawn.token_ids, stop_ids)
        if step + 1 == steps:
            break
        ids = drawn.token_ids
        if cache.is_full or (step + 1) % look == 0:
            left = int(running.sum())
            if left == 0:
                break
            if cache.is_full or left * _LEAVE <= len(rows):
                kept = running.nonzero().squeeze(1)
                cache.keep(kept, room=min(ROOM, steps - 1 - step))
                rows, running, ids = rows[kept], running[kept], ids[kept]
        mask, positions = cache.next_token()
        if whole_mask:
            mask = mask[:, None, None]
        states = network.base_model(
            input_ids=ids[:, None],
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache.layers,
            use_cache=True,
        ).last_hidden_state[:, -1]
    return answers.sampled(prompts)


def _takes_whole_mask(network: Any) -> bool:
    """Whether the network may be given the mask of attention itself, (B, 1, 1, S).

    Of a mask of tokens transformers looks whether it hides any, for which a GPU would wait at every token.
    """
    if network.device.type in _LOOK or network.config.model_type in _BIAS_FROM_MASK:
        return False
    return network.config._attn_implementation in ("sdpa", FLEX)


class _Answers(NamedTuple):
    """Tokens, their log-probs, and whether they belong to the response, (prompts, steps) each."""

    ids: Tensor
    logprobs: Tensor
    mask: Tensor

    @classmethod
    def empty(cls, rows: int, steps: int, device: torch.device) -> "_Answers":
        dtypes = (torch.long, torch.float32, torch.bool)
        return cls(*(torch.zeros((rows, steps), dtype=dtype, device=device) for dtype in dtypes))

    def write(self, step: int, rows: Tensor, ids: Tensor, logprobs: Tensor, mask: Tensor) -> None:
        """Of the prompts numbered by `rows`; what a row has said after its end is masked."""
        self.ids[rows, step], self.logprobs[rows, step], self.mask[rows, step] = ids, logprobs, mask

    def sampled(self, prompts: Sequence[list[int]]) -> list[Sampled]:
        ids, logprobs, lengths = self.ids.cpu(), self.logprobs.cpu(), self.mask.sum(1).tolist()
        return [
            Sampled(TokenizedExample(prompt, ids[row, :length].tolist()), logprobs[row, :length].clone())
            for row, (prompt, length) in enumerate(zip(prompts, lengths, strict=True))
        ]
