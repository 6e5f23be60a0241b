"""Adapters that are merged while a policy samples: the same function, and the weights come back as they were."""

import subprocess
import sys
import warnings

import pytest
import torch

from pipeline.data.tokens import TokenizedExample, collate
from pipeline.models import adapters
from pipeline.models.adapters import has_adapters, lora_linear, merged_for_sampling
from pipeline.models.policy import Policy
from tests.conftest import ROOT, PolicyMaker
from tests.tiny_models import FULL, LORA, changed

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


def test_making_adapters_warns_of_nothing(make_policy: PolicyMaker) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        make_policy(LORA)


def test_a_policy_without_adapters_is_left_alone(make_policy: PolicyMaker) -> None:
    policy = make_policy(FULL)
    assert not has_adapters(policy.language_model)
    with merged_for_sampling(policy.language_model):
        assert policy(BATCH).logprobs.requires_grad


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("frozen_input", [False, True])
def test_a_fused_layer_has_pefts_values_and_gradients(bias: bool, frozen_input: bool) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    torch.manual_seed(0)
    network = inject_adapter_in_model(
        LoraConfig(r=4, lora_alpha=12, target_modules=["0"]), torch.nn.Sequential(torch.nn.Linear(6, 5, bias=bias))
    ).double()
    layer = network[0]
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    adapter = [layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    x = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=not frozen_input)
    inputs = adapter if frozen_input else [x, *adapter]
    theirs = layer(x)
    ours = lora_linear(x, layer.base_layer.weight, layer.base_layer.bias, *adapter, layer.scaling["default"])
    upstream = torch.randn_like(ours)
    assert torch.allclose(ours, theirs)
    gradients = [torch.autograd.grad((result * upstream).sum(), inputs) for result in (ours, theirs)]
    assert all(torch.allclose(a, b) for a, b in zip(*gradients, strict=True))


def test_every_adapter_of_a_policy_is_fused_and_can_be_switched_off(
    make_policy: PolicyMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    original = adapters.lora_linear
    monkeypatch.setattr(adapters, "lora_linear", lambda *arguments: calls.append(1) or original(*arguments))
    policy = make_policy(LORA)
    policy(BATCH)
    calls.clear()  # of the network's own check
    policy(BATCH)
    assert len(calls) == sum("lora_A" in name for name, _ in policy.named_parameters()) > 0
    calls.clear()
    with policy.reference():
        policy(BATCH)
    with merged_for_sampling(policy.language_model):
        policy(BATCH)
    assert not calls


def test_dropout_of_an_adapter_is_left_to_peft() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    def plain(**options: object) -> bool:
        network = torch.nn.Sequential(torch.nn.Linear(6, 5))
        return adapters._is_plain(inject_adapter_in_model(LoraConfig(target_modules=["0"], **options), network)[0])

    assert plain() and not plain(lora_dropout=0.1) and not plain(use_dora=True)


def test_whoever_needs_no_adapters_does_not_wait_for_peft() -> None:
    check = "import sys, pipeline.evaluation.policy, pipeline.models.scoring; sys.exit('peft' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0
