"""Saved policies hold what was trained, released ones load with transformers, and none names a place or a time."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

from pipeline.data.tokens import TokenizedExample, collate
from pipeline.models.checkpoints import (
    PolicyFolder,
    checkpoint_bytes,
    keep_checkpoint,
    save_checkpoint,
    save_model,
    save_policy,
    save_whole,
)
from pipeline.models.compute import Compute
from pipeline.models.folders import stored_dtype
from pipeline.models.policy import Policy, load_policy, read_network
from pipeline.params.base import Finetuning
from pipeline.project.hashing import content_hash
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA
from tests.trained_project import TEXTS, TrainedProject, moved, save_trained_project

BATCH = collate([TokenizedExample([11, 12], [13, 14, 15]), TokenizedExample([16], [17])], pad_token_id=0)
BOTH = pytest.mark.parametrize("finetuning", [LORA, FULL], ids=["lora", "full"])


def trained(make_policy: PolicyMaker, finetuning: Finetuning) -> Policy:
    """A policy whose trainable weights have moved."""
    return moved(make_policy(finetuning, with_values=True), seed=5, by=0.05)


@BOTH
def test_a_saved_policy_is_the_trained_one(
    make_policy: PolicyMaker,
    policy_folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    tmp_path: Path,
    compute: Compute,
    finetuning: Finetuning,
) -> None:
    start = tmp_path / "start"
    shutil.copytree(policy_folder, start)
    policy = trained(make_policy, finetuning)
    expected = policy(BATCH).logprobs.detach()
    assert not torch.allclose(expected, make_policy()(BATCH).logprobs, atol=1e-2)
    save_policy(policy, tokenizer, tmp_path / "saved", start=start, root=tmp_path, texts=TEXTS)
    loaded = load_policy(tmp_path / "saved", compute, finetuning=None)
    assert not loaded.has_adapters and torch.allclose(loaded(BATCH).logprobs, expected, atol=1e-4)
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").eos_token_id == tokenizer.eos_token_id
    assert (tmp_path / "saved/model.safetensors").exists() == (finetuning.method == "full")


@BOTH
def test_a_released_policy_is_a_plain_model(
    policy_folder: Path, compute: Compute, tmp_path: Path, finetuning: Finetuning
) -> None:
    """Of SFT and of DPO on it, in the number format of the starting model, with the values that training stored."""
    project = save_trained_project(tmp_path, policy_folder, compute, sft=finetuning, dpo=finetuning)
    before = {file: file.read_bytes() for file in project.root.rglob("*.safetensors")}
    for folder in (project.sft, project.dpo):
        expected = load_policy(folder, compute, finetuning=None)
        save_whole(folder, tmp_path / "release" / folder.name)
        network = AutoModelForCausalLM.from_pretrained(tmp_path / "release" / folder.name, dtype="auto")
        assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}
        released = load_policy(tmp_path / "release" / folder.name, compute, finetuning=None)
        assert torch.equal(released(BATCH).logprobs, expected(BATCH).logprobs)
        assert not any("lora" in name or "value_head" in name for name in network.state_dict())
        assert (tmp_path / "release" / folder.name / "text_format.json").is_file()
    assert all(file.read_bytes() == content for file, content in before.items()), "merging changed what was stored"


def test_tables_of_positions_are_not_rounded(trained_project: TrainedProject) -> None:
    """Rotary frequencies in bf16 would turn late positions by whole radians."""
    network = read_network(trained_project.dpo, torch.bfloat16)
    exact = AutoModelForCausalLM.from_pretrained(trained_project.start, dtype=torch.bfloat16)
    assert torch.equal(network.model.rotary_emb.inv_freq, exact.model.rotary_emb.inv_freq)
    assert network.model.rotary_emb.inv_freq.dtype == torch.float32


@BOTH
def test_a_frontier_checkpoint_is_the_policy_of_that_moment(
    make_policy: PolicyMaker, policy_folder: Path, tmp_path: Path, compute: Compute, finetuning: Finetuning
) -> None:
    start = tmp_path / "start"
    shutil.copytree(policy_folder, start)
    policy = trained(make_policy, finetuning)
    expected = policy(BATCH).logprobs.detach()
    save_checkpoint(policy, tmp_path / "step", start=start, root=tmp_path)
    # the policy is still the same, trainable, and not used up
    assert torch.equal(policy(BATCH).logprobs, expected)
    assert any(parameter.requires_grad for parameter in policy.parameters())
    loaded = load_policy(tmp_path / "step", compute, finetuning=None)
    assert torch.allclose(loaded(BATCH).logprobs, expected, atol=1e-5)


@BOTH
def test_a_checkpoint_that_is_kept_is_the_policy_that_training_saved_then(
    policy_folder: Path, compute: Compute, tmp_path: Path, finetuning: Finetuning
) -> None:
    """The same files whether a checkpoint was on the way or the last one, and no byte of weights a second time."""
    project = save_trained_project(tmp_path, policy_folder, compute, sft=finetuning, dpo=finetuning)
    for name, checkpoint in (("way", project.checkpoint), ("last", project.last)):
        keep_checkpoint(checkpoint, project.last, tmp_path / name)
        assert content_hash(tmp_path / name) == content_hash(project.dpo)
        (weights,) = (tmp_path / name).glob("*.safetensors")
        assert weights.stat().st_ino == (checkpoint / weights.name).stat().st_ino


@BOTH
def test_the_same_weights_give_the_same_bytes_wherever_they_are_written(
    policy_folder: Path, compute: Compute, tmp_path: Path, finetuning: Finetuning
) -> None:
    for name in ("here", "elsewhere/deeper"):
        save_trained_project(tmp_path / name, policy_folder, compute, sft=finetuning, dpo=finetuning)
    assert content_hash(tmp_path / "here") == content_hash(tmp_path / "elsewhere/deeper")


@BOTH
def test_no_path_of_the_machine_is_inside_a_checkpoint(
    policy_folder: Path, compute: Compute, tmp_path: Path, finetuning: Finetuning
) -> None:
    project = save_trained_project(tmp_path, policy_folder, compute, sft=finetuning, dpo=finetuning)
    for file in project.root.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            for secret in (str(policy_folder), str(tmp_path), policy_folder.name):
                assert secret.encode() not in content, file.name


@BOTH
def test_what_a_checkpoint_takes_on_the_disk_is_known_before(
    policy_folder: Path, compute: Compute, tmp_path: Path, finetuning: Finetuning
) -> None:
    project = save_trained_project(tmp_path, policy_folder, compute, sft=finetuning, dpo=finetuning)
    (file,) = project.checkpoint.glob("*.safetensors")
    weights = sum(tensor.nbytes for tensor in load_file(file).values())
    if finetuning.method == "lora":
        assert checkpoint_bytes(project.sft, finetuning) == weights
    else:
        assert checkpoint_bytes(project.sft, finetuning) == file.stat().st_size >= weights


def test_target_modules_are_sorted(trained_project: TrainedProject) -> None:
    modules = json.loads((trained_project.sft / "adapter_config.json").read_text())["target_modules"]
    assert modules == sorted(modules) and any(name.endswith("q_proj") for name in modules)


def test_saving_a_full_checkpoint_in_bf16_does_not_round_the_policy(
    trained_project: TrainedProject, compute: Compute
) -> None:
    policy = load_policy(trained_project.start, compute, finetuning=FULL)
    save_checkpoint(policy, trained_project.root / "step", start=trained_project.start, root=trained_project.root)
    assert {parameter.dtype for parameter in policy.parameters()} == {torch.float32}
    stored = AutoModelForCausalLM.from_pretrained(trained_project.root / "step", dtype="auto")
    assert {parameter.dtype for parameter in stored.parameters()} == {torch.bfloat16}


def test_a_checkpoint_is_converted_tensor_by_tensor_and_nothing_is_copied_as_it_is(
    trained_project: TrainedProject, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU that holds the weights once, there is no room for them twice."""
    policy = load_policy(trained_project.start, compute, finetuning=FULL)

    def refuse(self: torch.Tensor, _: object) -> None:
        raise AssertionError(f"{tuple(self.shape)} is copied in its own format, where it is")

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Parameter, "__deepcopy__", refuse)
        patch.setattr(torch.Tensor, "__deepcopy__", refuse)
        save_checkpoint(policy, trained_project.root / "step", start=trained_project.start, root=trained_project.root)
    weights = load_file(trained_project.root / "step/model.safetensors")
    own = dict(policy.causal_lm.named_parameters())
    assert weights and all(torch.equal(value, own[name].to(torch.bfloat16)) for name, value in weights.items())


def test_checkpoints_from_the_step_on_that_training_went_back_to_are_removed(
    trained_project: TrainedProject, compute: Compute, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    policy = load_policy(trained_project.sft, compute, finetuning=LORA)
    output = PolicyFolder(tmp_path / "out", start=trained_project.sft, root=trained_project.root)
    for step in (8, 16, 24, 32):
        output.save_step(policy, step)
    output.save(policy, tokenizer, step=16)
    assert [path.name for path in (tmp_path / "out/checkpoints").iterdir()] == ["step-00008"]


def test_a_config_without_dtype_is_float32(make_policy: PolicyMaker, tokenizer, tmp_path: Path) -> None:
    save_model(make_policy().causal_lm, tokenizer, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config.pop("dtype", None)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert stored_dtype(tmp_path) == torch.float32
