"""What a server is asked before it samples for hours: which log-probs it gives, and whether its weights are ours."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pipeline.data.tokens import collate
from pipeline.engines.server import ServedModel, VllmServer
from pipeline.models.sampling import Sampled, Sampler

PROMPTS, NEW_TOKENS = 4, 32
"""A trial of weights has so many prompts, and at most so many tokens of each response."""
MAX_DIFFERENCE = 0.2
"""Nats, mean of a token: four times what trained adapters merged in bf16 differ by, and less than SFT makes."""
_TOP = 5
_COLD = 0.5
_FLAT = 0.01
"""Nats between the likeliest tokens: where they are as likely as that, the temperature changes nothing."""


def needs_processed_logprobs(sampler: Sampler) -> bool:
    """Whether the log-probs of a draw are others than those of the plain softmax."""
    return sampler.sampling.temperature != 1 or sampler.truncation is not None


def check_logprobs(server: VllmServer, base: ServedModel, prompt: Sequence[int]) -> None:
    """Find out whether the server's log-probs know the temperature, as those of a draw have to.

    vLLM gives raw log-probs by default: of the logits before temperature, top-k and top-p. The likeliest tokens of one
    prompt at temperatures 1 and 1/2 tell: the differences between them double, or stay.

    Raises:
        PipelineError: they stay.
    """
    warm, cold = (_likeliest(server, base.name, prompt, temperature) for temperature in (1.0, _COLD))
    both = sorted(set(warm) & set(cold), key=lambda token: warm[token])
    if len(both) > 1:
        wide = warm[both[-1]] - warm[both[0]]
        if wide < _FLAT or (cold[both[-1]] - cold[both[0]]) / wide > 0.5 + 0.5 / _COLD:
            return
    raise server.problem(
        "gives log-probs that do not know the temperature (or top-k and top-p) under which a token is drawn. Start it "
        "with --logprobs-mode processed_logprobs, or set sampling.temperature to 1 and sample from the whole softmax."
    )


def _likeliest(server: VllmServer, model: str, prompt: Sequence[int], temperature: float) -> Mapping[str, float]:
    request: dict[str, Any] = {
        "model": model,
        "prompt": list(prompt),
        "seed": 0,
        "max_tokens": 1,
        "temperature": temperature,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "ignore_eos": True,
        "logprobs": _TOP,
        "return_tokens_as_token_ids": True,
    }
    tops = (server.complete(request).get("logprobs") or {}).get("top_logprobs")
    if not tops or not tops[0]:
        raise server.too_few_logprobs(0, _TOP)
    found: Mapping[str, float] = tops[0]
    return found


@torch.no_grad()
def check_weights(server: VllmServer, sampler: Sampler, base: ServedModel, sampled: Sequence[Sampled]) -> None:
    """Compare the log-probs of responses that the server gave with those of the policy itself.

    Args:
        sampled: from the whole softmax.

    Raises:
        PipelineError: they are those of another model.
    """
    policy = sampler.policy
    batch = collate([one.example for one in sampled], pad_token_id=sampler.tokenizer.pad_token_id)
    ours = policy(batch.to(policy.causal_lm.device), temperature=sampler.sampling.temperature).logprobs.cpu()
    theirs = torch.cat([one.logprobs for one in sampled])
    difference = (ours[batch.response_mask].float() - theirs).abs().mean().item()
    if difference <= MAX_DIFFERENCE:  # so that NaN is not
        return
    lies_on = "the policy" if policy.folder is None else str(policy.folder)
    raise server.problem(
        f"samples from other weights than {lies_on}: its log-probs differ from the policy's by {difference:.2f} nats a "
        f"token, where number formats explain {MAX_DIFFERENCE:g}. It serves {base.root}; start it on the whole model "
        "that the policy's adapters lie on, in the pipeline's own default artifacts/models/policy. A policy that was "
        "trained in full has none: set sampling.engine to own for it."
    )
