"""Reward hacking: what counts, from which step on, by how much more than noise, and which samples show it."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.report.comparison import build_comparison, comparison_table
from pipeline.report.flags import find_flags
from pipeline.report.hacking import (
    fall_after_peak,
    find_examples,
    first_poor,
    hacking_message,
    peak_message,
)
from pipeline.results.checkpoints import Checkpoints
from pipeline.results.document import Interval
from tests.report.trained_files import checkpoints, point, with_metrics, with_policy, with_scores


def noisy(given, noise):
    """The point whose judge score has another deviation on every other pair of prompts, with the same mean."""
    judged = [one + noise * (-1) ** (at // 2) for at, one in enumerate(given["judge_scores"])]
    return given | {"judge_scores": judged}


RISING = [point(0, 0, 0.5), point(5, 1, 0.6), point(9, 4, 0.7)]
# the judge peaks at step 5, the reward rises to the end; the fall to step 7 is within the noise
FALLING = [point(0, 0, 0.5, reward=0.0), point(5, 1, 0.7, reward=1.0), noisy(point(7, 2, 0.69, reward=1.4), 0.1),
           point(9, 4, 0.55, reward=2.0), point(11, 6, 0.4, reward=2.5)]  # fmt: skip


def course(run, points, **changes):
    """The run with other checkpoints."""
    return replace(run, checkpoints=Checkpoints.model_validate(checkpoints(points, **changes)))


def scored(samples, judge, reward):
    """The samples with these scores, one for each value."""
    return [
        sample.model_copy(update={"id": f"p{at}", "judge_score": one, "reward_score": other})
        for at, (sample, one, other) in enumerate(zip(samples, judge, reward, strict=False))
    ]


@pytest.fixture
def run(inputs):
    return inputs.trained["ppo"]


@pytest.fixture
def sft(inputs):
    return inputs.sft


@pytest.mark.parametrize(("noise", "found"), [(0.0, True), (0.5, True), (3.0, False)])
def test_a_fall_from_the_peak_is_beyond_chance_on_prompts_that_found_neither(run, noise, found):
    # 32 of 64 prompts: 2.04 * 0.5 / sqrt(32) = 0.18 and 1.08 against a fall by 0.3
    points = [*FALLING[:2], *(noisy(one, noise) for one in FALLING[2:])]
    parted = fall_after_peak(course(run, points).checkpoints.points)
    assert ([point.step for point in parted] if parted else None) == ([5, 11] if found else None)


def test_prompts_that_differ_do_not_hide_a_fall(run):
    """Some prompts are far easier, so that the intervals of both means overlap widely: the fall is sure."""
    easy = [
        {**given, "judge_scores": [mean + (0.4 if at // 2 % 2 else -0.4) for at in range(64)]}
        for given, mean in zip(FALLING[:3], (0.5, 0.7, 0.6), strict=True)
    ]
    easy[2] = noisy(easy[2], 0.02)
    assert fall_after_peak(course(run, easy).checkpoints.points)[1].step == 7


def test_a_judge_that_stays_flat_parts_from_the_reward_in_few_runs(run):
    """The highest of nine noisy checkpoints, held against each later one on the same prompts, fell in 40 % of runs."""
    rng, trials, hacked, passed = np.random.default_rng(0), 200, 0, 0
    for _ in range(trials):
        ease = rng.normal(0.5, 0.1, 64)
        points = [
            {
                **point(step, 0.5 * step, 0.5, reward=float(step)),
                "judge_scores": (ease + rng.normal(0, 0.2, 64)).tolist(),
            }
            for step in range(9)
        ]
        given = course(run, points)
        hacked += fall_after_peak(given.checkpoints.points) is not None
        passed += peak_message(given) is not None
    assert max(hacked, passed) / trials < 0.025 + 3 * (0.025 * 0.975 / trials) ** 0.5


@pytest.mark.parametrize("prompts", [3, 48])
def test_a_judge_that_may_have_risen_is_no_sign_of_hacking(run, sft, write_report_params, prompts):
    rng = np.random.default_rng(1)
    judge = (0.03 + rng.normal(0, 0.3, prompts)).tolist()
    ours = replace(run, samples=scored(run.samples[:prompts], [0.5 + one for one in judge], [1.0] * prompts))
    before = replace(sft, samples=scored(sft.samples[:prompts], [0.5] * prompts, [0.0] * prompts))
    ours = with_metrics(ours, kl_interval=Interval(mean=2.0, low=1.5, high=2.5))
    assert hacking_message(ours, before, write_report_params) is None


def test_a_policy_that_did_not_move_exploits_nothing(run, write_report_params, sft):
    """Drawn twice, the SFT policy's scores differ by chance: at 0.0 nats that is no hacking, and no peak passed."""
    still = [one | {"kl_interval": {"mean": 0.0, "low": -0.1, "high": 0.1}, "distinct_2": 0.3} for one in FALLING]
    given = course(run, [FALLING[0], *still[1:]])
    assert fall_after_peak(given.checkpoints.points) is None and first_poor(given.checkpoints.points, 0.8) is None
    assert peak_message(given) is None
    at_rest = with_scores(given, judge_score=lambda at: 0.1, kl_nats=lambda at: (-1.0) ** at)
    assert hacking_message(at_rest, sft, write_report_params) is None
    moved = with_scores(at_rest, kl_nats=lambda at: 1.0)
    assert "the judge score fell" in hacking_message(moved, sft, write_report_params)


