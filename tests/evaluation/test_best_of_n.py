"""The best-of-n line: the reward model chooses, the judge measures."""

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.best_of_n import best_of_n_kl, best_of_n_points, expected_best_of_n
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
    assert [point.label for point in points] == ["best of 1", "best of 2", "best of 4"]
    assert [point.best_of_n for point in points] == [1, 2, 4]
    assert [point.kl_nats_per_sequence for point in points] == pytest.approx([0.0, 0.193147, 0.636294], abs=1e-6)


def test_scores_are_means_over_prompts_of_the_sample_that_the_reward_model_prefers() -> None:
    one, two, four = best_of_n_points(evaluator(), SAMPLES, [1, 2, 4])
    assert one.reward_score.mean == pytest.approx(2.5)
    # the best of two among 1, 2, 3, 4: (2 + 3 + 3 + 4 + 4 + 4) / 6
    assert two.reward_score.mean == pytest.approx(20 / 6)
    assert four.reward_score.mean == pytest.approx(4.0)
    assert one.judge_score.mean == pytest.approx((0.25 + 0.75) / 2)
    assert four.judge_score.mean == pytest.approx((0.4 + 0.6) / 2)


def test_intervals_are_over_prompts_not_samples() -> None:
    (point,) = best_of_n_points(evaluator(), SAMPLES, [4])
    assert point.reward_score == bootstrap_mean([4.0, 4.0], resamples=50, seed=0, name="best_of_n/reward")
    # of two prompts nothing is known of a judge score but where it can be
    assert point.judge_score.as_json() == {"mean": pytest.approx(0.5), "low": 0.0, "high": 1.0}
    assert point.judge_scores == pytest.approx([0.4, 0.6])


@pytest.mark.parametrize(("n", "nats"), [(1, 0.0), (4, 0.636), (16, 1.835), (64, 3.175), (1000, 5.909)])
def test_best_of_n_kl_known_values(n: int, nats: float) -> None:
    assert best_of_n_kl(n) == pytest.approx(nats, abs=5e-4)


def test_best_of_n_kl_by_integration() -> None:
    # the best of n has density n u^(n-1) over the quantile u of one sample
    u = (np.arange(200_000) + 0.5) / 200_000
    density = 4 * u**3
    assert (density * np.log(density)).mean() == pytest.approx(best_of_n_kl(4), abs=1e-4)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
def test_expected_best_of_n_equals_all_subsets(n: int) -> None:
    rng = np.random.default_rng(0)
    proxy, gold = rng.normal(size=(2, 4, 6))
    expected = [
        np.mean([gold[row, max(subset, key=lambda i: proxy[row, i])] for subset in itertools.combinations(range(6), n)])
        for row in range(4)
    ]
    assert expected_best_of_n(proxy, gold, n) == pytest.approx(expected)


def test_best_of_n_needs_n_samples_and_matching_scores() -> None:
    scores = np.zeros((2, 3))
    with pytest.raises(ValueError, match="best of 4"):
        expected_best_of_n(scores, scores, 4)
    with pytest.raises(ValueError, match="matching scores"):
        expected_best_of_n(scores, scores[:1], 2)
