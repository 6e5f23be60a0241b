"""Losses on preference pairs: Bradley-Terry for reward models, and DPO with its relatives."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.objectives.masked import check_same_shape

DPO_LOSSES = ("sigmoid", "robust", "ipo", "hinge", "sigmoid_norm", "simpo")


def bradley_terry_loss(
    chosen_scores: Tensor,
    rejected_scores: Tensor,
    *,
    margins: Tensor | None = None,
    label_smoothing: float = 0.0,
    centering_coef: float = 0.0,
) -> Tensor:
    """Negative log-likelihood of the preferences, one loss a pair.

    -log sigmoid(chosen - rejected - margin), Bradley and Terry 1952; Ouyang et al. 2022 (arXiv:2203.02155), eq. 1;
    the margin is that of Touvron et al. 2023 (arXiv:2307.09288), eq. 2. Centering adds
    centering_coef * (chosen + rejected)^2, which keeps scores near 0 (Eisenstein et al. 2023, arXiv:2312.09244).
    `logsigmoid`, never `log(sigmoid)`, which is -inf for a confident mistake.

    Args:
        chosen_scores, rejected_scores: (B,), gradient flows to both.
        margins: (B,) score units, by which the chosen score should lead; None is 0.
        label_smoothing: probability that a label is wrong, in [0, 0.5).
        centering_coef: inverse squared score units.

    Returns:
        (B,) losses; ln 2 at equal scores without margin and centering.
    """
    check_same_shape(chosen_scores=chosen_scores, rejected_scores=rejected_scores)
    gap = chosen_scores - rejected_scores
    if margins is not None:
        check_same_shape(chosen_scores=chosen_scores, margins=margins)
        gap = gap - margins
    losses = -(1 - label_smoothing) * F.logsigmoid(gap) - label_smoothing * F.logsigmoid(-gap)
    if centering_coef:
        losses = losses + centering_coef * (chosen_scores + rejected_scores).square()
    return losses


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
    chosen_lengths: Tensor,
    rejected_lengths: Tensor,
    beta: float,
    loss: str = "sigmoid",
    label_smoothing: float = 0.0,
    simpo_gamma: float = 0.0,
    nll_coef: float = 0.0,
) -> DpoLoss:
    """Direct Preference Optimization (Rafailov et al. 2023, arXiv:2305.18290) and its relatives.

    With the implicit reward r = beta * (log pi - log pi_ref), eq. 5 without the term that depends on the prompt
    alone, which cancels, and the gap d = r_chosen - r_rejected, the losses are

    - sigmoid: -log sigmoid(d), eq. 7; with label_smoothing e conservative DPO, (1 - e) L(d) + e L(-d)
    - robust: ((1 - e) L(d) - e L(-d)) / (1 - 2e) with L = -log sigmoid, unbiased when a share e of the labels is
      flipped (Chowdhury et al. 2024, arXiv:2403.00409)
    - hinge: max(0, 1 - d) (SLiC-HF, arXiv:2305.10425, in the form of arXiv:2309.06657)
    - ipo: (g - 1 / (2 beta))^2 with g the gap of the mean log-ratios of a token (Azar et al. 2023, arXiv:2310.12036,
      eq. 17; the mean is what its authors used)
    - sigmoid_norm: -log sigmoid(beta g), length-normalised DPO (arXiv:2411.15124)
    - simpo: -log sigmoid(beta * (mean log pi of chosen - of rejected) - simpo_gamma), without a reference (Meng et al.
      2024, arXiv:2405.14734)

    and `nll_coef` adds that multiple of the chosen response's mean negative log-prob (arXiv:2404.19733).

    Args:
        policy_chosen_logps, policy_rejected_logps: (B,) nats summed over the response; gradient flows.
        ref_chosen_logps, ref_rejected_logps: (B,) the same under the reference.
        chosen_lengths, rejected_lengths: (B,) response tokens.
        beta: inverse nats, and inverse nats per token for the normalised losses; small lets the policy move far.
        label_smoothing: in [0, 0.5), read by sigmoid and robust.
        simpo_gamma: target margin, in the units of beta * nats per token.

    Returns:
        The rewards are those that the loss compares: per token for the normalised losses, of the policy alone for
        simpo.
    """
    check_same_shape(
        policy_chosen_logps=policy_chosen_logps,
        policy_rejected_logps=policy_rejected_logps,
        ref_chosen_logps=ref_chosen_logps,
        ref_rejected_logps=ref_rejected_logps,
        chosen_lengths=chosen_lengths,
        rejected_lengths=rejected_lengths,
    )
    if loss not in DPO_LOSSES:
        raise ValueError(f"unknown loss {loss!r}, expected one of {', '.join(DPO_LOSSES)}")
    chosen, rejected = policy_chosen_logps, policy_rejected_logps
    if loss != "simpo":
        chosen, rejected = chosen - ref_chosen_logps, rejected - ref_rejected_logps
    if loss in ("ipo", "sigmoid_norm", "simpo"):
        chosen, rejected = chosen / chosen_lengths.clamp(min=1), rejected / rejected_lengths.clamp(min=1)
    chosen_rewards, rejected_rewards = beta * chosen, beta * rejected
    gap = chosen_rewards - rejected_rewards
    if loss == "ipo":
        losses = (chosen - rejected - 1 / (2 * beta)).square()
    elif loss == "hinge":
        losses = torch.relu(1 - gap)
    elif loss == "robust":
        kept, flipped = (1 - label_smoothing) * F.logsigmoid(gap), label_smoothing * F.logsigmoid(-gap)
        losses = -(kept - flipped) / (1 - 2 * label_smoothing)
    else:
        margins = torch.full_like(gap, simpo_gamma).detach() if loss == "simpo" else None
        smoothing = label_smoothing if loss == "sigmoid" else 0.0
        losses = bradley_terry_loss(chosen_rewards, rejected_rewards, margins=margins, label_smoothing=smoothing)
    if nll_coef:
        losses = losses - nll_coef * policy_chosen_logps / chosen_lengths.clamp(min=1)
    return DpoLoss(losses, chosen_rewards.detach(), rejected_rewards.detach())
