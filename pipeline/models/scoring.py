"""Log-probs of whole responses, in batches."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.data.tokens import TokenizedExample, batched, collate
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.progress import progress_bar


def response_logps(
    policy: Policy, examples: Sequence[TokenizedExample], compute: Compute, *, pad_token_id: int
) -> Tensor:
    """Log-probs (B,) summed over each response, in nats."""
    batch = collate(examples, pad_token_id=pad_token_id).to(compute.device)
    with compute.accelerator.autocast():
        return policy(batch).logprobs.sum(1)


@torch.no_grad()
def score_responses(
    policy: Policy,
    examples: Sequence[TokenizedExample],
    compute: Compute,
    *,
    pad_token_id: int,
    batch_size: int,
    title: str,
) -> list[float]:
    """Summed log-probs of every response, in the order of `examples`; similar lengths share a batch."""
    order = sorted(range(len(examples)), key=lambda index: (len(examples[index]), index))
    logps = [0.0] * len(examples)
    with progress_bar(total=len(examples), title=title, unit="response") as bar:
        for rows in batched(order, batch_size):
            summed = response_logps(policy, [examples[row] for row in rows], compute, pad_token_id=pad_token_id)
            for row, value in zip(rows, summed.tolist(), strict=True):
                logps[row] = value
            bar.update(len(rows))
    return logps
