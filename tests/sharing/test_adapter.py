"""Adapters alone say the same as the merged model, and name what they lie on."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from pipeline.errors import PipelineError
from pipeline.models.checkpoints import ADAPTERS, keep_adapters, save_adapters, save_checkpoint, save_policy
from pipeline.models.compute import Compute
from pipeline.models.policy import load_policy
from pipeline.models.text_format import TextFormat
from pipeline.params.schema import Params
from pipeline.sharing.export import export
from pipeline.sharing.objections import broken
from tests.conftest import PolicyMaker
from tests.sharing.conftest import write_release
from tests.tiny_models import FULL, LORA

TEXTS = ["This film was a joy", "The plot is weak and the acting dull", "I loved the music, the story and the hero"]
FORMAT = TextFormat("transcript")


def log_probs(network: Any, tokenizer: Any) -> list[float]:
    """Summed over each text, in nats."""
    sums = []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            logits = network(input_ids=ids).logits.float()
        sums.append(float(logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None]).sum()))
    return sums


@pytest.fixture
def project(
    tmp_path: Path, make_policy: PolicyMaker, tokenizer: PreTrainedTokenizerBase, compute: Compute, params: Params
) -> Path:
    """SFT and DPO in bf16, of which DPO was trained with adapters on SFT."""
    sft = tmp_path / "artifacts/release/sft"
    save_policy(make_policy(), tokenizer, sft, dtype=torch.bfloat16, texts=FORMAT)
    policy = load_policy(sft, compute, finetuning=LORA)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    selected = tmp_path / "artifacts/selected/dpo/seed-0"
    save_adapters(policy, selected / ADAPTERS, sft)
    save_checkpoint(policy, tmp_path / "checkpoints/step-1", dtype=torch.bfloat16)
    save_policy(policy, tokenizer, tmp_path / "artifacts/release/dpo", dtype=torch.bfloat16, texts=FORMAT)
    for name in ("sft", "dpo"):
        write_release(tmp_path, name, params)
    return tmp_path


def write(project: Path, policy: str = "dpo", base: str | None = "someone/films-sft") -> Path:
    export(project, Namespace(policy=policy, form="adapter", base=base))
    return project / f"artifacts/exports/{policy}-adapter"


def test_adapters_on_their_base_are_the_merged_policy(project: Path) -> None:
    """Up to bf16, in which the merged weights are stored: it rounds to 2**-9; adapters moved 2**-5 and more."""
    folder, release = write(project), project / "artifacts/release"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(release / "sft", dtype=torch.float32)
    before = log_probs(base, tokenizer)
    merged = log_probs(AutoModelForCausalLM.from_pretrained(release / "dpo", dtype=torch.float32), tokenizer)
    adapted = log_probs(PeftModel.from_pretrained(base, folder), tokenizer)
    assert adapted == pytest.approx(merged, rel=2**-8)
    assert before != pytest.approx(merged, rel=2**-5)


def test_without_a_repository_they_lie_on_the_release_beside_them(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(project, base=None)
    monkeypatch.chdir(project)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    merged = AutoModelForCausalLM.from_pretrained("artifacts/release/dpo", dtype=torch.float32)
    adapted = AutoPeftModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert log_probs(adapted, tokenizer) == pytest.approx(log_probs(merged, tokenizer), rel=2**-8)
    assert any("BASE=OWNER/NAME" in line for line in broken(folder))


def test_the_card_names_the_base_and_the_relation(project: Path) -> None:
    folder = write(project)
    card = ModelCard.load(folder / "README.md")
    assert (card.data.base_model, card.data.library_name) == ("someone/films-sft", "peft")
    assert card.data.base_model_relation == "adapter" and card.data.license == "apache-2.0"
    assert "PeftModel.from_pretrained" in card.text and "| model.safetensors |" not in card.text
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == "someone/films-sft"
    assert broken(folder) == []
    assert not (folder / "model.safetensors").exists() and not (folder / "config.json").exists()


def test_another_base_is_refused(project: Path) -> None:
    weights = project / "artifacts/release/sft/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(PipelineError, match="lies on weights with sha256"):
        write(project)
    assert list((project / "artifacts/exports").iterdir()) == []


def test_a_policy_without_adapters_is_refused(project: Path, make_policy: PolicyMaker, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="sft has no adapters"):
        write(project, "sft")
    save_adapters(make_policy(FULL), tmp_path / "none", project / "artifacts/release/sft")
    assert not (tmp_path / "none").exists()


def test_a_checkpoint_on_the_way_keeps_its_adapters(project: Path) -> None:
    sft, kept = project / "artifacts/release/sft", project / "kept"
    keep_adapters(project / "checkpoints/step-1", kept, sft)
    whole = project / "artifacts/selected/dpo/seed-0" / ADAPTERS
    assert {file.name: file.read_bytes() for file in kept.iterdir()} == {
        file.name: file.read_bytes() for file in whole.iterdir()
    }
