"""Reward-model metrics, from a model whose scores are known."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from pipeline.data.preferences import TextPair
from pipeline.evaluation.reward import evaluate_reward
from pipeline.params.schema import EvaluateReward

SETTINGS = EvaluateReward(batch_size=2, calibration_bins=5)
PAIRS = [TextPair("aaa", "a"), TextPair("a", "aa"), TextPair("aaaa", "a"), TextPair("aa", "aa")]


class CountingModel:
    """Scores a text with the number of its letters."""

    def score(self, texts: Sequence[str], *, batch_size: int, title: str | None = None) -> torch.Tensor:
        return torch.tensor([float(len(text)) for text in texts])

    def truncated(self, texts: Sequence[str]) -> int:
        return sum(len(text) > 3 for text in texts)


def test_metrics_by_hand() -> None:
    model: Any = CountingModel()
    metrics, plot = evaluate_reward(model, PAIRS, [(5, 9), (5, 9), (5, 5), (9, 5)], SETTINGS)
    assert metrics["accuracy"]["mean"] == 0.5  # a tie is no success
    assert metrics["longer_wins_accuracy"] == pytest.approx((0 + 0 + 0.5 + 1) / 4)
    assert metrics["mean_margin"] == pytest.approx((2 - 1 + 3 + 0) / 4)
    assert metrics["pairs"] == 4 and metrics["truncated_texts"] == 1
    assert plot["chosen_scores"] == [3.0, 1.0, 4.0, 2.0] and plot["rejected_scores"] == [1.0, 2.0, 1.0, 2.0]
    assert sum(entry["count"] for entry in plot["bins"]) == 4 and len(plot["bins"]) == 5
