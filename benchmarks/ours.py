"""One run of this project's trainer on one workload: `python -m benchmarks.ours WORKLOAD`."""

import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.measuring import Meter
from benchmarks.workloads import (
    LORA_ALPHA,
    LORA_R,
    PPO_EPOCHS,
    PPO_FORWARD_BATCH,
    ROOT,
    WORK,
    Workload,
    find,
)
from pipeline.data.tokens import tokenize_example
from pipeline.models.compute import Compute, start_compute
from pipeline.models.policy import load_policy, load_reference, load_tokenizer
from pipeline.models.reward_loading import create_reward_model, load_reward_model
from pipeline.models.scoring import score_responses
from pipeline.params.base import Finetuning
from pipeline.params.loading import load_params
from pipeline.params.schema import Params
from pipeline.preferences.pair import PreferencePair
from pipeline.preferences.scored import ScoredPair
from pipeline.training.dpo import train_dpo
from pipeline.training.ppo import train_ppo
from pipeline.training.reward import train_reward
from pipeline.training.roles import Roles
from pipeline.training.run import TrainingRun
from pipeline.training.sft import train_sft

SEED = 0


class Steps:
    """Joins what a trainer reports of a step in two callbacks."""

    def __init__(self, samples: int) -> None:
        self.meter = Meter()
        self._samples = samples
        self._loss: float | None = None
        self._work: tuple[int, float] | None = None

    def on_step(self, step: int, metrics: dict[str, float]) -> None:
        policy = metrics.get("policy_loss", 0.0) + 0.1 * metrics.get("value_loss", 0.0)
        self._loss = metrics.get("loss", policy)
        self._join()

    def on_tokens(self, tokens: int, seconds: float) -> None:
        self._work = tokens, seconds
        self._join()

    def _join(self) -> None:
        if self._loss is not None and self._work is not None:
            tokens, seconds = self._work
            self.meter.step(tokens=tokens, samples=self._samples, seconds=seconds, loss=self._loss)
            self._loss, self._work = None, None

    def run(self, compute: Compute) -> TrainingRun:
        return TrainingRun(compute, SEED, on_step=self.on_step, on_tokens=self.on_tokens)


def main() -> None:
    """Train one epoch and report."""
    workload = find(sys.argv[1])
    params = load_params(ROOT / "params.yaml")
    recompute = True if workload.is_large else params.runtime.recompute
    compute = start_compute(params.runtime.model_copy(update={"recompute": recompute}))
    steps = Steps(workload.batch_size)
    steps.meter.warm_up = 1 if workload.task == "ppo" else steps.meter.warm_up  # an iteration has many steps
    {"sft": sft, "reward": reward, "dpo": dpo, "ppo": ppo}[workload.task](workload, params, compute, steps)
    steps.meter.report()


def finetuning(workload: Workload) -> Finetuning:
    return Finetuning(method=workload.method, lora_r=LORA_R, lora_alpha=LORA_ALPHA, lora_target_modules="all-linear")


def schedule(workload: Workload) -> dict[str, Any]:
    return {
        "learning_rate": workload.learning_rate,
        "warmup_ratio": 0.0,
        "num_train_epochs": 1,
        "per_device_train_batch_size": workload.batch_size,
        "gradient_accumulation_steps": 1,
    }


def sft(workload: Workload, params: Params, compute: Compute, steps: Steps) -> None:
    tokenizer = load_tokenizer(workload.folder)
    examples = [tokenize_example(tokenizer, r["prompt"], r["chosen"], ended=True) for r in workload.rows()]
    policy = load_policy(workload.folder, compute, finetuning=finetuning(workload))
    settings = params.train_sft.model_copy(update=schedule(workload))
    pad = tokenizer.pad_token_id
    train_sft(policy, examples, settings, steps.run(compute), pad_token_id=pad)


def reward(workload: Workload, params: Params, compute: Compute, steps: Steps) -> None:
    longest = workload.prompt_tokens[1] + workload.response_tokens[1]
    tuned = finetuning(workload)
    model = create_reward_model(workload.folder, compute, max_length=max(512, 2 * longest), seed=SEED, finetuning=tuned)
    pairs = [_pair(row, str(number)) for number, row in enumerate(workload.rows())]
    settings = params.train_reward.model_copy(update=schedule(workload))
    train_reward(model, pairs, [], settings, steps.run(compute))


def _pair(row: Mapping[str, str], identity: str) -> PreferencePair:
    return PreferencePair(
        id=identity,
        prompt_id=identity,
        prompt=row["prompt"],
        category="all",
        chosen=row["chosen"],
        rejected=row["rejected"],
        chosen_ended=True,
        rejected_ended=True,
        split="train",
        source="given",
    )


def dpo(workload: Workload, params: Params, compute: Compute, steps: Steps) -> None:
    tokenizer = load_tokenizer(workload.folder)
    pairs = [
        [tokenize_example(tokenizer, r["prompt"], r[side], ended=True) for side in ("chosen", "rejected")]
        for r in workload.rows()
    ]
    frozen = load_reference(workload.folder, compute, method=finetuning(workload).method)
    pad = tokenizer.pad_token_id
    examples = [example for pair in pairs for example in pair]
    logps = score_responses(frozen, examples, compute, pad_token_id=pad, batch_size=16, title="reference")
    del frozen
    scored = [ScoredPair(str(i), pair[0], pair[1], logps[2 * i], logps[2 * i + 1]) for i, pair in enumerate(pairs)]
    policy = load_policy(workload.folder, compute, finetuning=finetuning(workload))
    settings = params.optimize.dpo.model_copy(update={**schedule(workload), "save_steps": 0})
    train_dpo(policy, scored, settings, steps.run(compute), pad_token_id=pad)


def ppo(workload: Workload, params: Params, compute: Compute, steps: Steps) -> None:
    tokenizer = load_tokenizer(workload.folder)
    policy = load_policy(workload.folder, compute, finetuning=finetuning(workload), with_values=True)
    reward_model = load_reward_model(WORK / f"models/{workload.model}-reward", compute)
    reward_model.to(compute.dtype)
    settings = params.optimize.ppo.model_copy(
        update={
            "finetuning": finetuning(workload),
            "total_episodes": workload.examples,
            "rollout_batch_size": workload.batch_size,
            "num_ppo_epochs": PPO_EPOCHS,
            "num_minibatches": 1,
            "per_device_train_batch_size": PPO_FORWARD_BATCH,
            "learning_rate": workload.learning_rate,
            "kl_coef": 0.05,
            "save_steps": 0,
        }
    )
    sampling = params.sampling.model_copy(update={"max_new_tokens": workload.new_tokens})
    roles = Roles(
        policy=policy,
        reference=None,
        critic=None,
        score=lambda texts: reward_model.score(texts, batch_size=workload.batch_size),
        tokenizer=tokenizer,
    )
    prompts = [row["prompt"] for row in workload.rows()]
    train_ppo(roles, prompts, settings, sampling, steps.run(compute))


if __name__ == "__main__":
    main()
