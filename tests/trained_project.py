"""The model folders of a project whose SFT and DPO were trained with adapters, without a run."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from pipeline.models.checkpoints import save_checkpoint, save_model, save_policy
from pipeline.models.compute import Compute
from pipeline.models.policy import Policy, load_network, load_policy, load_tokenizer
from pipeline.models.text_format import TextFormat
from pipeline.params.base import Finetuning
from tests.tiny_models import LORA

TEXTS = TextFormat("transcript")


@dataclass(frozen=True)
class TrainedProject:
    """Folders below `root`: the starting model in bf16, SFT on it, DPO on SFT."""

    root: Path
    start: Path
    sft: Path
    dpo: Path
    last: Path
    """DPO's policy at the end of training, of which `dpo` was selected."""
    checkpoint: Path
    """One on DPO's way, with the same weights."""


def moved(policy: Policy, *, seed: int, by: float = 0.1) -> Policy:
    """The policy after every trainable weight has moved."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter += by * torch.randn(parameter.shape, generator=generator)
    return policy


def save_trained_project(
    root: Path, starting_model: Path, compute: Compute, *, sft: Finetuning = LORA, dpo: Finetuning = LORA
) -> TrainedProject:
    """Write the folders as the stages do."""
    artifacts = root / "artifacts"
    project = TrainedProject(
        root,
        artifacts / "models/policy",
        artifacts / "sft",
        artifacts / "policies/dpo/seed-0",
        artifacts / "training/dpo/seed-0",
        artifacts / "training/dpo/seed-0/checkpoints/step-00001",
    )
    tokenizer: PreTrainedTokenizerBase = load_tokenizer(starting_model)
    network = load_network(starting_model, compute, finetuning=None).to(torch.bfloat16)  # type: ignore[arg-type]
    save_model(network, tokenizer, project.start)
    trained = moved(load_policy(project.start, compute, finetuning=sft), seed=4)
    save_policy(trained, tokenizer, project.sft, start=project.start, root=root, texts=TEXTS)
    for folder in (project.dpo, project.last):
        trained = moved(load_policy(project.sft, compute, finetuning=dpo), seed=5)
        save_checkpoint(trained, project.checkpoint, start=project.sft, root=root)
        save_policy(trained, tokenizer, folder, start=project.sft, root=root, texts=TEXTS)
    return project
