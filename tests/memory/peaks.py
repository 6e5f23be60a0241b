"""Peaks of small trainings beside their estimates: `python -m tests.memory.peaks FOLDER fp32`, a line of JSON for each.

Every training is a fork of this process, which has loaded all libraries and trained once. Compared is what it adds to
memory that is no page of a file, because files of libraries are there anyway.
"""

import json
import os
import random
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from pipeline.data.tokens import TokenizedExample
from pipeline.memory.conditions import LIBRARIES, Conditions
from pipeline.memory.need import needed_bytes
from pipeline.memory.reading import Reading
from pipeline.memory.readings import collection, reference
from pipeline.memory.trainings import dpo_work, ppo_work, reward_examples, reward_work, sft_work
from pipeline.memory.work import Example, Model, Work
from pipeline.models.chunked_sampling import sample_texts
from pipeline.models.compute import Compute, start_compute
from pipeline.models.folders import config_of
from pipeline.models.policy import load_policy, load_reference, load_tokenizer
from pipeline.models.reward_loading import create_reward_model, load_reward_model
from pipeline.models.reward_texts import RewardTexts
from pipeline.models.sampling import Sampler
from pipeline.models.scoring import score_responses
from pipeline.params.base import Finetuning
from pipeline.params.loading import load_params
from pipeline.params.schema import Params
from pipeline.preferences.scored import ScoredPair
from pipeline.training.dpo import train_dpo
from pipeline.training.ppo import train_ppo
from pipeline.training.reward import train_reward
from pipeline.training.roles import Roles
from pipeline.training.run import TrainingRun
from pipeline.training.sft import train_sft
from tests.preference_pairs import preference_pair
from tests.tiny_models import byte_level_tokenizer, changed

ROOT = Path(__file__).resolve().parent.parent.parent
LARGE = {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6, "vocab_size": 8192}
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 8192}
CASES = [
    ("sft", 256, "lora"), ("sft", 400, "full"),
    ("dpo", 96, "full"), ("dpo", 400, "lora"), ("dpo", 800, "lora"),
    ("reward", 256, "lora"), ("reward", 320, "full"),
    ("ppo", 64, "full"), ("ppo", 160, "lora"),
    ("sampling", 200, "none"), ("scoring", 400, "none"),
]  # fmt: skip
FEW = [case for case in CASES if case in {("dpo", 400, "lora"), ("reward", 256, "lora"), ("ppo", 160, "lora")}]
"""Those that are measured at every change."""
_EPISODES = 16
_LETTERS = "abcdefghijklmnop"


