"""The typed contents of what is measured of reward models."""

from pydantic import FiniteFloat

from pipeline.results.document import Count, Document, Interval


class MatchedAccuracy(Document):
    """Accuracy on the pairs whose responses have about the same length; None without such pairs."""

    accuracy: Interval | None
    pairs: Count


class ExpectedError(Document):
    """The calibration error that a calibrated model has by chance: its mean and its 95 % quantile."""

    mean: FiniteFloat
    high: FiniteFloat


class Temperature(Document):
    """The temperature fitted on validation margins; loss (nats) and calibration error on test pairs around it."""

    temperature: FiniteFloat
    temperature_at_limit: bool
    validation_pairs: Count
    loss_before: FiniteFloat
    loss_after: FiniteFloat
    error_before: FiniteFloat
    error_after: FiniteFloat
    expected_if_calibrated: ExpectedError
    """What `error_before` would be if every confidence was true."""


class Robustness(Document):
    """How far the score of a text moves with what is scored beside it, in score units."""

    texts: Count
    batch_deviation: FiniteFloat
    left_padding_deviation: FiniteFloat | None
    """None for encoders, which are read at their first token."""
    right_padding_deviation: FiniteFloat
    max_deviation: FiniteFloat
    exceeds_limit: bool


class JudgeAgreement(Document):
    """How far the margins of a model follow a judge's, on the pairs that have both."""

    pairs: Count
    weighted_accuracy: FiniteFloat | None
    """Each pair counts with the size of the judge's margin, so that errors on clear pairs weigh more; None where all
    are 0."""
    spearman: FiniteFloat | None
    """Rank correlation; None with fewer than 3 pairs or equal margins."""


class AccuracyGroup(Document):
    """Accuracy on the pairs with one value of a group field."""

    field: str
    value: str
    pairs: Count
    accuracy: Interval


class MarginBin(Document):
    """Accuracy on the pairs whose margin has a size from `low` to `high`."""

    low: FiniteFloat
    high: FiniteFloat
    pairs: Count
    accuracy: Interval


class ComparedRewardModel(Document):
    """A model's line of the comparison of own and finished ones."""

    name: str
    accuracy: Interval
    length_matched: MatchedAccuracy
    expected_calibration_error: FiniteFloat
    error_after_temperature: FiniteFloat
    max_deviation: FiniteFloat
    truncated_texts: Count
    pairs: Count


class ScoreDistribution(Document):
    """Mean, standard deviation (of these scores, not of a larger population) and quantiles, in score units."""

    mean: FiniteFloat
    standard_deviation: FiniteFloat
    quantile_05: FiniteFloat
    quantile_25: FiniteFloat
    quantile_50: FiniteFloat
    quantile_75: FiniteFloat
    quantile_95: FiniteFloat


class ScoreDistributions(Document):
    """The distributions of the scores of chosen and of rejected responses."""

    chosen: ScoreDistribution
    rejected: ScoreDistribution


class PairMetrics(Document):
    """What a reward model's scores of test pairs say."""

    accuracy: Interval
    accuracy_design_effect: FiniteFloat
    """How many pairs say as much of the accuracy as one of a prompt of its own."""
    longer_wins_accuracy: FiniteFloat
    """Accuracy of the rule that the longer response wins."""
    length_matched: MatchedAccuracy
    expected_calibration_error: FiniteFloat
    judge_agreement: JudgeAgreement | None
    scores: ScoreDistributions
    equal_scores_share: FiniteFloat
    near_ties_share: FiniteFloat
    """Share of pairs with a margin below evaluate_reward.near_tie_margin."""
    groups: list[AccuracyGroup]
    judge_margin_bins: list[MarginBin]
    """By the size of the judge's margin, of the pairs that have one."""
    model_margin_bins: list[MarginBin]
    pairs: Count
    mean_margin: FiniteFloat
    """Chosen minus rejected score."""


class MeasuredRewardModel(PairMetrics):
    """Everything that is measured of one reward model."""

    calibration: Temperature
    robustness: Robustness
    truncated_texts: Count
    """Texts that are longer than the model reads."""


class RewardMetrics(MeasuredRewardModel):
    """The reward model that PPO trains against, and all that were measured in a line each."""

    model: str
    models: list[ComparedRewardModel]


class CalibrationBin(Document):
    """Pairs whose predicted probability is in [low, high): mean prediction and share that was right."""

    low: FiniteFloat
    high: FiniteFloat
    confidence: FiniteFloat | None
    accuracy: FiniteFloat | None
    count: Count


class Calibration(Document):
    """The data of the calibration plot."""

    bins: list[CalibrationBin]
    bins_after_temperature: list[CalibrationBin]
    chosen_scores: list[FiniteFloat]
    rejected_scores: list[FiniteFloat]
