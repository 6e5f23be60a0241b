"""Intervals of means, of differences and over seeds, against known values and simulated truths."""

import itertools
import math

import numpy as np
import pytest

from pipeline.evaluation.statistics import (
    JUDGE_GAIN_RANGE,
    bootstrap_mean,
    expansion,
    method_difference,
    paired_bootstrap,
    policy_difference,
    resample_weights,
    unseen,
    wilson_interval,
)


def test_no_trials_and_no_values_raise() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        wilson_interval(0, 0)
    with pytest.raises(ValueError, match="at least one value"):
        bootstrap_mean([], resamples=10, seed=0, name="test")


def test_the_paired_bootstrap_has_the_quantiles_of_all_resamples() -> None:
    ours, theirs = [0.9, 0.2, 0.7, 0.4], [0.5, 0.3, 0.1, 0.4]
    differences = [0.4, -0.1, 0.6, 0.0]
    means = [sum(drawn) / 4 for drawn in itertools.product(differences, repeat=4)]
    low, high = np.quantile(means, (0.025, 0.975))
    found = paired_bootstrap(ours, theirs, resamples=40_000, seed=0, name="test")
    assert found.mean == pytest.approx(0.225)
    # for four values: Student's t with 3 degrees of freedom over the normal quantile, times sqrt(4 / 3)
    wider = 3.182446 / 1.959964 * math.sqrt(4 / 3)
    expected = [0.225 + wider * (end - 0.225) for end in (low, high)]
    assert [found.low, found.high] == pytest.approx(expected, abs=wider * 0.026)  # the next value of a mean


@pytest.mark.parametrize("count", [6, 8, 12, 20, 192])
def test_an_interval_leaves_the_truth_out_in_one_case_of_twenty(count: int) -> None:
    """Unexpanded, a bootstrap of 8 normal values leaves it out in 12 % of the cases."""
    rng, trials, missed = np.random.default_rng(count), 600, 0
    for trial in range(trials):
        values = rng.normal(0.0, 0.3, count)
        found = bootstrap_mean(values, resamples=400, seed=trial, name="t", within=(-5.0, 5.0))
        missed += found.low > 0 or found.high < 0
    assert missed / trials < 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


def test_an_interval_stays_in_its_range() -> None:
    found = method_difference([[0.95] * 8, [0.1] * 8], [[0.05] * 7 + [0.06]], within=(-1.0, 1.0))
    assert found.low >= -1.0 and found.high <= 1.0


def test_pairing_finds_a_difference_that_two_intervals_hide() -> None:
    ease = np.random.default_rng(0).normal(0.0, 1.0, 100)  # of each prompt, for both
    ours = ease + np.random.default_rng(1).normal(0.1, 0.1, 100)
    paired = paired_bootstrap(ours, ease, resamples=500, seed=0, name="test")
    alone = [bootstrap_mean(side, resamples=500, seed=0, name="test") for side in (ours, ease)]
    assert paired.low > 0 and alone[0].low < alone[1].high
    assert paired_bootstrap(ease, ease, resamples=50, seed=0, name="test").as_json() == {
        "mean": 0.0,
        "low": 0.0,
        "high": 0.0,
    }
    back = paired_bootstrap(ease, ours, resamples=500, seed=0, name="test")
    assert [back.low, back.high] == pytest.approx([-paired.high, -paired.low])


def test_values_of_other_units_are_not_paired() -> None:
    with pytest.raises(ValueError, match="same units"):
        paired_bootstrap([1.0, 2.0], [1.0], resamples=10, seed=0, name="test")


def test_one_seed_a_side_has_the_numbers_of_two_policies() -> None:
    rng = np.random.default_rng(3)
    ours, theirs = rng.random(60), rng.random(60)
    assert method_difference([ours.tolist()], [theirs.tolist()]) == policy_difference(ours, theirs)


def test_seeds_that_agree_add_nothing_and_seeds_that_spread_decide() -> None:
    rng = np.random.default_rng(4)
    theirs = rng.random(100)
    ours = theirs + rng.normal(0.05, 0.02, 100)
    alone = policy_difference(ours, theirs)
    assert method_difference([ours.tolist()] * 3, [theirs.tolist()]) == pytest.approx(alone)
    # the same mean, but one seed gained 0.15 and the others nothing: no prompt tells that a fourth would gain
    spread = method_difference([(ours + by).tolist() for by in (0.1, -0.05, -0.05)], [theirs.tolist()])
    assert spread.mean == pytest.approx(alone.mean)
    assert alone.low > 0 > spread.low
    back = method_difference([theirs.tolist()], [(ours + by).tolist() for by in (0.1, -0.05, -0.05)])
    assert back.low < 0 < back.high


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_over_few_seeds_covers_the_truth(seeds: int) -> None:
    """Methods whose seeds spread as much as prompts do: about 95 of 100 intervals hold the true difference, 0.1."""
    rng, inside, trials = np.random.default_rng(5), 0, 300
    for _ in range(trials):
        ours = 0.1 + rng.normal(0, 0.05, (seeds, 1)) + rng.normal(0, 0.2, 40) + rng.normal(0, 0.1, (seeds, 40))
        found = method_difference(ours.tolist(), [[0.0] * 40])
        inside += found.low <= 0.1 <= found.high
    assert 0.92 < inside / trials <= 1.0


