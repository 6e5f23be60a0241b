"""The clipped losses of PPO."""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.objectives.masked import check_same_shape, masked_mean


class PolicyLoss(NamedTuple):
    """`loss` is a scalar with gradient; the rest are detached scalars over response tokens."""

    loss: Tensor
    clip_fraction: Tensor
    approximate_kl: Tensor
    ratio_max: Tensor


def truncated_importance_weights(
    *, old_logprobs: Tensor, sampler_logprobs: Tensor, response_mask: Tensor, truncation: float
) -> Tensor:
    """min(policy / sampler, truncation) of each token (B, R), detached; 0 where the mask drops.

    A sampler that is not the policy (rounded weights, another engine) makes the policy gradient biased: its mean is
    over the wrong distribution. Weights of a token's probability by the policy over that by its sampler put this right
    (Yao et al. 2025, "Your Efficient RL Framework Secretly Brings You Off-Policy RL Training"); the truncation bounds
    their variance at the price of a bias where it acts (Ionides 2008, "Truncated Importance Sampling"; Espeholt et al.
    2018, IMPALA, arXiv:1802.01561, eq. 1). A token's weight says nothing of the tokens before it, so of responses of
    several tokens the gradient at each prefix is right, and prefixes are those that the sampler visits.

    Args:
        old_logprobs: (B, R) nats, of the policy that the update starts from.
        sampler_logprobs: (B, R) nats, under which the tokens were drawn.
        response_mask: (B, R), True on response tokens.
        truncation: largest weight.

    Raises:
        ValueError: shapes differ.
    """
    check_same_shape(old_logprobs=old_logprobs, sampler_logprobs=sampler_logprobs, response_mask=response_mask)
    weights = torch.exp(old_logprobs.detach() - sampler_logprobs.detach()).clamp(max=truncation)
    return torch.where(response_mask.bool(), weights, torch.zeros_like(weights))


def clipped_policy_loss(
    *,
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    cliprange: float,
    importance_weights: Tensor | None = None,
) -> PolicyLoss:
    """Clipped surrogate, Schulman et al. 2017 (arXiv:1707.06347), eq. 7, as a loss.

    mean over response tokens of max(-A rho, -A clip(rho, 1 - cliprange, 1 + cliprange)), rho = exp(logprob -
    old_logprob). Clipping takes away the incentive to leave the range; it does not bound the ratio.

    Args:
        logprobs: (B, R) nats, gradient flows.
        old_logprobs: (B, R) nats, of the policy that the update starts from.
        advantages: (B, R), detached.
        response_mask: (B, R), True on response tokens.
        importance_weights: (B, R), detached, factors of the tokens' losses as `truncated_importance_weights` gives
            them; None is 1 for all, which is right where the policy itself has sampled.

    Raises:
        ValueError: shapes differ.
    """
    check_same_shape(logprobs=logprobs, old_logprobs=old_logprobs, advantages=advantages, response_mask=response_mask)
    mask = response_mask.bool()
    log_ratio = torch.where(mask, logprobs - old_logprobs, torch.zeros_like(logprobs))
    ratio = torch.exp(log_ratio)
    unclipped = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - cliprange, 1 + cliprange)
    with torch.no_grad():
        clip_fraction = masked_mean((clipped > unclipped).float(), mask)
        # k3 of KL(old || new): never negative, and exact to second order
        approximate_kl = masked_mean(ratio - 1 - log_ratio, mask)
        ratio_max = ratio.max()
    losses = torch.maximum(unclipped, clipped)
    if importance_weights is not None:
        check_same_shape(losses=losses, importance_weights=importance_weights)
        losses = importance_weights * losses
    return PolicyLoss(masked_mean(losses, mask), clip_fraction, approximate_kl, ratio_max)


def clipped_value_loss(
    *, values: Tensor, old_values: Tensor, returns: Tensor, response_mask: Tensor, cliprange_value: float
) -> Tensor:
    """Half the mean squared error of the values, pessimistic about steps beyond the clip range.

    0.5 * mean max((V - R)^2, (clip(V, V_old - c, V_old + c) - R)^2), as in OpenAI baselines' PPO2.

    Args:
        values: (B, R), gradient flows.
        old_values, returns: (B, R), detached.
        response_mask: (B, R), True on response tokens.
    """
    check_same_shape(values=values, old_values=old_values, returns=returns, response_mask=response_mask)
    mask = response_mask.bool()
    values, old_values, returns = (
        torch.where(mask, one, torch.zeros_like(one)) for one in (values, old_values, returns)
    )
    clipped = torch.clamp(values, old_values - cliprange_value, old_values + cliprange_value)
    errors = torch.maximum((values - returns).square(), (clipped - returns).square())
    return 0.5 * masked_mean(errors, mask)
