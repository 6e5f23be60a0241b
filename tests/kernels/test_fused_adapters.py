"""A layer and its adapter in one step: PEFT's values and gradients, in every layer where it is one plain step."""

import pytest
import torch

from pipeline.data.tokens import TokenizedExample, collate
from pipeline.kernels import fused_adapters
from pipeline.kernels.fused_adapters import lora_linear
from tests.conftest import PolicyMaker
from tests.tiny_models import LORA

BATCH = collate([TokenizedExample([11, 12, 13], [20, 21, 2]), TokenizedExample([30], [31, 32])], pad_token_id=0)


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
    original = fused_adapters.lora_linear
    monkeypatch.setattr(fused_adapters, "lora_linear", lambda *arguments: calls.append(1) or original(*arguments))
    policy = make_policy(LORA)
    policy(BATCH)
    calls.clear()  # of the network's own check
    policy(BATCH)
    assert len(calls) == sum("lora_A" in name for name, _ in policy.named_parameters()) > 0
    calls.clear()
    with policy.reference():
        policy(BATCH)
    with policy.merged():
        policy(BATCH)
    assert not calls


def test_dropout_of_an_adapter_is_left_to_peft() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    def plain(**options: object) -> bool:
        network = torch.nn.Sequential(torch.nn.Linear(6, 5))
        return fused_adapters._is_plain(
            inject_adapter_in_model(LoraConfig(target_modules=["0"], **options), network)[0]
        )

    assert plain() and not plain(lora_dropout=0.1) and not plain(use_dora=True)
