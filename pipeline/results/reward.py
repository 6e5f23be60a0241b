"""The typed contents of what is measured of reward models."""

from pydantic import FiniteFloat

from pipeline.results.document import Count, Document, Interval


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
    temperature_at_limit: bool
    validation_pairs: Count
    loss_before: FiniteFloat
    """Nats, as `loss_after`."""
    loss_after: FiniteFloat
    error_before: FiniteFloat
    error_after: FiniteFloat
    expected_if_calibrated: ExpectedError


class Robustness(Document):
    """How far a score depends on what else is scored, in score units; None where a side was not tried."""

    texts: Count
    batch_deviation: FiniteFloat
    left_padding_deviation: FiniteFloat | None
    right_padding_deviation: FiniteFloat
    max_deviation: FiniteFloat
    exceeds_limit: bool


class JudgeAgreement(Document):
    """On the pairs that the judge scored, too."""

    pairs: Count
    weighted_accuracy: FiniteFloat | None
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
    truncated_texts: Count
    pairs: Count


class ScoreDistribution(Document):
    """In score units."""

    mean: FiniteFloat
    standard_deviation: FiniteFloat
    quantile_05: FiniteFloat
    quantile_25: FiniteFloat
    quantile_50: FiniteFloat
    quantile_75: FiniteFloat
    quantile_95: FiniteFloat


class ScoreDistributions(Document):
    chosen: ScoreDistribution
    rejected: ScoreDistribution


class RewardMetrics(Document):
    """The reward model that PPO trains against on test pairs, and the others beside it."""

    model: str
    accuracy: Interval
    accuracy_design_effect: FiniteFloat
    """How many pairs say as much of the accuracy as one of a prompt of its own."""
    longer_wins_accuracy: FiniteFloat
    length_matched: MatchedAccuracy
    expected_calibration_error: FiniteFloat
    calibration: Temperature
    robustness: Robustness
    judge_agreement: JudgeAgreement | None
    scores: ScoreDistributions
    equal_scores_share: FiniteFloat
    near_ties_share: FiniteFloat
    truncated_texts: Count
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
    bins_after_temperature: list[CalibrationBin]
    chosen_scores: list[FiniteFloat]
    rejected_scores: list[FiniteFloat]