def test_scores_of_other_prompts_are_refused_over_seeds() -> None:
    with pytest.raises(ValueError, match="the same prompts"):
        method_difference([[0.1, 0.2]], [[0.1]])


def test_the_bootstrap_interval_is_about_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    interval = bootstrap_mean(values, resamples=4000, seed=0, name="test")
    half = 1.96 * values.std() / 20
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_bootstrap_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        interval = bootstrap_mean(rng.exponential(1.0, 60), resamples=300, seed=trial, name="test")
        covered += interval.low <= 1.0 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_bootstrap_follows_seed_and_name() -> None:
    values = [float(i % 7) for i in range(50)]
    first = bootstrap_mean(values, resamples=200, seed=0, name="a")
    assert first == bootstrap_mean(np.array(values), resamples=200, seed=0, name="a")
    assert first != bootstrap_mean(values, resamples=200, seed=0, name="b")
    assert first != bootstrap_mean(values, resamples=200, seed=1, name="a")


def test_a_single_value_is_its_own_interval() -> None:
    assert bootstrap_mean([2.0], resamples=10, seed=0, name="t").as_json() == {"mean": 2.0, "low": 2.0, "high": 2.0}


@pytest.mark.parametrize("values", [[0.9], [0.1, 0.1], [0.2, 0.4, 0.3, 0.2, 0.3]])
def test_so_few_values_of_a_known_range_may_be_anywhere_in_it(values: list[float]) -> None:
    found = bootstrap_mean(values, resamples=50, seed=0, name="t", within=(0.0, 1.0))
    assert found.as_json() == {"mean": pytest.approx(np.mean(values)), "low": 0.0, "high": 1.0}


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_values_at_an_end_have_the_wilson_interval(value: float) -> None:
    found = bootstrap_mean([value] * 20, resamples=50, seed=0, name="t", within=(0.0, 1.0))
    assert found == pytest.approx(wilson_interval(20 * value, 20))


def test_equal_gains_may_be_others_on_other_prompts() -> None:
    """7 of 7 better by half a point are no 95 % interval from 0.5 to 0.5."""
    found = policy_difference([0.9] * 7, [0.4] * 7, within=(-1.0, 1.0))
    others = 1.959963984540054**2 / (7 + 1.959963984540054**2)
    assert (found.low, found.high) == pytest.approx((0.5 - 1.5 * others, 0.5 + 0.5 * others))
    # rounding makes no spread of it: 0.1 + 0.2 is not 0.3 in every place
    theirs = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    rounded = policy_difference([one + 0.2 for one in theirs], theirs, within=(-1.0, 1.0))
    assert rounded.low < 0 < rounded.high


def test_values_that_differ_keep_the_bootstrap_in_a_known_range() -> None:
    values = np.random.default_rng(0).random(40)
    whole = bootstrap_mean(values, resamples=200, seed=0, name="t")
    assert bootstrap_mean(values, resamples=200, seed=0, name="t", within=(0.0, 1.0)) == whole


@pytest.mark.parametrize("count", [1, 5, 8])
def test_methods_of_few_or_equal_prompts_have_the_interval_of_two_policies(count: int) -> None:
    ours, theirs = [0.9] * count, [0.4] * count
    found = method_difference([ours], [theirs], within=(-1.0, 1.0))
    assert found == policy_difference(ours, theirs, within=(-1.0, 1.0)) and found.high > found.low


def test_draws_of_weights_are_those_of_means() -> None:
    values = np.random.default_rng(0).random(12)
    weights = resample_weights(12, resamples=300, seed=0, name="t")
    assert weights.sum(1) == pytest.approx(np.ones(300))
    mean = values.mean()
    means = mean + expansion(12) * (weights @ values - mean)
    low, high = np.quantile(means, (0.025, 0.975))
    found = bootstrap_mean(values, resamples=300, seed=0, name="t")
    assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.parametrize("spread", [0.0, 1e-6, 0.005])
def test_rare_failures_that_did_not_come_up_are_allowed_for(spread: float) -> None:
    """0.02 better on each of 64 prompts, give or take a little: one in 50 may be far worse, and was not drawn."""
    gains = 0.02 + spread * (-1.0) ** np.arange(64)
    found = policy_difference(gains, np.zeros(64), within=JUDGE_GAIN_RANGE)
    assert found.low < 0 < found.mean


def test_what_was_not_seen_shrinks_with_the_spread_that_was() -> None:
    widths = []
    for spread in (0.0, 0.005, 0.01, 0.015, 0.02, 0.05):
        widths.append(sum(unseen(0.2 + spread * (-1.0) ** np.arange(64), JUDGE_GAIN_RANGE)))
    assert widths == sorted(widths, reverse=True) and widths[0] == pytest.approx(2 * 1.96**2 / (64 + 1.96**2), rel=1e-4)
    assert widths[-2:] == pytest.approx([0.0, 0.0], abs=1e-12)
