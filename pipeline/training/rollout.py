"""PPO's experience: sampled responses with everything that the update needs, frozen at sampling time."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.data.tokens import ResponseBatch, batched
from pipeline.group import map_dealt, portable
from pipeline.models.chunked_sampling import Samples, sample_batch
from pipeline.models.compute import Compute
from pipeline.models.decoding import decode_responses
from pipeline.models.engine import Engine
from pipeline.models.sampling import Sampler
from pipeline.models.stopping import stop_token_ids
from pipeline.objectives.advantages import (
    generalized_advantages,
    group_normalized_advantages,
    leave_one_out_advantages,
)
from pipeline.objectives.kl import kl_estimates
from pipeline.objectives.masked import masked_mean, masked_sum, masked_var, whiten
from pipeline.objectives.rewards import penalize_unfinished, shaped_rewards
from pipeline.params.optimize import Ppo
from pipeline.params.schema import Sampling
from pipeline.training.controllers import RunningMoments
from pipeline.training.roles import Roles


@dataclass(frozen=True)
class PpoSetup:
    """What stays the same from the first iteration of a run to the last."""

    roles: Roles
    settings: Ppo
    sampling: Sampling
    compute: Compute
    engine: Engine | None = None
    """Who samples in place of the policy's network; None is the network."""


@dataclass(frozen=True)
class Rollout:
    """Episodes of one iteration: (B, R) tensors, detached, 0 where the response mask is off."""

    batch: ResponseBatch
    scores: Tensor  # (B,), of the reward model, before anything is done to them
    sampler_logprobs: Tensor  # under which the tokens were drawn: merged weights, a cache, other batches
    old_logprobs: Tensor  # of the same tokens by the pass that training computes
    ref_logprobs: Tensor
    old_values: Tensor  # 0 without a critic
    entropy: Tensor
    advantages: Tensor
    returns: Tensor
    finished: Tensor  # (B,), the response ended with EOS or a stop token


def collect_rollout(
    setup: PpoSetup, prompts: Sequence[str], generator: torch.Generator, *, kl_coef: float, moments: RunningMoments
) -> Rollout:
    """Sample a response to each prompt and compute its advantages.

    The order is that of Huang et al. 2024 (arXiv:2403.17031); docs/algorithms.md has the formula, origin and test of
    every detail under the number of its step.

    Args:
        prompts: a prompt that is sampled several times stands in adjacent places.
        kl_coef: score units per nat, of this iteration.
        moments: of the scores so far; this rollout's are added.
    """
    roles, settings = setup.roles, setup.settings
    # 1. sample one response a prompt, and see which ended by themselves
    batch, sampler_logprobs = _sample(setup, prompts, generator)
    mask = batch.response_mask
    stop_ids = stop_token_ids(roles.tokenizer, setup.sampling, roles.policy.causal_lm)
    finished = _finished(batch, stop_ids)
    # 2. score prompt and response together with the frozen reward model
    continuations = decode_responses(batch, roles.tokenizer, stop_ids)
    texts = [continuation.after(prompt) for prompt, continuation in zip(prompts, continuations, strict=True)]
    scores = roles.score(texts).to(setup.compute.device)
    # 3. log-probs of policy and reference, and values, as the update computes them
    old_logprobs, old_values, entropy = _evaluate(setup, batch)
    ref_logprobs = _reference_logprobs(setup, batch)
    # 4. normalise and clip the scores, and penalise responses without an end
    moments.update(scores)
    final_scores = _final_scores(scores, finished, settings, moments)
    # 5. rewards: a KL penalty at every token, the score at the last one; whitened, where the settings say so
    rewards = shaped_rewards(
        scores=final_scores,
        kl=getattr(kl_estimates(old_logprobs, ref_logprobs), settings.kl_estimator),
        response_mask=mask,
        kl_coef=kl_coef,
    )
    if settings.whiten_rewards != "none":
        rewards = whiten(rewards, mask, shift_mean=settings.whiten_rewards == "shift_and_scale")
    # 6. advantages and returns; advantages whitened, where their estimator's paper does
    advantages, returns = _advantages(rewards, old_values, mask, settings)
    if _whitened(settings):
        advantages = whiten(advantages, mask)
    return Rollout(
        batch=batch,
        scores=scores,
        sampler_logprobs=sampler_logprobs,
        old_logprobs=old_logprobs,
        ref_logprobs=ref_logprobs,
        old_values=old_values,
        entropy=entropy,
        advantages=advantages,
        returns=returns,
        finished=finished,
    )


def rollout_metrics(rollout: Rollout) -> dict[str, float]:
    """What the sampling policy did: means over episodes or over response tokens, never over padding.

    `score` and its standard deviation; `kl_k1` and `kl_k3` in nats per sequence; `entropy` in nats per token;
    `explained_variance` of the values (1 is perfect, 0 no better than their mean); `response_tokens`; `eos_rate`, the
    share of responses that ended with EOS or a stop token.

    How far the sampler was from the policy that is trained, by the log-probs that both give the drawn tokens:
    `sampler_kl`, k3 of KL(sampler || policy) in nats per token, and the mean and the largest absolute
    `sampler_logprob_difference` in nats.
    """
    mask = rollout.batch.response_mask
    kl = kl_estimates(rollout.old_logprobs, rollout.ref_logprobs)
    mismatch = kl_estimates(rollout.sampler_logprobs, rollout.old_logprobs)
    difference = torch.where(mask, mismatch.k1.abs(), 0.0)
    return {
        "score": rollout.scores.mean().item(),
        "score_std": rollout.scores.std(unbiased=False).item(),
        "kl_k1": masked_sum(kl.k1, mask, 1).mean().item(),
        "kl_k3": masked_sum(kl.k3, mask, 1).mean().item(),
        "entropy": masked_mean(rollout.entropy, mask).item(),
        "explained_variance": _explained_variance(rollout.old_values, rollout.returns, mask),
        "response_tokens": mask.sum(1).float().mean().item(),
        "eos_rate": rollout.finished.float().mean().item(),
        "sampler_kl": masked_mean(mismatch.k3, mask).item(),
        "sampler_logprob_difference": masked_mean(difference, mask).item(),
        "sampler_logprob_difference_max": difference.max().item(),
    }


