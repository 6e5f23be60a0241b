"""Activations computed again: the same losses and gradients to the bit, in a fraction of the memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.data.tokens import TokenizedExample
from pipeline.kernels import long_attention
from pipeline.kernels.packing import pack_groups
from pipeline.kernels.recomputation import recomputed
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy, load_policy
from pipeline.models.reward_loading import create_reward_model
from pipeline.params.base import Finetuning
from tests.models.counting import bytes_kept

LORA = Finetuning(method="lora", lora_r=4, lora_alpha=8, lora_target_modules="all-linear")
FULL = Finetuning(method="full", lora_r=4, lora_alpha=8, lora_target_modules="all-linear")
# a branched row with a shorter one, whose padding is left out
ROWS = [
    [TokenizedExample([1, 2, 3, 4], [5, 6, 7, 8]), TokenizedExample([1, 2, 3, 4], [9, 10])],
    [TokenizedExample([11], [12, 13])],
]


def gradients(policy: Policy, rows: Any) -> list[Tensor]:
    logprobs = policy(rows).logprobs
    logprobs.sum().backward()
    return [logprobs.detach(), *(p.grad for p in policy.parameters() if p.grad is not None)]


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
@pytest.mark.parametrize("groups", [ROWS, [[group[0]] for group in ROWS]], ids=["branched", "plain"])
def test_results_are_the_same_to_the_bit(
    policy_folder: Path, compute: Compute, finetuning: Finetuning, groups: list[list[TokenizedExample]]
) -> None:
    results = []
    for kept in (None, 0):
        policy = load_policy(policy_folder, replace(compute, kept_activations=kept), finetuning=finetuning)
        results.append(gradients(policy, pack_groups(groups, pad_token_id=0)))
    assert len(results[0]) > 4
    assert all(torch.equal(kept, again) for kept, again in zip(*results, strict=True))


def test_little_is_kept(policy_folder: Path, compute: Compute) -> None:
    rows = pack_groups([[TokenizedExample([1] * 40, [2] * 40)]] * 4, pad_token_id=0)
    counted = {}
    for kept in (None, 0, 1 << 40):
        policy = load_policy(policy_folder, replace(compute, kept_activations=kept), finetuning=LORA)
        counted[kept] = bytes_kept(lambda policy=policy: policy(rows).logprobs, policy)  # type: ignore[misc]
    assert counted[0] < counted[None] / 4
    assert counted[1 << 40] == counted[None], "what fits is kept"


def test_a_reward_model_of_either_kind_learns_the_same(
    encoder_folder: Path, decoder_folder: Path, compute: Compute
) -> None:
    for folder in (encoder_folder, decoder_folder):
        results = []
        for kept in (None, 0):
            model = create_reward_model(folder, replace(compute, kept_activations=kept), max_length=32, seed=0)
            chosen, rejected = model.forward_pairs([([1, 2, 3, 4], [1, 2, 5]), ([6, 7], [6, 8, 9])])
            (chosen - rejected).sum().backward()
            results.append([p.grad for p in model.parameters() if p.grad is not None])
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_the_network_is_left_as_it_was(policy_folder: Path, compute: Compute) -> None:
    network = load_policy(policy_folder, compute, finetuning=LORA).causal_lm
    layer = network.base_model.layers[0]
    with recomputed(network):
        assert layer.training and layer.gradient_checkpointing
    assert not layer.training and not layer.gradient_checkpointing
    with torch.no_grad(), recomputed(network):
        assert not layer.gradient_checkpointing, "without gradient there is nothing to compute again"


def test_the_last_product_of_a_layer_is_not_computed_again(
    policy_folder: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its result is the layer's, which backward does not need."""
    products: list[int] = []
    plain = torch.nn.functional.linear

    def counted(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        products.append(1)
        return plain(x, weight, bias)

    policy = load_policy(policy_folder, replace(compute, kept_activations=0), finetuning=LORA)
    adapted = sum(name.endswith("lora_A") for name, _ in policy.named_modules())
    layers = len(policy.causal_lm.base_model.layers)
    rows = pack_groups([[TokenizedExample([1, 2], [3, 4])]], pad_token_id=0)
    policy(rows)  # it asks its network what it can read
    monkeypatch.setattr(torch.nn.functional, "linear", counted)
    loss = policy(rows).logprobs.sum()
    assert len(products) == adapted > layers
    loss.backward()
    assert len(products) == 2 * adapted - layers


def test_long_attention_is_computed_once(
    policy_folder: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same gradients, and half as many passes of attention as with every layer computed again."""
    monkeypatch.setattr(long_attention, "LONG", 4)
    attended: list[int] = []
    plain = long_attention._attended
    monkeypatch.setattr(long_attention, "_attended", lambda *operands: attended.append(1) or plain(*operands))
    counts, results = [], []
    for kept in (None, 0):
        policy = load_policy(policy_folder, replace(compute, kept_activations=kept), finetuning=LORA)
        assert policy.reads_flat_rows
        attended.clear()
        # two batches whose backward passes follow both forward passes
        logprobs = [policy(pack_groups(groups, pad_token_id=0)).logprobs.sum() for groups in (ROWS, ROWS[:1])]
        sum(logprobs).backward()
        counts.append(len(attended))
        results.append([p.grad for p in policy.parameters() if p.grad is not None])
    assert counts[0] == counts[1] == 2 * len(policy.causal_lm.base_model.layers)
    assert len(results[0]) > 4 and all(map(torch.equal, *results))
