"""The parameters that a check looks at. Others, such as learning rates, decide nothing that it could know."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.params.data import Data
from pipeline.params.evaluation import CandidateModel
from pipeline.params.judge import ChatJudge, JudgeEndpoint, RewardModelJudge
from pipeline.params.optimize import Method
from pipeline.params.schema import CollectPreferences, Models, Params, ValidatePreferences


@dataclass(frozen=True)
class MaxLengths:
    """Tokens, each by the key of params.yaml that sets it."""

    sft: int
    reward: int
    reference: int
    new_tokens: int


@dataclass(frozen=True)
class BatchSizes:
    """Examples in one optimiser step of each trainer; episodes and different prompts in one rollout of PPO."""

    sft: int
    reward: int
    dpo: int
    rollout: int
    rollout_prompts: int


@dataclass(frozen=True)
class Settings:
    """Of one run."""

    seed: int
    models: Models
    candidates: Sequence[CandidateModel]
    data: Data
    collect: CollectPreferences
    contract: ValidatePreferences
    judge_kind: str
    judge_model: RewardModelJudge
    judge_chat: ChatJudge
    endpoint: JudgeEndpoint
    stop_tokens: Sequence[str]
    methods: Sequence[Method]
    policies: int
    """Trained in the whole run."""
    critic: str
    lengths: MaxLengths
    batches: BatchSizes


def settings_of(params: Params) -> Settings:
    """The same from the whole of params.yaml; `stages/check.py` names each key, so that DVC knows them."""
    sft, reward, dpo, ppo = params.train_sft, params.train_reward, params.optimize.dpo, params.optimize.ppo
    return Settings(
        seed=params.seed,
        models=params.models,
        candidates=params.evaluate_reward.candidates,
        data=params.data,
        collect=params.collect_preferences,
        contract=params.validate_preferences,
        judge_kind=params.judge.kind,
        judge_model=params.judge.reward_model,
        judge_chat=params.judge.chat,
        endpoint=params.judge.endpoint,
        stop_tokens=params.sampling.stop_tokens,
        methods=params.optimize.methods,
        policies=len(params.optimize.methods) * len(params.optimize.seeds),
        critic=ppo.critic,
        lengths=MaxLengths(
            sft.max_length, reward.max_length, params.score_reference.max_length, params.sampling.max_new_tokens
        ),
        batches=BatchSizes(
            sft=sft.per_device_train_batch_size * sft.gradient_accumulation_steps,
            reward=reward.per_device_train_batch_size * reward.gradient_accumulation_steps,
            dpo=dpo.per_device_train_batch_size * dpo.gradient_accumulation_steps,
            rollout=ppo.rollout_batch_size,
            rollout_prompts=ppo.rollout_batch_size // ppo.samples_per_prompt,
        ),
    )
