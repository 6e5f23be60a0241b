"""A network is asked, on a few tokens, whether it can read rows that share a prompt or have no padding.

Plain twin: the same tokens in rows of their own, which the answer is compared with.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pipeline.data.tokens import TokenizedExample
from pipeline.kernels.attention import GROUPED
from pipeline.kernels.branch_attention import FLEX
from pipeline.kernels.packed_states import packed_states
from pipeline.kernels.packing import pack_groups


@torch.no_grad()
def reads_branches(network: PreTrainedModel) -> bool:
    """Whether this network can read several responses after one prompt: asked of itself, on a few tokens.

    It cannot when its attention makes its own mask (flash attention, sliding windows, ALiBi) or when it carries a
    state from token to token (Mamba). Then a response would notice the one before it, or its own position.
    """
    config = network.config.get_text_config()
    if (
        config._attn_implementation not in (GROUPED, FLEX, "eager", "sdpa")
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
    """Whether rows can pass through a network that reads branches as one row without padding: asked of itself, too.

    Under `flex`, no where its attention cannot be compiled for this network or on this machine: then rows keep their
    padding, and sdpa reads them.
    """
    attention = network.config.get_text_config()._attn_implementation
    if attention not in (GROUPED, FLEX):
        return False
    examples = [TokenizedExample([1, 2, 3], [4, 5, 6]), TokenizedExample([7], [8]), TokenizedExample([9, 10], [11, 12])]
    padded = _states_of(network, *([one] for one in examples)).float()
    try:
        flat = _states_of(network, *([one] for one in examples), flat=True).float()
    except Exception:
        if attention == GROUPED:
            raise
        return False
    return bool((flat - padded).norm() / padded.norm() < _LARGEST_ROUNDING)


def _states_of(network: PreTrainedModel, *groups: list[TokenizedExample], flat: bool = False) -> Tensor:
    rows = pack_groups(groups, pad_token_id=0).to(network.device)
    return packed_states(network.base_model, rows, rows.state_index, flat=flat)
