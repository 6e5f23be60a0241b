"""Weights change their number format, and what only looks like a weight keeps its own."""

import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from pipeline.models.backbone import cast_weights


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_rotary_frequencies_stay_as_exact_as_they_were(dtype: torch.dtype) -> None:
    network = LlamaModel(
        LlamaConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=16)
    )
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    cast_weights(network, dtype)
    assert before and {parameter.dtype for parameter in network.parameters()} == {dtype}
    for name, buffer in network.named_buffers():
        assert buffer.dtype == torch.float32 and torch.equal(buffer, before[name]), name
    # what module.to(dtype) would do: the frequencies lose digits
    network.to(torch.bfloat16)
    assert any(not torch.equal(buffer.float(), before[name]) for name, buffer in network.named_buffers())
