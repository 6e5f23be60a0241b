"""Prompts pass through a network once, before their responses are sampled."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from pipeline.data.tokens import split_batch
from pipeline.kernels.cache import CacheMemory, RowCache, is_plain
from pipeline.models.backbone import position_ids

_TOKENS = {"cpu": 2048}
_TOKENS_ELSEWHERE = 16384


def tokens_at_once(device: torch.device) -> int:
    """Tokens of prompts that are read at once, padding included."""
    return _TOKENS.get(device.type, _TOKENS_ELSEWHERE)


class ReadPrompts(NamedTuple):
    """Prompts that a network has read: the last states (B, H), and the cache of the rows."""

    states: Tensor
    cache: RowCache


def read_prompts(
    network: PreTrainedModel,
    prompts: Sequence[list[int]],
    *,
    pad_token_id: int,
    room: int,
    new: int,
    memory: CacheMemory | None = None,
) -> ReadPrompts:
    """Read prompts in parts of similar length, so that little is padding; equal ones once.

    Args:
        prompts: token ids.
        room, new: tokens to come, see `RowCache.of`.
        memory: likewise.
    """
    different = sorted({tuple(prompt) for prompt in prompts}, key=lambda prompt: (len(prompt), prompt))
    number = {prompt: index for index, prompt in enumerate(different)}
    limit = tokens_at_once(network.device)
    parts = [list(range(len(different)))]
    if is_plain(DynamicCache(config=network.config)):
        parts = split_batch(parts[0], [len(prompt) for prompt in different], limit)
    states: list[Tensor] = []

    def read() -> Iterator[tuple[DynamicCache, Tensor]]:
        for part in parts:
            ids, mask = pad_prompts([list(different[index]) for index in part], pad_token_id=pad_token_id)
            ids, mask = ids.to(network.device), mask.to(network.device)
            cache = DynamicCache(config=network.config)
            body: Any = network.base_model
            whole = body(
                input_ids=ids,
                attention_mask=mask,
                position_ids=position_ids(mask),
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state
            states.append(whole[:, -1].clone())
            yield cache, mask

    copies = torch.tensor([number[tuple(prompt)] for prompt in prompts], device=network.device)
    cache = RowCache.of(read(), copies, length=len(different[-1]), room=room, new=new, memory=memory)
    return ReadPrompts(torch.cat(states)[copies], cache)


def pad_prompts(prompts: Sequence[list[int]], *, pad_token_id: int) -> tuple[Tensor, Tensor]:
    """Left-pad token ids to (B, P) and their mask."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad_token_id, dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = True
    return ids, mask
