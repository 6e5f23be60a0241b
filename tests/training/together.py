"""Trainings whose steps have two forward passes, for one process or several that share them.

    python -m pipeline.torchrun --standalone --nproc-per-node=2 -m tests.training.together POLICY ENCODER OUTPUT

trains them all, and each process writes what it has into the folder OUTPUT, as `RANK.pt`.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline import group
from pipeline.data.tokens import TokenizedExample
from pipeline.models.compute import Compute, start_compute
from pipeline.models.critic import critic_from_policy
from pipeline.models.policy import Policy, load_policy, load_tokenizer
from pipeline.models.reward import RewardModel
from pipeline.models.reward_loading import create_reward_model
from pipeline.models.scoring import score_responses
from pipeline.params.loading import load_params
from pipeline.params.schema import Params
from pipeline.preferences.pair import PreferencePair
from pipeline.preferences.scored import TokenizedPair
from pipeline.training.dpo import train_dpo
from pipeline.training.ppo import train_ppo
from pipeline.training.reward import train_reward
from pipeline.training.run import TrainingRun
from pipeline.training.sft import train_sft
from tests import tiny_models
from tests.preference_pairs import preference_pair
from tests.tiny_models import FULL, LORA, changed
from tests.training.toy_ppo import PROMPTS, SAMPLING, roles_of

RUNTIME = changed(tiny_models.RUNTIME, max_forward_tokens=None)
Task = Callable[[], "Trained"]
_PLAN: dict[str, Any] = {
    "warmup_ratio": 0.0,
    "num_train_epochs": 3,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "learning_rate": 2e-3,
    "eval_steps": 1,
    "early_stopping_patience": 2,
}
_EXAMPLES = [TokenizedExample([11 + i, 12], [*[40 + i, 41, 42][: 1 + i % 3], 2]) for i in range(8)]


@dataclass(frozen=True)
class Trained:
    """Weights after a training, and the metrics of its steps."""

    weights: dict[str, Tensor]
    rows: list[dict[str, float]]


@dataclass(frozen=True)
class Folders:
    """Where the tiny models are."""

    policy: Path
    encoder: Path


def sft(folders: Folders, compute: Compute, params: Params, **plan: Any) -> Task:
    return _sft(load_policy(folders.policy, compute, finetuning=LORA), compute, params, plan)


def full_sft(folders: Folders, compute: Compute, params: Params, **plan: Any) -> Task:
    return _sft(load_policy(folders.policy, compute, finetuning=FULL), compute, params, plan)


def _sft(policy: Policy, compute: Compute, params: Params, plan: dict[str, Any]) -> Task:
    settings = changed(params.train_sft, **{**_PLAN, **plan})

    def train(run: TrainingRun) -> None:
        train_sft(policy, _EXAMPLES, settings, run, pad_token_id=0, validation=_EXAMPLES[:5])

    return _task(policy, compute, train)


def dpo(folders: Folders, compute: Compute, params: Params, **plan: Any) -> Task:
    policy = load_policy(folders.policy, compute, finetuning=LORA)
    sides = [(one, TokenizedExample(one.prompt_ids, [60 + place, 61, 2])) for place, one in enumerate(_EXAMPLES)]
    examples = [side for pair in sides for side in pair]
    logps = score_responses(policy, examples, compute, pad_token_id=0, batch_size=4, title="reference")
    tokenized = [TokenizedPair(str(at), *pair) for at, pair in enumerate(sides)]
    pairs = [pair.scored(*logps[2 * at : 2 * at + 2]) for at, pair in enumerate(tokenized)]
    settings = changed(params.optimize.dpo, **{**_PLAN, **plan})
    validation = tokenized[:5]

    def train(run: TrainingRun) -> None:
        train_dpo(policy, pairs, settings, run, pad_token_id=0, validation=validation)

    return _task(policy, compute, train)


def reward(folders: Folders, compute: Compute, params: Params, **plan: Any) -> Task:
    model = create_reward_model(folders.encoder, compute, max_length=48, seed=0, finetuning=LORA)
    return _reward(model, compute, params, plan)


def full_reward(folders: Folders, compute: Compute, params: Params, **plan: Any) -> Task:
    return _reward(create_reward_model(folders.encoder, compute, max_length=48, seed=0), compute, params, plan)


def _reward(model: RewardModel, compute: Compute, params: Params, plan: dict[str, Any]) -> Task:
    pairs = text_pairs()
    settings = changed(params.train_reward, **{**_PLAN, **plan}, max_length=48)
    return _task(model, compute, lambda run: train_reward(model, pairs, pairs[:5], settings, run))


def ppo(folders: Folders, compute: Compute, params: Params, **plan: Any) -> Task:
    policy = load_policy(folders.policy, compute, finetuning=LORA, with_values=True)
    return _ppo([policy], folders, compute, params, plan)


def ppo_with_critic(folders: Folders, compute: Compute, params: Params, **plan: Any) -> Task:
    """The first iteration trains the critic alone: the policy then has no gradient at all."""
    policy = load_policy(folders.policy, compute, finetuning=LORA)
    critic = critic_from_policy(folders.policy, compute, finetuning=LORA, seed=0)
    return _ppo([policy, critic], folders, compute, params, {"critic_warmup_iterations": 1, **plan})


def _ppo(models: list[Any], folders: Folders, compute: Compute, params: Params, plan: dict[str, Any]) -> Task:
    tokenizer = load_tokenizer(folders.policy)
    settings = changed(
        params.optimize.ppo,
        **{
            "total_episodes": 32,
            "rollout_batch_size": 16,
            "num_ppo_epochs": 1,
            "num_minibatches": 2,
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-3,
            "warmup_ratio": 0.0,
            "target_kl_per_update": 100.0,
            "max_kl": 1000.0,
            "save_steps": 0,
            **plan,
        },
    )
    roles = roles_of(models[0], tokenizer, critic=models[1] if len(models) > 1 else None)
    return _task(nn.ModuleList(models), compute, lambda run: train_ppo(roles, PROMPTS, settings, SAMPLING, run))


def _task(model: nn.Module, compute: Compute, train: Callable[[TrainingRun], None]) -> Task:
    def task() -> Trained:
        rows: list[dict[str, float]] = []
        train(TrainingRun(compute, 0, on_step=lambda _, metrics: rows.append(metrics)))
        return Trained({name: value.detach().clone() for name, value in model.state_dict().items()}, rows)

    return task


def text_pairs() -> list[PreferencePair]:
    subjects = ("the film", "the plot", "the hero", "the music")
    return [
        preference_pair("", f"{subject} {verb} clever and funny", f"{subject} {verb} weak and dull, a boring waste")
        for subject in subjects
        for verb in ("is", "was")
    ]


TRAININGS = {one.__name__: one for one in (sft, full_sft, dpo, reward, full_reward, ppo, ppo_with_critic)}


def largest_difference(one: Trained, other: Trained) -> float:
    """Of all weights."""
    assert one.weights.keys() == other.weights.keys()
    return max((value - other.weights[name]).abs().max().item() for name, value in one.weights.items())


def main() -> None:
    policy, encoder, output = map(Path, sys.argv[1:])
    params, compute = load_params(Path("params.yaml")), start_compute(RUNTIME)
    folders = Folders(policy, encoder)
    results = {name: training(folders, compute, params)() for name, training in TRAININGS.items()}
    plain = {name: {"weights": one.weights, "rows": one.rows} for name, one in results.items()}
    torch.save(plain, output / f"{group.rank()}.pt")


if __name__ == "__main__":
    main()
