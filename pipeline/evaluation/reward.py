"""All metrics of a reward model on test pairs: accuracy, calibration, robustness, agreement with the judge."""

import math
from collections.abc import Sequence

import numpy as np

from pipeline.data.passages import Passage
from pipeline.errors import PipelineError
from pipeline.evaluation.calibration import calibration, error_if_calibrated
from pipeline.evaluation.pairs import (
    accuracy_by_group,
    accuracy_of,
    judge_agreement,
    length_matched_accuracy,
    margin_bins,
    prompt_numbers,
    score_pairs,
)
from pipeline.evaluation.robustness import score_deviations
from pipeline.evaluation.statistics import design_effect, win_shares
from pipeline.evaluation.temperature import bradley_terry_nll, fit_temperature
from pipeline.models.reward import RewardModel
from pipeline.params.evaluation import EvaluateReward
from pipeline.preferences.pair import PreferencePair, passages_of
from pipeline.results.document import not_finite
from pipeline.results.reward import (
    Calibration,
    MeasuredRewardModel,
    PairMetrics,
    Robustness,
    ScoreDistribution,
    ScoreDistributions,
    Temperature,
)

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def evaluate_reward(
    model: RewardModel,
    pairs: Sequence[PreferencePair],
    validation: Sequence[PreferencePair],
    settings: EvaluateReward,
) -> tuple[MeasuredRewardModel, Calibration]:
    """Everything that is measured of a reward model on test pairs, and the data of its calibration plot.

    Args:
        pairs: at least one.
        validation: other pairs, at least one, on which the temperature is fitted.
    """

    def score(texts: Sequence[Passage]) -> np.ndarray:
        scores = model.score(texts, batch_size=2 * settings.batch_size, title="scoring pairs").numpy()
        if not np.isfinite(scores).all():
            raise not_finite("the score of a pair")
        return scores

    texts = passages_of(pairs)
    # first, because it refuses a model whose scores are NaN or infinite
    robustness = robustness_metrics(model, texts[: 2 * settings.robustness_pairs], settings)
    chosen, rejected = score_pairs(score, pairs)
    held_out, other = score_pairs(score, validation)
    temperature = temperature_metrics(
        chosen - rejected, held_out - other, prompt_numbers(pairs), bins=settings.calibration_bins
    )
    metrics = MeasuredRewardModel(
        **pair_metrics(chosen, rejected, pairs, settings).as_fields(),
        calibration=temperature,
        robustness=robustness,
        truncated_texts=model.texts.truncated(texts),
    )
    scaled = (chosen - rejected) / temperature.temperature
    plot_data = Calibration(
        bins=calibration(chosen - rejected, bins=settings.calibration_bins)[1],
        bins_after_temperature=calibration(scaled, bins=settings.calibration_bins)[1],
        chosen_scores=[round(float(score), 6) for score in chosen],
        rejected_scores=[round(float(score), 6) for score in rejected],
    )
    return metrics, plot_data


def pair_metrics(
    chosen: np.ndarray, rejected: np.ndarray, pairs: Sequence[PreferencePair], settings: EvaluateReward
) -> PairMetrics:
    """What the scores of the pairs say.

    Args:
        chosen, rejected: (N,) scores of the responses of N pairs.
    """
    margins, prompts = chosen - rejected, prompt_numbers(pairs)
    longer = win_shares([pair.lengths[0] for pair in pairs], [pair.lengths[1] for pair in pairs])
    accuracy = accuracy_of(margins, prompts)
    by_judge, by_model = margin_bins(margins, pairs, bins=settings.margin_bins)
    return PairMetrics(
        accuracy=accuracy,
        accuracy_design_effect=design_effect(margins > 0, prompts),
        longer_wins_accuracy=float(longer.mean()),
        length_matched=length_matched_accuracy(margins, pairs, max_ratio=settings.length_matched_ratio),
        expected_calibration_error=calibration(margins, bins=settings.calibration_bins)[0],
        pairs=len(pairs),
        mean_margin=float(np.mean(margins)),
        scores=ScoreDistributions(chosen=score_distribution(chosen), rejected=score_distribution(rejected)),
        equal_scores_share=float(np.mean(margins == 0)),
        near_ties_share=float(np.mean(np.abs(margins) < settings.near_tie_margin)),
        judge_agreement=judge_agreement(margins, pairs),
        groups=accuracy_by_group(margins, pairs),
        judge_margin_bins=by_judge,
        model_margin_bins=by_model,
    )


