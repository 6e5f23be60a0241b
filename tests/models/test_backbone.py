"""Weights change their number format and nothing else does, positions count real tokens, logits are the model's own."""

import pytest
import torch
from transformers import AutoModelForCausalLM, CohereConfig, Gemma2Config, GraniteConfig, LlamaConfig, LlamaModel

from pipeline.data.tokens import TokenizedExample, collate
from pipeline.models.backbone import cast_weights, position_ids, project_logits
from pipeline.models.policy import Policy

SMALL = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


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


def test_positions_count_real_tokens() -> None:
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 0, 0]])
    assert position_ids(mask).tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 2, 2]]


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SMALL),
        Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=5.0),
        CohereConfig(**SMALL, logit_scale=0.25),
        GraniteConfig(**SMALL, logits_scaling=3.0),
    ],
    ids=lambda config: config.model_type,
)
def test_logits_equal_the_models_own(config) -> None:
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    ids = torch.tensor([[3, 4, 5, 6, 7, 8]])
    with torch.no_grad():
        states = network.base_model(ids).last_hidden_state[0]
        assert torch.allclose(project_logits(network, states), network(ids).logits[0], atol=1e-5)
        output = Policy(network)(collate([TokenizedExample([3, 4, 5], [6, 7, 8])], pad_token_id=0))
        expected = torch.log_softmax(network(ids).logits[0, 2:5], -1)[torch.arange(3), ids[0, 3:]]
    assert torch.allclose(output.logprobs[0], expected, atol=1e-4)
