"""Which of several reward models goes on."""

from typing import Any

import pytest
import torch

from pipeline.data.passages import Passage
from pipeline.errors import PipelineError
from pipeline.evaluation.reward_choice import choose_model, comparison_lines, shift_to_responses
from pipeline.results.document import Interval
from pipeline.results.reward import ComparedRewardModel, MatchedAccuracy
from tests.preference_pairs import preference_pair


def row(name: str, accuracy: float, error: float) -> ComparedRewardModel:
    return ComparedRewardModel(
        name=name,
        accuracy=Interval(mean=accuracy, low=accuracy - 0.1, high=accuracy + 0.1),
        length_matched=MatchedAccuracy(accuracy=None, pairs=0),
        expected_calibration_error=error,
        error_after_temperature=error,
        max_deviation=0.0,
        truncated_texts=0,
        pairs=10,
    )


TABLE = [row("own", 0.7, 0.01), row("big", 0.8, 0.3), row("small", 0.8, 0.2)]


def test_best_is_the_most_accurate_then_the_better_calibrated_then_the_first() -> None:
    assert choose_model(TABLE, "best") == "small"
    assert choose_model([row("own", 0.8, 0.2), TABLE[2]], "best") == "own"
    assert choose_model(TABLE, "own") == "own" and choose_model(TABLE, "big") == "big"


def test_a_name_that_is_none_is_an_error_with_those_there_are() -> None:
    with pytest.raises(PipelineError, match="'huge'; it takes best, own, big, small"):
        choose_model(TABLE, "huge")


def test_the_table_marks_the_chosen_one() -> None:
    lines = comparison_lines(TABLE, "big")
    assert [line[0] for line in lines] == [" ", "*", " "]
    assert "accuracy 0.800 [0.700, 0.900]" in lines[1] and "(0 pairs)" in lines[1]


def test_a_candidate_is_shifted_to_mean_0_over_all_responses() -> None:
    class Lengths:
        shifted = 0.0

        def score(self, passages: list[Passage], *, batch_size: int) -> torch.Tensor:
            return torch.tensor([float(len(one.text)) for one in passages])

        def shift(self, offset: float) -> None:
            self.shifted += offset

    model: Any = Lengths()
    pairs = [
        preference_pair("", "aaaa", "a"),
        preference_pair("", "aa", "a"),
    ]
    assert shift_to_responses(model, pairs, batch_size=2) == 2.0 == model.shifted
