"""Rewards, advantages and whitening of random episodes against loops in float64 that share no code with them."""

import math
import random

import pytest
import torch

from pipeline.objectives.advantages import generalized_advantages
from pipeline.objectives.kl import kl_estimates
from pipeline.objectives.masked import whiten
from pipeline.objectives.rewards import shaped_rewards

Rows = list[list[float]]


def random_rows(rng: random.Random, lengths: list[int], low: float, high: float) -> Rows:
    return [[rng.uniform(low, high) for _ in range(length)] for length in lengths]


def padded(rows: Rows, width: int) -> torch.Tensor:
    """Rows of different lengths as a tensor, with NaN where nothing may be read."""
    return torch.tensor([[*row, *[math.nan] * (width - len(row))] for row in rows], dtype=torch.float64)


def assert_rows(found: torch.Tensor, expected: Rows) -> None:
    for row, values in zip(found.tolist(), expected, strict=True):
        assert row[: len(values)] == pytest.approx(values, abs=1e-12)
        assert row[len(values) :] == [0.0] * (len(row) - len(values))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.99, 0.0)])
def test_from_log_probs_to_whitened_advantages(seed: int, gamma: float, lam: float) -> None:
    rng = random.Random(seed)
    lengths = [rng.randint(1, 9) for _ in range(6)]
    width = max(lengths) + 2
    logprobs, ref = (random_rows(rng, lengths, -6.0, -0.1) for _ in range(2))
    values = random_rows(rng, lengths, -2.0, 2.0)
    scores = [rng.uniform(-3, 3) for _ in lengths]
    kl_coef = 0.3

    rewards: Rows = []
    advantages: Rows = []
    for i, length in enumerate(lengths):
        rewards.append([])
        for t in range(length):
            penalty = kl_coef * (logprobs[i][t] - ref[i][t])
            rewards[i].append(scores[i] - penalty if t == length - 1 else -penalty)
        advantages.append([])
        for t in range(length):
            total = 0.0
            for k in range(t, length):
                following = values[i][k + 1] if k + 1 < length else 0.0
                total += (gamma * lam) ** (k - t) * (rewards[i][k] + gamma * following - values[i][k])
            advantages[i].append(total)
    returns = [[a + v for a, v in zip(*pair, strict=True)] for pair in zip(advantages, values, strict=True)]
    flat = [value for row in advantages for value in row]
    mean = sum(flat) / len(flat)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in flat) / len(flat) + 1e-8)
    whitened = [[(value - mean) / deviation for value in row] for row in advantages]

    mask = torch.tensor([[t < length for t in range(width)] for length in lengths])
    found_rewards = shaped_rewards(
        scores=torch.tensor(scores, dtype=torch.float64),
        kl=kl_estimates(padded(logprobs, width), padded(ref, width)).k1,
        response_mask=mask,
        kl_coef=kl_coef,
    )
    found = generalized_advantages(
        rewards=found_rewards, values=padded(values, width), response_mask=mask, gamma=gamma, lam=lam
    )
    assert_rows(found_rewards, rewards)
    assert_rows(found.advantages, advantages)
    assert_rows(found.returns, returns)
    assert_rows(whiten(found.advantages, mask), whitened)
