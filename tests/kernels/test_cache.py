"""A cache that is written in place holds what a growing one holds, and no more than it has room for."""

import pytest
import torch
from transformers import DynamicCache

from pipeline.kernels.cache import preallocated_cache
from tests.conftest import PolicyMaker


def test_the_cache_holds_what_a_growing_one_holds(make_policy: PolicyMaker) -> None:
    network = make_policy().causal_lm
    ours, growing = preallocated_cache(network.config, 7), DynamicCache(config=network.config)
    for ids in (torch.tensor([[11, 12, 13], [14, 15, 16]]), torch.tensor([[17], [18]]), torch.tensor([[19], [20]])):
        with torch.no_grad():
            states = [network(ids, past_key_values=cache, use_cache=True).logits for cache in (ours, growing)]
        assert torch.equal(*states)
    assert ours.get_seq_length() == growing.get_seq_length() == 5
    for mine, theirs in zip(ours.layers, growing.layers, strict=True):
        assert torch.equal(mine.keys, theirs.keys) and torch.equal(mine.values, theirs.values)
    with pytest.raises(ValueError, match="room for 7"):
        network(torch.tensor([[1, 2, 3], [4, 5, 6]]), past_key_values=ours, use_cache=True)
