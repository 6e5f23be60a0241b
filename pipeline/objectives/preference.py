"""Losses on preference pairs: Bradley-Terry for reward models, and DPO."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from pipeline.objectives.masked import check_same_shape


def bradley_terry_loss(chosen_scores: Tensor, rejected_scores: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Negative log-likelihood of the preferences, one loss a pair.

    -log sigmoid(chosen - rejected), Bradley and Terry 1952; Ouyang et al. 2022 (arXiv:2203.02155), eq. 1.
    `logsigmoid`, never `log(sigmoid)`, which is -inf for a confident mistake.

    Args:
        chosen_scores, rejected_scores: (B,), gradient flows to both.
        label_smoothing: probability that a label is wrong, in [0, 0.5).

    Returns:
        (B,) losses; ln 2 at equal scores.
    """
    check_same_shape(chosen_scores=chosen_scores, rejected_scores=rejected_scores)
    gap = chosen_scores - rejected_scores
    return -(1 - label_smoothing) * F.logsigmoid(gap) - label_smoothing * F.logsigmoid(-gap)


class DpoLoss(NamedTuple):
    """`losses` (B,) carry the gradient; the implicit rewards (B,) are detached."""

    losses: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor


def dpo_loss(
    *,
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    ref_chosen_logps: Tensor,
    ref_rejected_logps: Tensor,
    beta: float,
    label_smoothing: float = 0.0,
) -> DpoLoss:
    """Direct Preference Optimization, Rafailov et al. 2023 (arXiv:2305.18290), eq. 7.

    The Bradley-Terry loss of the implicit rewards beta * (log pi - log pi_ref), eq. 5 without the term that
    depends on the prompt alone, which cancels. `label_smoothing` gives conservative DPO.

    Args:
        policy_chosen_logps, policy_rejected_logps: (B,) nats summed over the response; gradient flows.
        ref_chosen_logps, ref_rejected_logps: (B,) the same under the frozen reference.
        beta: inverse nats; small lets the policy move far.
        label_smoothing: probability that a preference is wrong, in [0, 0.5).
    """
    check_same_shape(
        policy_chosen_logps=policy_chosen_logps,
        policy_rejected_logps=policy_rejected_logps,
        ref_chosen_logps=ref_chosen_logps,
        ref_rejected_logps=ref_rejected_logps,
    )
    chosen_rewards = beta * (policy_chosen_logps - ref_chosen_logps)
    rejected_rewards = beta * (policy_rejected_logps - ref_rejected_logps)
    losses = bradley_terry_loss(chosen_rewards, rejected_rewards, label_smoothing=label_smoothing)
    return DpoLoss(losses, chosen_rewards.detach(), rejected_rewards.detach())
