"""What a transformer's body and vocabulary head compute on packed rows and while sampling."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.data.tokens import TokenizedExample
from pipeline.kernels.attention import NAME
from pipeline.kernels.flat_rows import FlatRows, flat_rows
from pipeline.kernels.packing import PackedRows, pack_groups
from pipeline.kernels.recomputation import recomputed
from pipeline.models.footprint import too_much_to_keep


def packed_states(
    backbone: Any, rows: PackedRows, index: Tensor, *, flat: bool = False, kept: int | None = None
) -> Tensor:
    """Hidden states (len(index), H) of a causal backbone, as the fields of the rows number them.

    A response sees its prompt and itself, at the positions that it would have alone in its row.

    Args:
        index: `rows.state_index` for the states that predict response tokens, `rows.last_index` for the last ones.
        flat: leave padding out of everything but attention, see `reads_flat_rows`.
        kept: bytes of activations that may be kept for backward; more are computed again. None keeps all.
    """
    with recomputed(backbone, when=too_much_to_keep(backbone, rows.input_ids, limit=kept)):
        return _packed_states(backbone, rows, index, flat=flat)


def _packed_states(backbone: Any, rows: PackedRows, index: Tensor, *, flat: bool) -> Tensor:
    if flat:
        return _flat_states(backbone, rows, index)
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


_MULTIPLE = 32
"""Tokens of a flat row, and the width of the rows in attention, are filled up to a multiple of this. Libraries of
matrix products build and keep a program for each shape: with shapes of all sizes a process grows by hundreds of MiB.
Units of matrix products work on as many rows at once anyway."""


def _flat_states(backbone: Any, rows: PackedRows, index: Tensor) -> Tensor:
    """`packed_states` of one row that holds the real tokens of all rows; attention puts each back into its row."""
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


def visible_keys(branch: Tensor) -> Tensor:
    """Which keys each query sees, (B, T, T): of the tokens before it and itself, the prompt's and its response's."""
    length = branch.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=branch.device).tril()
    same = branch[:, :, None] == branch[:, None, :]
    shared = branch[:, None, :] == 0
    return before & (same | shared)


def _as_attention_mask(visible: Tensor, backbone: Any) -> Tensor:
    """(B, 1, T, T): transformers takes a mask of four dimensions as it is, and plain attention adds it."""
    if backbone.config._attn_implementation == "sdpa":
        return visible[:, None]
    dtype = backbone.dtype
    return torch.zeros_like(visible, dtype=dtype).masked_fill(~visible, torch.finfo(dtype).min)[:, None]


@torch.no_grad()
def reads_branches(network: PreTrainedModel) -> bool:
    """Whether this network can read several responses after one prompt: asked of itself, on a few tokens.

    It cannot when its attention makes its own mask (flash attention, sliding windows, ALiBi) or when it carries a
    state from token to token (Mamba). Then a response would notice the one before it, or its own position.
    """
    config = network.config.get_text_config()
    if (
        config._attn_implementation not in ("grouped", "eager", "sdpa")
        or getattr(config, "sliding_window", None) is not None
    ):
        return False
    prompt, first, other, second = (list(range(start, start + 8)) for start in (1, 9, 17, 25))
    if config.vocab_size <= max(second):
        return False
    groups = ([first, second], [other, second], [second])
    try:
        states = [
            _states_of(network, [TokenizedExample(prompt, response) for response in group])[-len(second) :]
            for group in groups
        ]
    except Exception:  # a network that has no use for such a mask fails in its own way
        return False
    same = torch.equal(states[0], states[1])
    error = (states[0].float() - states[2].float()).norm() / states[2].float().norm()
    return same and bool(error < _LARGEST_ROUNDING)


# Of bf16 states it is below 0.01. A 135M model whose second response is read eight positions too late is off by 0.6.
_LARGEST_ROUNDING = 0.02


@torch.no_grad()
def reads_flat_rows(network: PreTrainedModel) -> bool:
    """Whether rows can pass through a network that reads branches as one row without padding: asked of itself, too."""
    if network.config.get_text_config()._attn_implementation != NAME:
        return False
    examples = [TokenizedExample([1, 2, 3], [4, 5, 6]), TokenizedExample([7], [8]), TokenizedExample([9, 10], [11, 12])]
    padded, flat = (_states_of(network, *([one] for one in examples), flat=flat).float() for flat in (False, True))
    return bool((flat - padded).norm() / padded.norm() < _LARGEST_ROUNDING)


def _states_of(network: PreTrainedModel, *groups: list[TokenizedExample], flat: bool = False) -> Tensor:
    rows = pack_groups(groups, pad_token_id=0).to(network.device)
    return packed_states(network.base_model, rows, rows.state_index, flat=flat)


def cast_weights(network: nn.Module, dtype: torch.dtype) -> None:
    """Weights to a number format; tables such as the frequencies of rotary positions stay as exact as they were."""
    for parameter in network.parameters():
        parameter.data = parameter.data.to(dtype)


def switch_dropout_off(network: nn.Module) -> None:
    """Dropout would make the ratio of a policy to itself differ from 1 (Huang et al. 2024, detail 6).

    It is a module, or a number that attention hands to a function, or the probability to skip a layer (`layerdrop`).
    """
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)


def position_ids(attention_mask: Tensor) -> Tensor:
    """Positions that count real tokens only, so that left padding shifts nothing; 0 on padding."""
    return (attention_mask.long().cumsum(1) - 1).clamp(min=0)


def project_logits(causal_lm: PreTrainedModel, states: Tensor) -> Tensor:
    """Vocabulary head on chosen states (N, H) -> (N, V), with what some families apply after it.

    Gemma caps (`final_logit_softcapping`), Cohere multiplies (`logit_scale`), Granite divides (`logits_scaling`).
    """
    logits = causal_lm.get_output_embeddings()(states) * logit_scale(causal_lm)
    if cap := logit_cap(causal_lm):
        logits = cap * torch.tanh(logits / cap)
    return logits


def logit_scale(causal_lm: PreTrainedModel) -> float:
    """What the vocabulary head's results are multiplied with."""
    config = causal_lm.config.get_text_config()
    return float(getattr(config, "logit_scale", None) or 1) / float(getattr(config, "logits_scaling", None) or 1)


def logit_cap(causal_lm: PreTrainedModel) -> float | None:
    """The largest logit, reached softly; None where there is none."""
    cap = getattr(causal_lm.config.get_text_config(), "final_logit_softcapping", None)
    return float(cap) if cap else None


def plain_head(causal_lm: PreTrainedModel) -> Tensor | None:
    """The weight (V, H) of a vocabulary head that is one matrix and a factor; None for any other."""
    head = causal_lm.get_output_embeddings()
    if type(head) is not nn.Linear or head.bias is not None or logit_cap(causal_lm) is not None:
        return None
    return head.weight
