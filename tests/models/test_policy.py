"""Log-probs of responses equal a plain forward pass of each row alone, however the batch is padded."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
)

from pipeline.data.tokens import ResponseBatch, TokenizedExample, collate, join
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy, load_policy
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA

PAD = 0
EXAMPLES = [
    TokenizedExample([11, 12, 13, 14, 15], [20, 21, 2]),
    TokenizedExample([30], [31, 32, 33, 34, 35, 36]),
    TokenizedExample([40, 41, 42], [43]),
]


def oracle(folder: Path, example: TokenizedExample, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probs and entropies of one unpadded row, from transformers' own forward pass."""
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        logits = network(torch.tensor([example.prompt_ids + example.response_ids])).logits[0].double()
    predictions = torch.log_softmax(logits[len(example.prompt_ids) - 1 : -1] / temperature, -1)
    logprobs = predictions[torch.arange(len(example.response_ids)), torch.tensor(example.response_ids)]
    return logprobs, -(predictions.exp() * predictions).sum(-1)


def more_padding(batch: ResponseBatch, *, left: int, right: int) -> ResponseBatch:
    """The same rows with more pads around them."""
    rows, width = batch.response_ids.shape
    prompt = batch.input_ids.shape[1] - width
    left_ids, right_ids = torch.full((rows, left), PAD), torch.full((rows, right), PAD)
    return join(
        torch.cat([left_ids, batch.input_ids[:, :prompt]], 1),
        torch.cat([left_ids.bool() & False, batch.attention_mask[:, :prompt]], 1),
        torch.cat([batch.response_ids, right_ids], 1),
        torch.cat([batch.response_mask, right_ids.bool() & False], 1),
    )


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probs_and_entropy_equal_a_plain_forward_of_each_row(
    make_policy: PolicyMaker, policy_folder: Path, temperature: float
) -> None:
    policy = make_policy()
    batch = collate(EXAMPLES, pad_token_id=PAD)
    output = policy(batch, temperature=temperature, with_entropy=True)
    for row, example in enumerate(EXAMPLES):
        logprobs, entropy = oracle(policy_folder, example, temperature)
        length = len(example.response_ids)
        assert torch.allclose(output.logprobs[row, :length].double(), logprobs, atol=1e-4)
        assert torch.allclose(output.entropy[row, :length].double(), entropy, atol=1e-4)
    with torch.no_grad():
        alone = policy(batch, temperature=temperature).logprobs
        assert torch.equal(policy(batch, temperature=temperature, with_entropy=True).logprobs, alone)
    assert torch.allclose(output.logprobs, alone, atol=1e-5)


def test_dropped_positions_are_zero(make_policy: PolicyMaker) -> None:
    batch = collate(EXAMPLES, pad_token_id=PAD)
    policy = make_policy(with_values=True)
    torch.nn.init.ones_(policy.value_head.weight)
    output = policy(batch, with_entropy=True)
    for tensor in (output.logprobs, output.entropy, output.values):
        assert tensor.shape == batch.response_mask.shape
        assert tensor[~batch.response_mask].abs().sum().item() == 0
        assert bool((tensor[batch.response_mask] != 0).all())


@pytest.mark.parametrize(("left", "right"), [(3, 0), (0, 4), (5, 2)])
def test_padding_changes_nothing(make_policy: PolicyMaker, left: int, right: int) -> None:
    policy = make_policy(with_values=True)
    torch.nn.init.ones_(policy.value_head.weight)
    batch = collate(EXAMPLES, pad_token_id=PAD)
    plain, padded = policy(batch), policy(more_padding(batch, left=left, right=right))
    width = batch.response_ids.shape[1]
    assert torch.allclose(padded.logprobs[:, :width], plain.logprobs, atol=1e-5)
    assert torch.allclose(padded.values[:, :width], plain.values, atol=1e-5)


def test_other_rows_change_nothing(make_policy: PolicyMaker) -> None:
    policy = make_policy()
    together = policy(collate(EXAMPLES, pad_token_id=PAD)).logprobs.sum(1)
    alone = torch.cat([policy(collate([example], pad_token_id=PAD)).logprobs.sum(1) for example in EXAMPLES])
    assert torch.allclose(together, alone, atol=1e-4)


def test_an_empty_response_has_log_prob_zero(make_policy: PolicyMaker) -> None:
    batch = collate([TokenizedExample([5], []), *EXAMPLES], pad_token_id=PAD)
    assert make_policy()(batch).logprobs[0].abs().sum().item() == 0
    assert make_policy()(collate([TokenizedExample([5], [])], pad_token_id=PAD)).logprobs.tolist() == [[0.0]]


