"""Best-of-n of the SFT policy: the line that any training has to beat at equal KL."""

import math
from collections.abc import Sequence

import numpy as np

from pipeline.evaluation.policy import Evaluator, ScoredSample
from pipeline.evaluation.statistics import JUDGE_RANGE
from pipeline.results.policies import FrontierPoint


def best_of_n_points(
    evaluator: Evaluator, samples: Sequence[ScoredSample], sizes: Sequence[int]
) -> list[FrontierPoint]:
    """A point for each n: the sample with the highest reward among n, its reward and its judge score.

    The judge scores of every prompt, in order, are kept beside their mean: a bootstrap over prompts draws them anew.

    Args:
        samples: max(sizes) samples of each prompt, adjacent.
    """
    shape = (-1, max(sizes))
    rewards = np.array([sample.reward_score for sample in samples]).reshape(shape)
    judged = np.array([sample.judge_score for sample in samples]).reshape(shape)
    by_prompt = {n: expected_best_of_n(rewards, judged, n) for n in sizes}
    return [
        FrontierPoint(
            label=f"best of {n}",
            best_of_n=n,
            kl_nats_per_sequence=best_of_n_kl(n),
            reward_score=evaluator.interval(expected_best_of_n(rewards, rewards, n), "best_of_n/reward"),
            judge_score=evaluator.interval(by_prompt[n], "best_of_n/judge", within=JUDGE_RANGE),
            judge_scores=by_prompt[n].tolist(),
        )
        for n in sizes
    ]


def best_of_n_kl(n: int) -> float:
    """KL of best-of-n from its policy, in nats: ln n - (n - 1) / n, an upper bound (Beirami et al. 2024)."""
    return math.log(n) - (n - 1) / n


def expected_best_of_n(proxy: np.ndarray, gold: np.ndarray, n: int) -> np.ndarray:
    """Expected `gold` of the sample with the highest `proxy` among n drawn without replacement from each row.

    All subsets of size n are averaged exactly: the sample of rank i (from 0, best first) among N is the best of
    C(N - 1 - i, n - 1) of the C(N, n) subsets.

    Args:
        proxy, gold: (prompts, N) scores of the same samples, n <= N.

    Returns:
        (prompts,)
    """
    total = proxy.shape[1]
    if proxy.shape != gold.shape or n > total:
        raise ValueError(f"best of {n} needs matching scores of at least {n} samples, got {proxy.shape}, {gold.shape}")
    order = np.argsort(-proxy, axis=1, kind="stable")
    weights = np.array([math.comb(total - 1 - rank, n - 1) for rank in range(total)]) / math.comb(total, n)
    return np.take_along_axis(gold, order, axis=1) @ weights
