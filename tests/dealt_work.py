"""Everything that stages compute with models without training them, at a size of seconds, for any number of processes.

`python -m tests.dealt_work FOLDER` does it in groups of real processes: a file of results for each of them.
"""

import json
import os
import signal
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.data.tokens import TokenizedExample, tokenize_example
from pipeline.evaluation.best_of_n import best_of_n_points
from pipeline.evaluation.policy import Evaluator
from pipeline.evaluation.policy_metrics import policy_metrics
from pipeline.evaluation.reward import evaluate_reward
from pipeline.judges.reward_model import MODEL, load_reward_judge
from pipeline.models import chunked_sampling
from pipeline.models.chunked_sampling import sample_batch, sample_prompts, sample_texts
from pipeline.models.compute import Compute, start_compute
from pipeline.models.policy import Policy, load_policy, load_tokenizer
from pipeline.models.reward import RewardModel
from pipeline.models.reward_loading import create_reward_model, load_reward_model
from pipeline.models.sampling import Sampler, sample
from pipeline.models.scoring import score_responses
from pipeline.models.text_format import TextFormat, store_text_format
from pipeline.params.loading import load_params
from pipeline.resume import Resume
from pipeline.training.rollout import Rollout
from tests.passages import ended
from tests.preference_pairs import preference_pair
from tests.ranks import fork_ranks
from tests.tiny_models import (
    LORA,
    RUNTIME,
    SENTENCES,
    byte_level_tokenizer,
    changed,
    save_bert_backbone,
    save_llama_backbone,
    save_llama_policy,
)
from tests.training.toy_ppo import roles_of, rollout_of

ROOT = Path(__file__).resolve().parent.parent
TEXTS = ["The film", "The", "My friends hated it", "I loved the music", "A boring waste"] * 3
PROMPTS = [{"id": f"p{i}", "prompt": text, "category": f"kind {i % 2}"} for i, text in enumerate(TEXTS[:7])]
PAIRS = [preference_pair(f"{i}:", SENTENCES[i], SENTENCES[i - 1], margin=0.1 * i) for i in range(6)]
SIZES = (2, 3)
KILLED = (0, 1)
"""Ranks that are killed in the middle of the samples."""


def save_models(folder: Path, compute: Compute) -> None:
    """A policy, a reward model that is an encoder and one that is a decoder, and a judge."""
    save_llama_policy(folder / "policy", byte_level_tokenizer())
    save_bert_backbone(folder / "bert")
    save_llama_backbone(folder / "llama", byte_level_tokenizer())
    for backbone, name in (("bert", "encoder"), ("llama", "decoder"), ("llama", f"judge/{MODEL}")):
        create_reward_model(folder / backbone, compute, max_length=48, seed=0).save(folder / name)
        store_text_format(folder / name, TextFormat("transcript"))
    store_text_format(folder / "policy", TextFormat("transcript"))
    facts = {"kind": "reward_model", "batch_size": 4, "mean": 0.1, "std": 0.7}
    (folder / "judge/judge.json").write_text(json.dumps(facts))


