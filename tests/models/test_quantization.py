"""Adapters on weights in 4 bits: policy and reference compute with the same ones, and merging uses none of them."""

import importlib.util
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.data.tokens import TokenizedExample
from pipeline.errors import PipelineError
from pipeline.kernels.quantized import QuantizedLinear, is_quantized
from pipeline.models.checkpoints import save_policy
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy, load_policy, load_reference, load_tokenizer, read_network
from pipeline.models.reward_loading import create_reward_model
from pipeline.models.scoring import response_logps, score_responses
from pipeline.models.text_format import TextFormat
from pipeline.params.base import Finetuning
from pipeline.training.schedule import trainable_parameters
from tests.passages import ended
from tests.tiny_models import LORA, SENTENCES

QLORA = LORA.model_copy(update={"quantization": "nf4"})
EXAMPLES = [TokenizedExample([11 + i, 12], [20 + i, 21, 22]) for i in range(4)]
TEXTS = ended(SENTENCES)


def test_without_bitsandbytes_one_sentence_says_so_before_anything_is_loaded(
    compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    nowhere = Path("nowhere")
    loaders: list[Callable[[], object]] = [
        lambda: load_policy(nowhere, compute, finetuning=QLORA),
        lambda: load_reference(nowhere, compute, method="lora", quantization="nf4"),
        lambda: create_reward_model(nowhere, compute, max_length=8, seed=0, finetuning=QLORA),
    ]
    for load in loaders:
        with pytest.raises(PipelineError, match=r"pip install '\.\[qlora\]'"):
            load()


def test_weights_in_4_bits_are_not_trained_in_full() -> None:
    with pytest.raises(ValueError, match="set method to lora"):
        Finetuning(method="full", lora_r=4, lora_alpha=8, lora_target_modules="all-linear", quantization="nf4")


def test_policy_and_reference_compute_with_the_same_weights(policy_folder: Path, compute: Compute) -> None:
    """The first DPO loss is ln 2 whichever reference it has: cached, adapters off, or a copy."""
    pytest.importorskip("bitsandbytes")
    policy = load_policy(policy_folder, compute, finetuning=QLORA)
    assert is_quantized(policy) and type(policy.causal_lm.get_output_embeddings()) is torch.nn.Linear
    now = response_logps(policy, EXAMPLES, compute, pad_token_id=0)
    reference = load_reference(policy_folder, compute, method="lora", quantization="nf4")
    cached = score_responses(reference, EXAMPLES, compute, pad_token_id=0, batch_size=2, title="test")
    assert torch.allclose(now, torch.tensor(cached), atol=1e-4)
    with policy.reference(), torch.no_grad():
        assert torch.equal(response_logps(policy, EXAMPLES, compute, pad_token_id=0), now)
    unquantized = load_reference(policy_folder, compute, method="lora")
    other = response_logps(unquantized, EXAMPLES, compute, pad_token_id=0)
    assert not torch.allclose(now, other, atol=1e-3), "quantising changed nothing: the test shows nothing"
    margin = (now - torch.tensor(cached)).view(-1, 2)
    assert -torch.nn.functional.logsigmoid(margin[:, 0] - margin[:, 1]).mean().item() == pytest.approx(
        math.log(2), abs=1e-4
    )


@pytest.mark.parametrize("fused", [True, False])
def test_only_adapters_learn_and_sampling_leaves_the_codes_alone(
    policy_folder: Path, compute: Compute, fused: bool
) -> None:
    pytest.importorskip("bitsandbytes")
    policy = load_policy(policy_folder, replace(compute, fused_adapters=fused), finetuning=QLORA)
    codes = [layer.weight.clone() for layer in policy.modules() if isinstance(layer, QuantizedLinear)]
    train(policy, compute)
    before = response_logps(policy, EXAMPLES, compute, pad_token_id=0)
    with policy.merged():
        assert torch.equal(response_logps(policy, EXAMPLES, compute, pad_token_id=0), before)
    after = [layer.weight for layer in policy.modules() if isinstance(layer, QuantizedLinear)]
    assert codes and all(map(torch.equal, codes, after))


def test_a_policy_is_merged_into_the_stored_weights(policy_folder: Path, compute: Compute, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    base = tmp_path / "base"
    shutil.copytree(policy_folder, base)
    policy = load_policy(base, compute, finetuning=QLORA)
    train(policy, compute)
    texts = TextFormat("transcript")
    save_policy(policy, load_tokenizer(base), tmp_path / "tuned", start=base, root=tmp_path, texts=texts)
    merged, stored = read_network(tmp_path / "tuned", torch.float32), read_network(base, torch.float32)
    for name, module in policy.language_model.named_modules():
        if hasattr(module, "lora_A"):
            place = name.removeprefix("base_model.model.")
            expected = stored.get_submodule(place).weight + module.get_delta_weight("default")
            assert torch.allclose(merged.get_submodule(place).weight, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_a_reward_model_is_merged_into_the_stored_weights(
    kind: str, encoder_folder: Path, decoder_folder: Path, compute: Compute
) -> None:
    pytest.importorskip("bitsandbytes")
    folder = encoder_folder if kind == "encoder" else decoder_folder
    plain = create_reward_model(folder, compute, max_length=64, seed=0, finetuning=LORA).eval()
    model = create_reward_model(folder, compute, max_length=64, seed=0, finetuning=QLORA).eval()
    assert is_quantized(model)
    exact, rounded = plain.score(TEXTS, batch_size=4), model.score(TEXTS, batch_size=4)
    assert not torch.allclose(rounded, exact, atol=1e-3)
    # adapters that have learnt nothing: what is merged is what was stored
    model.merge_adapters()
    plain.merge_adapters()
    assert not is_quantized(model)
    assert torch.equal(model.score(TEXTS, batch_size=4), plain.score(TEXTS, batch_size=4))


def train(policy: Policy, compute: Compute) -> None:
    """Two steps, after which every adapter has learnt something."""
    parameters = trainable_parameters(policy)
    optimizer = torch.optim.SGD(parameters, lr=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        response_logps(policy, EXAMPLES, compute, pad_token_id=0).sum().backward()
        optimizer.step()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in parameters)
