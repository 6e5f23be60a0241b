"""The typed contents of reports/comparison.json: all policies beside each other, and what speaks against them."""

from typing import Literal

from pydantic import FiniteFloat

from pipeline.results.document import Count, Document, Interval
from pipeline.results.policies import LastCheckpoint, PolicyFigures
from pipeline.results.repair import VerifiedCategory


class ComparedPolicy(PolicyFigures):
    """The SFT policy, with which the others are compared; None of a second judge where there is none."""

    second_judge_score: Interval | None
    second_judge_gain: Interval | None


class Gain(Interval):
    """What a method did to the score of a judge; `over` names what the interval is over."""

    over: list[str]


class ComparedMethod(ComparedPolicy):
    """The run that stands for a method, of the seed with the median score."""

    seed: Count
    gains: dict[str, Gain]
    """By kind of judge, over all seeds."""
    selected_step: Count
    last_step: Count
    last: LastCheckpoint | None


class ComparedJudge(Document):
    """A judge that measured policies."""

    role: Literal["first", "second"]
    """The first gives the judge score."""
    family: str
    fitted_on: str
    accuracy: Interval
    majority_share: FiniteFloat
    texts: Count
    problem: str | None
    shared_error_share: FiniteFloat | None
    """Share of the first judge's errors that the second makes, too; None for the first."""


class ComparedSecondJudge(ComparedJudge):
    """The judge that measured again."""

    expected_shared_error_share: FiniteFloat | None
    agreement: FiniteFloat | None


class RewardModelInUse(Document):
    """The reward model that policies were trained against."""

    accuracy: Interval
    longer_wins_accuracy: FiniteFloat
    initial_loss: FiniteFloat | None
    """None of one that was not trained here."""
    expected_calibration_error: FiniteFloat


class ComparedPair(Document):
    """Two policies on the same prompts."""

    first: str
    second: str
    judge_score_difference: Interval
    win_rate: FiniteFloat
    over: list[str]


class ComparedSeed(Document):
    """The run of one seed."""

    seed: Count
    judge_score: FiniteFloat
    reward_score: FiniteFloat
    kl_nats_per_sequence: FiniteFloat
    win_rate_vs_sft: FiniteFloat
    perplexity_held_out: FiniteFloat | None
    distinct_2: FiniteFloat
    selected_step: Count
    last_step: Count
    selected_minus_last: FiniteFloat | None
    collapsed: list[str]
    """Why it is called collapsed; empty where it is not."""
    representative: bool


class ComparedSeeds(Document):
    """All seeds of a method; figures by the names of those of a seed, of those that are known."""

    runs: list[ComparedSeed]
    mean: dict[str, FiniteFloat]
    standard_deviation: dict[str, FiniteFloat]
    low: dict[str, FiniteFloat]
    high: dict[str, FiniteFloat]
    mean_without_collapsed: dict[str, FiniteFloat] | None


class CurveFit(Document):
    """Least-squares coefficients of one form, with what they say of the peak."""

    form: Literal["best_of_n", "rl"]
    alpha: FiniteFloat
    """Gain per d at the start, score units."""
    beta: FiniteFloat
    """How fast that wears off; at or below 0 the fitted curve has no peak."""
    rmse: FiniteFloat
    """Root of the mean squared residual, score units; 0 with two points, which any two coefficients meet."""
    points: Count
    peak_kl: FiniteFloat | None
    """Nats; None without a peak."""
    beyond_measured: bool | None
    """The fitted peak lies beyond the largest measured KL, so it is an extrapolation; None without a peak."""


class MeasuredPeak(Document):
    """The measured point with the highest gain: at a step of training, or of best-of-n."""

    step: Count | None = None
    best_of_n: Count | None = None
    kl: FiniteFloat
    gain: FiniteFloat


class OveroptimizationCurve(Document):
    """One score along best-of-n or along the checkpoints of a run."""

    fit: CurveFit | None
    measured_peak: MeasuredPeak
    largest_measured_kl: FiniteFloat


class Ratio(Document):
    """A method's KL over best-of-n's, with its 95 % interval; `high` is None where it has no upper end."""

    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat | None


class OwnSpending(Document):
    """The KL that a method and best-of-n spend for the largest gain of the method."""

    gain: FiniteFloat
    judge_score: FiniteFloat
    best_of_n: FiniteFloat
    kl: FiniteFloat
    ratio: Ratio


class ScoredResponse(Document):
    """A response in an example of reward hacking."""

    response: str
    judge_score: FiniteFloat
    reward_score: FiniteFloat


class HackingExample(Document):
    """A prompt whose judge score fell from SFT while its reward score rose."""

    id: str
    prompt: str
    sft: ScoredResponse
    policy: ScoredResponse


class Flag(Document):
    """A warning about a policy, or about the data or a model behind all of them (`subject`)."""

    policy: str | None = None
    subject: str | None = None
    seed: Count | None = None
    """Seed of the policy, where several were run."""
    code: str
    message: str
    examples: list[HackingExample] | None = None


class PairCounts(Document):
    """Preference pairs."""

    raw: Count
    accepted: Count
    quarantined: Count


class Comparison(Document):
    """All metrics that policies are compared by, and the flags. Costs differ from run to run: they are left out."""

    policies: dict[str, ComparedMethod | ComparedPolicy]
    """By name, `sft` first."""
    judges: dict[str, ComparedSecondJudge | ComparedJudge]
    """By kind."""
    reward_model: RewardModelInUse
    pairs: list[ComparedPair]
    seeds: dict[str, ComparedSeeds]
    """By method; empty with one seed."""
    overoptimization: dict[str, dict[str, OveroptimizationCurve | dict[str, OveroptimizationCurve] | None]]
    """Fitted curves: of `best_of_n` by score, of each method by `seed-N` and score."""
    kl_for_judge_score: dict[str, dict[str, FiniteFloat | Ratio | OwnSpending | None]]
    """By target: gain, judge score, and of each method KL and `METHOD_ratio`; `largest_of_each` by method."""
    repair: dict[str, list[VerifiedCategory]]
    """By `seed-N` of hybrid; empty without it."""
    preferences: PairCounts
    flags: list[Flag]
