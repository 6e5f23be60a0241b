"""From rewards to the advantages that PPO learns from: with a critic, or against other responses to the prompt."""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.objectives.masked import check_same_shape, masked_sum


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


@torch.no_grad()
def leave_one_out_advantages(*, rewards: Tensor, response_mask: Tensor, samples_per_prompt: int) -> Tensor:
    """REINFORCE leave-one-out: a response against the mean return of the prompt's other responses.

    A_i = R_i - mean of R_j over j != i, the same on every token of the response; R is the sum of its rewards.
    Kool et al. 2019, "Buy 4 REINFORCE Samples"; Ahmadian et al. 2024 (arXiv:2402.14740), eq. 8.

    Args:
        rewards: (B, R); responses to one prompt are adjacent rows.
        response_mask: (B, R), True on response tokens.
        samples_per_prompt: at least 2; divides B.

    Returns:
        (B, R), 0 on dropped positions.
    """
    groups = _returns_by_prompt(rewards, response_mask, samples_per_prompt)
    others = (groups.sum(1, keepdim=True) - groups) / (samples_per_prompt - 1)
    return _on_every_token(groups - others, response_mask)


@torch.no_grad()
def group_normalized_advantages(
    *, rewards: Tensor, response_mask: Tensor, samples_per_prompt: int, epsilon: float = 1e-4
) -> Tensor:
    """A response against all responses to its prompt, in their standard deviations.

    A_i = (R_i - mean R) / (std R + epsilon), the same on every token; Shao et al. 2024 (arXiv:2402.03300), section
    4.1.2, with the KL penalty inside R as in `shaped_rewards`. The standard deviation is the unbiased one.

    Args:
        rewards, response_mask, samples_per_prompt: as in `leave_one_out_advantages`.

    Returns:
        (B, R), 0 on dropped positions; all 0 for a prompt whose responses have the same return.
    """
    groups = _returns_by_prompt(rewards, response_mask, samples_per_prompt)
    centred = groups - groups.mean(1, keepdim=True)
    return _on_every_token(centred / (groups.std(1, keepdim=True) + epsilon), response_mask)


def _returns_by_prompt(rewards: Tensor, response_mask: Tensor, samples_per_prompt: int) -> Tensor:
    """Returns of whole responses, (prompts, samples_per_prompt)."""
    if samples_per_prompt < 2 or len(rewards) % samples_per_prompt:
        raise ValueError(
            f"{len(rewards)} responses in groups of {samples_per_prompt}: a group needs at least 2, and all are whole"
        )
    return masked_sum(rewards, response_mask, 1).view(-1, samples_per_prompt)


def _on_every_token(advantages: Tensor, response_mask: Tensor) -> Tensor:
    spread = advantages.reshape(-1, 1).expand(response_mask.shape)
    return torch.where(response_mask.bool(), spread, torch.zeros_like(spread))
