"""The win rate at equal length: an independent fit, the Wilson interval without length, and simulated prompts."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from pipeline.evaluation.equal_length import PRIOR_SD, win_rate_at_equal_length
from pipeline.evaluation.length_control import length_controlled_winrate
from pipeline.evaluation.statistics import wilson_interval
from pipeline.results.document import Interval


def ends(interval: Interval) -> tuple[float, float, float]:
    return interval.mean, interval.low, interval.high


def fitted(wins: np.ndarray, differences: np.ndarray) -> Interval:
    found = win_rate_at_equal_length(wins, differences)
    assert found is not None
    return found


def drawn(
    rng: np.random.Generator, prompts: int, theta: float, phi: float, longer: float
) -> tuple[np.ndarray, np.ndarray]:
    """Wins of the model itself, with differences in length that are normal around `longer` standard deviations."""
    differences = rng.normal(longer, 1.0, prompts)
    chance = expit(theta + phi * np.tanh(differences / differences.std(ddof=1)))
    return (rng.random(prompts) < chance).astype(float), 40 * differences


def test_it_is_the_fit_of_an_independent_optimiser() -> None:
    wins, differences = drawn(np.random.default_rng(1), 60, 0.4, 1.5, 0.8)
    wins[::7] = 0.5
    feature = np.tanh(differences / np.std(differences, ddof=1))

    def loss(weights: np.ndarray) -> float:
        logits = weights[0] + weights[1] * feature
        return float(np.sum(np.logaddexp(0, logits) - wins * logits) + (weights[1] / PRIOR_SD) ** 2 / 2)

    theta = minimize(loss, np.zeros(2), tol=1e-10).x[0]
    found = fitted(wins, differences)
    assert found.mean == pytest.approx(expit(theta), abs=1e-5)
    assert found.low < found.mean < found.high


@pytest.mark.parametrize("wins_of_ten", [0, 2, 5, 8, 10])
def test_where_length_explains_nothing_it_is_the_wilson_interval(wins_of_ten: int) -> None:
    """Of twenty longer and twenty shorter responses as many win."""
    wins = np.tile(np.repeat([1.0, 0.0], [wins_of_ten, 10 - wins_of_ten]), 4)
    differences = np.repeat([30, -30], 20)
    assert ends(fitted(wins, differences)) == pytest.approx(ends(wilson_interval(4 * wins_of_ten, 40)), abs=1e-6)


def test_ties_are_half_a_win() -> None:
    differences = np.tile([30, -30], 10)
    assert ends(fitted(np.full(20, 0.5), differences)) == pytest.approx(ends(wilson_interval(10, 20)), abs=1e-6)


def test_few_wins_are_not_pulled_to_a_half() -> None:
    """AlpacaEval's fit has a penalty that says exactly a half of 8 wins in 10."""
    wins, differences = np.array([1, 1, 0, 1, 1, 1, 1, 0, 1, 1.0]), np.array([5, -8, 3, 9, -4, 2, -6, -1, 7, -3])
    outputs = [("x" * 100, "x" * (100 + difference)) for difference in differences]
    assert length_controlled_winrate((1 + wins).tolist(), outputs) == pytest.approx(50)
    found = fitted(wins, differences)
    assert abs(found.mean - 0.8) < 0.05 and found.low < 0.55 and found.high < 0.97


def test_its_mirror_image_is_the_other_policys() -> None:
    wins, differences = drawn(np.random.default_rng(2), 30, 0.8, 1.0, 0.5)
    ours, theirs = fitted(wins, differences), fitted(1 - wins, -differences)
    assert [ours.mean, ours.low, ours.high] == pytest.approx(
        [1 - theirs.mean, 1 - theirs.high, 1 - theirs.low], abs=1e-6
    )


def test_length_that_decides_alone_stays_finite() -> None:
    differences = np.array([-9, -5, -2, 3, 4, 6, 8, 11])
    found = fitted((differences > 0).astype(float), differences)
    assert 0.05 < found.low < found.mean < found.high < 0.95


def test_all_wins_of_longer_responses_may_be_those_of_length() -> None:
    """Nobody has seen a response of equal length, or on the other side of it: phi alone may explain them all."""
    differences = np.array([90, 91, 92, 93, 94, 95, 96, 97, 98, 99] * 4)
    assert win_rate_at_equal_length(np.ones(40), differences) is None
    assert win_rate_at_equal_length(np.ones(40), -differences) is None
    mixed = fitted(np.ones(40), differences * np.tile([1, -1], 20))
    assert mixed.mean == 1.0 and mixed.low == pytest.approx(wilson_interval(40, 40).low, abs=0.01)


@pytest.mark.parametrize(
    ("prompts", "theta", "phi", "longer"),
    [(12, 0.0, 0.0, 0.0), (12, 3.0, 1.0, 0.0), (40, 0.5, 2.5, 1.0), (40, -2.0, 1.5, -0.5), (40, 0.0, 2.0, 2.0)],
)
def test_the_interval_leaves_the_truth_out_in_one_case_of_twenty(
    prompts: int, theta: float, phi: float, longer: float
) -> None:
    rng, missed = np.random.default_rng(prompts), 0
    given = [win_rate_at_equal_length(*drawn(rng, prompts, theta, phi, longer)) for _ in range(400)]
    known = [found for found in given if found is not None]
    trials = len(known)
    assert trials >= 200
    for found in known:
        missed += not found.low <= expit(theta) <= found.high
    assert missed / trials < 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


def test_it_needs_lengths_that_differ_and_enough_prompts() -> None:
    assert win_rate_at_equal_length(np.ones(9), np.full(9, 5)) is None
    assert win_rate_at_equal_length(np.ones(5), np.arange(5)) is None
    assert win_rate_at_equal_length(np.ones(6), np.arange(6)) is not None
