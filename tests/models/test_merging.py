"""Stored adapters and what they lie on make the network that PEFT makes of them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
)

from pipeline.data.tokens import TokenizedExample, collate
from pipeline.errors import PipelineError
from pipeline.models.adapters import add_adapters
from pipeline.models.checkpoints import save_checkpoint, save_model, save_policy
from pipeline.models.compute import Compute
from pipeline.models.merging import merge_adapters, merge_stored_adapters
from pipeline.models.policy import load_policy, read_network
from tests.tiny_models import LORA, byte_level_tokenizer, changed
from tests.trained_project import TEXTS, TrainedProject, moved

BATCH = collate([TokenizedExample([11, 12], [13, 14, 15]), TokenizedExample([16], [17])], pad_token_id=0)


def test_merging_stored_adapters_is_what_peft_does(trained_project: TrainedProject) -> None:
    """PEFT's merge in fp32, rounded to bf16: the same numbers, whichever does it."""
    base = AutoModelForCausalLM.from_pretrained(trained_project.start, dtype=torch.float32)
    theirs = PeftModel.from_pretrained(base, str(trained_project.sft)).merge_and_unload().to(torch.bfloat16)
    ours = read_network(trained_project.sft, torch.bfloat16)
    for name, weight in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weight), name
    start = AutoModelForCausalLM.from_pretrained(trained_project.start, dtype=torch.bfloat16).state_dict()
    assert sum(not torch.equal(start[name], weight) for name, weight in theirs.state_dict().items()) == 14


def test_merged_weights_stay_where_they_are_and_are_rounded_once() -> None:
    """New places for all of them would make a CPU's heap grow by the whole network."""
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2)
    network = LlamaForCausalLM(config).to(torch.bfloat16).requires_grad_(False)
    adapted: Any = add_adapters(network, LORA, task="CAUSAL_LM", seed=0, name="test")
    layers: Any = [module for module in adapted.modules() if hasattr(module, "lora_A")]
    for layer in layers:
        torch.nn.init.normal_(layer.lora_B["default"].weight)
    weights = [layer.base_layer.weight for layer in layers]
    expected = [
        (weight.float() + layer.get_delta_weight("default")).to(torch.bfloat16)
        for weight, layer in zip(weights, layers, strict=True)
    ]
    places = [weight.data_ptr() for weight in weights]
    merge_adapters(adapted, torch.bfloat16)
    assert [weight.data_ptr() for weight in weights] == places
    assert all(map(torch.equal, weights, expected))


@pytest.mark.parametrize("target", ["embed_tokens", "lm_head"])
def test_adapters_of_untied_embeddings_and_heads_are_merged_too(
    trained_project: TrainedProject, compute: Compute, tokenizer: PreTrainedTokenizerBase, target: str
) -> None:
    """By PEFT, which knows every kind."""
    wider = changed(LORA, lora_target_modules=[target, "q_proj"])
    policy = moved(load_policy(trained_project.start, compute, finetuning=wider), seed=7)
    expected = policy(BATCH).logprobs.detach()
    folder = trained_project.root / "artifacts/wider"
    save_policy(policy, tokenizer, folder, start=trained_project.start, root=trained_project.root, texts=TEXTS)
    loaded = load_policy(folder, compute, finetuning=None)
    assert torch.allclose(loaded(BATCH).logprobs, expected, atol=0.05)
    start = load_policy(trained_project.start, compute, finetuning=None)
    assert not torch.allclose(start(BATCH).logprobs, expected, atol=0.5)


def test_a_layer_that_keeps_its_weight_the_other_way_round_is_merged(compute: Compute, tmp_path: Path) -> None:
    """GPT-2's, whose weight is (in, out)."""
    config = GPT2Config(vocab_size=320, n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2)
    start = tmp_path / "start"
    save_model(GPT2LMHeadModel(config), byte_level_tokenizer(), start)
    policy = moved(load_policy(start, compute, finetuning=LORA), seed=7)
    expected = policy(BATCH).logprobs.detach()
    save_checkpoint(policy, tmp_path / "step", start=start, root=tmp_path)
    loaded = load_policy(tmp_path / "step", compute, finetuning=None)
    assert torch.allclose(loaded(BATCH).logprobs, expected, atol=1e-4)
    assert not torch.allclose(load_policy(start, compute, finetuning=None)(BATCH).logprobs, expected, atol=1e-2)


def test_adapters_that_do_not_fit_are_refused(trained_project: TrainedProject) -> None:
    """A base of another shape under the hash of the right one, as nobody but a programmer can make it."""
    config = LlamaConfig(
        vocab_size=320, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    with pytest.raises(PipelineError, match="do not fit the network"):
        merge_stored_adapters(LlamaForCausalLM(config), trained_project.sft)
