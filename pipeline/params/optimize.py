"""The `optimize` section of params.yaml: one model a method."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from pipeline.params.base import (
    Count,
    Finetuning,
    LearningRateSchedule,
    NonNegativeFloat,
    OptimizerName,
    PositiveFloat,
    PositiveInt,
    Section,
    Share,
    SupervisedTraining,
)

Method = Literal["dpo", "ppo", "hybrid"]
METHODS: tuple[Method, ...] = get_args(Method)


class Dpo(SupervisedTraining):
    finetuning: Finetuning
    loss: Literal["sigmoid", "robust", "ipo", "hinge", "sigmoid_norm", "simpo"]
    beta: PositiveFloat
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)]
    simpo_gamma: NonNegativeFloat
    nll_coef: NonNegativeFloat
    reference: Literal["cached", "adapter_off", "frozen_copy"]
    reference_sync_steps: Count
    reference_mixup_alpha: Annotated[float, Field(gt=0, le=1)]
    save_steps: Count

    @model_validator(mode="after")
    def _keys_fit_the_loss_and_the_reference(self) -> Self:
        """A key that the rest ignores would be an experiment that never happened."""
        if self.label_smoothing and self.loss not in ("sigmoid", "robust"):
            raise ValueError(f"loss {self.loss} has no label_smoothing; set it to 0, or loss to sigmoid or robust")
        if self.simpo_gamma and self.loss != "simpo":
            raise ValueError(f"loss {self.loss} has no simpo_gamma; set it to 0, or loss to simpo")
        if self.reference == "adapter_off" and self.finetuning.method != "lora":
            raise ValueError("reference adapter_off needs finetuning.method lora; use cached or frozen_copy")
        if self.reference_sync_steps and (self.reference != "frozen_copy" or self.finetuning.method != "full"):
            raise ValueError(
                "reference_sync_steps mixes the policy's weights into a copy of its own: it needs reference "
                "frozen_copy and finetuning.method full"
            )
        return self


class Ppo(Section):
    finetuning: Finetuning
    min_reward_accuracy: Share
    require_above_longer_wins: bool
    total_episodes: PositiveInt
    rollout_batch_size: PositiveInt
    samples_per_prompt: PositiveInt
    num_ppo_epochs: PositiveInt
    num_minibatches: PositiveInt
    per_device_train_batch_size: PositiveInt
    learning_rate: PositiveFloat
    lr_scheduler_type: LearningRateSchedule
    warmup_ratio: Share
    adam_epsilon: PositiveFloat
    optimizer: OptimizerName = "adamw"
    max_grad_norm: PositiveFloat
    kl_estimator: Literal["k1", "k2", "k3"]
    kl_coef: NonNegativeFloat
    kl_controller: Literal["fixed", "adaptive"]
    kl_target: PositiveFloat
    kl_horizon: PositiveInt
    unfinished: Literal["none", "replace", "subtract"]
    unfinished_penalty: NonNegativeFloat
    normalize_scores: bool
    score_clip: PositiveFloat | None
    whiten_rewards: Literal["none", "scale", "shift_and_scale"]
    advantage_estimator: Literal["gae", "rloo", "group"]
    gamma: Share
    lam: Share
    whiten_advantages: Literal["auto"] | bool
    critic: Literal["shared", "policy", "reward_model"]
    critic_learning_rate: PositiveFloat
    critic_warmup_iterations: Count
    vf_coef: NonNegativeFloat
    cliprange_value: PositiveFloat
    cliprange: PositiveFloat
    entropy_coef: NonNegativeFloat
    target_kl_per_update: PositiveFloat
    max_ratio: Annotated[float, Field(gt=1)] | None
    max_sampler_kl: PositiveFloat
    importance_truncation: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None
    max_kl: PositiveFloat
    save_steps: Count
    offload_idle: bool = False

    @model_validator(mode="after")
    def _batches_divide(self) -> Self:
        """Exact batch arithmetic or an error: a silently dropped remainder changes what was trained."""
        minibatch = self.rollout_batch_size // self.num_minibatches
        for name, whole, part_name, part in (
            ("total_episodes", self.total_episodes, "rollout_batch_size", self.rollout_batch_size),
            ("rollout_batch_size", self.rollout_batch_size, "samples_per_prompt", self.samples_per_prompt),
            ("rollout_batch_size", self.rollout_batch_size, "num_minibatches", self.num_minibatches),
            ("a minibatch", minibatch, "per_device_train_batch_size", self.per_device_train_batch_size),
        ):
            if whole % part:
                raise ValueError(f"{name} ({whole}) must be a multiple of {part_name} ({part})")
        return self

    @model_validator(mode="after")
    def _estimator_fits(self) -> Self:
        if self.advantage_estimator != "gae":
            if self.samples_per_prompt < 2:
                raise ValueError(f"advantage_estimator {self.advantage_estimator} needs 2 or more samples_per_prompt")
            if self.critic_warmup_iterations:
                raise ValueError(f"advantage_estimator {self.advantage_estimator} has no critic to warm up")
        iterations = self.total_episodes // self.rollout_batch_size
        if self.critic_warmup_iterations >= iterations:
            raise ValueError(f"critic_warmup_iterations must be fewer than the {iterations} iterations of the run")
        return self


class Optimize(Section):
    methods: Annotated[list[Method], Field(min_length=1)]
    seeds: Annotated[list[Count], Field(min_length=1)]
    dpo: Dpo
    ppo: Ppo
    hybrid: Ppo

    @model_validator(mode="after")
    def _methods_and_seeds_once(self) -> Self:
        for name, values in (("methods", self.methods), ("seeds", self.seeds)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} names one twice: {values}")
        return self

    @model_validator(mode="after")
    def _hybrid_has_a_start(self) -> Self:
        if "hybrid" in self.methods and self.methods[0] != "dpo":
            raise ValueError(f"hybrid repairs the first of the methods, which has to be dpo, not {self.methods[0]}")
        return self
