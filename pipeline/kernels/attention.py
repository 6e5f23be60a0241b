"""Attention as plain matrix products, the fastest on a CPU: transformers finds it under the name `grouped`.

Plain twin: `eager` attention of transformers. Here query heads that share keys are rows of one product, so keys and
values are not copied for each of them, and backward keeps one matrix of probabilities in the number format of the
products instead of two. Long rows keep none: see `pipeline.kernels.long_attention`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from pipeline.kernels.flat_rows import current_layout, into_rows, out_of_rows
from pipeline.kernels.long_attention import is_long, long_attention

GROUPED = "grouped"


def grouped_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, None]:
    """softmax(Q K^T * scaling + mask) V (Vaswani et al. 2017, arXiv:1706.03762), as transformers calls it.

    Args:
        query: (B, H, T, D), or inside `flat_rows` (1, H, N, D).
        key, value: (B, K, S, D); each of the K serves H / K query heads. Or (1, K, N, D).
        attention_mask: (B or 1, 1, T, S), added to the scores; None hides nothing.
        scaling: None is D^-1/2.

    Returns:
        (B, T, H, D) or (1, N, H, D), and no weights.

    Raises:
        ValueError: the network asks for what this attention does not have.
    """
    if dropout or options.get("softcap") or options.get("s_aux") is not None:
        raise ValueError("grouped attention has no dropout, score cap or sinks. Set runtime.attention to eager.")
    layout = current_layout()
    if layout is not None:
        query, key, value = (into_rows(tensor, layout) for tensor in (query, key, value))
    kind = query.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query.dtype
    rows, heads, length, size = query.shape
    shared = key.shape[1]
    scaled = query.to(dtype) * (size**-0.5 if scaling is None else scaling)
    attention = long_attention if is_long(length, key.shape[2]) else _GroupedAttention.apply
    with torch.autocast(kind, enabled=False):
        output = attention(
            scaled.reshape(rows, shared, heads // shared * length, size),
            key.to(dtype),
            value.to(dtype),
            attention_mask,
            length,
        )
    output = output.view(rows, heads, length, size).transpose(1, 2)
    return output.contiguous() if layout is None else out_of_rows(output, layout), None


class _GroupedAttention(torch.autograd.Function):
    """Query (B, K, H / K * T, D), scaled; keys and values (B, K, S, D)."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, length: int
    ) -> Tensor:
        scores = query @ key.transpose(2, 3)
        if attention_mask is not None:
            rows, shared, _, keys = scores.shape
            # added in place, for every query head that shares the keys
            scores.view(rows, shared, -1, length, keys).add_(attention_mask.to(scores.dtype)[:, :, None])
        weights = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
        ctx.save_for_backward(query, key, value, weights)
        return weights @ value

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value, weights = ctx.saved_tensors
        gradient = grad_outputs[0]
        grad_value = weights.transpose(2, 3) @ gradient
        # sums over the keys are in fp32, whatever the number format
        grad_scores = torch._softmax_backward_data(gradient @ value.transpose(2, 3), weights, -1, weights.dtype)
        return grad_scores @ key, grad_scores.transpose(2, 3) @ query, grad_value, None, None


AttentionInterface.register(GROUPED, grouped_attention)
AttentionMaskInterface.register(GROUPED, eager_mask)
