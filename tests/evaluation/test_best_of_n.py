"""The best-of-n line: the reward model chooses, the judge measures."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.evaluation.best_of_n import best_of_n_points
from pipeline.evaluation.policy import Evaluator, ScoredSample
from pipeline.evaluation.statistics import bootstrap_mean


def evaluator() -> Any:
    """Only the interval is used."""
    bare = SimpleNamespace(resamples=50, seed=0)
    bare.interval = lambda values, name, **more: Evaluator.interval(bare, values, name, **more)
    return bare


def scored(prompt: str, reward: float, judge: float) -> ScoredSample:
    return ScoredSample(prompt, prompt, "all", " x", True, 1, judge, reward, 0.0, 0.0)


# the first prompt's reward agrees with the judge, the second's is its opposite
SAMPLES = [
    *(scored("a", reward, reward / 10) for reward in (1.0, 4.0, 2.0, 3.0)),
    *(scored("b", reward, 1 - reward / 10) for reward in (4.0, 3.0, 2.0, 1.0)),
]


def test_a_point_for_each_n() -> None:
    points = best_of_n_points(evaluator(), SAMPLES, [1, 2, 4])
    assert [point["label"] for point in points] == ["best of 1", "best of 2", "best of 4"]
    assert [point["best_of_n"] for point in points] == [1, 2, 4]
    assert [point["kl_nats_per_sequence"] for point in points] == pytest.approx([0.0, 0.193147, 0.636294], abs=1e-6)


def test_scores_are_means_over_prompts_of_the_sample_that_the_reward_model_prefers() -> None:
    one, two, four = best_of_n_points(evaluator(), SAMPLES, [1, 2, 4])
    assert one["reward_score"]["mean"] == pytest.approx(2.5)
    # the best of two among 1, 2, 3, 4: (2 + 3 + 3 + 4 + 4 + 4) / 6
    assert two["reward_score"]["mean"] == pytest.approx(20 / 6)
    assert four["reward_score"]["mean"] == pytest.approx(4.0)
    assert one["judge_score"]["mean"] == pytest.approx((0.25 + 0.75) / 2)
    assert four["judge_score"]["mean"] == pytest.approx((0.4 + 0.6) / 2)


def test_intervals_are_over_prompts_not_samples() -> None:
    (point,) = best_of_n_points(evaluator(), SAMPLES, [4])
    assert point["reward_score"] == bootstrap_mean([4.0, 4.0], resamples=50, seed=0, name="best_of_n/reward")
    # of two prompts nothing is known of a judge score but where it can be
    assert point["judge_score"] == {"mean": pytest.approx(0.5), "low": 0.0, "high": 1.0}
    assert point["judge_scores"] == pytest.approx([0.4, 0.6])
