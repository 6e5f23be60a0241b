"""Responses that share one copy of their prompt: the same log-probs and gradients as in rows of their own."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedConfig, Qwen2Config

from pipeline.data.tokens import TokenizedExample
from pipeline.kernels.packed_states import visible_keys
from pipeline.kernels.packing import pack_groups
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy
from pipeline.models.scoring import response_logps
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 64}
LLAMA = LlamaConfig(**SIZES, intermediate_size=64, num_key_value_heads=2)
GROUPS = [
    [TokenizedExample([11, 12, 13, 14, 15], [20, 21, 2]), TokenizedExample([11, 12, 13, 14, 15], [22])],
    [TokenizedExample([30], [31, 32, 33, 34, 35, 36]), TokenizedExample([30], [])],
    [TokenizedExample([40, 41, 42], [43]), TokenizedExample([40, 41, 42], [44, 45])],
]
EXAMPLES = [example for group in GROUPS for example in group]
GROUPS_IN_ROWS = [[*group[0].prompt_ids, *(token for one in group for token in one.response_ids)] for group in GROUPS]


def network(config: PreTrainedConfig, attention: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval()


def test_a_response_sees_its_prompt_and_itself() -> None:
    branch = pack_groups([[TokenizedExample([1], [2, 3]), TokenizedExample([1], [4])]], pad_token_id=0).branch
    assert visible_keys(branch)[0].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1]]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(
    "config",
    [
        LLAMA,
        Qwen2Config(**SIZES, intermediate_size=64, num_key_value_heads=2, use_sliding_window=False),
        GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64, n_positions=16),
    ],
    ids=["llama", "qwen2", "gpt2"],
)
def test_log_probs_equal_those_of_rows_apart(config: PreTrainedConfig, attention: str, compute: Compute) -> None:
    policy = Policy(network(config, attention))
    assert policy.reads_branches
    shared = response_logps(policy, EXAMPLES, compute, pad_token_id=0)
    apart = response_logps(policy, EXAMPLES, replace(compute, shared_prompts=False), pad_token_id=0)
    assert torch.allclose(shared, apart, atol=1e-5)


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
@pytest.mark.parametrize("switch", ["shared_prompts", "fused_logprobs", "padding_free"])
def test_gradients_equal_those_of_the_plain_computation(
    make_policy: PolicyMaker, compute: Compute, finetuning: object, switch: str
) -> None:
    gradients = []
    for on in (True, False):
        policy = make_policy(finetuning)
        if switch != "shared_prompts":
            setattr(policy, switch, on)
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                torch.nn.init.constant_(parameter, 0.02)
        setting = replace(compute, shared_prompts=on if switch == "shared_prompts" else True)
        weights = torch.linspace(-1, 1, len(EXAMPLES))
        (weights * response_logps(policy, EXAMPLES, setting, pad_token_id=0)).sum().backward()
        gradients.append({n: p.grad for n, p in policy.named_parameters() if p.grad is not None})
    ours, plain = gradients
    assert ours.keys() == plain.keys() and ours
    assert all(torch.allclose(ours[name], plain[name], atol=1e-5) for name in ours)


def test_padding_passes_through_attention_only(make_policy: PolicyMaker, compute: Compute) -> None:
    policy = make_policy()
    embedded: list[int] = []
    policy.causal_lm.get_input_embeddings().register_forward_hook(
        lambda _, inputs, __: embedded.append(inputs[0].numel())
    )
    assert policy.reads_flat_rows
    embedded.clear()  # of the network's own check
    for shared, tokens in ((True, sum(map(len, GROUPS_IN_ROWS))), (False, sum(map(len, EXAMPLES)))):
        response_logps(policy, EXAMPLES, replace(compute, shared_prompts=shared), pad_token_id=0)
        assert embedded.pop() == -(-tokens // 32) * 32 and not embedded


def test_lengths_of_all_sizes_make_few_shapes(make_policy: PolicyMaker, compute: Compute) -> None:
    """Libraries of matrix products keep a program for each shape: a process that trains must not grow with them."""
    policy = make_policy()
    assert policy.reads_flat_rows
    shapes = set()
    policy.causal_lm.base_model.register_forward_pre_hook(
        lambda _, __, inputs: shapes.add((*inputs["input_ids"].shape, *inputs["attention_mask"].shape[2:])),
        with_kwargs=True,
    )
    for length in range(2, 66):
        examples = [TokenizedExample([1] * length, [2] * 3), TokenizedExample([1], [2] * (length // 2))]
        response_logps(policy, examples, compute, pad_token_id=0)
    assert len(shapes) <= 6, shapes
