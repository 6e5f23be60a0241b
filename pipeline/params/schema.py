"""The typed sections of params.yaml.

Values are checked strictly: an unknown key, a missing key, a string where a number belongs or a value outside
its range is an error that names the dotted key.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=0)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Method = Literal["dpo", "ppo"]


class Section(BaseModel):
    """Base of every section: immutable, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Runtime(Section):
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "bf16", "fp32"]
    threads: Literal["auto"] | PositiveInt
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"]


class Sampling(Section):
    max_new_tokens: PositiveInt
    temperature: PositiveFloat
    top_k: Count
    top_p: Annotated[float, Field(gt=0, le=1)]
    stop_tokens: list[Annotated[str, Field(min_length=1)]]
    batch_size: PositiveInt


class ModelSource(Section):
    source: Annotated[str, Field(min_length=1)]
    revision: str | None
    dtype: Literal["bfloat16", "float32"]


class Models(Section):
    policy: ModelSource
    reward_backbone: ModelSource


class Columns(Section):
    text: str
    label: str
    prompt: str
    chosen: str
    rejected: str


class Splits(Section):
    judge: Share
    sft: Share
    train: Share
    validation: Share
    test: Share
    evaluation: Share

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        total = sum(self.model_dump().values())
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"the shares add up to {total:g}, they must add up to 1")
        return self


class Limits(Section):
    judge: Count
    sft: Count
    train: Count
    validation: Count
    test: Count
    evaluation: Count


class Data(Section):
    source: Annotated[str, Field(min_length=1)]
    format: Literal["labelled_texts", "preference_pairs"]
    revision: str | None
    split: str
    columns: Columns
    prompt_words: PositiveInt
    response_words: PositiveInt
    min_words: PositiveInt
    splits: Splits
    limits: Limits

    @model_validator(mode="after")
    def _leaves_a_response(self) -> Self:
        if self.min_words <= self.prompt_words:
            raise ValueError(f"min_words ({self.min_words}) must exceed prompt_words ({self.prompt_words})")
        return self


class FitJudge(Section):
    window_words: PositiveInt
    windows_per_text: PositiveInt
    ngram_max: PositiveInt
    inverse_regularization: PositiveFloat


class Finetuning(Section):
    method: Literal["lora", "full"]
    lora_r: PositiveInt
    lora_alpha: PositiveInt
    lora_target_modules: Literal["all-linear"] | list[str]


class SupervisedSchedule(Section):
    """What every trainer on a fixed data set has: SFT, reward model and DPO."""

    learning_rate: PositiveFloat
    warmup_ratio: Share
    num_train_epochs: PositiveInt
    per_device_train_batch_size: PositiveInt
    gradient_accumulation_steps: PositiveInt
    weight_decay: NonNegativeFloat
    max_grad_norm: PositiveFloat


class TrainSft(SupervisedSchedule):
    finetuning: Finetuning
    max_length: PositiveInt


class CollectPreferences(Section):
    source: Literal["sampled", "given"]
    samples_per_prompt: Annotated[int, Field(ge=2)]
    min_margin: Share


class ValidatePreferences(Section):
    max_characters: PositiveInt
    max_length_ratio: Annotated[float, Field(ge=1)]
    max_quarantined_share: Share
    min_pairs: PositiveInt


class TrainReward(SupervisedSchedule):
    max_length: PositiveInt
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)]


class EvaluateReward(Section):
    batch_size: PositiveInt
    calibration_bins: PositiveInt


class ScoreReference(Section):
    batch_size: PositiveInt
    max_length: PositiveInt


class Dpo(SupervisedSchedule):
    finetuning: Finetuning
    beta: PositiveFloat
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)]
    frontier_checkpoints: Count


class Ppo(Section):
    finetuning: Finetuning
    min_reward_accuracy: Share
    total_episodes: PositiveInt
    rollout_batch_size: PositiveInt
    samples_per_prompt: PositiveInt
    num_ppo_epochs: PositiveInt
    num_minibatches: PositiveInt
    per_device_train_batch_size: PositiveInt
    learning_rate: PositiveFloat
    adam_epsilon: PositiveFloat
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
    whiten_advantages: bool
    critic: Literal["shared", "policy", "reward_model"]
    critic_learning_rate: PositiveFloat
    critic_warmup_iterations: Count
    vf_coef: NonNegativeFloat
    cliprange_value: PositiveFloat
    cliprange: PositiveFloat
    entropy_coef: NonNegativeFloat
    target_kl_per_update: PositiveFloat
    max_ratio: Annotated[float, Field(gt=1)] | None
    max_kl: PositiveFloat
    frontier_checkpoints: Count

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
                raise ValueError(
                    f"advantage_estimator {self.advantage_estimator} needs samples_per_prompt of 2 or more"
                )
            if self.critic_warmup_iterations:
                raise ValueError(f"advantage_estimator {self.advantage_estimator} has no critic to warm up")
        iterations = self.total_episodes // self.rollout_batch_size
        if self.critic_warmup_iterations >= iterations:
            raise ValueError(f"critic_warmup_iterations must be fewer than the {iterations} iterations of the run")
        return self


class Optimize(Section):
    methods: Annotated[list[Method], Field(min_length=1)]
    dpo: Dpo
    ppo: Ppo

    @model_validator(mode="after")
    def _methods_once(self) -> Self:
        if len(set(self.methods)) != len(self.methods):
            raise ValueError(f"methods names a method twice: {self.methods}")
        return self


class EvaluatePolicy(Section):
    best_of_n: Annotated[list[PositiveInt], Field(min_length=1)]
    frontier_prompts: PositiveInt
    batch_size: PositiveInt
    bootstrap_resamples: PositiveInt

    @model_validator(mode="after")
    def _starts_at_one(self) -> Self:
        if self.best_of_n != sorted(set(self.best_of_n)) or self.best_of_n[0] != 1:
            raise ValueError(f"best_of_n must rise from 1 without repeats, got {self.best_of_n}")
        return self


class WriteReport(Section):
    samples_shown: PositiveInt
    max_kl: PositiveFloat
    max_perplexity_ratio: Annotated[float, Field(ge=1)]
    min_distinct_ratio: Share


class Tracking(Section):
    experiment: Annotated[str, Field(min_length=1)]
    uri: Annotated[str, Field(min_length=1)]
    required: bool


class Params(Section):
    """The whole of params.yaml."""

    seed: Count
    runtime: Runtime
    sampling: Sampling
    models: Models
    data: Data
    fit_judge: FitJudge
    train_sft: TrainSft
    collect_preferences: CollectPreferences
    validate_preferences: ValidatePreferences
    train_reward: TrainReward
    evaluate_reward: EvaluateReward
    score_reference: ScoreReference
    optimize: Optimize
    evaluate_policy: EvaluatePolicy
    write_report: WriteReport
    tracking: Tracking

    @model_validator(mode="after")
    def _given_pairs_need_a_source(self) -> Self:
        if self.collect_preferences.source == "given" and self.data.format != "preference_pairs":
            raise ValueError("collect_preferences.source is given, which needs data.format: preference_pairs")
        return self
