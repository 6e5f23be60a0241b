"""The typed contents of the files that the report is made from."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

Count = Annotated[int, Field(ge=0)]


class Document(BaseModel):
    """Base of every file: immutable; keys that the report does not show are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Interval(Document):
    """A mean with its 95 % interval."""

    mean: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat

    @property
    def rose(self) -> bool:
        """Of a difference: it lies above 0 beyond chance."""
        return self.low > 0

    @property
    def fell(self) -> bool:
        """Of a difference: it lies below 0 beyond chance."""
        return self.high < 0


class CategoryMetrics(Document):
    """One policy on the evaluation prompts of one category; `judge_gain` is over SFT on the same prompts."""

    category: str
    prompts: Count
    judge_score: Interval
    judge_gain: Interval
    reward_score: FiniteFloat
    win_rate_vs_sft: Interval
    kl_nats_per_sequence: FiniteFloat


class PolicyMetrics(Document):
    """One policy on the evaluation prompts; KL in nats per sequence, measured from the SFT policy."""

    judge_score: Interval
    judge_gain: Interval
    second_judge_score: Interval | None = None
    second_judge_gain: Interval | None = None
    reward_score: Interval
    reward_gain: Interval
    win_rate_vs_sft: Interval
    length_controlled_win_rate: FiniteFloat | None
    length_controlled_interval: Interval | None
    kl_nats_per_sequence: FiniteFloat
    kl_interval: Interval
    kl_nats_per_token: FiniteFloat
    kl_k3_nats_per_sequence: FiniteFloat
    kl_k3_interval: Interval
    kl_k3_nats_per_token: FiniteFloat
    perplexity_held_out: FiniteFloat | None
    distinct_1: FiniteFloat
    distinct_2: FiniteFloat
    distinct_3: FiniteFloat
    self_bleu: FiniteFloat | None
    repeated_3grams: FiniteFloat
    mean_response_tokens: FiniteFloat
    median_response_tokens: FiniteFloat
    p90_response_tokens: FiniteFloat
    longest_response_tokens: FiniteFloat
    eos_rate: FiniteFloat
    eos_interval: Interval
    cut_rate: FiniteFloat
    cut_interval: Interval
    evaluation_prompts: Count
    by_category: list[CategoryMetrics]


class FrontierPoint(Document):
    """Best-of-n of the SFT policy."""

    label: str
    best_of_n: Count
    kl_nats_per_sequence: FiniteFloat
    reward_score: Interval
    judge_score: Interval
    judge_scores: list[FiniteFloat]
    """By validation prompt, in the order of the checkpoints' scores."""


class Frontier(Document):
    points: list[FrontierPoint]


class Sample(Document):
    """One continuation of one evaluation prompt. The text is a model's: it may contain anything."""

    id: str
    prompt: str
    category: str
    response: str
    ended: bool
    tokens: Count
    judge_score: FiniteFloat
    reward_score: FiniteFloat
    kl_nats: FiniteFloat
    second_judge_score: FiniteFloat | None = None


class MatchedAccuracy(Document):
    """On pairs of similar length; None where there are none."""

    accuracy: Interval | None
    pairs: Count


class ExpectedError(Document):
    """Of the calibration error that a calibrated model has by chance: its mean and its 95 % quantile."""

    mean: FiniteFloat
    high: FiniteFloat


class Temperature(Document):
    temperature: FiniteFloat
    error_after: FiniteFloat
    expected_if_calibrated: ExpectedError


class Robustness(Document):
    max_deviation: FiniteFloat
    exceeds_limit: bool


class JudgeAgreement(Document):
    spearman: FiniteFloat | None


class AccuracyGroup(Document):
    field: str
    value: str
    pairs: Count
    accuracy: Interval


class MarginBin(Document):
    low: FiniteFloat
    high: FiniteFloat
    pairs: Count
    accuracy: Interval


class ComparedRewardModel(Document):
    name: str
    accuracy: Interval
    length_matched: MatchedAccuracy
    expected_calibration_error: FiniteFloat
    error_after_temperature: FiniteFloat
    max_deviation: FiniteFloat


class RewardMetrics(Document):
    """The reward model that PPO trains against on test pairs, and the others beside it."""

    model: str
    accuracy: Interval
    longer_wins_accuracy: FiniteFloat
    length_matched: MatchedAccuracy
    expected_calibration_error: FiniteFloat
    calibration: Temperature
    robustness: Robustness
    judge_agreement: JudgeAgreement | None
    near_ties_share: FiniteFloat
    groups: list[AccuracyGroup]
    judge_margin_bins: list[MarginBin]
    model_margin_bins: list[MarginBin]
    models: list[ComparedRewardModel]
    pairs: Count
    mean_margin: FiniteFloat


class CalibrationBin(Document):
    low: FiniteFloat
    high: FiniteFloat
    confidence: FiniteFloat | None
    accuracy: FiniteFloat | None
    count: Count


class Calibration(Document):
    bins: list[CalibrationBin]
    chosen_scores: list[FiniteFloat]
    rejected_scores: list[FiniteFloat]


class PreferenceSummary(Document):
    """What validation accepted and why it refused the rest; lengths in words."""

    raw: Count
    accepted: Count
    quarantined: Count
    by_split: dict[str, Count]
    quarantined_by_reason: dict[str, Count]
    warned_by_reason: dict[str, Count]
    truncated_prompts: Count
    ties_without_pair: Count
    chosen_longer_share: FiniteFloat
    mean_margin: FiniteFloat | None
    mean_prompt_words: FiniteFloat
    mean_chosen_words: FiniteFloat
    mean_rejected_words: FiniteFloat
    chosen_words: list[Count]
    rejected_words: list[Count]


class VoteSummary(Document):
    """What several annotators said of the same responses."""

    comparisons: Count
    votes: Count
    annotators: Count
    verdicts: dict[str, Count]
    krippendorff_alpha: FiniteFloat | None
    first_shown_wins: FiniteFloat | None
    decided_votes: Count


class DefectExample(Document):
    """A pair that breaks a rule; its texts are shortened."""

    id: str
    file: str
    rows: list[Count]
    prompt: str
    chosen: str
    rejected: str


class CueDocument(Document):
    kind: str
    cue: str
    pairs: Count
    chosen_share: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat


class PromptSummary(Document):
    distinct: Count
    most_pairs_of_one: Count
    distinct_beginnings_share: FiniteFloat


class PreferenceDetails(Document):
    """The accepted and the refused pairs in detail."""

    prompts: PromptSummary
    cues: list[CueDocument]
    measured_pairs: Count
    votes: VoteSummary | None
    examples: dict[str, list[DefectExample]]


class SourceRows(Document):
    file: str
    format: str
    rows: Count
    fates: dict[str, Count]
    unused_columns: list[str] = []
    unused_fields: list[str] = []

    @property
    def unused(self) -> list[str]:
        """Columns, and fields in messages, that nothing read."""
        return [*self.unused_columns, *self.unused_fields]


class DroppedExample(Document):
    file: str
    row: Count
    seen: str = ""
    value: str


class Sources(Document):
    """What data preparation read."""

    chat_format: str
    sources: list[SourceRows]
    examples: dict[str, list[DroppedExample]]
    votes: VoteSummary | None

    @property
    def leaked(self) -> int:
        """Held-out rows that were dropped because they nearly repeat what is learnt from."""
        return sum(source.fates.get("dropped.near_duplicate_across_splits", 0) for source in self.sources)
