"""States of packed rows: several responses behind one copy of their prompt, without padding where attention allows it.

Plain twin: each response behind its own prompt in a row of its own.
"""

from typing import Any

import torch
from torch import Tensor, nn

from pipeline.kernels.branch_attention import BLOCK, FLEX, branch_mask
from pipeline.kernels.flat_rows import FlatRows, flat_rows
from pipeline.kernels.packing import PackedRows
from pipeline.kernels.recomputation import recomputed

_MULTIPLE = 32
"""Tokens of a flat row, and the width of the rows in attention, are filled up to a multiple of this. Libraries of
matrix products build and keep a program for each shape: with shapes of all sizes a process grows by hundreds of MiB.
Units of matrix products work on as many rows at once anyway."""


def packed_states(
    backbone: Any, rows: PackedRows, index: Tensor, *, flat: bool = False, recompute: bool = False
) -> Tensor:
    """Hidden states (len(index), H) of a causal backbone, as the fields of the rows number them; gradient flows.

    A response sees its prompt and itself, at the positions that it would have alone in its row.

    Args:
        index: `rows.state_index` for the states that predict response tokens, `rows.last_index` for the last ones.
        flat: leave padding out of everything but attention, where `pipeline.kernels.probes.reads_flat_rows` says so.
        recompute: keep the inputs of the layers alone for backward.
    """
    with recomputed(backbone, when=recompute):
        return _flat_states(backbone, rows, index) if flat else _padded_states(backbone, rows, index)


def _padded_states(backbone: Any, rows: PackedRows, index: Tensor) -> Tensor:
    if not rows.branched:
        # causal attention is all it takes: padding comes last, so no token sees it
        hidden = backbone(input_ids=rows.input_ids, use_cache=False).last_hidden_state
    else:
        visible = visible_keys(rows.branch)
        hidden = backbone(
            input_ids=rows.input_ids,
            attention_mask=_as_attention_mask(visible, backbone),
            position_ids=(visible.sum(2) - 1).masked_fill(rows.branch < 0, 0),
            use_cache=False,
        ).last_hidden_state
    states: Tensor = hidden.flatten(0, 1).index_select(0, index)
    return states


def _flat_states(backbone: Any, rows: PackedRows, index: Tensor) -> Tensor:
    """`packed_states` of one row that holds the real tokens of all rows; attention puts each back into its row."""
    if backbone.config._attn_implementation == FLEX:
        return _branch_states(backbone, rows, index)
    width = rows.branch.shape[1]
    branch = nn.functional.pad(rows.branch, (0, -width % _MULTIPLE), value=-1)
    # with one response a row, the tokens of every row see those before them
    visible = visible_keys(branch if rows.branched else torch.zeros_like(branch[:1]))
    positions = (visible.sum(2) - 1).expand_as(branch)
    layout = FlatRows.of(branch >= 0, multiple=_MULTIPLE)
    input_ids = nn.functional.pad(rows.input_ids, (0, -width % _MULTIPLE))
    with flat_rows(layout):
        hidden = backbone(
            input_ids=input_ids.flatten()[layout.places][None],
            attention_mask=_as_attention_mask(visible, backbone),
            position_ids=positions.flatten()[layout.places][None],
            use_cache=False,
        ).last_hidden_state
    # the index counts places of the rows as they came
    places = index // width * branch.shape[1] + index % width
    states: Tensor = hidden[0].index_select(0, layout.numbers[places])
    return states


def _branch_states(backbone: Any, rows: PackedRows, index: Tensor) -> Tensor:
    """`_flat_states` where attention itself reads the flat row; what fills it up is a row of its own."""
    layout = FlatRows.of(rows.branch >= 0, multiple=BLOCK)
    number = torch.arange(layout.rows, device=index.device).repeat_interleave(layout.width)[layout.places]
    branch = rows.branch.flatten()[layout.places]
    number[layout.real :], branch[layout.real :] = layout.rows, 0
    hidden = backbone(
        input_ids=rows.input_ids.flatten()[layout.places][None],
        attention_mask=branch_mask(number, branch),
        position_ids=_branch_positions(rows.branch).flatten()[layout.places][None],
        use_cache=False,
    ).last_hidden_state
    states: Tensor = hidden[0].index_select(0, layout.numbers[index])
    return states


def _branch_positions(branch: Tensor) -> Tensor:
    """Position (B, T) that each token would have alone in its row: that in the row, without the responses before."""
    columns = torch.arange(branch.shape[1], device=branch.device).expand_as(branch)
    prompt = (branch == 0).sum(1, keepdim=True)
    starts = torch.ones_like(branch, dtype=torch.bool)
    starts[:, 1:] = branch[:, 1:] != branch[:, :-1]
    start = torch.where(starts, columns, 0).cummax(1).values
    return torch.where(branch > 0, columns - start + prompt, columns)


def visible_keys(branch: Tensor) -> Tensor:
    """Which keys each query sees, (B, T, T): of the tokens before it and itself, the prompt's and its response's."""
    length = branch.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=branch.device).tril()
    same = branch[:, :, None] == branch[:, None, :]
    shared = branch[:, None, :] == 0
    return before & (same | shared)


def _as_attention_mask(visible: Tensor, backbone: Any) -> Tensor:
    """(B, 1, T, T): transformers takes a mask of four dimensions as it is, and plain attention adds it."""
    if backbone.config._attn_implementation in ("sdpa", FLEX):
        return visible[:, None]
    dtype = backbone.dtype
    return torch.zeros_like(visible, dtype=dtype).masked_fill(~visible, torch.finfo(dtype).min)[:, None]
