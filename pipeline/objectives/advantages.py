"""From a score and two log-probs to the advantages that PPO learns from."""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.objectives.masked import check_same_shape


def kl_estimates(logprobs: Tensor, ref_logprobs: Tensor) -> tuple[Tensor, Tensor]:
    """Per-token estimates, in nats, of KL(policy || reference) from the policy's own samples.

    k1 = log p/q is unbiased and may be negative; k3 = q/p - 1 - log q/p is unbiased, never negative and of
    lower variance near 0 (Schulman 2020, "Approximating KL Divergence").

    Args:
        logprobs, ref_logprobs: (B, R) nats.

    Returns:
        (k1, k3), each (B, R).
    """
    check_same_shape(logprobs=logprobs, ref_logprobs=ref_logprobs)
    k1 = logprobs - ref_logprobs
    return k1, torch.expm1(-k1) + k1


def shaped_rewards(
    *, scores: Tensor, logprobs: Tensor, ref_logprobs: Tensor, response_mask: Tensor, kl_coef: float
) -> Tensor:
    """Per-token rewards: the KL penalty on every response token, plus the score on the last one.

    r_t = -kl_coef * (logprob_t - ref_logprob_t) + [t is the last response token] * score; Ziegler et al. 2019
    (arXiv:1909.08593), eq. 2, spread over the tokens. The score lands on the last kept token, not on the pad
    after it: with lam < 1 the two differ.

    Args:
        scores: (B,) of the reward model for whole responses.
        logprobs, ref_logprobs: (B, R) nats, detached.
        response_mask: (B, R), True on response tokens, the first EOS included.
        kl_coef: score units per nat.

    Returns:
        (B, R), 0 on dropped positions.

    Raises:
        ValueError: shapes differ, or a response has no token to carry the score.
    """
    check_same_shape(logprobs=logprobs, ref_logprobs=ref_logprobs, response_mask=response_mask)
    check_same_shape(scores=scores, rows=response_mask[:, 0])
    mask = response_mask.bool()
    lengths = mask.sum(1)
    if bool((lengths == 0).any()):
        raise ValueError("a response without tokens has nowhere to put its score")
    k1, _ = kl_estimates(logprobs, ref_logprobs)
    rewards = torch.where(mask, -kl_coef * k1, torch.zeros_like(k1))
    positions = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    last = torch.where(mask, positions, -1).max(1).values
    rewards[torch.arange(len(last), device=mask.device), last] += scores
    return rewards


class Advantages(NamedTuple):
    """`advantages` and `returns` (B, R), both detached and 0 on dropped positions."""

    advantages: Tensor
    returns: Tensor


@torch.no_grad()
def generalized_advantages(
    *, rewards: Tensor, values: Tensor, response_mask: Tensor, gamma: float, lam: float
) -> Advantages:
    """Generalised advantage estimation, Schulman et al. 2016 (arXiv:1506.02438), eq. 16.

    delta_t = r_t + gamma V_{t+1} - V_t and A_t = delta_t + gamma lam A_{t+1}; the value after the last response
    token is 0, because the episode ends there. `returns` = advantages before any whitening + values.

    Args:
        rewards, values: (B, R).
        response_mask: (B, R), contiguous from the first position.
    """
    check_same_shape(rewards=rewards, values=values, response_mask=response_mask)
    mask = response_mask.bool()
    values = torch.where(mask, values, torch.zeros_like(values))
    rewards = torch.where(mask, rewards, torch.zeros_like(rewards))
    advantages = torch.zeros_like(rewards)
    running = torch.zeros_like(rewards[:, 0])
    next_value = torch.zeros_like(running)
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        running = torch.where(mask[:, t], delta + gamma * lam * running, torch.zeros_like(running))
        next_value = values[:, t]
        advantages[:, t] = running
    return Advantages(advantages, torch.where(mask, advantages + values, torch.zeros_like(values)))
