"""Best-of-n: its KL, and what it gains, against known values and brute force."""

import itertools

import numpy as np
import pytest

from pipeline.evaluation.statistics import (
    best_of_n_kl,
    expected_best_of_n,
)


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