def test_values_are_the_linear_head_on_the_states_and_zero_at_first(
    make_policy: PolicyMaker, policy_folder: Path
) -> None:
    policy = make_policy(with_values=True)
    batch = collate(EXAMPLES, pad_token_id=PAD)
    assert policy(batch).values.abs().sum().item() == 0
    assert make_policy()(batch).values is None
    with torch.no_grad():
        policy.value_head.weight.copy_(torch.linspace(-1, 1, 32)[None])
        policy.value_head.bias.fill_(0.25)
    network = AutoModelForCausalLM.from_pretrained(policy_folder, dtype=torch.float32)
    ids = torch.tensor([EXAMPLES[0].prompt_ids + EXAMPLES[0].response_ids])
    states = network(ids, output_hidden_states=True).hidden_states[-1][0, 4:-1]
    assert torch.allclose(policy(batch).values[0, :3], states @ torch.linspace(-1, 1, 32) + 0.25, atol=1e-4)


def test_values_leave_the_backbone_alone(make_policy: PolicyMaker) -> None:
    policy = make_policy(FULL, with_values=True)
    torch.nn.init.ones_(policy.value_head.weight)
    policy(collate(EXAMPLES, pad_token_id=PAD)).values.sum().backward()
    moved = {name for name, parameter in policy.named_parameters() if parameter.grad is not None}
    assert moved == {"value_head.weight", "value_head.bias"}


def test_new_adapters_change_nothing_and_switch_off(make_policy: PolicyMaker) -> None:
    batch = collate(EXAMPLES, pad_token_id=PAD)
    base = make_policy()(batch).logprobs
    policy = make_policy(LORA)
    assert torch.equal(policy(batch).logprobs, base)
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.05)
    assert not torch.allclose(policy(batch).logprobs, base, atol=1e-2)
    with policy.reference():
        assert torch.equal(policy(batch).logprobs, base)
    assert not torch.allclose(policy(batch).logprobs, base, atol=1e-2)


def test_a_policy_without_adapters_has_no_reference_inside(make_policy: PolicyMaker) -> None:
    with pytest.raises(TypeError, match="frozen copy"), make_policy(FULL).reference():
        pass


def test_a_policy_without_adapters_has_none_to_merge(make_policy: PolicyMaker) -> None:
    policy = make_policy(FULL)
    assert not policy.has_adapters
    with policy.merged():
        assert policy(collate(EXAMPLES, pad_token_id=PAD)).logprobs.requires_grad


def test_what_is_trainable(make_policy: PolicyMaker) -> None:
    def trainable(policy: Policy) -> set[str]:
        return {name for name, parameter in policy.named_parameters() if parameter.requires_grad}

    assert trainable(make_policy()) == set()
    assert all("lora_" in name for name in trainable(make_policy(LORA))) and trainable(make_policy(LORA))
    full = make_policy(FULL, with_values=True)
    assert trainable(full) == {name for name, _ in full.named_parameters()}
    assert {name for name in trainable(make_policy(LORA, with_values=True)) if "lora_" not in name} == {
        "value_head.weight",
        "value_head.bias",
    }


def test_adapters_follow_the_seed_and_leave_the_global_generator_alone(make_policy: PolicyMaker) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first = make_policy(LORA, seed=0).state_dict()
    assert torch.equal(torch.rand(1), expected)
    again, other = make_policy(LORA, seed=0).state_dict(), make_policy(LORA, seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first if "lora_A" in name)


def test_dropout_is_off(tmp_path: Path, make_policy: PolicyMaker, compute: Compute) -> None:
    network = make_policy().causal_lm
    network.config.attention_dropout = 0.5
    network.save_pretrained(tmp_path)
    policy = load_policy(tmp_path, compute, finetuning=None).train()
    batch = collate(EXAMPLES, pad_token_id=PAD)
    assert torch.equal(policy(batch).logprobs, policy(batch).logprobs)
    assert torch.equal(policy(batch).logprobs, make_policy()(batch).logprobs)


def test_absolute_positions_start_at_the_first_real_token() -> None:
    # rotary positions are relative and would hide a wrong offset; GPT-2's are learned and absolute
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=50, n_positions=32, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3)
    policy = Policy(AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval())
    example, longer = TokenizedExample([3, 4], [6, 7, 8]), TokenizedExample([9, 10, 11, 12, 13], [14])
    alone = policy(collate([example], pad_token_id=0)).logprobs
    batch = collate([example, longer], pad_token_id=0)
    assert torch.allclose(policy(batch).logprobs[0], alone[0], atol=1e-5)
    padded = more_padding(batch, left=4, right=2)
    assert torch.allclose(policy(padded).logprobs[0, :3], alone[0], atol=1e-5)
