"""Adapters that are merged while a policy samples: the same function, and the weights come back as they were."""

import subprocess
import sys

import pytest
import torch

from pipeline.data.tokens import TokenizedExample, collate
from pipeline.models.adapters import has_adapters, merged_for_sampling
from pipeline.models.policy import Policy
from tests.conftest import ROOT, PolicyMaker
from tests.tiny_models import FULL, LORA

BATCH = collate([TokenizedExample([11, 12, 13], [20, 21, 2]), TokenizedExample([30], [31, 32])], pad_token_id=0)


@pytest.fixture
def policy(make_policy: PolicyMaker) -> Policy:
    """Adapters that do something."""
    policy = make_policy(LORA)
    for name, parameter in policy.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(parameter, 0.05)
    return policy


def test_merged_adapters_compute_the_same(policy: Policy) -> None:
    apart = policy(BATCH).logprobs
    with merged_for_sampling(policy.language_model):
        merged = policy(BATCH).logprobs
        with policy.reference():
            pass
    assert torch.allclose(merged, apart, atol=1e-5)
    assert not merged.requires_grad


def test_afterwards_weights_and_adapters_are_what_they_were(policy: Policy) -> None:
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    apart = policy(BATCH).logprobs
    with pytest.raises(KeyboardInterrupt), merged_for_sampling(policy.language_model):
        changed = [name for name, tensor in policy.state_dict().items() if not torch.equal(tensor, before[name])]
        assert changed and all("base_layer.weight" in name for name in changed)
        raise KeyboardInterrupt
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.state_dict().items())
    assert torch.equal(policy(BATCH).logprobs, apart)
    assert all(p.requires_grad == ("lora_" in name) for name, p in policy.named_parameters())


def test_a_policy_without_adapters_is_left_alone(make_policy: PolicyMaker) -> None:
    policy = make_policy(FULL)
    assert not has_adapters(policy.language_model)
    with merged_for_sampling(policy.language_model):
        assert policy(BATCH).logprobs.requires_grad


def test_whoever_needs_no_adapters_does_not_wait_for_peft() -> None:
    check = "import sys, pipeline.evaluation.policy, pipeline.models.scoring; sys.exit('peft' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0
