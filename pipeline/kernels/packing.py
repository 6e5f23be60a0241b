"""Token rows as a network reads them: a prompt, then one or several responses to it, then padding.

Plain twin: `collate` of `pipeline.data.tokens`, which repeats the prompt for each of its responses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import compress, groupby

import torch
from torch import Tensor

from pipeline.data.tokens import ResponseBatch, TokenizedExample


@dataclass(frozen=True)
class PackedRows:
    """B rows of width T, which hold N response tokens, ordered by response.

    input_ids (B, T), padded on the right only, where causal attention cannot see it. branch (B, T) is 0 on the
    prompt, k on its k-th response and -1 on padding; `branched` says whether any row has more than one response.
    token_ids (N,) are the response tokens, or those of them that are learned; state_index (N,) says which of the B * T
    states, flattened, predicts each.
    response_mask (E, R) has a row for each of the E responses, with one entry for each of its tokens.
    """

    input_ids: Tensor
    branch: Tensor
    branched: bool
    token_ids: Tensor
    state_index: Tensor
    response_mask: Tensor
    last_index: Tensor

    def to(self, device: torch.device) -> "PackedRows":
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in values.items() if name != "branched"})


def pack_groups(groups: Sequence[Sequence[TokenizedExample]], *, pad_token_id: int) -> PackedRows:
    """One row for each group of responses to the same prompt, which is in the row once.

    Raises:
        ValueError: the prompts of a group differ.
    """
    width = max(_row_length(group) for group in groups)
    input_ids = torch.full((len(groups), width), pad_token_id)
    branch = torch.full((len(groups), width), -1)
    token_ids: list[int] = []
    state_index: list[int] = []
    last_index: list[int] = []
    for row, group in enumerate(groups):
        prompt = group[0].prompt_ids
        if any(example.prompt_ids != prompt for example in group):
            raise ValueError("responses to different prompts cannot share a row")
        start = len(prompt)
        input_ids[row, :start] = torch.tensor(prompt)
        branch[row, :start] = 0
        for k, example in enumerate(group, start=1):
            stop = start + len(example.response_ids)
            input_ids[row, start:stop] = torch.tensor(example.response_ids, dtype=torch.long)
            branch[row, start:stop] = k
            learned = example.trained or [True] * len(example.response_ids)
            token_ids += compress(example.response_ids, learned)
            # the last token of the prompt predicts the first of every response
            before = [len(prompt) - 1, *range(start, stop - 1)][: len(example.response_ids)]
            state_index += [row * width + column for column in compress(before, learned)]
            last_index.append(row * width + (stop if stop > start else len(prompt)) - 1)
            start = stop
    lengths = torch.tensor([example.trained_tokens for group in groups for example in group])
    return PackedRows(
        input_ids,
        branch,
        any(len(group) > 1 for group in groups),
        torch.tensor(token_ids, dtype=torch.long),
        torch.tensor(state_index, dtype=torch.long),
        torch.arange(max(1, int(lengths.max()))) < lengths[:, None],
        torch.tensor(last_index),
    )


def group_by_prompt(examples: Sequence[TokenizedExample]) -> list[list[TokenizedExample]]:
    """Neighbours with the same prompt together, in their order."""
    return [list(group) for _, group in groupby(examples, key=lambda example: example.prompt_ids)]


def group_pair(first: Sequence[int], second: Sequence[int]) -> list[list[TokenizedExample]]:
    """Two token sequences as responses to the tokens that both begin with; apart when there are none."""
    length = next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
    if length is None:
        length = min(len(first), len(second))
    both = [TokenizedExample(list(ids[:length]), list(ids[length:])) for ids in (first, second)]
    if length > 0:
        return [both]
    return [[TokenizedExample(example.response_ids, [])] for example in both]


def packed(batch: PackedRows | ResponseBatch) -> PackedRows:
    """The rows of a batch without the padding before the prompts, as wide as the longest."""
    if isinstance(batch, PackedRows):
        return batch
    response_lengths = batch.response_mask.sum(1)
    lengths = batch.attention_mask.sum(1)
    width = int(lengths.max())
    columns = torch.arange(width, device=lengths.device)
    padding = batch.input_ids.shape[1] - batch.response_ids.shape[1] - (lengths - response_lengths)
    source = (columns + padding[:, None]).clamp(max=batch.input_ids.shape[1] - 1)
    rows, positions = batch.response_mask.nonzero(as_tuple=True)
    return PackedRows(
        input_ids=batch.input_ids.gather(1, source),
        branch=torch.where(columns < lengths[:, None], 0, -1),
        branched=False,
        token_ids=batch.response_ids[batch.response_mask],
        state_index=rows * width + (lengths - response_lengths)[rows] + positions - 1,
        response_mask=batch.response_mask,
        last_index=torch.arange(len(lengths), device=lengths.device) * width + lengths - 1,
    )


def _row_length(group: Sequence[TokenizedExample]) -> int:
    return len(group[0].prompt_ids) + sum(len(example.response_ids) for example in group)