def score_distribution(scores: np.ndarray) -> ScoreDistribution:
    """The distribution of the scores (N,) of responses, N > 0."""
    quantiles = zip(QUANTILES, np.quantile(scores, QUANTILES), strict=True)
    return ScoreDistribution(
        mean=float(scores.mean()),
        standard_deviation=float(scores.std()),
        **{f"quantile_{int(100 * share):02d}": float(value) for share, value in quantiles},
    )


def temperature_metrics(margins: np.ndarray, validation: np.ndarray, prompts: np.ndarray, *, bins: int) -> Temperature:
    """The temperature fitted on validation margins, and loss (nats) and calibration error on test before and after.

    With the error that the test pairs would show by chance before it, if every confidence was true.

    Args:
        prompts: (N,) number of the prompt of each test pair.
    """
    temperature, at_limit = fit_temperature(validation)
    return Temperature(
        temperature=temperature,
        temperature_at_limit=at_limit,
        validation_pairs=len(validation),
        loss_before=bradley_terry_nll(margins),
        loss_after=bradley_terry_nll(margins, temperature=temperature),
        error_before=calibration(margins, bins=bins)[0],
        error_after=calibration(margins / temperature, bins=bins)[0],
        expected_if_calibrated=error_if_calibrated(margins, prompts, bins=bins),
    )


def robustness_metrics(model: RewardModel, texts: Sequence[Passage], settings: EvaluateReward) -> Robustness:
    """Deviations of `score_deviations`, the largest of them, and whether it exceeds the limit.

    Raises:
        PipelineError: a score is NaN or infinite, alone or in a batch with other texts.
    """
    deviations = score_deviations(model, texts, batch_size=settings.batch_size)
    measured = {name: value for name, value in deviations._asdict().items() if value is not None}
    if broken := [name for name, value in measured.items() if not math.isfinite(value)]:
        raise PipelineError(
            f"scores of the reward model are NaN or infinite with {', '.join(broken).replace('_', ' ')}: "
            "its code does not mask padding in this number format. Use a float32 copy (dtype), or another model."
        )
    largest = max(measured.values())
    return Robustness(
        texts=len(texts),
        batch_deviation=deviations.batch,
        right_padding_deviation=deviations.right_padding,
        left_padding_deviation=deviations.left_padding,
        max_deviation=largest,
        exceeds_limit=largest > settings.max_score_deviation,
    )


def warnings_of(name: str, metrics: MeasuredRewardModel, settings: EvaluateReward) -> list[str]:
    """Warnings about a model's metrics for the terminal: what was seen, and what to do."""
    warnings = []
    robustness, temperature = metrics.robustness, metrics.calibration
    if robustness.exceeds_limit:
        warnings.append(
            f"scores of {name} move by up to {robustness.max_deviation:.3g} with the batch and its padding, more "
            f"than evaluate_reward.max_score_deviation {settings.max_score_deviation:g}. A float32 copy (dtype) moves "
            "least; if it moves, too, the model's code does not mask its padding."
        )
    if temperature.temperature_at_limit:
        warnings.append(
            f"the temperature of {name} ends at its limit {temperature.temperature:.3g}: on the "
            f"{temperature.validation_pairs} validation pairs it is always right, or no better than a coin. "
            "Use more pairs (data.limits.validation) to calibrate it."
        )
    return warnings
