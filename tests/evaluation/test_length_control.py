"""The win rate at equal length against an independent optimiser, and where there is none."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from pipeline.evaluation.length_control import length_controlled_winrate


def annotated(lengths: Sequence[int], preferences: Sequence[float]) -> Any:
    return list(preferences), [("b" * 100, "m" * (100 + length)) for length in lengths]


def test_length_control_is_the_fit_of_an_independent_optimiser() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(-90, 200, size=400)
    feature = np.tanh(-lengths / np.std(-lengths, ddof=1))
    shares = 1 / (1 + np.exp(-(0.4 - 1.5 * feature + rng.normal(size=400))))
    preferences, outputs = annotated(lengths.tolist(), (1 + shares).tolist())

    def loss(weights: np.ndarray) -> float:
        logits = weights[0] * feature + weights[1]
        return float(np.mean(np.logaddexp(0, logits) - shares * logits))

    theta = minimize(loss, np.zeros(2)).x[1]
    controlled = length_controlled_winrate(preferences, outputs)
    assert controlled == pytest.approx(100 / (1 + math.exp(-theta)), abs=0.2)
    assert 100 * np.mean(shares) > controlled + 5  # its outputs are longer, and that was liked


def test_length_control_finds_nothing_where_length_is_all() -> None:
    lengths = [50, 50, 50, -50] * 10
    preferences, outputs = annotated(lengths, [1.9 if length > 0 else 1.1 for length in lengths])
    assert 100 * (np.mean(preferences) - 1) == pytest.approx(70)
    controlled = length_controlled_winrate(preferences, outputs)
    assert controlled is not None and abs(controlled - 50) < 4


def test_length_control_needs_lengths_that_differ_and_enough_rows() -> None:
    assert length_controlled_winrate(*annotated([5] * 9, [2.0] * 9)) is None
    assert length_controlled_winrate(*annotated([1, 2, 3, 4], [2.0] * 4)) is None


def test_a_model_that_always_wins_wins_at_equal_length_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert length_controlled_winrate(*annotated([1, -2, 3, 4, 9, 7], [2.0] * 6)) == pytest.approx(100, abs=0.1)
    assert capfd.readouterr().out == ""  # the solver says what it misses on standard output
