"""Calibration by hand, and what a calibrated model shows of few pairs."""

import itertools
import math

import numpy as np
import pytest
from scipy.special import expit

from pipeline.evaluation.calibration import calibration, error_if_calibrated


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_calibration_by_hand() -> None:
    # confident 0.6: right, wrong; confident 0.9: right, right, wrong, tie
    margins = [logit(0.6), -logit(0.6), logit(0.9), logit(0.9), -logit(0.9), 0.0]
    error, bins = calibration(margins, bins=2)
    low, high = bins
    assert (low.low, low.high, high.high) == (0.5, 0.75, 1.0)
    assert low.count == 3 and high.count == 3
    assert low.confidence == pytest.approx((0.6 + 0.6 + 0.5) / 3)
    assert low.accuracy == pytest.approx((1 + 0 + 0.5) / 3)
    assert high.confidence == pytest.approx(0.9)
    assert high.accuracy == pytest.approx(2 / 3)
    assert error == pytest.approx(0.5 * abs(1.7 / 3 - 0.5) + 0.5 * abs(0.9 - 2 / 3))


def test_a_bradley_terry_model_that_is_right_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    gaps = np.abs(rng.normal(0, 2, 20_000))
    margins = np.where(rng.random(20_000) < 1 / (1 + np.exp(-gaps)), gaps, -gaps)
    assert calibration(margins, bins=10)[0] < 0.02
    assert calibration(3 * margins, bins=10)[0] > 0.05, "an overconfident model is not"


def test_certain_margins_and_empty_bins() -> None:
    error, bins = calibration([1000.0, -1000.0], bins=10)
    assert error == pytest.approx(0.5)
    assert bins[-1].count == 2 and bins[-1].confidence == 1.0
    assert bins[0].as_json() == {"low": 0.5, "high": 0.55, "confidence": None, "accuracy": None, "count": 0}


def calibrated(rng: np.random.Generator, pairs: int) -> np.ndarray:
    """Margins whose signs are drawn with their own confidence."""
    gaps = np.abs(rng.normal(0, 1.5, pairs))
    return np.where(rng.random(pairs) < 1 / (1 + np.exp(-gaps)), gaps, -gaps)


def test_the_error_by_chance_is_that_of_all_outcomes() -> None:
    sure = [0.6, 0.7, 0.9, 0.9]
    errors, weights = [], []
    for rights in itertools.product((True, False), repeat=4):
        outcome = list(zip(sure, rights, strict=True))
        errors.append(calibration([logit(p) if right else -logit(p) for p, right in outcome], bins=2)[0])
        weights.append(math.prod(p if right else 1 - p for p, right in outcome))
    found = error_if_calibrated([logit(p) for p in sure], bins=2)
    assert found.mean == pytest.approx(np.dot(errors, weights), abs=0.01)
    order = np.argsort(errors)
    at = np.searchsorted(np.cumsum(np.array(weights)[order]), 0.95)
    assert found.high == pytest.approx(np.array(errors)[order][at], abs=1e-9)


def test_the_error_by_chance_has_nothing_to_do_with_what_was_right() -> None:
    margins = calibrated(np.random.default_rng(0), 40)
    assert error_if_calibrated(margins, bins=10) == error_if_calibrated(-np.abs(margins), bins=10)


def test_equal_scores_are_half_right_by_chance_too() -> None:
    assert error_if_calibrated(np.zeros(7), bins=5).as_json() == {"mean": 0.0, "high": 0.0}


@pytest.mark.parametrize("pairs", [24, 60])
def test_a_calibrated_model_exceeds_its_quantile_in_one_case_of_twenty(pairs: int) -> None:
    """And the limit of the report in most cases, as it has so few pairs."""
    rng, trials, above, beyond_limit = np.random.default_rng(pairs), 60, 0, 0
    for _ in range(trials):
        margins = calibrated(rng, pairs)
        error = calibration(margins, bins=10)[0]
        above += error > error_if_calibrated(margins, bins=10).high
        beyond_limit += error > 0.1
    assert above / trials < 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials) < 0.6 < beyond_limit / trials


def test_a_model_that_is_far_too_sure_exceeds_it_of_few_pairs() -> None:
    margins = 8 * calibrated(np.random.default_rng(1), 60)
    assert calibration(margins, bins=10)[0] > error_if_calibrated(margins, bins=10).high


def test_pairs_of_a_prompt_that_are_right_together_are_no_fault() -> None:
    """A calibrated model on 25 prompts with 4 pairs each, which succeed together: flagged as rarely as any."""
    rng, prompts = np.random.default_rng(0), np.repeat(np.arange(25), 4)
    above = {True: 0, False: 0}
    for _ in range(60):
        margins = np.repeat(rng.exponential(1.5, 25), 4)
        right = np.repeat(rng.random(25) < expit(margins[::4]), 4)
        signed = np.where(right, margins, -margins)
        error = calibration(signed, bins=10)[0]
        for known in above:
            above[known] += error > error_if_calibrated(signed, prompts if known else None, bins=10).high
    assert above[True] / 60 < 0.15 < 0.5 < above[False] / 60
