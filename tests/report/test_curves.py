"""Curves and comparisons prompt by prompt, as they stand in comparison.json and on the page."""

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.report.comparison import build_comparison
from pipeline.report.curves import overoptimization_entries, run_curve
from pipeline.report.page_curves import fit_rows, pair_rows
from pipeline.report.pairs import compare_pairs, paired_difference, win_rate
from pipeline.results.checkpoints import Checkpoints
from tests.report.trained_files import checkpoints, point, with_policy


def gain(kl, alpha, beta):
    return math.sqrt(kl) * (alpha - beta * math.log(math.sqrt(kl)))


def run_with(run, points):
    return replace(run, checkpoints=Checkpoints.model_validate(checkpoints(points)))


@pytest.fixture
def overtrained(inputs):
    """DPO whose judge follows the formula with alpha = beta = 0.2, so that it peaks at 1 nat with 0.2."""
    kls = [0.25, 1.0, 2.25, 6.0]
    points = [point(0, 0.0, 0.5, reward=-0.3)]
    points += [
        point(at, kl, 0.5 + gain(kl, 0.2, 0.2), reward=-0.3 + gain(kl, 2.0, 0.1)) for at, kl in enumerate(kls, 1)
    ]
    return with_policy(inputs, run_with(inputs.trained["dpo"], points))


def test_proxy_and_gold_are_fitted_over_their_own_start(overtrained):
    entry = overoptimization_entries(overtrained)["dpo"]["seed-0"]
    gold, proxy = entry["gold"], entry["proxy"]
    assert gold.fit.alpha == pytest.approx(0.2) and gold.fit.beta == pytest.approx(0.2)
    assert gold.fit.peak_kl == pytest.approx(1.0) and gold.fit.beyond_measured is False
    assert gold.measured_peak.as_json() == {"step": 2, "kl": 1.0, "gain": pytest.approx(0.2)}
    assert proxy.fit.alpha == pytest.approx(2.0) and proxy.fit.beta == pytest.approx(0.1)
    assert proxy.measured_peak.step == 4 and proxy.largest_measured_kl == 6.0
    assert proxy.fit.peak_kl is None  # exp(38) nats


def test_best_of_n_has_its_own_form(inputs):
    entry = overoptimization_entries(inputs)["best_of_n"]
    assert entry["gold"].fit.form == "best_of_n" and entry["gold"].fit.points == 3
    assert entry["gold"].measured_peak.best_of_n == 8
    assert entry["gold"].measured_peak.gain == pytest.approx(0.65 - 0.47)


def test_without_best_of_n_and_with_one_checkpoint_there_is_no_fit(inputs):
    given = with_policy(replace(inputs, sft=replace(inputs.sft, frontier=[])), run_with(
        inputs.trained["dpo"], [point(0, 0, 0.5), point(3, 2, 0.6)]))  # fmt: skip
    found = overoptimization_entries(given)
    assert found["best_of_n"] == {"proxy": None, "gold": None}
    assert found["dpo"]["seed-0"]["gold"].fit is None
    assert {row.fitted_peak for row in fit_rows(given) if row.source == "DPO"} == {"too few points"}


def test_a_run_that_only_fell_peaks_at_the_sft_policy(inputs):
    run = run_with(inputs.trained["dpo"], [point(0, 0, 0.5), point(3, 2, 0.4)])
    assert run_curve(run, "gold").peak.at == 0 and run_curve(run, "gold").peak.gain.mean == 0


def test_the_page_says_where_curves_peak(overtrained):
    judge = {row.source: row for row in fit_rows(overtrained) if row.quantity == "judge"}
    assert judge["DPO"].fitted_peak == "1.0 nats" and judge["DPO"].measured_peak == "1.0 nats, step 2: +0.200"
    assert judge["DPO"].rmse == "0.000 on 4" and set(judge) == {"Best of n", "DPO", "PPO"}


def test_the_gain_of_a_checkpoint_is_paired(inputs):
    """Prompts differ by 0.2, training changed each by 0.08 or 0.12: of that gain there is little doubt."""
    trained = point(3, 2, 0.6)
    trained |= {"judge_scores": [one + 0.02 * (-1) ** (at // 2) for at, one in enumerate(trained["judge_scores"])]}
    run = run_with(inputs.trained["dpo"], [point(0, 0, 0.5), trained])
    gain = run_curve(run, "gold").points[1].gain
    assert gain.mean == pytest.approx(0.1)
    # 1.96 * 0.02 / 8
    assert [gain.low, gain.high] == pytest.approx([0.0951, 0.1049], abs=0.0008)


def scored(samples, scores):
    return [sample.model_copy(update={"judge_score": score}) for sample, score in zip(samples, scores, strict=False)]


def test_paired_difference_against_the_normal_interval_and_by_sign(inputs):
    rng = np.random.default_rng(0)
    base, more = rng.uniform(0.2, 0.6, 400), rng.normal(0.1, 0.05, 400)
    template = [inputs.sft.samples[0]] * 400
    ours, theirs = scored(template, base + more), scored(template, base)
    found = paired_difference(ours, theirs)
    assert found.mean == pytest.approx(more.mean())
    # what the prompts contribute cancels: the width is that of the differences
    half = 1.96 * more.std(ddof=1) / 20
    assert found.high - found.mean == pytest.approx(half, rel=0.1)
    assert found.mean - found.low == pytest.approx(half, rel=0.1)
    turned = paired_difference(theirs, ours)
    assert (turned.mean, turned.low, turned.high) == pytest.approx((-found.mean, -found.high, -found.low))


def test_win_rate_counts_ties_half(inputs):
    template = inputs.sft.samples
    assert win_rate(scored(template, [0.9, 0.5, 0.5, 0.1]), scored(template, [0.5] * 4)) == 0.5
    assert win_rate(scored(template, [0.9, 0.9, 0.5, 0.1]), scored(template, [0.5] * 4)) == 0.625


def test_every_two_policies_once(inputs, write_report_params):
    pairs = [(one.first, one.second) for one in compare_pairs(inputs)]
    assert pairs == [("dpo", "sft"), ("ppo", "sft"), ("ppo", "dpo")]
    entries = build_comparison(inputs, write_report_params).as_json()["pairs"]
    assert set(entries[0]) == {"first", "second", "judge_score_difference", "win_rate", "over"}
    means = {name: np.mean([one.judge_score for one in inputs.policies[name].samples]) for name in inputs.policies}
    assert entries[2]["judge_score_difference"]["mean"] == pytest.approx(means["ppo"] - means["dpo"])


def test_the_page_says_who_is_better_beyond_chance(inputs):
    low = replace(inputs.trained["ppo"], samples=scored(inputs.sft.samples, [0.01] * 48))
    rows = {(row.first, row.second): row.clear for row in pair_rows(with_policy(inputs, low))}
    assert rows == {("dpo", "sft"): "DPO is better", ("ppo", "sft"): "SFT is better", ("ppo", "dpo"): "DPO is better"}
    same = replace(inputs.trained["ppo"], samples=inputs.sft.samples)
    (row,) = [row for row in pair_rows(with_policy(inputs, same)) if (row.first, row.second) == ("ppo", "sft")]
    assert row.clear == "no clear difference" and row.win_rate == "50\N{NO-BREAK SPACE}%"
