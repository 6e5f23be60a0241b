"""Reductions over the positions that a mask keeps."""

import torch
from torch import Tensor


def check_same_shape(**tensors: Tensor) -> None:
    """Raise when tensors differ in shape: losses never broadcast, because a wrong broadcast trains silently.

    Raises:
        ValueError: naming every tensor with its shape.
    """
    if len({tensor.shape for tensor in tensors.values()}) > 1:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise ValueError(f"shapes differ: {shapes}")


def masked_sum(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Sum over kept positions.

    `torch.where`, not a product: a NaN or infinity on a dropped position must not reach the sum.
    """
    check_same_shape(values=values, mask=mask)
    kept = torch.where(mask.bool(), values, torch.zeros_like(values))
    return kept.sum() if dim is None else kept.sum(dim)


def masked_mean(values: Tensor, mask: Tensor, dim: int | None = None) -> Tensor:
    """Mean over kept positions; 0 where nothing is kept, so that an empty row stays finite."""
    count = mask.bool().sum() if dim is None else mask.bool().sum(dim)
    return masked_sum(values, mask, dim) / count.clamp(min=1)


def masked_var(values: Tensor, mask: Tensor) -> Tensor:
    """Biased variance over kept positions (the estimator of TF's `moments`, as in lm-human-preferences)."""
    values = torch.where(mask.bool(), values, torch.zeros_like(values))
    centred = values - masked_mean(values, mask)
    return masked_mean(centred.square(), mask)


def whiten(values: Tensor, mask: Tensor, *, shift_mean: bool = True, epsilon: float = 1e-8) -> Tensor:
    """Scale kept positions to unit variance, and to zero mean when `shift_mean`; dropped positions become 0.

    Args:
        values: (B, R), any unit; gradient flows.
        mask: (B, R), True keeps.
        shift_mean: False keeps the mean, as for rewards whose sign carries meaning.
    """
    # before anything is computed: a NaN under the mask would survive in the gradient of a later `where`
    values = torch.where(mask.bool(), values, torch.zeros_like(values))
    mean = masked_mean(values, mask)
    whitened = (values - mean) * torch.rsqrt(masked_var(values, mask) + epsilon)
    if not shift_mean:
        whitened = whitened + mean
    return torch.where(mask.bool(), whitened, torch.zeros_like(whitened))
