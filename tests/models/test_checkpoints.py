"""Saved policies load with transformers, hold what was trained, and name neither place nor time."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from pipeline.data.tokens import TokenizedExample, collate
from pipeline.models.checkpoints import save_checkpoint, save_model, save_policy
from pipeline.models.compute import Compute
from pipeline.models.folders import stored_dtype
from pipeline.models.policy import Policy, load_adapters, load_policy
from pipeline.models.text_format import TextFormat
from pipeline.params.base import Finetuning
from pipeline.project.hashing import content_hash
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA

TRANSCRIPT = TextFormat("transcript")
BATCH = collate([TokenizedExample([11, 12], [13, 14, 15]), TokenizedExample([16], [17])], pad_token_id=0)


def trained(make_policy: PolicyMaker, finetuning: Finetuning) -> Policy:
    """A policy whose trainable weights have moved."""
    policy = make_policy(finetuning, with_values=True)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return policy


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_a_saved_policy_is_the_trained_one_and_a_plain_model(
    make_policy: PolicyMaker,
    tokenizer: PreTrainedTokenizerBase,
    tmp_path: Path,
    compute: Compute,
    finetuning: Finetuning,
) -> None:
    policy = trained(make_policy, finetuning)
    expected = policy(BATCH).logprobs.detach()
    assert not torch.allclose(expected, make_policy()(BATCH).logprobs, atol=1e-2)
    save_policy(policy, tokenizer, tmp_path, dtype=torch.float32, texts=TRANSCRIPT)
    assert torch.allclose(load_policy(tmp_path, compute, finetuning=None)(BATCH).logprobs, expected, atol=1e-4)
    network = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.allclose(Policy(network)(BATCH).logprobs, expected, atol=1e-4)
    assert AutoTokenizer.from_pretrained(tmp_path).eos_token_id == tokenizer.eos_token_id
    assert not any("lora" in name or "value_head" in name for name in network.state_dict())


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_a_frontier_checkpoint_is_the_policy_of_that_moment(
    make_policy: PolicyMaker, policy_folder: Path, tmp_path: Path, compute: Compute, finetuning: Finetuning
) -> None:
    policy = trained(make_policy, finetuning)
    expected = policy(BATCH).logprobs.detach()
    save_checkpoint(policy, tmp_path / "step", dtype=torch.float32)
    # the policy is still the same, trainable, and not used up
    assert torch.equal(policy(BATCH).logprobs, expected)
    assert any(parameter.requires_grad for parameter in policy.parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # one for every checkpoint, on the terminal of the user
        loaded = load_adapters(tmp_path / "step", policy_folder, compute)
    assert torch.allclose(loaded(BATCH).logprobs, expected, atol=1e-5)


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_the_same_weights_give_the_same_bytes_wherever_they_are_written(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, finetuning: Finetuning
) -> None:
    hashes = []
    for name in ("here", "elsewhere/deeper"):
        policy = trained(make_policy, finetuning)
        save_checkpoint(policy, tmp_path / name / "step", dtype=torch.float32)
        save_policy(policy, tokenizer, tmp_path / name / "policy", dtype=torch.float32, texts=TRANSCRIPT)
        hashes.append(content_hash(tmp_path / name))
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])
def test_no_path_is_inside_a_checkpoint(
    make_policy: PolicyMaker,
    policy_folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    tmp_path: Path,
    finetuning: Finetuning,
) -> None:
    policy = trained(make_policy, finetuning)
    save_checkpoint(policy, tmp_path / "step", dtype=torch.float32)
    save_policy(policy, tokenizer, tmp_path / "policy", dtype=torch.float32, texts=TRANSCRIPT)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            for secret in (str(policy_folder), str(tmp_path), policy_folder.name):
                assert secret.encode() not in content, file.name


def test_target_modules_are_sorted(make_policy: PolicyMaker, tmp_path: Path) -> None:
    save_checkpoint(make_policy(LORA), tmp_path, dtype=torch.float32)
    modules = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert modules == sorted(modules) and any(name.endswith("q_proj") for name in modules)


def test_weights_are_stored_in_the_dtype_asked_for(
    make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    save_policy(make_policy(LORA), tokenizer, tmp_path / "lora", dtype=torch.bfloat16, texts=TRANSCRIPT)
    save_checkpoint(make_policy(FULL), tmp_path / "full", dtype=torch.bfloat16)
    for name in ("lora", "full"):
        assert stored_dtype(tmp_path / name) == torch.bfloat16
        network = AutoModelForCausalLM.from_pretrained(tmp_path / name, dtype="auto")
        assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}


def test_saving_a_full_checkpoint_in_bf16_does_not_round_the_policy(make_policy: PolicyMaker, tmp_path: Path) -> None:
    policy = make_policy(FULL)
    save_checkpoint(policy, tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in policy.parameters()} == {torch.float32}


def test_a_config_without_dtype_is_float32(make_policy: PolicyMaker, tokenizer, tmp_path: Path) -> None:
    save_model(make_policy().causal_lm, tokenizer, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config.pop("dtype", None)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert stored_dtype(tmp_path) == torch.float32
