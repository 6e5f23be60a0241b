"""How far a reward model can be trusted."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.data.preferences import TextPair
from pipeline.evaluation.statistics import calibration, wilson_interval, win_shares
from pipeline.models.reward import RewardModel
from pipeline.params.schema import EvaluateReward


def evaluate_reward(
    model: RewardModel,
    pairs: Sequence[TextPair],
    response_lengths: Sequence[tuple[int, int]],
    settings: EvaluateReward,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics and plot data on test pairs.

    Args:
        response_lengths: characters of the chosen and the rejected response of each pair.

    Returns:
        Metrics (`accuracy` with a Wilson interval, `longer_wins_accuracy`, `expected_calibration_error`, `pairs`,
        `mean_margin` in score units, `truncated_texts`), and the calibration bins with all scores.
    """
    texts = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
    scores = model.score(texts, batch_size=2 * settings.batch_size, title="scoring test pairs").numpy()
    chosen, rejected = scores[: len(pairs)], scores[len(pairs) :]
    margins = chosen - rejected
    error, bins = calibration(margins, bins=settings.calibration_bins)
    longer = win_shares([length[0] for length in response_lengths], [length[1] for length in response_lengths])
    metrics = {
        "accuracy": wilson_interval(int((margins > 0).sum()), len(pairs)),
        "longer_wins_accuracy": float(longer.mean()),
        "expected_calibration_error": error,
        "pairs": len(pairs),
        "mean_margin": float(np.mean(margins)),
        "truncated_texts": model.truncated(texts),
    }
    plot_data = {
        "bins": bins,
        "chosen_scores": [round(float(score), 6) for score in chosen],
        "rejected_scores": [round(float(score), 6) for score in rejected],
    }
    return metrics, plot_data