class Training:
    """One small training; lengths are in tokens, of which a letter is one."""

    def __init__(
        self, folder: Path, params: Params, length: int, method: str, *, batch: int = 4, steps: int = 2
    ) -> None:
        self.folder, self.params, self.length, self.batch = folder, params, length, batch
        self.examples = steps * batch
        self.episodes, self.new = _EPISODES, length // 8
        self.compute: Compute = start_compute(params.runtime)
        tuned = params.train_sft.finetuning
        self.finetuning: Finetuning = tuned if method == "none" else changed(tuned, method=method)
        self.rng = random.Random(0)
        self.tokenizer = load_tokenizer(folder / "policy")
        self.estimate = 0
        self.schedule = {
            "per_device_train_batch_size": batch,
            "gradient_accumulation_steps": 1,
            "num_train_epochs": 1,
            "finetuning": self.finetuning,
        }
        self.run = TrainingRun(self.compute, seed=0)

    def ids(self, count: int) -> list[int]:
        return self.rng.choices(range(3, 8000), k=count)

    def text(self, count: int) -> str:
        return "".join(self.rng.choices(_LETTERS, k=count))

    def estimated(self, work: Work | Reading) -> None:
        self.estimate = needed_bytes(work, Conditions.of(self.params.runtime)) - LIBRARIES

    def sft(self) -> None:
        settings = changed(self.params.train_sft, max_length=self.length, **self.schedule)
        half = self.length // 2
        examples = [TokenizedExample(self.ids(half), self.ids(half)) for _ in range(self.examples)]
        config = config_of(self.folder / "policy")
        self.estimated(sft_work(config, settings, [Example.of_text(half, half)] * len(examples)))
        policy = load_policy(self.folder / "policy", self.compute, finetuning=self.finetuning)
        train_sft(policy, examples, settings, self.run, pad_token_id=0)

    def dpo(self) -> None:
        """Against a copy, as full fine-tuning has it, or the policy with its adapters off."""
        full = self.finetuning.method == "full"
        reference = "frozen_copy" if full else "adapter_off"
        settings = changed(self.params.optimize.dpo, reference=reference, save_steps=0, **self.schedule)
        half, quarter = self.length // 2, self.length // 4
        prompts = [self.ids(half) for _ in range(self.examples)]
        pairs = [
            ScoredPair(str(at), *(TokenizedExample(prompt, self.ids(quarter)) for _ in range(2)), 0.0, 0.0)
            for at, prompt in enumerate(prompts)
        ]
        config = config_of(self.folder / "policy")
        self.estimated(dpo_work(config, settings, [Example.of_pair(half, quarter, quarter)] * len(pairs)))
        policy = load_policy(self.folder / "policy", self.compute, finetuning=self.finetuning)
        copy = load_reference(self.folder / "policy", self.compute, method="full") if full else None
        train_dpo(policy, pairs, settings, self.run, reference=copy, pad_token_id=0)

    def reward(self) -> None:
        settings = changed(self.params.train_reward, max_length=1024, **self.schedule)
        prompts = [self.text(self.length // 2) for _ in range(self.examples)]
        pairs = [preference_pair(prompt, *(self.text(self.length // 4) for _ in range(2))) for prompt in prompts]
        config, texts = config_of(self.folder / "reward"), [pair.passages for pair in pairs]
        examples = reward_examples(config, RewardTexts(self.tokenizer, max_length=1024), texts, shared_prompts=True)
        self.estimated(reward_work(config, settings, examples))
        model = create_reward_model(
            self.folder / "reward", self.compute, max_length=1024, seed=0, finetuning=self.finetuning
        )
        train_reward(model, pairs, [], settings, self.run)

    def ppo(self) -> None:
        new, episodes = self.new, self.episodes
        settings = changed(
            self.params.optimize.ppo, finetuning=self.finetuning, rollout_batch_size=episodes, num_minibatches=2,
            total_episodes=self.examples // self.batch * episodes, num_ppo_epochs=1, save_steps=0,
            per_device_train_batch_size=self.batch,
        )  # fmt: skip
        prompts = [self.text(self.length - new) for _ in range(episodes)]
        policy_folder, reward_folder = self.folder / "policy", self.folder / "reward"
        lengths = [len(ids) for ids in self.tokenizer(prompts)["input_ids"]]
        configs = config_of(policy_folder), config_of(reward_folder)
        self.estimated(ppo_work(*configs, settings, prompts=lengths, new_tokens=new))
        full = self.finetuning.method == "full"
        scorer = load_reward_model(reward_folder, self.compute)
        roles = Roles(
            policy=load_policy(policy_folder, self.compute, finetuning=self.finetuning, with_values=True),
            reference=load_reference(policy_folder, self.compute, method="full") if full else None,
            critic=None,
            score=lambda texts: scorer.score(texts, batch_size=episodes),
            tokenizer=self.tokenizer,
        )
        sampling = changed(self.params.sampling, max_new_tokens=new, stop_tokens=[])
        train_ppo(roles, prompts, settings, sampling, self.run)

    def sampling(self) -> None:
        """As collect_preferences samples: all at once, and twice."""
        new, at_once = self.length // 4, 32 * self.batch
        sampling = changed(self.params.sampling, max_new_tokens=new, batch_size=at_once, stop_tokens=[])
        prompts = [self.text(self.length - new) for _ in range(2 * at_once)]
        lengths = [len(ids) for ids in self.tokenizer(prompts)["input_ids"]]
        network = Model.of(config_of(self.folder / "policy"), writes=True)
        self.estimated(collection(network, sampling, prompts=lengths, samples=len(prompts)))
        sampler = Sampler.of(
            load_policy(self.folder / "policy", self.compute, finetuning=None), self.tokenizer, sampling
        )
        sample_texts(sampler, prompts, generator=torch.Generator(), title="samples")

    def scoring(self) -> None:
        """As score_reference reads pairs."""
        half, quarter, batch = self.length // 2, self.length // 4, 4 * self.batch
        sides = [TokenizedExample(prompt, self.ids(quarter)) for prompt in self._prompts(2 * batch) for _ in range(2)]
        network = Model.of(config_of(self.folder / "policy"), writes=True)
        pairs = [Example.of_pair(half, quarter, quarter)] * (2 * batch)
        self.estimated(reference(network, batch=batch, pairs=pairs, widened=False))
        policy = load_policy(self.folder / "policy", self.compute, finetuning=None)
        score_responses(policy, sides, self.compute, pad_token_id=0, batch_size=2 * batch, title="scores")

    def _prompts(self, count: int) -> list[list[int]]:
        return [self.ids(self.length // 2) for _ in range(count)]


def save_models(folder: Path, sizes: dict[str, int]) -> None:
    """A policy and a decoder with a score head, random."""
    tokenizer = byte_level_tokenizer()
    config = LlamaConfig(
        **sizes, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    scorer = LlamaConfig.from_dict({**config.to_dict(), "num_labels": 1})
    for name, network in (("policy", LlamaForCausalLM(config)), ("reward", LlamaForSequenceClassification(scorer))):
        network.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


def in_fork(work: Callable[[], Any]) -> Any:
    """What a function returns in a fork of this process, whose memory goes with it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        content = stream.read()
    os.waitpid(child, 0)
    return json.loads(content)


def measure(folder: Path, params: Params, kind: str, length: int, method: str) -> dict[str, Any]:
    """Bytes that a training added at its peak, and the estimate."""
    before = _resident("RssAnon")
    training = Training(folder, params, length, method)
    getattr(training, kind)()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - _resident("RssFile") - _resident("RssShmem")
    return {
        "case": f"{kind}, {method}, {length} tokens",
        "measured": peak - before,
        "estimated": training.estimate,
    }


def _resident(kind: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) * 1024


def main() -> None:
    """Measure cases in one number format, as FOLDER, bf16 or fp32, and all or few say."""
    root, precision, which = Path(sys.argv[1]), *sys.argv[2:]
    params = load_params(ROOT / "params.yaml")
    runtime = changed(params.runtime, device="cpu", threads=1, precision=precision)
    params = params.model_copy(update={"runtime": runtime})
    torch.manual_seed(0)
    for name, sizes in (("small", SMALL), ("large", LARGE)):
        in_fork(lambda name=name, sizes=sizes: save_models(root / name, sizes))  # type: ignore[misc]
    for kind in ("sft", "dpo", "reward", "ppo"):
        getattr(Training(root / "small", params, 40, "lora", batch=2), kind)()
    for case in CASES if which == "all" else FEW:
        print("\n" + json.dumps(in_fork(lambda case=case: measure(root / "large", params, *case))), flush=True)  # type: ignore[misc]


if __name__ == "__main__":
    main()
