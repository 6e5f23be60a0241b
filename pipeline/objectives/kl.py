"""Estimates of the divergence between two policies from samples of one."""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.objectives.masked import check_same_shape


class KlEstimates(NamedTuple):
    """Per-token estimates (B, R) in nats."""

    k1: Tensor
    k2: Tensor
    k3: Tensor


def kl_estimates(logprobs: Tensor, ref_logprobs: Tensor) -> KlEstimates:
    """Per-token estimates of KL(policy || reference) from the policy's own samples.

    With p / q = policy / reference: k1 = log p/q is unbiased and may be negative; k2 = (log p/q)^2 / 2 is biased, but
    its gradient in p is that of the KL; k3 = q/p - 1 + log p/q is unbiased, never negative and of lower variance near
    0 (Schulman 2020, "Approximating KL Divergence").

    Args:
        logprobs, ref_logprobs: (B, R) nats.
    """
    check_same_shape(logprobs=logprobs, ref_logprobs=ref_logprobs)
    k1 = logprobs - ref_logprobs
    return KlEstimates(k1, 0.5 * k1.square(), torch.expm1(-k1) + k1)