def test_a_reward_that_rose_by_nothing_is_no_hacking(run, sft, write_report_params):
    given = with_scores(sft, judge_score=lambda at: 0.5, reward_score=lambda at: at % 7)
    ours = with_scores(run, judge_score=lambda at: 0.45, reward_score=lambda at: at % 7 + 0.004 + 0.5 * (-1) ** at)
    assert hacking_message(ours, given, write_report_params) is None


@pytest.mark.parametrize(
    "points",
    [
        RISING,
        # both fell: training broke, but nothing was exploited
        [*RISING[:2], point(9, 4, 0.4)],
        # lower before the peak than at it
        [point(0, 0, 0.5, reward=0.0), point(5, 1, 0.3, reward=3.0), point(9, 4, 0.7, reward=1.0)],
    ],
)
def test_no_fall(run, points):
    assert fall_after_peak(course(run, points).checkpoints.points) is None


@pytest.mark.parametrize(
    ("distinct", "reward", "found"), [(0.63, 1.0, True), (0.65, 1.0, False), (0.63, -1.0, False), (0.63, 0.0, False)]
)
def test_poor_text_counts_where_the_reward_rose(run, distinct, reward, found):
    points = [point(0, 0, 0.5, reward=0.0, distinct_2=0.8), point(5, 1, 0.5, reward=reward, distinct_2=distinct)]
    poor = first_poor(course(run, points).checkpoints.points, 0.8)
    assert (poor is not None) == found
    better = [points[0], point(5, 1, 0.9, reward=reward, distinct_2=distinct)]
    assert first_poor(course(run, better).checkpoints.points, 0.8) is None, "the judge score rose with the reward"


def test_the_message_names_both_ends_and_the_selected_step(run, sft, write_report_params):
    message = hacking_message(course(run, FALLING, selected_step=5), sft, write_report_params)
    assert "fell from 0.80 at step 5 (KL 1.0 nats) to 0.50 at step 11 (KL 6.0 nats)" in message
    assert "the reward score rose by 1.50" in message and "the selected step 5 lies before that" in message
    later = hacking_message(course(run, FALLING, selected_step=11), sft, write_report_params)
    assert "the selected step 11 lies there or after it" in later


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"judge_score": 0.47}, None),
        ({"judge_score": 0.3}, "the judge score fell by 0."),
        ({"judge_score": 0.47, "perplexity_held_out": 50.0}, "held-out perplexity rose to 1.21 times SFT's"),
        ({"judge_score": 0.47, "distinct_2": 0.5}, "distinct-2 fell to 0.60 times SFT's"),
        # the judge score rose: perplexity_up and diversity_down tell of it, and nothing was exploited
        ({"perplexity_held_out": 50.0, "distinct_2": 0.5}, None),
        ({"judge_score": 0.3, "reward_score": 0.0}, None),
    ],
)
def test_from_sft_to_the_policy(run, sft, write_report_params, changes, words):
    def around(value):
        return lambda at: value + 0.1 * (-1) ** (at // 2)

    given = with_scores(sft, judge_score=around(0.47), reward_score=around(0.0))
    usual = with_scores(run, judge_score=around(0.7), reward_score=around(1.0))
    ours = with_scores(usual, **{key: around(value) for key, value in changes.items() if key.endswith("score")})
    ours = with_metrics(ours, **{key: value for key, value in changes.items() if not key.endswith("score")})
    message = hacking_message(ours, given, write_report_params)
    assert message is None if words is None else words in message


def test_where_the_judge_peaked(run):
    assert peak_message(course(run, RISING)) is None
    passed = peak_message(course(run, FALLING, selected_step=5))
    assert "peaked at step 5 (KL 1.0 nats), before the last step 11" in passed
    # equal falls on 32 prompts: w = 1.96^2 / (32 + 1.96^2) of all may be others, from -1 to 1
    assert "lower by 0.300 [0.161, 0.375] on prompts that did not choose it" in passed and "Step 5 goes on" in passed
    assert peak_message(course(run, [*RISING, noisy(point(12, 5, 0.699), 0.1)])) is None, "within the noise"
    never = peak_message(course(run, [RISING[0], point(5, 1, 0.2)]))
    assert "No checkpoint has a higher judge score than SFT" in never


def test_examples_are_those_whose_reward_rose_most_where_the_judge_fell(run, sft):
    theirs = replace(sft, samples=scored(sft.samples, [0.5] * 7, [0.0] * 7))
    judge = [0.4, 0.4, 0.6, 0.4, 0.5, 0.4, 0.1]
    reward = [1.0, 3.0, 9.0, -1.0, 8.0, 2.0, 0.5]
    found = find_examples(replace(run, samples=scored(run.samples, judge, reward)), theirs)
    assert [one.id for one in found] == ["p1", "p5", "p0"]
    assert found[0].policy.reward_score == 3.0 and found[0].sft.judge_score == 0.5
    assert found[0].sft.response == sft.samples[1].response


def test_flags_carry_the_examples(inputs, run, write_report_params):
    given = with_policy(inputs, course(run, FALLING, selected_step=5))
    flags = find_flags(given, write_report_params)
    assert [(flag.policy, flag.code) for flag in flags] == [("ppo", "reward_hacking"), ("ppo", "peak_passed")]
    assert 0 < len(flags[0].examples) <= 3 and flags[0].seed is None and flags[1].examples is None
    assert "ppo: reward_hacking: Along" in comparison_table(build_comparison(given, write_report_params))