@dataclass(frozen=True)
class Work:
    """Loaded models, and all that is computed with them."""

    compute: Compute
    policy: Policy
    evaluator: Evaluator
    encoder: RewardModel
    decoder: RewardModel

    @classmethod
    def load(cls, folder: Path, compute: Compute) -> "Work":
        """The models of `save_models`; the policy has adapters that do something."""
        params = load_params(ROOT / "params.yaml")
        policy = load_policy(folder / "policy", compute, finetuning=LORA, seed=0, with_values=True)
        with torch.no_grad():
            for name, parameter in policy.named_parameters():
                if "lora_B" in name or "value_head" in name:
                    parameter += 0.02
        encoder, decoder = (load_reward_model(folder / name, compute) for name in ("encoder", "decoder"))
        evaluator = Evaluator(
            judge=load_reward_judge(folder / "judge", compute),
            reward_model=encoder,
            reference=load_policy(folder / "policy", compute, finetuning=None),
            tokenizer=load_tokenizer(folder / "policy"),
            sampling=changed(params.sampling, max_new_tokens=5, temperature=0.8, batch_size=3),
            compute=compute,
            batch_size=3,
            resamples=20,
            seed=0,
        )
        return cls(compute, policy, evaluator, encoder, decoder)

    def results(self) -> dict[str, Any]:
        """By name, as JSON has them."""
        return {
            "samples": self.samples(),
            "scores": [model.score(ended(TEXTS), batch_size=4).tolist() for model in (self.encoder, self.decoder)],
            "log-probs": self.logps([*TEXTS, *SENTENCES]),
            "evaluation": self.evaluation(),
            "reward": self.reward(),
            "rollout": self.rollout(),
            "nothing": [
                sample_prompts(self.sampler(3), [], key=0),
                self.encoder.score([], batch_size=4).tolist(),
                self.logps([]),
            ],
            "one chunk": [one.response_ids for one in self.texts(100)],
        }

    def sampler(self, batch_size: int) -> Sampler:
        """Some responses end early."""
        tokenizer = self.evaluator.tokenizer
        sampling = changed(self.evaluator.sampling, max_new_tokens=8, batch_size=batch_size)
        return Sampler(self.policy, tokenizer, sampling, torch.tensor([tokenizer.eos_token_id, *range(300, 320)]))

    def texts(self, batch_size: int, resume: Resume | None = None) -> list[TokenizedExample]:
        generator = torch.Generator().manual_seed(0)
        return sample_texts(self.sampler(batch_size), TEXTS, generator=generator, title="samples", resume=resume)

    def samples(self, resume: Resume | None = None) -> list[Any]:
        batch = sample_batch(self.sampler(4), TEXTS, torch.Generator().manual_seed(1))
        return [[one.response_ids for one in self.texts(2, resume)], batch.logprobs.tolist()]

    def logps(self, texts: list[str]) -> list[float]:
        tokenizer = self.evaluator.tokenizer
        examples = [tokenize_example(tokenizer, "The", f" {text}", ended=True) for text in texts]
        return score_responses(
            self.policy, examples, self.compute, pad_token_id=tokenizer.pad_token_id, batch_size=3, title="test"
        )

    def evaluation(self) -> list[Any]:
        """A policy beside its reference, and best of two."""
        instruments = self.evaluator
        before = instruments.sample_and_score(instruments.reference, PROMPTS, title="before")
        after = instruments.sample_and_score(self.policy, PROMPTS, title="after", baseline=before)
        drawn = instruments.sample_and_score(instruments.reference, PROMPTS, copies=2, title="two", baseline=before)
        held_out = [{"prompt": "", "response": text, "ended": True} for text in SENTENCES]
        perplexity = instruments.perplexity(self.policy, held_out, title="perplexity")
        metrics = policy_metrics(instruments, after, before, perplexity).as_json()
        points = [point.as_json() for point in best_of_n_points(instruments, drawn, [1, 2])]
        return [[one.as_row() for one in after], metrics, points]

    def reward(self) -> list[Any]:
        settings = changed(load_params(ROOT / "params.yaml").evaluate_reward, batch_size=2, robustness_pairs=3)
        found = [evaluate_reward(model, PAIRS, PAIRS[:3], settings) for model in (self.encoder, self.decoder)]
        return [one.as_json() for metrics in found for one in metrics]

    def rollout(self) -> dict[str, Any]:
        changes = {"total_episodes": 8, "rollout_batch_size": 8, "num_minibatches": 2, "per_device_train_batch_size": 2}
        settings = changed(load_params(ROOT / "params.yaml").optimize.ppo, **changes)
        roles = roles_of(
            self.policy, self.evaluator.tokenizer, score=lambda texts: self.encoder.score(texts, batch_size=8)
        )
        rollout = rollout_of(roles, settings, self.compute)
        found = {field.name: getattr(rollout, field.name) for field in fields(Rollout)}
        return {name: value.tolist() for name, value in found.items() if isinstance(value, Tensor)}


def as_bytes(results: dict[str, Any]) -> dict[str, str]:
    """Each result as a file would have it."""
    return {name: json.dumps(result, sort_keys=True) for name, result in results.items()}


def resume_in(folder: Path) -> Resume:
    return Resume(folder, "stage", "key", every_steps=1)


def _compute_all(folder: Path, rank: int, size: int) -> None:
    results = as_bytes(Work.load(folder, start_compute(RUNTIME)).results())
    (folder / f"results-{size}-{rank}.json").write_text(json.dumps(results))


def _killed_while_sampling(folder: Path, rank: int, killed: int) -> None:
    """Two processes, one of which gets SIGKILL in its second chunk; the first alone has a state."""
    work, done = Work.load(folder, start_compute(RUNTIME)), [0]

    def counted(*arguments: Any, **more: Any) -> Any:
        done[0] += 1
        if done[0] == 2 and rank == killed:
            os.kill(os.getpid(), signal.SIGKILL)
        return sample(*arguments, **more)

    chunked_sampling.sample = counted
    work.texts(2, resume_in(folder / f"killed-{killed}") if rank == 0 else None)


def main() -> None:
    """All results with each number of processes, then a group for each that is killed; prints how they ended."""
    folder, ends = Path(sys.argv[1]), {}
    for size in SIZES:
        ends[f"{size}"] = fork_ranks(size, lambda rank, size=size: _compute_all(folder, rank, size))
    for killed in KILLED:
        work = lambda rank, killed=killed: _killed_while_sampling(folder, rank, killed)  # noqa: E731
        ends[f"killed {killed}"] = fork_ranks(2, work)
    print(json.dumps(ends))


if __name__ == "__main__":
    main()
