"""Token log-probs from hidden states: the vocabulary head and the softmax a few rows at a time.

Logits of more than a few rows never exist, forward or backward. Without it they are the largest tensors of a step: at
150,000 entries a thousand tokens take 600 MB in fp32, and as much again for their gradient. Plain twin:
`token_statistics` of `pipeline.objectives.logprobs`, on whole logits.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pipeline.objectives.logprobs import TokenStatistics, softmax_rows


class HeadRows(NamedTuple):
    """How many rows go through the head at once."""

    forward: int
    """Enough to use the matmul units, few enough to stay small."""
    weights: int
    """The same where a gradient of the weights is summed in fp32: each sum reads and writes the whole matrix."""


_ROWS = {"cpu": HeadRows(128, 512)}
_ROWS_ELSEWHERE = HeadRows(1024, 1024)


def head_rows(kind: str) -> HeadRows:
    """By the type of a device: a GPU has more matmul units to fill."""
    return _ROWS.get(kind, _ROWS_ELSEWHERE)


def linear_token_statistics(
    states: Tensor, weight: Tensor, token_ids: Tensor, *, temperature: float, with_entropy: bool = False
) -> TokenStatistics:
    """`token_statistics(states @ weight.T, token_ids)`, without the logits.

    The gradient of a token's log-prob with respect to its state is, but for a factor that backward knows, a vector
    that forward can compute: what it costs there it saves later. Only the gradient of the weights needs the logits a
    second time.

    Args:
        states: (N, H), in the number format of the matmuls; gradient flows.
        weight: (V, H), as `states`; gradient flows.
        token_ids: (N,).
        temperature: as for `token_logprobs`.
        with_entropy: also entropies, without gradient; else they are 0.

    Raises:
        ValueError: the shapes do not match.
    """
    if states.ndim != 2 or states.shape[1:] != weight.shape[1:] or states.shape[:1] != token_ids.shape:
        raise ValueError(
            f"states {tuple(states.shape)}, weight {tuple(weight.shape)} and token_ids {tuple(token_ids.shape)} "
            "do not match"
        )
    with torch.autocast(states.device.type, enabled=False):
        logprobs, entropy = _LinearTokenLogprobs.apply(states, weight, token_ids, temperature, with_entropy)
    return TokenStatistics(logprobs, entropy)


class _LinearTokenLogprobs(torch.autograd.Function):
    """d log p(token) / d logits is (onehot - softmax) / T; times the weight it is d log p / d state."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, token_ids: Tensor, temperature: float, with_entropy: bool
    ) -> tuple[Tensor, Tensor]:
        logprobs = states.new_zeros(len(states), dtype=torch.float32)
        entropy = torch.zeros_like(logprobs)
        pulls = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        size, part_size = head_rows(states.device.type).forward, softmax_rows(states.device)
        for start in range(0, len(states), size):
            rows = slice(start, start + size)
            logits = states[rows] @ weight.T
            for at in range(0, len(logits), part_size):
                part = slice(at, at + part_size)
                ids = token_ids[rows][part, None]
                predictions = _log_softmax(logits[part], temperature)
                logprobs[rows][part] = predictions.gather(1, ids).squeeze(1)
                if with_entropy:
                    entropy[rows][part] = -(predictions.exp() * predictions).nansum(1)
                if pulls is not None:
                    logits[part] = _pull(predictions, ids)
            if pulls is not None:
                pulls[rows] = logits @ weight
        ctx.temperature = temperature
        ctx.save_for_backward(states, weight, token_ids, pulls)
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        states, weight, token_ids, pulls = ctx.saved_tensors
        scale = grad_outputs[0] / ctx.temperature
        grad_states = None if pulls is None else (pulls.float() * scale[:, None]).to(states.dtype)
        grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(states, weight, token_ids, scale, ctx.temperature)
        return grad_states, grad_weight, None, None, None


def _weight_gradient(states: Tensor, weight: Tensor, token_ids: Tensor, scale: Tensor, temperature: float) -> Tensor:
    """Gradient (V, H) of sum(scale * T * log-probs)."""
    total = None
    size, part_size = head_rows(states.device.type).weights, softmax_rows(states.device)
    for start in range(0, len(states), size):
        rows = slice(start, start + size)
        logits = states[rows] @ weight.T
        for at in range(0, len(logits), part_size):
            part = slice(at, at + part_size)
            pull = _pull(_log_softmax(logits[part], temperature), token_ids[rows][part, None])
            logits[part] = pull * scale[rows][part, None]
        gradient = logits.T @ states[rows]
        if len(states) <= size:
            return gradient
        total = gradient.float() if total is None else total.add_(gradient)
    return torch.zeros_like(weight) if total is None else total.to(weight.dtype)


def _log_softmax(logits: Tensor, temperature: float) -> Tensor:
    return torch.log_softmax(logits.float() / temperature, -1)


def _pull(predictions: Tensor, ids: Tensor) -> Tensor:
    """Onehot - softmax (n, V) in fp32; uses `predictions` up."""
    pull = predictions.exp_().neg_()
    return pull.scatter_add_(1, ids, torch.ones_like(ids, dtype=pull.dtype))
