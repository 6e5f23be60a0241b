"""Rewards of tokens: where the score lands, what the penalty takes, and what unfinished responses cost."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.objectives.rewards import penalize_unfinished, shaped_rewards

NAN = math.nan


def shaped(mask: list[list[bool]], **changes: Tensor) -> Tensor:
    arguments = {
        "scores": torch.tensor([10.0, 20.0]),
        "kl": torch.tensor([[0.5, -1.0, 0.0], [2.0, NAN, NAN]]),
    }
    return shaped_rewards(**{**arguments, **changes}, response_mask=torch.tensor(mask), kl_coef=0.1)


def test_the_score_is_on_the_terminal_token_and_the_penalty_on_each() -> None:
    # the second response is its EOS alone, with padding after it
    rewards = shaped([[True, True, True], [True, False, False]])
    assert torch.allclose(rewards, torch.tensor([[-0.05, 0.1, 10.0], [19.8, 0.0, 0.0]]))


def test_extra_padding_does_not_move_the_score() -> None:
    wide = shaped(
        [[True, True, False], [True, False, False]],
        kl=torch.tensor([[0.0, 0.0, NAN], [0.0, NAN, NAN]]),
    )
    assert wide.tolist() == [[0.0, 10.0, 0.0], [20.0, 0.0, 0.0]]


def test_a_response_without_tokens_raises() -> None:
    with pytest.raises(ValueError, match="without tokens"):
        shaped([[True, True, True], [False, False, False]])


def test_scores_for_another_number_of_responses_raise() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        shaped([[True, True, True], [True, True, True]], scores=torch.zeros(1))
    with pytest.raises(ValueError, match="shapes differ"):
        shaped([[True, True, True], [True, True, True]], scores=torch.zeros(2, 1))


@pytest.mark.parametrize(
    ("mode", "expected"), [("none", [3.0, -2.0, 5.0]), ("replace", [3.0, -0.5, -0.5]), ("subtract", [3.0, -2.5, 4.5])]
)
def test_unfinished_responses_pay_as_the_mode_says(mode: str, expected: list[float]) -> None:
    scores, finished = torch.tensor([3.0, -2.0, 5.0]), torch.tensor([True, False, False])
    assert penalize_unfinished(scores, finished, mode=mode, penalty=0.5).tolist() == expected
    assert scores.tolist() == [3.0, -2.0, 5.0]


def test_finished_for_another_number_of_responses_raises() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        penalize_unfinished(torch.zeros(3), torch.zeros(1, dtype=torch.bool), mode="replace", penalty=1.0)
