"""Calibration of a reward model: whether it is right as often as its confidence says."""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from pipeline.evaluation.statistics import win_shares
from pipeline.results.reward import CalibrationBin, ExpectedError
from pipeline.seeding import seed_for

_SIMULATIONS = 2000


def calibration(margins: Sequence[float] | np.ndarray, *, bins: int) -> tuple[float, list[CalibrationBin]]:
    """Expected calibration error of a Bradley-Terry model, and its reliability bins over [0.5, 1].

    The prediction for a pair is the response that scores higher, with confidence sigmoid(|margin|); it is right
    when the margin (chosen minus rejected) is positive, half right at 0. ECE is the mean distance of confidence
    and accuracy, weighted by the pairs in a bin (Guo et al. 2017, arXiv:1706.04599, eq. 3).
    """
    array = np.asarray(margins, dtype=np.float64)
    confidence, index, edges = _binned(array, bins)
    right = win_shares(array, np.zeros_like(array))
    table: list[CalibrationBin] = []
    for number in range(bins):
        chosen = index == number
        count = int(chosen.sum())
        mean_confidence = float(confidence[chosen].mean()) if count else None
        accuracy = float(right[chosen].mean()) if count else None
        low, high = float(edges[number]), float(edges[number + 1])
        table.append(CalibrationBin(low=low, high=high, confidence=mean_confidence, accuracy=accuracy, count=count))
    return _error(confidence, right, index), table


def error_if_calibrated(
    margins: Sequence[float] | np.ndarray, prompts: np.ndarray | None = None, *, bins: int
) -> ExpectedError:
    """The error that `calibration` finds by chance in a calibrated model: above 0, and far above it with few pairs.

    Each simulation keeps the pairs, their confidences and their bins, and draws which predictions are right, each with
    its confidence (the consistency resampling of Broecker and Smith 2007, doi:10.1175/WAF993.1, with the pairs kept).
    A pair with equal scores stays half right. Equal margins give equal numbers: the seed is fixed. Pairs of one prompt
    tend to be right together, to an unknown degree. They are drawn together, which makes the error by chance too large
    rather than too small.

    Args:
        margins: (N,), chosen minus rejected score, N > 0; their signs change nothing.
        prompts: (N,) number of the prompt of each pair; None where all differ.
    """
    array = np.asarray(margins, dtype=np.float64)
    confidence, index, _ = _binned(array, bins)
    rng = np.random.default_rng(seed_for(0, "calibration/error_if_calibrated"))
    tied = array == 0
    groups = np.arange(array.size) if prompts is None else np.unique(prompts, return_inverse=True)[1]
    errors = []
    for _ in range(_SIMULATIONS):
        right = np.where(tied, 0.5, rng.random(groups.max() + 1)[groups] < confidence)
        errors.append(_error(confidence, right, index))
    return ExpectedError(mean=float(np.mean(errors)), high=float(np.quantile(errors, 0.95)))


def _binned(margins: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence (N,) of each pair, the number (N,) of its bin, and the edges (bins + 1,) of the bins."""
    confidence, edges = expit(np.abs(margins)), np.linspace(0.5, 1.0, bins + 1)
    return confidence, np.clip(np.digitize(confidence, edges) - 1, 0, bins - 1), edges


def _error(confidence: np.ndarray, right: np.ndarray, index: np.ndarray) -> float:
    """Expected calibration error: the sum over bins of |sum of (confidence - right) in the bin|, divided by N."""
    return float(np.abs(np.bincount(index, weights=confidence - right)).sum() / confidence.size)
