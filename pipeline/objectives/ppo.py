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


def clipped_policy_loss(
    *, logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, response_mask: Tensor, cliprange: float
) -> PolicyLoss:
    """Clipped surrogate, Schulman et al. 2017 (arXiv:1707.06347), eq. 7, as a loss.

    mean over response tokens of max(-A rho, -A clip(rho, 1 - cliprange, 1 + cliprange)), rho = exp(logprob -
    old_logprob). Clipping takes away the incentive to leave the range; it does not bound the ratio.

    Args:
        logprobs: (B, R) nats, gradient flows.
        old_logprobs: (B, R) nats, when sampled.
        advantages: (B, R), detached.
        response_mask: (B, R), True on response tokens.
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
    return PolicyLoss(masked_mean(torch.maximum(unclipped, clipped), mask), clip_fraction, approximate_kl, ratio_max)


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
