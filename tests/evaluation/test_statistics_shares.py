"""Intervals of shares: of trials, of trials that come in clusters, and of preferences with ties."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.evaluation.statistics import (
    JUDGE_GAIN_RANGE,
    design_effect,
    policy_difference,
    preference_interval,
    wilson_interval,
    win_shares,
)


@pytest.mark.parametrize(("successes", "trials"), [(8, 10), (0, 10), (10, 10), (1, 1), (650, 1000)])
def test_wilson_equals_scipy(successes: int, trials: int) -> None:
    peer = binomtest(successes, trials).proportion_ci(method="wilson")
    interval = wilson_interval(successes, trials)
    assert interval.mean == successes / trials
    assert interval.low == pytest.approx(peer.low, abs=1e-9)
    assert interval.high == pytest.approx(peer.high, abs=1e-9)


def test_wilson_known_value() -> None:
    # R: binom.confint(8, 10, methods = "wilson")
    assert wilson_interval(8, 10).as_json() == {
        "mean": 0.8,
        "low": pytest.approx(0.4901625),
        "high": pytest.approx(0.9433178),
    }


def test_trials_of_their_own_have_no_design_effect() -> None:
    right = np.random.default_rng(0).random(37) < 0.7
    assert design_effect(right, np.arange(37)[::-1]) == 1.0
    assert wilson_interval(8, 10, design_effect=1.0) == wilson_interval(8, 10)


def test_the_design_effect_by_hand() -> None:
    # 3 clusters of 2, distances from the mean 0.5 are 2 * 0.5, 0 and -2 * 0.5: (3/2 * 2) / (6/5 * 1.5) = 5/3
    right, clusters = np.array([1, 0, 1, 0, 1, 0]), np.array([7, 9, 7, 9, 3, 3])
    students = (4.302653 / 2.570582) ** 2  # t of 2 degrees of freedom over that of 5
    assert design_effect(right, clusters) == pytest.approx(5 / 3 * students)
    interval = wilson_interval(30, 40, design_effect=4.0)
    assert interval == wilson_interval(7.5, 10) and interval.mean == 0.75


def test_clusters_in_which_nothing_is_seen_count_as_one_trial_each() -> None:
    assert design_effect(np.ones(12), np.arange(12) // 4) == 4.0
    assert design_effect(np.zeros(6), np.array([0, 0, 0, 0, 1, 2])) == (16 + 1 + 1) / 6
    assert design_effect(np.array([1, 0, 1]), np.zeros(3)) == 3.0


def test_no_design_effect_says_that_more_trials_than_there_are_make_one() -> None:
    assert design_effect(np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1])) == 4.0
    # within each cluster the trials differ: that narrows nothing
    assert design_effect(np.tile([1, 0], 50), np.arange(100) // 2) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("prompts", "alike"), [(20, 1.0), (100, 1.0), (100, 0.5), (100, 0.0)])
def test_an_accuracy_over_four_pairs_a_prompt_covers_the_truth(prompts: int, alike: float) -> None:
    """Of perfectly correlated pairs the interval of independent ones holds it in two cases of three."""
    rng, trials, truth = np.random.default_rng(prompts), 800, 0.7
    clusters = np.repeat(np.arange(prompts), 4)
    covered, before = 0, 0
    for _ in range(trials):
        same, own = rng.random(prompts) < truth, rng.random(4 * prompts) < truth
        right = np.where((rng.random(prompts) < alike)[clusters], same[clusters], own)
        plain = wilson_interval(int(right.sum()), len(right))
        found = wilson_interval(int(right.sum()), len(right), design_effect=design_effect(right, clusters))
        before += plain.low <= truth <= plain.high
        covered += found.low <= truth <= found.high
    assert covered / trials > 0.95 - 3 * math.sqrt(0.05 * 0.95 / trials)
    assert alike < 1.0 or before / trials < 0.8


def test_ties_are_half_a_win() -> None:
    assert win_shares([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]).tolist() == [0.0, 0.5, 1.0]
    with pytest.raises(ValueError, match="baseline"):
        win_shares([1.0, 2.0], [1.0])


@pytest.mark.parametrize("count", [6, 8, 20, 100])
def test_one_more_win_never_makes_it_less_sure(count: int) -> None:
    lows = []
    for ties in range(count, -1, -1):
        shares = [0.5] * ties + [1.0] * (count - ties)
        lows.append(policy_difference(shares, [0.5] * count, within=JUDGE_GAIN_RANGE).low)
    assert lows == sorted(lows) and lows[0] < 0 < lows[-1]


@pytest.mark.parametrize(("count", "tie"), [(6, 0.5), (10, 0.5), (24, 0.65), (24, 0.0), (100, 0.65)])
def test_preferences_of_equal_policies_are_beyond_chance_in_one_case_of_twenty(count: int, tie: float) -> None:
    rng = np.random.default_rng(count)
    drawn = rng.choice([0.0, 0.5, 1.0], p=[(1 - tie) / 2, tie, (1 - tie) / 2], size=(4000, count))
    found = [preference_interval(row) for row in drawn]
    # 17 wins in 24 have p = 0.064 by the sign test, and Wilson's interval lets them pass, too
    assert np.mean([one.low > 0.5 or one.high < 0.5 for one in found]) < 0.075


def test_most_ties_are_sure_of_a_half() -> None:
    """A Wilson interval takes a tie for a thrown coin."""
    shares = [1.0] * 24 + [0.5] * 65 + [0.0] * 11
    found, wilson = preference_interval(shares), wilson_interval(56.5, 100)
    assert wilson.low < found.low < found.mean < found.high < wilson.high