def _final_scores(scores: Tensor, finished: Tensor, settings: Ppo, moments: RunningMoments) -> Tensor:
    """Normalised, clipped, then penalised: the penalty is in the units that PPO sees, and nothing clips it."""
    if settings.normalize_scores:
        scores = moments.normalize(scores)
    if settings.score_clip is not None:
        scores = scores.clamp(-settings.score_clip, settings.score_clip)
    return penalize_unfinished(scores, finished, mode=settings.unfinished, penalty=settings.unfinished_penalty)


def _advantages(rewards: Tensor, values: Tensor, mask: Tensor, settings: Ppo) -> tuple[Tensor, Tensor]:
    """Advantages and the returns that the critic learns, both (B, R)."""
    if settings.advantage_estimator == "gae":
        return generalized_advantages(
            rewards=rewards, values=values, response_mask=mask, gamma=settings.gamma, lam=settings.lam
        )
    estimate = {"rloo": leave_one_out_advantages, "group": group_normalized_advantages}[settings.advantage_estimator]
    advantages = estimate(rewards=rewards, response_mask=mask, samples_per_prompt=settings.samples_per_prompt)
    return advantages, torch.zeros_like(advantages)


def _whitened(settings: Ppo) -> bool:
    """Whether advantages are whitened over the rollout.

    By default those of GAE (Huang et al. 2024, arXiv:2403.17031). Whitening would take from leave-one-out advantages
    that they estimate the gradient of the return (Ahmadian et al. 2024, arXiv:2402.14740), and group normalisation has
    divided by a standard deviation already (Shao et al. 2024, arXiv:2402.03300).
    """
    if settings.whiten_advantages == "auto":
        return settings.advantage_estimator == "gae"
    return settings.whiten_advantages


def _finished(batch: ResponseBatch, stop_ids: Tensor) -> Tensor:
    """Which responses (B,) end with a token that ends them, and not at the length limit."""
    last = batch.response_mask.sum(1, keepdim=True) - 1
    return torch.isin(batch.response_ids.gather(1, last).squeeze(1), stop_ids.to(batch.response_ids.device))


def _sample(setup: PpoSetup, prompts: Sequence[str], generator: torch.Generator) -> Samples:
    roles, compute = setup.roles, setup.compute
    sampler = Sampler.of(roles.policy, roles.tokenizer, setup.sampling, engine=setup.engine)
    here = setup.engine is None
    merged = roles.policy.merged() if here and compute.merged_sampling else nullcontext()
    with compute.accelerator.autocast(), merged:
        return sample_batch(sampler, prompts, generator)


@torch.no_grad()
def _evaluate(setup: PpoSetup, batch: ResponseBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probs, values and entropy (B, R) by the same functions that the update uses."""
    roles = setup.roles

    def evaluate(part: ResponseBatch) -> tuple[Tensor, ...]:
        output = roles.policy(part, temperature=setup.sampling.temperature, with_entropy=True)
        values = roles.critic(part) if roles.critic is not None else output.values
        return output.logprobs, torch.zeros_like(output.logprobs) if values is None else values, output.entropy

    logprobs, values, entropy = _in_chunks(evaluate, batch, setup)
    return logprobs, values, entropy


@torch.no_grad()
def _reference_logprobs(setup: PpoSetup, batch: ResponseBatch) -> Tensor:
    frozen = setup.roles.reference or setup.roles.policy
    with setup.roles.reading_reference():
        (logprobs,) = _in_chunks(
            lambda part: (frozen(part, temperature=setup.sampling.temperature).logprobs,), batch, setup
        )
    return logprobs


def _in_chunks(
    function: Callable[[ResponseBatch], tuple[Tensor, ...]], batch: ResponseBatch, setup: PpoSetup
) -> list[Tensor]:
    """Results (B, R) of a function of a few rows at a time; rows of similar length go together."""
    settings, compute = setup.settings, setup.compute
    forwards = forward_batches(batch, range(len(batch.input_ids)), settings, compute)

    def computed(rows: Sequence[int]) -> tuple[Tensor, ...]:
        with compute.accelerator.autocast():
            return portable(function(batch.rows(torch.tensor(rows, device=compute.device))))

    chunks = list(map_dealt(computed, forwards))
    order = [row for rows in forwards for row in rows]
    restore = torch.tensor(order, device=compute.device).argsort()
    return [torch.cat(parts).to(compute.device)[restore] for parts in zip(*chunks, strict=True)]


def forward_batches(batch: ResponseBatch, episodes: Sequence[int], settings: Ppo, compute: Compute) -> list[list[int]]:
    """Episodes that pass through a network at once, those of similar length together; of long ones fewer."""
    lengths = batch.attention_mask.sum(1).tolist()
    order = sorted(episodes, key=lambda episode: (lengths[episode], episode))
    whole = list(batched(order, settings.per_device_train_batch_size))
    if compute.forward_limit is None:
        return whole
    return [part for rows in whole for part in compute.forward_limit.parts(rows, lengths)]


def _explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    variance = masked_var(returns, mask)
    if variance.item() == 0:
        return 0.0
    return (1 - masked_var(returns - values, mask) / variance).item()
