"""Token log-probs from logits: the one place where they are computed."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

_ROWS = {"cpu": 16}
_ROWS_ELSEWHERE = 256


def softmax_rows(device: torch.device) -> int:
    """Rows of logits whose softmax is computed at once, in fp32.

    At 50,000 entries a slice of 16 rows stays in a CPU's cache; a GPU has time to begin each slice only where it is
    large, and memory for 256 rows of 150,000.
    """
    return _ROWS.get(device.type, _ROWS_ELSEWHERE)


class TokenStatistics(NamedTuple):
    """Per-token statistics, each (N,), in nats."""

    logprobs: Tensor
    entropy: Tensor


def token_logprobs(logits: Tensor, token_ids: Tensor, *, temperature: float) -> Tensor:
    """Log-probs of tokens under the distribution they are sampled from.

    The caller has already shifted: `logits[i]` predicts `token_ids[i]`. The reduction over the vocabulary is in
    fp32, because a bf16 sum over 50,000 terms is off by whole percent; but no fp32 copy of the logits is ever whole
    in memory, forward or backward.

    Args:
        logits: (N, V), any float type; gradient flows.
        token_ids: (N,).
        temperature: the sampling temperature; without it a policy's own samples look improbable to it.

    Returns:
        (N,) fp32, nats.

    Raises:
        ValueError: the shapes do not match.
    """
    _check(logits, token_ids)
    result: Tensor = _TokenLogprobs.apply(logits, token_ids, temperature)
    return result


def token_statistics(logits: Tensor, token_ids: Tensor, *, temperature: float) -> TokenStatistics:
    """Log-probs as `token_logprobs` gives them, and the entropy of each distribution; gradient flows to both."""
    _check(logits, token_ids)
    entropy: Tensor = _Entropy.apply(logits, temperature)
    return TokenStatistics(token_logprobs(logits, token_ids, temperature=temperature), entropy)


class _TokenLogprobs(torch.autograd.Function):
    """log softmax(logits / T) at the tokens; the gradient is g / T * (onehot - softmax), slice by slice."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, token_ids: Tensor, temperature: float) -> Tensor:
        normalisers = [
            torch.logsumexp(part.float() / temperature, -1) for part in logits.split(softmax_rows(logits.device))
        ]
        log_normaliser = torch.cat(normalisers) if normalisers else logits.new_zeros(0, dtype=torch.float32)
        ctx.save_for_backward(logits, token_ids, log_normaliser)
        ctx.temperature = temperature
        chosen = logits.gather(-1, token_ids[:, None]).squeeze(-1)
        return chosen.float() / temperature - log_normaliser

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        logits, token_ids, log_normaliser = ctx.saved_tensors
        weights = grad_outputs[0].float() / ctx.temperature
        gradient = torch.empty_like(logits)
        size = softmax_rows(logits.device)
        for start in range(0, len(logits), size):
            rows = slice(start, start + size)
            part = torch.exp(logits[rows].float() / ctx.temperature - log_normaliser[rows, None])
            part *= -weights[rows, None]
            part.scatter_add_(1, token_ids[rows, None], weights[rows, None])
            gradient[rows] = part
        return gradient, None, None


class _Entropy(torch.autograd.Function):
    """Entropy of softmax(logits / T); the gradient is -g / T * p * (log p + H), slice by slice."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, temperature: float) -> Tensor:
        normalisers, entropies = [], []
        for part in logits.split(softmax_rows(logits.device)):
            scaled = part.float() / temperature
            log_normaliser = torch.logsumexp(scaled, -1)
            # not log Z - E[logit], two large numbers; a token that top-k took away has probability 0 and adds 0
            logprobs = scaled - log_normaliser[:, None]
            normalisers.append(log_normaliser)
            entropies.append(-(torch.exp(logprobs) * logprobs).nansum(-1))
        empty = logits.new_zeros(0, dtype=torch.float32)
        entropy = torch.cat(entropies) if entropies else empty
        ctx.save_for_backward(logits, torch.cat(normalisers) if normalisers else empty, entropy)
        ctx.temperature = temperature
        return entropy

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        logits, log_normaliser, entropy = ctx.saved_tensors
        weights = grad_outputs[0].float() / ctx.temperature
        gradient = torch.empty_like(logits)
        size = softmax_rows(logits.device)
        for start in range(0, len(logits), size):
            rows = slice(start, start + size)
            logprobs = logits[rows].float() / ctx.temperature - log_normaliser[rows, None]
            part = torch.exp(logprobs) * (logprobs + entropy[rows, None])
            gradient[rows] = -weights[rows, None] * part.nan_to_num(nan=0.0)
        return gradient, None


def _check(logits: Tensor, token_ids: Tensor) -> None:
    if logits.ndim != 2 or logits.shape[:1] != token_ids.shape:
        raise ValueError(f"logits {tuple(logits.shape)} do not match token_ids {tuple(token_ids.shape)}")
