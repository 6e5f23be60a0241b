"""Several seeds: mean and spread by hand, and a collapsed one that is named and stays in the mean."""

import random

import pytest

from pipeline.report.comparison import build_comparison
from pipeline.report.flags import find_flags
from pipeline.report.page_seeds import method_seeds
from pipeline.report.seeds import far_below, seed_tables
from pipeline.report.verdict import state_verdict
from pipeline.results.policies import LastCheckpoint
from tests.report.trained_files import load, with_metrics, with_policy, with_scores


def interval(run, mean):
    return run.metrics.judge_score.model_copy(update={"mean": mean, "low": mean - 0.05, "high": mean + 0.05})


@pytest.fixture
def three(write_reports):
    """DPO's seeds score 0.70, 0.74, 0.72; PPO's 0.71, 0.45, 0.73."""
    inputs = load(write_reports(seeds=[0, 1, 2]), seeds=[0, 1, 2])
    for name, scores in (("dpo", (0.70, 0.74, 0.72)), ("ppo", (0.71, 0.45, 0.73))):
        for run, score in zip(inputs.runs[name], scores, strict=True):
            inputs = with_policy(inputs, scored(run, score))
    return inputs


def scored(run, mean):
    return with_scores(run, judge_score=lambda at: mean + 0.2 * (-1) ** (at // 2))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.70, 0.71, 0.40], [False, False, True]),  # median 0.70, distances 0 0.01 0.3: limit 0.0445
        ([0.70, 0.70, 0.66], [False, False, False]),  # 0.04 is no fall to speak of
        ([0.70, 0.70, 0.64], [False, False, True]),  # no spread: 0.05 decides
        ([0.60, 0.70, 0.80], [False, False, False]),  # limit 0.4448
        ([0.70, 0.71, 0.99], [False, False, False]),  # far above is no collapse
        ([0.70, 0.20], [False, False]),  # of two none can be told to be the odd one
        ([0.70, 0.71, 0.62], [False, False, False]),  # it kept more than half of a gain of 0.2
    ],
)
def test_far_below_the_others(scores, expected):
    # SFT has 0.5, but where the case is about small falls
    assert far_below(scores, 0.60 if 0.64 in scores else 0.50) == expected


def test_of_healthy_seeds_hardly_any_is_called_collapsed():
    """By the spread of three alone it would be one triple in eight."""
    rng = random.Random(0)
    found = [any(far_below([rng.gauss(0.7, 0.05) for _ in range(3)], 0.5)) for _ in range(2000)]
    assert sum(found) / len(found) < 0.06


def test_mean_and_spread_by_hand(three, write_report_params):
    dpo = seed_tables(three, write_report_params)["dpo"]
    assert dpo.mean["judge_score"] == pytest.approx(0.72)
    assert dpo.deviation["judge_score"] == pytest.approx(0.02)
    assert (dpo.low["judge_score"], dpo.high["judge_score"]) == pytest.approx((0.70, 0.74))
    assert dpo.mean_without_collapsed is None
    assert [row.representative for row in dpo.runs] == [False, False, True]


def test_a_collapsed_seed_stays_in_the_mean_and_is_named(three, write_report_params):
    ppo = seed_tables(three, write_report_params)["ppo"]
    assert [list(row.collapsed) for row in ppo.runs] == [[], ["judge score far below the other seeds'"], []]
    assert ppo.mean["judge_score"] == pytest.approx(0.63)
    assert ppo.mean_without_collapsed["judge_score"] == pytest.approx(0.72)
    flags = [flag for flag in find_flags(three, write_report_params) if flag.code == "seed_collapsed"]
    assert [(flag.policy, flag.seed) for flag in flags] == [("ppo", 1)]
    assert "Seed 1 of PPO collapsed" in flags[0].message
    comparison = build_comparison(three, write_report_params).as_json()
    assert comparison["policies"]["ppo"]["seed"] == 0 and comparison["policies"]["dpo"]["seed"] == 2
    entry = comparison["seeds"]["ppo"]
    assert entry["runs"][1]["collapsed"] and entry["runs"][0]["representative"]
    assert entry["mean"]["judge_score"] == pytest.approx(0.63)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"distinct_2": 0.4}, "distinct-2 below its limit"),
        ({"perplexity_held_out": 60.0}, "perplexity above its limit"),
    ],
)
def test_other_limits_collapse_a_seed_too(three, write_report_params, change, reason):
    gained = with_policy(three, with_metrics(three.runs["dpo"][0], **change))
    assert list(seed_tables(gained, write_report_params)["dpo"].runs[0].collapsed) == [], "it beats SFT beyond chance"
    same = with_scores(three.runs["dpo"][0], judge_score=lambda at: three.sft.samples[at].judge_score)
    given = with_policy(three, with_metrics(same, **change))
    assert reason in seed_tables(given, write_report_params)["dpo"].runs[0].collapsed


def test_below_sft_is_collapsed_whatever_the_others(three, write_report_params):
    given = three
    for run in three.runs["dpo"]:
        given = with_policy(given, scored(run, 0.2))
    table = seed_tables(given, write_report_params)["dpo"]
    assert [list(row.collapsed) for row in table.runs] == [["judge score below SFT's"]] * 3
    assert table.mean_without_collapsed is None  # none is left


def test_one_seed_has_no_table(inputs, write_report_params):
    assert seed_tables(inputs, write_report_params) == {}
    assert build_comparison(inputs, write_report_params).as_json()["seeds"] == {}


def test_the_page_rows_mark_collapse_and_what_selection_gained(three, write_report_params):
    run = three.runs["dpo"][0]
    last = LastCheckpoint(judge_score=interval(run, 0.6), reward_score=interval(run, 1.0), kl_nats_per_sequence=9.0)
    given = with_policy(three, with_metrics(run, selected_step=24, last=last))
    dpo, ppo = method_seeds(given, write_report_params)
    assert dpo.rows[0].cells[-2:] == ["24 of 48", "+0.100"] and dpo.rows[1].cells[-1] == "–"
    assert [row.collapsed for row in ppo.rows] == [False, True, False] and ppo.rows[1].label == "1, collapsed"
    assert [row.label for row in ppo.summary] == ["Mean", "Mean without collapsed", "Standard deviation", "Range"]
    assert ppo.summary[0].cells[0] == "0.630" and ppo.summary[1].cells[0] == "0.720"


def test_the_verdict_says_which_seed_is_shown(three):
    last = state_verdict(three).sentences[-1]
    assert last.startswith("3 seeds were run.") and "the median judge score: seed 2 of DPO and seed 0 of PPO" in last


def test_an_even_number_shows_the_lower_median(write_reports):
    sentences = state_verdict(load(write_reports(["dpo"], seeds=[0, 1]), ["dpo"], [0, 1])).sentences
    assert "the lower median judge score: seed" in sentences[-1]
