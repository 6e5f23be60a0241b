"""The parameters that the check reads: those whose effect is known before training, so no learning rates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.params.base import Finetuning, OptimizerName
from pipeline.params.data import Data
from pipeline.params.endpoint import EngineServer
from pipeline.params.evaluation import CandidateModel
from pipeline.params.judge import ChatJudge, JudgeEndpoint, RewardModelJudge
from pipeline.params.optimize import Method, Ppo
from pipeline.params.schema import (
    CollectPreferences,
    Models,
    Params,
    Runtime,
    TrainReward,
    TrainSft,
    ValidatePreferences,
)


@dataclass(frozen=True)
class MaxLengths:
    """The limits on lengths, in tokens."""

    sft: int
    reward: int
    reference: int
    new_tokens: int
    prompt_tokens: int | None


@dataclass(frozen=True)
class SupervisedSizes:
    """What decides how many examples a trainer on a fixed data set reads at once."""

    finetuning: Finetuning
    per_device_train_batch_size: int
    gradient_accumulation_steps: int
    optimizer: OptimizerName

    @property
    def step(self) -> int:
        """Examples in one optimiser step."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps


@dataclass(frozen=True)
class DpoSizes(SupervisedSizes):
    """What decides how many pairs DPO reads at once."""

    reference: str


@dataclass(frozen=True)
class PpoSizes:
    """What decides how many episodes PPO samples and reads at once."""

    finetuning: Finetuning
    per_device_train_batch_size: int
    rollout_batch_size: int
    samples_per_prompt: int
    advantage_estimator: str
    critic: str
    offload_idle: bool
    optimizer: OptimizerName


@dataclass(frozen=True)
class Trainings:
    """The sizes of all trainings, including those of methods that are not run."""

    sft: SupervisedSizes
    reward: SupervisedSizes
    dpo: DpoSizes
    ppo: PpoSizes
    hybrid: PpoSizes


@dataclass(frozen=True)
class Settings:
    """All parameters that the check reads."""

    seed: int
    models: Models
    candidates: Sequence[CandidateModel]
    data: Data
    collect: CollectPreferences
    contract: ValidatePreferences
    judge_kind: str
    second_judge: str
    judge_model: RewardModelJudge
    judge_chat: ChatJudge
    endpoint: JudgeEndpoint
    stop_tokens: Sequence[str]
    engine: Literal["own", "vllm"]
    engine_server: EngineServer
    methods: Sequence[Method]
    policies: int
    """How many policies the whole run trains."""
    sft_turns: Literal["last", "all"]
    sft_skip: Literal["auto"] | bool
    lengths: MaxLengths
    trainings: Trainings
    runtime: Runtime


def settings_of(params: Params) -> Settings:
    """The settings, key by key as dvc.yaml declares them: a change of another key, a learning rate, needs no check."""
    sft, reward, dpo = params.train_sft, params.train_reward, params.optimize.dpo
    return Settings(
        seed=params.seed,
        models=params.models,
        candidates=params.evaluate_reward.candidates,
        data=params.data,
        collect=params.collect_preferences,
        contract=params.validate_preferences,
        judge_kind=params.judge.kind,
        second_judge=params.judge.second,
        judge_model=params.judge.reward_model,
        judge_chat=params.judge.chat,
        endpoint=params.judge.endpoint,
        stop_tokens=params.sampling.stop_tokens,
        engine=params.sampling.engine,
        engine_server=params.engine,
        methods=params.optimize.methods,
        policies=len(params.optimize.methods) * len(params.optimize.seeds),
        sft_turns=sft.turns,
        sft_skip=sft.skip,
        lengths=MaxLengths(
            sft.max_length,
            reward.max_length,
            params.score_reference.max_length,
            params.sampling.max_new_tokens,
            params.sampling.max_prompt_tokens,
        ),
        trainings=Trainings(
            sft=_supervised(sft),
            reward=_supervised(reward),
            dpo=DpoSizes(
                dpo.finetuning,
                dpo.per_device_train_batch_size,
                dpo.gradient_accumulation_steps,
                dpo.optimizer,
                dpo.reference,
            ),
            ppo=_ppo(params.optimize.ppo),
            hybrid=_ppo(params.optimize.hybrid),
        ),
        runtime=params.runtime,
    )


def _supervised(section: TrainSft | TrainReward) -> SupervisedSizes:
    return SupervisedSizes(
        section.finetuning,
        section.per_device_train_batch_size,
        section.gradient_accumulation_steps,
        section.optimizer,
    )


def _ppo(section: Ppo) -> PpoSizes:
    return PpoSizes(
        section.finetuning,
        section.per_device_train_batch_size,
        section.rollout_batch_size,
        section.samples_per_prompt,
        section.advantage_estimator,
        section.critic,
        section.offload_idle,
        section.optimizer,
    )
