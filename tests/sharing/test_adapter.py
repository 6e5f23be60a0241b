"""Adapters alone say the same as the merged model, and name what they lie on."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.errors import PipelineError
from pipeline.models.checkpoints import save_whole
from pipeline.models.compute import Compute
from pipeline.models.folders import BASE
from pipeline.params.schema import Params
from pipeline.sharing.export import export
from pipeline.sharing.objections import broken
from tests.sharing.conftest import write_release
from tests.tiny_models import FULL
from tests.trained_project import TrainedProject, save_trained_project

TEXTS = ["This film was a joy", "The plot is weak and the acting dull", "I loved the music, the story and the hero"]


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
def project(trained_project: TrainedProject, params: Params) -> Path:
    """SFT on the starting model and DPO on SFT, in bf16, and the releases of both."""
    root = trained_project.root
    for name, folder in (("sft", trained_project.sft), ("dpo", trained_project.dpo)):
        save_whole(folder, root / "artifacts/release" / name)
        write_release(root, name, params)
    return root


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


def test_adapters_of_sft_lie_on_the_starting_model(project: Path) -> None:
    folder = write(project, "sft", base=None)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(project / "artifacts/models/policy", dtype=torch.float32)
    merged = AutoModelForCausalLM.from_pretrained(project / "artifacts/release/sft", dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, folder)
    assert log_probs(adapted, tokenizer) == pytest.approx(log_probs(merged, tokenizer), rel=2**-8)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "artifacts/models/policy" and not (folder / BASE).exists()


@pytest.mark.parametrize("file", ["release/sft/model.safetensors", "sft/adapter_model.safetensors"])
def test_another_base_is_refused(project: Path, file: str) -> None:
    """Whether what was trained is another, or what was released."""
    weights = project / "artifacts" / file
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(PipelineError, match="was trained on artifacts/sft with the hash"):
        write(project)
    assert list((project / "artifacts/exports").iterdir()) == []


def test_a_policy_without_adapters_is_refused(
    tmp_path: Path, policy_folder: Path, compute: Compute, params: Params
) -> None:
    whole = save_trained_project(tmp_path, policy_folder, compute, sft=FULL, dpo=FULL)
    save_whole(whole.dpo, tmp_path / "artifacts/release/dpo")
    write_release(tmp_path, "dpo", params)
    with pytest.raises(PipelineError, match="dpo has no adapters"):
        write(tmp_path)
