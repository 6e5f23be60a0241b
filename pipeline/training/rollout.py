"""PPO's experience: sampled responses with everything that the update needs, frozen at sampling time."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.data.tokens import ResponseBatch, batched, tokenize_prompt
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.sampling import decode_responses, pad_prompts, sample
from pipeline.objectives.advantages import generalized_advantages, kl_estimates, shaped_rewards
from pipeline.objectives.masked import masked_mean, masked_sum, masked_var, whiten
from pipeline.params.schema import Ppo, Sampling

Scorer = Callable[[Sequence[str]], Tensor]
"""Texts (prompt and response) to scores (N,)."""


@dataclass(frozen=True)
class Rollout:
    """Episodes of one iteration: (B, R) tensors, detached, 0 where the response mask is off."""

    batch: ResponseBatch
    scores: Tensor  # (B,)
    old_logprobs: Tensor
    ref_logprobs: Tensor
    old_values: Tensor
    entropy: Tensor
    advantages: Tensor
    returns: Tensor
    ended: Tensor  # (B,), the response ended with EOS


def collect_rollout(
    policy: Policy,
    reference: Policy | None,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    score: Scorer,
    settings: Ppo,
    sampling: Sampling,
    compute: Compute,
    generator: torch.Generator,
) -> Rollout:
    """Sample a response to each prompt and compute its advantages.

    Args:
        reference: the frozen reference; None when it is the policy with its adapters off.
        score: the frozen reward model.
    """
    batch = _sample(policy, tokenizer, prompts, sampling, compute, generator)
    continuations = decode_responses(batch, tokenizer)
    texts = [prompt + continuation.text for prompt, continuation in zip(prompts, continuations, strict=True)]
    scores = score(texts).to(compute.device)
    old_logprobs, old_values, entropy = _evaluate(policy, batch, settings, sampling, compute)
    ref_logprobs = _reference_logprobs(policy, reference, batch, settings, sampling, compute)
    rewards = shaped_rewards(
        scores=scores,
        logprobs=old_logprobs,
        ref_logprobs=ref_logprobs,
        response_mask=batch.response_mask,
        kl_coef=settings.kl_coef,
    )
    advantages, returns = generalized_advantages(
        rewards=rewards,
        values=old_values,
        response_mask=batch.response_mask,
        gamma=settings.gamma,
        lam=settings.lam,
    )
    if settings.whiten_advantages:
        advantages = whiten(advantages, batch.response_mask)
    ended = torch.tensor([continuation.ended for continuation in continuations])
    return Rollout(batch, scores, old_logprobs, ref_logprobs, old_values, entropy, advantages, returns, ended)


def rollout_metrics(rollout: Rollout) -> dict[str, float]:
    """What the sampling policy did: means over episodes or over response tokens, never over padding.

    `score` and its standard deviation; `kl_k1` and `kl_k3` in nats per sequence; `entropy` in nats per token;
    `explained_variance` of the values (1 is perfect, 0 no better than their mean); `response_tokens`; `eos_rate`.
    """
    mask = rollout.batch.response_mask
    k1, k3 = kl_estimates(rollout.old_logprobs, rollout.ref_logprobs)
    return {
        "score": rollout.scores.mean().item(),
        "score_std": rollout.scores.std(unbiased=False).item(),
        "kl_k1": masked_sum(k1, mask, 1).mean().item(),
        "kl_k3": masked_sum(k3, mask, 1).mean().item(),
        "entropy": masked_mean(rollout.entropy, mask).item(),
        "explained_variance": _explained_variance(rollout.old_values, rollout.returns, mask),
        "response_tokens": mask.sum(1).float().mean().item(),
        "eos_rate": rollout.ended.float().mean().item(),
    }


def _sample(
    policy: Policy,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    sampling: Sampling,
    compute: Compute,
    generator: torch.Generator,
) -> ResponseBatch:
    encoded = [tokenize_prompt(tokenizer, prompt) for prompt in prompts]
    ids, mask = pad_prompts(encoded, pad_token_id=tokenizer.pad_token_id)
    with compute.accelerator.autocast():
        return sample(
            policy,
            ids.to(compute.device),
            mask.to(compute.device),
            sampling=sampling,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            generator=generator,
        )


@torch.no_grad()
def _evaluate(
    policy: Policy, batch: ResponseBatch, settings: Ppo, sampling: Sampling, compute: Compute
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probs, values and entropy (B, R) by the same function that the update uses."""

    def evaluate(part: ResponseBatch) -> tuple[Tensor, ...]:
        output = policy(part, temperature=sampling.temperature, with_entropy=True)
        return output.logprobs, output.values, output.entropy

    logprobs, values, entropy = _in_chunks(evaluate, batch, settings, compute)
    return logprobs, values, entropy


@torch.no_grad()
def _reference_logprobs(
    policy: Policy,
    reference: Policy | None,
    batch: ResponseBatch,
    settings: Ppo,
    sampling: Sampling,
    compute: Compute,
) -> Tensor:
    frozen = reference if reference is not None else policy
    with nullcontext() if reference is not None else policy.reference():
        (logprobs,) = _in_chunks(
            lambda part: (frozen(part, temperature=sampling.temperature).logprobs,), batch, settings, compute
        )
    return logprobs


def _in_chunks(
    function: Callable[[ResponseBatch], tuple[Tensor, ...]], batch: ResponseBatch, settings: Ppo, compute: Compute
) -> list[Tensor]:
    """Results (B, R) of a function of a few rows at a time; rows of similar length go together."""
    order = by_length(batch, range(len(batch.input_ids)))
    chunks = []
    for rows in batched(order, settings.per_device_train_batch_size):
        with compute.accelerator.autocast():
            chunks.append(function(batch.rows(torch.tensor(rows, device=compute.device))))
    restore = torch.tensor(order, device=compute.device).argsort()
    return [torch.cat(parts)[restore] for parts in zip(*chunks, strict=True)]


def by_length(batch: ResponseBatch, episodes: Sequence[int]) -> list[int]:
    """The episodes in the order of their lengths, so that those of one forward pass need little padding."""
    lengths = batch.attention_mask.sum(1).tolist()
    return sorted(episodes, key=lambda episode: (lengths[episode], episode))


def _explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    variance = masked_var(returns, mask)
    if variance.item() == 0:
        return 0.0
    return (1 - masked_var(returns - values, mask) / variance).item()
