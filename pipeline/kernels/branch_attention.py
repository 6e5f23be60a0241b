"""Attention of a GPU: one flat row that holds rows and branches, read by FlexAttention (Dong et al. 2024,
arXiv:2412.05496); transformers finds it under the name `flex`.

Blocks of 128 queries and keys that do not see each other are not computed, so neither padding nor what other rows and
responses hold costs anything, and no mask of the square of the length exists. Where a mask is no `BlockMask`, as while
sampling, and on a network or a GPU for which FlexAttention cannot be compiled, it is sdpa. Plain twin: sdpa with the
mask of `packed_states.visible_keys`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

FLEX = "flex"
BLOCK = 128
"""Queries, and keys, of a block: flat rows are filled up to a multiple of it."""
_PROGRAMS = 64
"""That are compiled at most: two or three for each network (with and without gradient). Beyond the limit, torch would
compute every pair of tokens, hidden ones too."""


def branch_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | BlockMask | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, None]:
    """As `grouped_attention`, for the mask that `branch_mask` makes; with any other mask sdpa.

    Args:
        query: (1, H, N, D).
        key, value: (1, K, N, D); each of the K serves H / K query heads.
        attention_mask: of N queries and N keys.

    Returns:
        (1, N, H, D), and no weights.

    Raises:
        ValueError: the network asks for what this attention does not have.
    """
    if not isinstance(attention_mask, BlockMask):
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
        return output, None
    if dropout or options.get("softcap") or options.get("s_aux") is not None:
        raise ValueError("flex attention has no dropout, score cap or sinks. Set runtime.attention to eager.")
    kind = query.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query.dtype
    with torch.autocast(kind, enabled=False):
        output = _attention(kind)(
            query.to(dtype),
            key.to(dtype),
            value.to(dtype),
            block_mask=attention_mask,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
    return output.transpose(1, 2).contiguous(), None


def branch_mask(row: Tensor, branch: Tensor) -> BlockMask:
    """What each token of a flat row sees: of the tokens before it and itself, its row's prompt and its response.

    Made from blocks' first and last rows and branches, so that the N x N tokens are never compared beforehand.

    Args:
        row: (N,), number of each token's row, ascending; N is a multiple of `BLOCK`.
        branch: (N,), 0 on the prompt and k on its k-th response, ascending within a row.
    """
    rows, branches = row.view(-1, BLOCK), branch.view(-1, BLOCK)
    first_row, last_row = rows[:, 0], rows[:, -1]
    first_branch, last_branch = branches.amin(1), branches.amax(1)
    number = torch.arange(len(rows), device=row.device)
    seen = (number[None] <= number[:, None]) & (last_row[None] >= first_row[:, None])
    one_row = (first_row == last_row)[:, None] & (first_row == last_row)[None] & (first_row[:, None] == first_row[None])
    other_response = one_row & (first_branch[None] > 0) & (last_branch[None] < first_branch[:, None])
    same_response = (first_branch[None] == last_branch[:, None]) & (last_branch[None] == first_branch[:, None])
    whole = one_row & (number[None] < number[:, None]) & ((last_branch[None] == 0) | same_response)
    return BlockMask.from_kv_blocks(
        *_listed(seen & ~other_response & ~whole),
        *_listed(whole),
        BLOCK_SIZE=BLOCK,
        mask_mod=_sees(row, branch),
        seq_lengths=(len(row), len(row)),
    )


def _sees(row: Tensor, branch: Tensor) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    def sees(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        own = (branch[key] == 0) | (branch[key] == branch[query])
        return (query >= key) & (row[query] == row[key]) & own

    return sees


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """How many of the blocks (n, n) each row has, (1, 1, n), and which, these first, (1, 1, n, n)."""
    counts = blocks.sum(1, dtype=torch.int32)
    order = blocks.int().argsort(dim=1, descending=True, stable=True).int()
    return counts[None, None].contiguous(), order[None, None].contiguous()


@cache
def _attention(kind: str) -> Callable[..., Any]:
    """FlexAttention as it is compiled on a GPU; on a CPU as it is, which computes every pair of tokens."""
    if kind == "cpu":
        return flex_attention
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _PROGRAMS)
    compiled: Callable[..., Any] = torch.compile(flex_attention, dynamic=True)
    return compiled


AttentionInterface.register(FLEX, branch_attention)
AttentionMaskInterface.register(FLEX, sdpa_mask)
