"""A policy's adapters as one: the same network as the policy, whatever it was stacked from, under a name of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from pipeline.data.tokens import TokenizedExample, collate
from pipeline.engines.adapters import adapter_of
from pipeline.errors import PipelineError
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy, load_policy
from tests.conftest import PolicyMaker
from tests.tiny_models import FULL, LORA, changed
from tests.trained_project import TrainedProject, moved

BATCH = collate([TokenizedExample([11, 12], [13, 14, 15]), TokenizedExample([16], [17, 18])], pad_token_id=0)


def served(start: Path, adapters: Path) -> Policy:
    """What a server makes of the folder: the whole model with PEFT's adapters, in fp32, nothing merged."""
    base: Any = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    return Policy(PeftModel.from_pretrained(base, str(adapters)).get_base_model())


def logprobs(policy: Policy) -> torch.Tensor:
    with torch.no_grad():
        return policy(BATCH).logprobs


def exact(start: Path, *adapters: Path) -> Policy:
    """Each merged on the one before, in fp32, by PEFT."""
    network: Any = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    for folder in adapters:
        network = PeftModel.from_pretrained(network, str(folder)).merge_and_unload()
    return Policy(network)


def test_adapters_on_adapters_are_one_adapter(
    trained_project: TrainedProject, compute: Compute, tmp_path: Path
) -> None:
    """In fp32 the sum of the products is the product of what stands side by side, to the last digits."""
    adapter = adapter_of(load_policy(trained_project.dpo, compute, finetuning=None))
    assert adapter is not None and adapter.rank == 2 * LORA.lora_r
    folder = adapter.write(tmp_path)
    expected = logprobs(exact(trained_project.start, trained_project.sft, trained_project.dpo))
    assert torch.allclose(logprobs(served(trained_project.start, folder)), expected, atol=1e-5)
    below = logprobs(exact(trained_project.start, trained_project.sft))
    assert not torch.allclose(below, expected, atol=0.1), "DPO has changed nothing: the test shows nothing"


def test_adapters_that_are_trained_lie_on_those_that_are_stored(
    trained_project: TrainedProject, compute: Compute, tmp_path: Path
) -> None:
    """With another rank, scale and other layers, as PPO may have."""
    other = changed(LORA, lora_r=2, lora_alpha=6, lora_target_modules=["q_proj"])
    policy = moved(load_policy(trained_project.sft, compute, finetuning=other), seed=8)
    adapter = adapter_of(policy)
    assert adapter is not None and adapter.rank == LORA.lora_r + 2
    folder = adapter.write(tmp_path)
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == 6
    # the policy in memory has SFT merged in bf16, which is all that they differ by
    ours, theirs = logprobs(policy), logprobs(served(trained_project.start, folder))
    assert torch.allclose(ours, theirs, atol=0.05)
    assert not torch.allclose(theirs, logprobs(exact(trained_project.start, trained_project.sft)), atol=0.1)


def test_a_name_belongs_to_the_numbers(make_policy: PolicyMaker, tmp_path: Path) -> None:
    policy = make_policy(LORA)
    first = adapter_of(policy)
    again = adapter_of(policy)
    later = adapter_of(moved(policy, seed=1, by=1e-6))
    assert first is not None and again is not None and later is not None
    assert first.name() == again.name() != later.name()
    place = first.write(tmp_path)
    before = place.stat().st_mtime_ns
    assert again.write(tmp_path) == place and place.stat().st_mtime_ns == before
    assert [one.name for one in tmp_path.iterdir()] == [place.name], "a draft has stayed"


def test_a_whole_model_needs_no_adapter(make_policy: PolicyMaker) -> None:
    assert adapter_of(make_policy()) is None


def test_a_policy_that_is_trained_in_full_is_refused(make_policy: PolicyMaker) -> None:
    with pytest.raises(PipelineError, match=r"trained in full.*finetuning.method.*sampling.engine to own"):
        adapter_of(make_policy(FULL))


@pytest.mark.parametrize("layer", ["embed_tokens", "lm_head"])
def test_adapters_of_embeddings_and_heads_are_refused(make_policy: PolicyMaker, layer: str) -> None:
    policy = make_policy(changed(LORA, lora_target_modules=[layer, "q_proj"]))
    with pytest.raises(PipelineError, match=rf"{layer}, and vLLM takes them on linear layers.*lora_target_modules"):
        adapter_of(policy)


def test_a_folder_that_cannot_be_written_is_named(make_policy: PolicyMaker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    adapter = adapter_of(make_policy(LORA))
    assert adapter is not None
    with pytest.raises(PipelineError, match=r"engine.adapters: .*file: adapters cannot be written"):
        adapter.write(tmp_path / "file")
