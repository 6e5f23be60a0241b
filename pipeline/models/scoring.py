"""Log-probs of whole responses, in batches."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from pipeline.data.tokens import ForwardLimit, TokenizedExample, batched
from pipeline.group import map_dealt
from pipeline.kernels.packing import PackedRows, group_by_prompt, pack_groups
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.progress import progress_bar


def pack_examples(
    policy: Policy, examples: Sequence[TokenizedExample], compute: Compute, *, pad_token_id: int
) -> PackedRows:
    """Rows for a policy, in which neighbours with the same prompt share it where settings and network allow."""
    shared = compute.shared_prompts and policy.reads_branches
    groups = group_by_prompt(examples) if shared else [[example] for example in examples]
    return pack_groups(groups, pad_token_id=pad_token_id).to(compute.device)


def response_logps(
    policy: Policy, examples: Sequence[TokenizedExample], compute: Compute, *, pad_token_id: int
) -> Tensor:
    """Log-probs (len(examples),) summed over what is learned of each response, in nats."""
    with compute.accelerator.autocast():
        rows = pack_examples(policy, examples, compute, pad_token_id=pad_token_id)
        return policy(rows).logprobs.sum(1)


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
    """Summed log-probs of every response, in the order of `examples`; similar lengths share a batch.

    Neighbours with the same prompt stay together, so that they can share it. A batch of more tokens than
    `compute.frozen_limit` passes in parts, the vocabulary head included.
    """
    groups = _neighbours(examples)
    groups.sort(key=lambda group: (sum(len(examples[index]) for index in group), group))
    order = [index for group in groups for index in group]
    logps = [0.0] * len(examples)

    def summed(rows: Sequence[int]) -> list[tuple[int, float]]:
        sums = response_logps(policy, [examples[row] for row in rows], compute, pad_token_id=pad_token_id)
        return list(zip(rows, sums.tolist(), strict=True))

    with progress_bar(total=len(examples), title=title, unit="response") as bar:
        for found in map_dealt(summed, _bounded(batched(order, batch_size), examples, compute.frozen_limit)):
            for row, value in found:
                logps[row] = value
            bar.update(len(found))
    return logps


def _bounded(
    batches: Iterable[Sequence[int]], examples: Sequence[TokenizedExample], limit: ForwardLimit | None
) -> Iterator[Sequence[int]]:
    """The batches, or the parts of those that are too large, in which neighbours with the same prompt stay together."""
    for batch in batches:
        if limit is None or len(batch) * max(len(examples[index]) for index in batch) <= limit.above:
            yield batch
            continue
        part: list[int] = []
        for group in _neighbours([examples[index] for index in batch]):
            rows = [batch[place] for place in group]
            longest = max(len(examples[index]) for index in [*part, *rows])
            if part and (len(part) + len(rows)) * longest > limit.part:
                yield part
                part = []
            part += rows
        yield part


def _neighbours(examples: Sequence[TokenizedExample]) -> list[list[int]]:
    """Indices of the examples, those of `group_by_prompt` together."""
    indices = iter(range(len(examples)))
    return [[next(indices) for _ in group] for group in group_by_prompt(examples)]
