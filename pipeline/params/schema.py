"""The typed sections of params.yaml.

Values are checked strictly: an unknown key, a missing key, a string where a number belongs or a value outside
its range is an error that names the dotted key.
"""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from pipeline.params.base import (
    Count,
    Finetuning,
    ModelSource,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Section,
    Share,
    SupervisedTraining,
)
from pipeline.params.data import Data
from pipeline.params.endpoint import EngineServer
from pipeline.params.evaluation import EvaluatePolicy, EvaluateReward, FindRegressions, SelectCheckpoint
from pipeline.params.judge import Judge
from pipeline.params.optimize import Optimize


class Runtime(Section):
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "bf16", "fp32"]
    threads: Literal["auto"] | PositiveInt
    attention: Literal["auto", "grouped", "eager", "sdpa", "flex", "flash_attention_2"]
    merged_sampling: bool
    max_forward_tokens: Literal["auto"] | PositiveInt | None
    recompute: Literal["auto"] | bool


class Sampling(Section):
    """How every policy generates. From the whole softmax: PPO's log-probs and every KL know the temperature alone."""

    max_new_tokens: PositiveInt
    temperature: PositiveFloat
    stop_tokens: list[Annotated[str, Field(min_length=1)]]
    batch_size: PositiveInt
    max_prompt_tokens: PositiveInt | None
    engine: Literal["own", "vllm"] = "own"


class PolicySource(ModelSource):
    chat_template: Annotated[str, Field(min_length=1)] | None


class BackboneSource(ModelSource):
    is_reward_model: bool


class Models(Section):
    policy: PolicySource
    reward_backbone: BackboneSource


_ALWAYS_REJECTED = ("missing_field", "wrong_type", "not_utf8", "blank_text", "identical_pair", "duplicate_id")


class FitJudge(Section):
    independent: bool
    window_words: PositiveInt
    windows_per_text: PositiveInt
    ngram_max: PositiveInt
    inverse_regularization: PositiveFloat


class TrainSft(SupervisedTraining):
    finetuning: Finetuning
    max_length: PositiveInt
    turns: Literal["last", "all"]
    skip: Literal["auto"] | bool


class CollectPreferences(Section):
    source: Literal["sampled", "given", "labelled"]
    samples_per_prompt: Annotated[int, Field(ge=2)]
    top_k: Count
    top_p: Annotated[float, Field(gt=0, le=1)]
    min_margin: Share


Rule = Literal[
    "missing_field",
    "wrong_type",
    "not_utf8",
    "blank_text",
    "too_long",
    "control_token",
    "bidi_control",
    "replacement_character",
    "mojibake",
    "negative_margin",
    "identical_pair",
    "prefix_pair",
    "prompt_repeated",
    "scores_contradict_label",
    "length_ratio",
    "over_context",
    "contradictory_pair",
    "split_leakage",
    "duplicate_id",
    "duplicate_pair",
    "near_duplicate",
]


class ValidatePreferences(Section):
    max_characters: PositiveInt
    max_length_ratio: Annotated[float, Field(ge=1)]
    max_tokens: PositiveInt | None
    over_context: Literal["drop", "truncate_prompt", "error"]
    near_duplicate_similarity: Annotated[float, Field(gt=0, le=1)]
    max_quarantined_share: Share
    min_pairs: PositiveInt
    reject: dict[Rule, Share]
    warn: dict[Rule, Share]

    @model_validator(mode="after")
    def _every_rule_has_one_severity(self) -> Self:
        """Rows that break the first rules cannot be trained on; of the others people may think as they like."""
        rules = get_args(Rule)
        if wrong := [rule for rule in rules if (rule in self.reject) == (rule in self.warn)]:
            raise ValueError(f"each rule is either in reject or in warn; correct {', '.join(wrong)}")
        if wrong := [rule for rule in _ALWAYS_REJECTED if rule in self.warn]:
            raise ValueError(f"{', '.join(wrong)} cannot be trained on: move to reject")
        return self


class TrainReward(SupervisedTraining):
    finetuning: Finetuning
    max_length: PositiveInt
    use_margin: bool
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)]
    centering_coef: NonNegativeFloat

    @property
    def loss_is_plain(self) -> bool:
        """Bradley-Terry's loss alone, which a head that knows nothing puts at ln 2."""
        return not self.use_margin and not self.centering_coef


class ScoreReference(Section):
    batch_size: PositiveInt
    max_length: PositiveInt


class WriteReport(Section):
    samples_shown: PositiveInt
    max_kl: PositiveFloat
    max_perplexity_ratio: Annotated[float, Field(ge=1)]
    min_distinct_ratio: Share


class PublishModels(Section):
    license: str | None
    language: str | None


class Resume(Section):
    every_steps: PositiveInt
    max_share: Annotated[float, Field(gt=0, le=1)]


class Launch(Section):
    processes: Literal["auto"] | PositiveInt
    nodes: PositiveInt
    command: list[Annotated[str, Field(min_length=1)]]

    @model_validator(mode="after")
    def _nodes_need_a_command(self) -> Self:
        if self.nodes > 1 and not self.command:
            raise ValueError(
                "nodes is more than 1, so command has to start a process on each, such as "
                "[srun, --nodes=2, --ntasks-per-node=1]"
            )
        return self


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
    judge: Judge
    fit_judge: FitJudge
    train_sft: TrainSft
    collect_preferences: CollectPreferences
    validate_preferences: ValidatePreferences
    train_reward: TrainReward
    evaluate_reward: EvaluateReward
    score_reference: ScoreReference
    optimize: Optimize
    find_regressions: FindRegressions
    select_checkpoint: SelectCheckpoint
    evaluate_policy: EvaluatePolicy
    write_report: WriteReport
    publish_models: PublishModels
    engine: EngineServer
    resume: Resume
    launch: Launch
    tracking: Tracking

    @model_validator(mode="after")
    def _given_pairs_need_a_source(self) -> Self:
        if self.collect_preferences.source == "given" and self.data.format == "labelled_texts":
            raise ValueError("collect_preferences.source is given, which needs a data.format with preference_pairs")
        return self

    @model_validator(mode="after")
    def _an_engine_is_handed_adapters(self) -> Self:
        if self.sampling.engine == "own":
            return self
        whole = [one for one in self.optimize.methods if getattr(self.optimize, one).finetuning.method == "full"]
        if whole:
            raise ValueError(
                f"sampling.engine is {self.sampling.engine}, which is handed adapters, and optimize.{whole[0]} is "
                f"trained in full: set optimize.{whole[0]}.finetuning.method to lora, or sampling.engine to own"
            )
        return self
