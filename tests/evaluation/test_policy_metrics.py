"""The metrics of a policy from samples written by hand."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.policy import Evaluator, ScoredSample
from pipeline.evaluation.policy_metrics import (
    MOST_CATEGORIES,
    category_metrics,
    length_controlled,
    length_metrics,
    policy_metrics,
    row_names,
)
from pipeline.evaluation.statistics import JUDGE_GAIN_RANGE, expansion, policy_difference, wilson_interval


class Listed:
    """A judge whose preferences are known."""

    def __init__(self, wins: Sequence[float]) -> None:
        self.wins = wins

    def compare(self, prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        return np.array(self.wins)

    def counts(self) -> dict[str, float]:
        return {}


def evaluator(wins: Sequence[float] = ()) -> Any:
    """Judge, intervals and limit are all that is used."""
    bare = SimpleNamespace(judge=Listed(wins), resamples=200, seed=0, sampling=SimpleNamespace(max_new_tokens=4))
    bare.interval = lambda values, name, **more: Evaluator.interval(bare, values, name, **more)
    return bare


def scored(number: int, **more: Any) -> ScoredSample:
    usual: dict[str, Any] = {
        "id": f"p{number}", "prompt": f"Prompt {number}", "category": "all", "response": " one two three four",
        "ended": True, "tokens": 4, "judge_score": 0.5, "reward_score": 0.0, "kl_nats": 0.0, "kl_k3_nats": 0.0,
    }  # fmt: skip
    return ScoredSample(**{**usual, **more})


def test_kl_is_per_sequence_and_per_token_by_both_estimators() -> None:
    samples = [scored(0, tokens=1, kl_nats=-1.0, kl_k3_nats=0.5), scored(1, tokens=3, kl_nats=3.0, kl_k3_nats=1.5)]
    found = policy_metrics(evaluator([0.5, 0.5]), samples, samples, 12.0)
    assert (found.kl_nats_per_sequence, found.kl_k3_nats_per_sequence) == (1.0, 1.0)
    # 2 nats over 4 tokens, not the mean of -1 and 1
    assert (found.kl_nats_per_token, found.kl_k3_nats_per_token) == (0.5, 0.5)
    # two values say little: the ends of the bootstrap are expanded
    lows = found.kl_interval.low, found.kl_k3_interval.low
    assert lows == pytest.approx((1.0 - 2.0 * expansion(2), 1.0 - 0.5 * expansion(2)))


def test_gains_are_on_the_same_prompts_whatever_their_order() -> None:
    before = [scored(number, judge_score=number / 10, reward_score=number) for number in range(6)]
    samples = [scored(n, judge_score=n / 10 + 0.2, reward_score=n - 1.0) for n in (3, 1, 4, 0, 2, 5)]
    found = policy_metrics(evaluator([1.0] * 6), samples, before, 12.0)
    # the same on each prompt; reward scores have no range, so nothing else could be said of others
    assert found.judge_gain.mean == pytest.approx(0.2) and found.judge_gain.low < 0.2
    assert found.reward_gain.as_json() == {name: pytest.approx(-1.0) for name in ("mean", "low", "high")}
    assert found.judge_score.high - found.judge_score.low > 0.1


def test_a_gain_has_the_one_interval_of_the_paired_difference() -> None:
    """Whatever resamples and seed the stage has: the report computes it again from the same samples."""
    rng = np.random.default_rng(0)
    before = [scored(n, judge_score=rng.random(), reward_score=rng.normal()) for n in range(40)]
    samples = [scored(n, judge_score=rng.random(), reward_score=rng.normal()) for n in range(40)]
    found = policy_metrics(evaluator([0.5] * 40), samples, before, 12.0)
    for kind in ("judge", "reward"):
        ours, theirs = ([getattr(one, f"{kind}_score") for one in side] for side in (samples, before))
        within = JUDGE_GAIN_RANGE if kind == "judge" else None
        assert getattr(found, f"{kind}_gain") == policy_difference(ours, theirs, within=within)


def test_lengths_and_ends_by_hand() -> None:
    ends = [(4, False), (4, False), (1, True), (2, False), (4, True)]  # 2 tokens and no EOS: a stop token
    samples = [scored(number, tokens=tokens, ended=ended) for number, (tokens, ended) in enumerate(ends)]
    share = wilson_interval(2, 5)
    assert length_metrics(samples, limit=4).as_fields() == {
        "eos_interval": share, "cut_interval": share,
        "mean_response_tokens": 3.0, "median_response_tokens": 4.0, "p90_response_tokens": 4.0,
        "longest_response_tokens": 4.0, "eos_rate": pytest.approx(0.4), "cut_rate": pytest.approx(0.4),
    }  # fmt: skip
    tens = [scored(number, tokens=10 * number) for number in range(11)]
    assert length_metrics(tens, limit=1000).p90_response_tokens == pytest.approx(90.0)


def test_a_win_rate_that_length_explains_falls_at_equal_length() -> None:
    theirs = ["x" * 40] * 80
    ours = ["x" * (70 if number % 4 else 10) for number in range(80)]
    wins = np.array([0.9 if len(one) > 40 else 0.1 for one in ours])
    found = length_controlled(wins, theirs, ours)
    assert wins.mean() == pytest.approx(0.7) and abs(found.mean - 0.5) < 0.04
    assert found.low < 0.45 and found.high > 0.55
    # of lengths that have nothing to do with it, the win rate stays
    mixed = ["x" * (30 + 20 * (number % 2)) for number in range(80)]
    even = length_controlled(np.full(80, 0.8), theirs, mixed)
    assert even.mean == pytest.approx(0.8, abs=1e-6)


def test_without_differences_in_length_there_is_no_win_rate_at_equal_length() -> None:
    assert length_controlled(np.full(80, 0.8), ["x"] * 80, ["x"] * 80) is None
    samples = [scored(n) for n in range(8)]
    found = policy_metrics(evaluator([0.5] * 8), samples, samples, 12.0)
    assert found.length_controlled_win_rate is None and found.length_controlled_interval is None


def test_every_category_has_its_own_numbers() -> None:
    before = [scored(n, category="b" if n < 2 else "a", judge_score=0.5) for n in range(5)]
    judged, kl = [0.6, 0.6, 0.4, 0.3, 0.5], [1.0, 3.0, 0.0, 6.0, 3.0]
    samples = [
        scored(n, category="b" if n < 2 else "a", judge_score=judged[n], kl_nats=kl[n], reward_score=float(n))
        for n in range(5)
    ]
    found = policy_metrics(evaluator([1.0, 1.0, 0.0, 0.5, 0.5]), samples, before, 12.0).by_category
    assert [(row.category, row.prompts) for row in found] == [("a", 3), ("b", 2)]
    assert [row.kl_nats_per_sequence for row in found] == [3.0, 2.0]
    assert [row.reward_score for row in found] == [3.0, 0.5]
    assert [row.judge_gain.mean for row in found] == pytest.approx([-0.1, 0.1])
    assert [row.win_rate_vs_sft.mean for row in found] == pytest.approx([1 / 3, 1.0])
    assert found[0].judge_score.mean == pytest.approx(0.4)


def test_a_category_of_one_prompt_knows_no_range() -> None:
    before = [scored(n, category="b" if n else "a", judge_score=0.5) for n in range(9)]
    samples = [scored(n, category="b" if n else "a", judge_score=0.9) for n in range(9)]
    many, one = policy_metrics(evaluator([1.0] * 9), samples, before, 12.0).by_category
    assert one.judge_score.as_json() == {"mean": 0.9, "low": 0.0, "high": 1.0}
    assert one.judge_gain.as_json() == {"mean": pytest.approx(0.4), "low": -1.0, "high": 1.0}
    assert one.win_rate_vs_sft == wilson_interval(1, 1) and many.win_rate_vs_sft == wilson_interval(8, 8)
    assert many.judge_gain.low < 0.4 < many.judge_gain.high


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_win_rate_has_a_width_at_its_ends_and_of_ties(share: float) -> None:
    before, samples = ([scored(n, response=text) for n in range(12)] for text in ("one", "two"))
    found = policy_metrics(evaluator([share] * 12), samples, before, 12.0).win_rate_vs_sft
    assert found.mean == share and found.high - found.low > 0.2
    if share != 0.5:  # against a score of a half for SFT, which a judge that compares gives, it is the gain's interval
        assert found == wilson_interval(12 * share, 12)


def test_sft_against_itself_is_known() -> None:
    samples = [scored(n) for n in range(8)]
    found = policy_metrics(evaluator([0.5] * 8), samples, samples, 12.0)
    assert found.win_rate_vs_sft.as_json() == {"mean": 0.5, "low": 0.5, "high": 0.5}
    assert found.judge_gain.as_json() == found.reward_gain.as_json() == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_one_category_is_none() -> None:
    samples = [scored(0), scored(1)]
    assert category_metrics(evaluator(), samples, samples, np.array([0.5, 0.5])) == []


def test_of_many_categories_the_smallest_share_a_row() -> None:
    names = [f"kind {number:02d}" for number in range(MOST_CATEGORIES + 5)]
    prompts = [name for name in names for _ in range(2)] + [names[7]]
    rows = row_names(prompts)
    assert next(iter(rows)) == "kind 07" and set(rows) == set(names)
    assert len(set(rows.values())) == MOST_CATEGORIES and rows["kind 24"] == "6 others"
    samples = [scored(number, category=name) for number, name in enumerate(prompts)]
    found = category_metrics(evaluator(), samples, samples, np.full(len(samples), 0.5))
    assert sum(row.prompts for row in found) == len(samples)
    assert (found[-1].category, found[-1].prompts) == ("6 others", 12)


def test_of_a_judge_that_compares_gain_and_win_rate_are_one_quantity() -> None:
    """Most are ties: a Wilson interval, which takes a tie for a thrown coin, would contradict the gain."""
    wins = [1.0] * 24 + [0.5] * 65 + [0.0] * 11
    before = [scored(n, response="one") for n in range(100)]
    samples = [scored(n, response="two", judge_score=win) for n, win in enumerate(wins)]
    found = policy_metrics(evaluator(wins), samples, before, 12.0)
    gain, rate = found.judge_gain, found.win_rate_vs_sft
    for end in ("mean", "low", "high"):
        assert getattr(rate, end) - 0.5 == pytest.approx(getattr(gain, end))
    assert rate.low > 0.5


def test_gains_of_categories_hold_together() -> None:
    """Of 15 kinds of equal policies, one in twenty would look better or worse if each had an interval of its own."""
    rng, alarms = np.random.default_rng(0), 0
    kinds = [f"kind {number % 15}" for number in range(180)]
    for _ in range(60):
        before = [scored(n, category=kind, judge_score=rng.random()) for n, kind in enumerate(kinds)]
        samples = [scored(n, category=kind, response="b", judge_score=rng.random()) for n, kind in enumerate(kinds)]
        rows = category_metrics(evaluator(), samples, before, np.full(180, 0.5))
        alarms += any(row.judge_gain.low > 0 or row.judge_gain.high < 0 for row in rows)
    assert alarms / 60 < 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5
