"""The training stages as the estimate of their memory sees them; lengths are those of the data, where it is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PretrainedConfig, PreTrainedTokenizerBase

from pipeline.models.folders import brings_code
from pipeline.params.optimize import Dpo, Ppo
from pipeline.params.schema import TrainReward, TrainSft
from pipeline.stage.memory_need import Model, Rollout, Work

_LONGEST = 64
"""Texts of the most characters, of which the one of the most tokens is taken."""


def config_of(folder: Path) -> PretrainedConfig:
    """The configuration of a model folder of this pipeline, without its weights."""
    return AutoConfig.from_pretrained(folder, trust_remote_code=brings_code(folder))


def longest_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> int:
    """Tokens of the longest of the texts, special ones included; 1 without texts."""
    chosen = sorted(texts, key=len)[-_LONGEST:]
    return max((len(ids) for ids in tokenizer(chosen, verbose=False)["input_ids"]), default=1) if chosen else 1


def sft_work(config: Any, settings: TrainSft, *, examples: int, longest: int) -> Work:
    """Args: longest: tokens of the longest prompt with its response."""
    return Work(
        section="train_sft",
        length_key="train_sft.max_length",
        model=Model.of(config, writes=True),
        finetuning=settings.finetuning,
        batch=min(settings.per_device_train_batch_size, examples),
        length=min(longest, settings.max_length),
    )


def reward_work(config: Any, settings: TrainReward, *, pairs: int, longest: int) -> Work:
    """A decoder reads a pair in one row, an encoder in two. Args: longest: tokens of the longest text of a pair."""
    model = Model.of(config, writes=False)
    side = min(longest, settings.max_length)
    return Work(
        section="train_reward",
        length_key="train_reward.max_length",
        model=model,
        finetuning=settings.finetuning,
        batch=min(settings.per_device_train_batch_size, pairs),
        length=2 * side if model.is_decoder else side,
        paired=model.is_decoder,
        rows=1 if model.is_decoder else 2,
        writes=False,
    )


def dpo_work(config: Any, settings: Dpo, *, pairs: int, longest: int) -> Work:
    """Args: longest: tokens of the longest pair, both responses in one row."""
    return Work(
        section="optimize.dpo",
        length_key="score_reference.max_length",
        model=Model.of(config, writes=True),
        finetuning=settings.finetuning,
        batch=min(settings.per_device_train_batch_size, pairs),
        length=longest,
        paired=True,
        frozen=int(settings.reference == "frozen_copy"),
    )


def ppo_work(
    config: Any, scorer: Any, settings: Ppo, *, section: str, prompt: int, new_tokens: int, apart: bool = False
) -> Work:
    """PPO or hybrid.

    Args:
        config: of the policy.
        scorer: config of the reward model.
        section: of params.yaml, with `settings`.
        prompt: tokens of the longest.
        new_tokens: sampled for each.
        apart: the reference is not the policy with its adapters off, but a model of its own.
    """
    own_critic = settings.advantage_estimator == "gae" and settings.critic != "shared"
    return Work(
        section=section,
        length_key="sampling.max_new_tokens",
        model=Model.of(config, writes=True),
        finetuning=settings.finetuning,
        batch=settings.per_device_train_batch_size,
        length=prompt + new_tokens,
        frozen=int(apart or settings.finetuning.method == "full"),
        critics=int(own_critic),
        rollout=Rollout(settings.rollout_batch_size, prompt, new_tokens, Model.of(scorer, writes=False)),
    )
