"""From the reward model's score of a response to a reward for each of its tokens."""

import torch
from torch import Tensor

from pipeline.objectives.masked import check_same_shape


def penalize_unfinished(scores: Tensor, finished: Tensor, *, mode: str, penalty: float) -> Tensor:
    """Scores (B,) with a penalty on responses that were cut before they ended.

    `replace` sets their score to -penalty whatever they said (lm-human-preferences; Huang et al. 2024,
    arXiv:2403.17031, detail 20); `subtract` takes the penalty off their score (TRL); `none` leaves them alone.

    Args:
        scores: (B,).
        finished: (B,), True where the response ended with EOS or a stop token.
        penalty: score units, not negative.
    """
    check_same_shape(scores=scores, finished=finished)
    if mode == "none":
        return scores
    unfinished = torch.full_like(scores, -penalty) if mode == "replace" else scores - penalty
    return torch.where(finished, scores, unfinished)


def shaped_rewards(*, scores: Tensor, kl: Tensor, response_mask: Tensor, kl_coef: float) -> Tensor:
    """Per-token rewards: the KL penalty on every response token, plus the score on the last one.

    r_t = -kl_coef * kl_t + [t is the last response token] * score; Ziegler et al. 2019 (arXiv:1909.08593), eq. 2,
    spread over the tokens. The score lands on the last kept token, not on the pad after it: with lam < 1 the two
    differ.

    Args:
        scores: (B,) of the reward model for whole responses.
        kl: (B, R) nats, an estimate of the divergence from the reference at each token, detached.
        response_mask: (B, R), True on response tokens, the first EOS included.
        kl_coef: score units per nat.

    Returns:
        (B, R), 0 on dropped positions.

    Raises:
        ValueError: shapes differ, or a response has no token to carry the score.
    """
    check_same_shape(kl=kl, response_mask=response_mask)
    check_same_shape(scores=scores, rows=response_mask[:, 0])
    mask = response_mask.bool()
    lengths = mask.sum(1)
    if bool((lengths == 0).any()):
        raise ValueError("a response without tokens has nowhere to put its score")
    rewards = torch.where(mask, -kl_coef * kl, torch.zeros_like(kl))
    positions = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    last = torch.where(mask, positions, -1).max(1).values
    rewards[torch.arange(len(last), device=mask.device), last] += scores
    return rewards
