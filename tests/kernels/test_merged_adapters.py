"""Adapters that are merged while a policy samples: the same function, and the weights come back as they were."""

import pytest
import torch

from pipeline.data.tokens import TokenizedExample, collate
from pipeline.kernels.merged_adapters import merged_for_sampling
from pipeline.models.policy import Policy
from tests.conftest import PolicyMaker
from tests.tiny_models import LORA, changed

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


def test_adapters_of_embeddings_stay_apart_while_a_policy_samples(make_policy: PolicyMaker) -> None:
    """Left out of the weights and switched off, they would make the sampler another policy."""
    policy = make_policy(changed(LORA, lora_target_modules=["q_proj", "embed_tokens"]))
    for name, parameter in policy.named_parameters():
        if "lora_B" in name or "lora_embedding_B" in name:
            torch.nn.init.constant_(parameter, 0.05)
    apart = policy(BATCH).logprobs
    with merged_for_sampling(policy.language_model):
        assert torch.allclose(policy(BATCH).logprobs, apart, atol=1e-5)


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_merged_weights_are_the_sum_in_fp32_rounded_once(make_policy: PolicyMaker, dtype: torch.dtype) -> None:
    """And each layer's place is taken before the first sum, so that what comes and goes leaves no holes."""
    policy = make_policy(LORA)
    layers = [module for module in policy.modules() if hasattr(module, "lora_B")]
    torch.manual_seed(0)
    for layer in layers:
        layer.get_base_layer().to(dtype)
        torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.1)
    expected = [
        (layer.get_base_layer().weight.float() + layer.get_delta_weight("default").float()).to(dtype)
        for layer in layers
    ]
    with merged_for_sampling(policy.language_model):
        found = [layer.get_base_layer().weight for layer in layers]
        assert len(found) > 5 and all(map(torch.equal, found, expected))
        assert len({weight.data_ptr() for weight in found}) == len(found)
