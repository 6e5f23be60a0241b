"""Reward-model metrics, from models whose scores are known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.data.passages import Passage
from pipeline.errors import PipelineError
from pipeline.evaluation.calibration import error_if_calibrated
from pipeline.evaluation.reward import evaluate_reward, pair_metrics, warnings_of
from pipeline.evaluation.robustness import Deviations, score_deviations
from pipeline.evaluation.statistics import wilson_interval
from pipeline.models.compute import Compute
from pipeline.models.reward_loading import create_reward_model
from pipeline.params.evaluation import EvaluateReward
from tests.passages import ended
from tests.preference_pairs import preference_pair
from tests.tiny_models import SENTENCES

SETTINGS = EvaluateReward(
    batch_size=2,
    calibration_bins=5,
    margin_bins=2,
    length_matched_ratio=1.0,
    near_tie_margin=1.5,
    robustness_pairs=2,
    max_score_deviation=0.01,
    candidates=[],
    use="own",
)


# of prompts that differ, with chosen and rejected responses of (5, 9), (5, 9), (5, 5) and (9, 5) characters
PAIRS = [
    preference_pair("1:", "aaa..", "a........"),
    preference_pair("2:", "a....", "aa......."),
    preference_pair("3:", "aaaa.", "a...."),
    preference_pair("4:", "aa.......", "aa..."),
]


class CountingModel:
    """Scores a text with the number of its a, plus a mistake for every column of padding."""

    is_decoder = True

    def __init__(self, mistake: float = 0.0) -> None:
        self.mistake = mistake
        self.tokenizer = SimpleNamespace(padding_side="right")
        self.texts = self

    def tokenize(self, passages: Sequence[Passage]) -> tuple[Tensor, Tensor]:
        texts = ["a" * one.text.count("a") for one in passages]
        width = max(map(len, texts))
        mask = torch.zeros(len(texts), width)
        for row, text in enumerate(texts):
            columns = range(len(text)) if self.tokenizer.padding_side == "right" else range(width - len(text), width)
            mask[row, list(columns)] = 1
        return mask, mask

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        left = 1 - attention_mask[:, 0]
        return attention_mask.sum(1) + self.mistake * left

    def score(self, passages: Sequence[Passage], *, batch_size: int, title: str | None = None) -> Tensor:
        return torch.tensor([float(one.text.count("a")) for one in passages])

    def truncated(self, passages: Sequence[Passage]) -> int:
        return sum(one.text.count("a") > 3 for one in passages)


def test_metrics_by_hand() -> None:
    model: Any = CountingModel()
    metrics, plot = evaluate_reward(model, PAIRS, PAIRS[:2], SETTINGS)
    assert metrics.accuracy.mean == 0.5  # a tie is no success
    assert metrics.longer_wins_accuracy == pytest.approx((0 + 0 + 0.5 + 1) / 4)
    assert metrics.mean_margin == pytest.approx((2 - 1 + 3 + 0) / 4)
    assert metrics.pairs == 4 and metrics.truncated_texts == 1
    assert metrics.length_matched.pairs == 1 and metrics.length_matched.accuracy.mean == 1.0
    assert metrics.equal_scores_share == 0.25 and metrics.near_ties_share == 0.5  # margins 0 and -1
    assert metrics.calibration.validation_pairs == 2 and metrics.judge_agreement is None
    assert metrics.calibration.expected_if_calibrated == error_if_calibrated([2.0, -1.0, 3.0, 0.0], bins=5)
    assert plot.chosen_scores == [3.0, 1.0, 4.0, 2.0] and plot.rejected_scores == [1.0, 2.0, 1.0, 2.0]
    for bins in (plot.bins, plot.bins_after_temperature):
        assert sum(entry.count for entry in bins) == 4 and len(bins) == 5


def test_an_accuracy_of_several_pairs_a_prompt_is_less_certain() -> None:
    pairs = [replace(PAIRS[0], prompt=f"p{at // 4}") for at in range(40)]
    chosen = np.where(np.arange(40) // 4 < 7, 1.0, -1.0)  # all four of a prompt are right, or wrong
    found = pair_metrics(chosen, np.zeros(40), pairs, SETTINGS)
    assert found.accuracy.mean == 0.7
    effect = found.accuracy_design_effect
    assert effect > 4 and found.accuracy == wilson_interval(28, 40, design_effect=effect)
    alone = pair_metrics(chosen, np.zeros(40), [replace(PAIRS[0], prompt=f"{at}") for at in range(40)], SETTINGS)
    assert alone.accuracy_design_effect == 1.0 and alone.accuracy == wilson_interval(28, 40)


def test_the_distribution_of_scores_by_hand() -> None:
    scores = pair_metrics(np.array([3.0, 1.0, 4.0, 2.0]), np.array([1.0, 2.0, 1.0, 2.0]), PAIRS, SETTINGS).scores
    assert scores.chosen.mean == 2.5 and scores.chosen.standard_deviation == pytest.approx(1.25**0.5)
    assert scores.rejected.mean == 1.5 and scores.rejected.standard_deviation == pytest.approx(0.5)
    assert [getattr(scores.chosen, f"quantile_{share}") for share in ("05", "50", "95")] == pytest.approx(
        [1.15, 2.5, 3.85]
    )


def test_a_model_that_reads_its_padding_is_found_and_said() -> None:
    model: Any = CountingModel(mistake=0.25)
    texts = ended(["aaa", "a", "aa", "aaaa"])
    deviations = score_deviations(model, texts, batch_size=2)
    assert deviations == Deviations(batch=0.0, right_padding=0.0, left_padding=0.25)
    assert model.tokenizer.padding_side == "right"
    metrics, _ = evaluate_reward(model, PAIRS, PAIRS[:2], SETTINGS)
    assert metrics.robustness.exceeds_limit and metrics.robustness.max_deviation == 0.25
    assert any("by up to 0.25" in warning for warning in warnings_of("own", metrics, SETTINGS))


def test_scores_that_are_no_numbers_are_refused_with_the_padding_that_makes_them() -> None:
    model: Any = CountingModel(mistake=float("nan"))
    with pytest.raises(
        PipelineError, match=r"are NaN or infinite with batch, left padding, right padding: .*float32 copy"
    ):
        evaluate_reward(model, PAIRS, PAIRS[:2], SETTINGS)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_our_models_hardly_deviate(kind: str, encoder_folder: Path, decoder_folder: Path, compute: Compute) -> None:
    folder = encoder_folder if kind == "encoder" else decoder_folder
    model = create_reward_model(folder, compute, max_length=64, seed=0).eval()
    deviations = score_deviations(model, ended(["dull", *SENTENCES]), batch_size=3)
    assert (deviations.left_padding is None) == (kind == "encoder")
    known = [value for value in deviations if value is not None]
    assert max(known) < 1e-5 and any(known), "no deviation at all: nothing was padded"
