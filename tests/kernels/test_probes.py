"""A network that cannot read packed rows says so, whatever its name."""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    PreTrainedConfig,
)

from pipeline.data.tokens import TokenizedExample
from pipeline.kernels.probes import reads_branches, reads_flat_rows
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.scoring import pack_examples

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 64}
LLAMA = LlamaConfig(**SIZES, intermediate_size=64, num_key_value_heads=2)
EXAMPLES = [TokenizedExample([11, 12, 13, 14, 15], [20, 21, 2]), TokenizedExample([11, 12, 13, 14, 15], [22])]


def network(config: PreTrainedConfig, attention: str = "eager") -> torch.nn.Module:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()


@pytest.mark.parametrize(
    "config",
    [
        MistralConfig(**SIZES, intermediate_size=64, num_key_value_heads=2, sliding_window=4),
        BloomConfig(hidden_size=32, n_layer=2, n_head=4, vocab_size=64),
        MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=64, state_size=4),
        LlamaConfig(**{**SIZES, "vocab_size": 12}, intermediate_size=64, num_key_value_heads=2),
    ],
    ids=["sliding window", "alibi", "state space", "tiny vocabulary"],
)
def test_networks_that_cannot_share_get_rows_apart(config: PreTrainedConfig, compute: Compute) -> None:
    policy = Policy(network(config))
    assert not policy.reads_branches
    assert pack_examples(policy, EXAMPLES, compute, pad_token_id=0).branched is False


def test_the_network_is_asked_not_its_name() -> None:
    model = network(LLAMA)
    for parameter in model.parameters():
        parameter.data *= 5  # fresh weights are so small that attention is flat
    assert reads_branches(model)
    body = model.base_model
    plain = body.forward
    # a network that ignores the positions that it is given
    body.forward = lambda *args, position_ids=None, **kwargs: plain(*args, **kwargs)
    assert not reads_branches(model)


def test_a_network_that_ignores_its_rows_is_padded() -> None:
    assert not reads_flat_rows(network(LLAMA, "eager"))
    # absolute positions: rotary ones would be right from any offset
    model = network(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64, n_positions=32), "grouped")
    for parameter in model.parameters():
        parameter.data *= 5  # fresh weights are so small that attention is flat
    assert reads_flat_rows(model)
    body = model.base_model
    plain = body.forward
    body.forward = lambda *args, position_ids=None, **kwargs: plain(*args, **kwargs)
    assert not reads_flat_rows(model)
