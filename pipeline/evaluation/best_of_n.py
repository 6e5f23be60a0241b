"""Best-of-n of the SFT policy: the line that any training has to beat at equal KL."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.evaluation.policy import Evaluator, ScoredSample
from pipeline.evaluation.statistics import JUDGE_RANGE, best_of_n_kl, expected_best_of_n


def best_of_n_points(
    evaluator: Evaluator, samples: Sequence[ScoredSample], sizes: Sequence[int]
) -> list[dict[str, Any]]:
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
        {
            "label": f"best of {n}",
            "best_of_n": n,
            "kl_nats_per_sequence": best_of_n_kl(n),
            "reward_score": evaluator.interval(expected_best_of_n(rewards, rewards, n), "best_of_n/reward"),
            "judge_score": evaluator.interval(by_prompt[n], "best_of_n/judge", within=JUDGE_RANGE),
            "judge_scores": by_prompt[n].tolist(),
        }
        for n in sizes
    ]
