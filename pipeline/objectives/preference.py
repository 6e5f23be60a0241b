"""Losses on preference pairs: Bradley-Terry for reward models, and DPO with its relatives."""

from dataclasses import dataclass
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


class Sides(NamedTuple):
    """One number a pair for the chosen and one for the rejected response, both (B,)."""

    chosen: Tensor
    rejected: Tensor


@dataclass(frozen=True)
class DpoOptions:
    """Which loss of DPO's family, and its constants.

    Raises:
        ValueError: there is no such loss.
    """

    beta: float
    """Inverse nats, and inverse nats per token for the normalised losses; small lets the policy move far."""
    loss: str = "sigmoid"
    label_smoothing: float = 0.0
    """Probability that a label is wrong, in [0, 0.5); read by sigmoid and robust."""
    simpo_gamma: float = 0.0
    """Target margin of simpo, in the units of beta * nats per token."""
    nll_coef: float = 0.0
    """Weight of the chosen response's mean negative log-prob."""

    def __post_init__(self) -> None:
        if self.loss not in DPO_LOSSES:
            raise ValueError(f"unknown loss {self.loss!r}, expected one of {', '.join(DPO_LOSSES)}")


class DpoLoss(NamedTuple):
    """`losses` (B,) carry the gradient; the implicit rewards (B,) are detached."""

    losses: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor


def dpo_loss(policy: Sides, reference: Sides, lengths: Sides, options: DpoOptions) -> DpoLoss:
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
        policy: log-probs in nats, summed over each response; gradient flows.
        reference: the same under the reference.
        lengths: response tokens.

    Returns:
        The rewards are those that the loss compares: per token for the normalised losses, of the policy alone for
        simpo.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(
        policy_chosen=policy.chosen,
        policy_rejected=policy.rejected,
        reference_chosen=reference.chosen,
        reference_rejected=reference.rejected,
        chosen_lengths=lengths.chosen,
        rejected_lengths=lengths.rejected,
    )
    chosen, rejected = policy
    if options.loss != "simpo":
        chosen, rejected = chosen - reference.chosen, rejected - reference.rejected
    if options.loss in ("ipo", "sigmoid_norm", "simpo"):
        chosen, rejected = chosen / lengths.chosen.clamp(min=1), rejected / lengths.rejected.clamp(min=1)
    losses = _pair_losses(chosen, rejected, options)
    if options.nll_coef:
        losses = losses - options.nll_coef * policy.chosen / lengths.chosen.clamp(min=1)
    return DpoLoss(losses, (options.beta * chosen).detach(), (options.beta * rejected).detach())


def _pair_losses(chosen: Tensor, rejected: Tensor, options: DpoOptions) -> Tensor:
    """Losses (B,) of log-ratios, or of log-probs for simpo, of both responses."""
    beta, smoothing = options.beta, options.label_smoothing
    chosen_rewards, rejected_rewards = beta * chosen, beta * rejected
    gap = chosen_rewards - rejected_rewards
    if options.loss == "ipo":
        return (chosen - rejected - 1 / (2 * beta)).square()
    if options.loss == "hinge":
        return torch.relu(1 - gap)
    if options.loss == "robust":
        kept, flipped = (1 - smoothing) * F.logsigmoid(gap), smoothing * F.logsigmoid(-gap)
        return -(kept - flipped) / (1 - 2 * smoothing)
    margins = torch.full_like(gap, options.simpo_gamma).detach() if options.loss == "simpo" else None
    smoothing = smoothing if options.loss == "sigmoid" else 0.0
    return bradley_terry_loss(chosen_rewards, rejected_rewards, margins=margins, label_smoothing=smoothing)
