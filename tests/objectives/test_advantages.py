"""GAE against sums written out from the definition; critic-free estimators against other responses, by hand."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.objectives.advantages import (
    generalized_advantages,
    group_normalized_advantages,
    leave_one_out_advantages,
)

NAN = math.nan


def definition(rewards: Tensor, values: Tensor, lengths: list[int], gamma: float, lam: float) -> Tensor:
    """A_t = sum over l of (gamma lam)^l delta_{t+l}, written out row by row."""
    advantages = torch.zeros_like(rewards)
    for row, length in enumerate(lengths):
        v = [*values[row, :length].tolist(), 0.0]
        r = rewards[row, :length].tolist()
        for t in range(length):
            deltas = [r[t + ahead] + gamma * v[t + ahead + 1] - v[t + ahead] for ahead in range(length - t)]
            advantages[row, t] = sum((gamma * lam) ** ahead * delta for ahead, delta in enumerate(deltas))
    return advantages


@pytest.fixture
def episodes() -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """Rewards, values, mask and lengths of four responses, with garbage under the mask."""
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64)
    lengths = [6, 3, 1, 5]
    mask = torch.arange(6)[None] < torch.tensor(lengths)[:, None]
    return rewards.masked_fill(~mask, NAN), values.masked_fill(~mask, 1e9), mask, lengths


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.8), (1.0, 1.0), (0.99, 0.0)])
def test_gae_equals_its_definition(episodes, gamma: float, lam: float) -> None:
    rewards, values, mask, lengths = episodes
    result = generalized_advantages(rewards=rewards, values=values, response_mask=mask, gamma=gamma, lam=lam)
    expected = definition(rewards, values, lengths, gamma, lam)
    assert torch.allclose(result.advantages, expected, atol=1e-12)
    assert torch.allclose(result.returns[mask], (expected + values)[mask])
    assert result.advantages[~mask].abs().sum() == result.returns[~mask].abs().sum() == 0


def test_gae_by_hand() -> None:
    # deltas: 1 + .5 * 2 - 1 = 1;  2 + .5 * 4 - 2 = 2;  3 - 4 = -1;  gamma lam = 1/4
    result = generalized_advantages(
        rewards=torch.tensor([[1.0, 2.0, 3.0]]),
        values=torch.tensor([[1.0, 2.0, 4.0]]),
        response_mask=torch.ones(1, 3, dtype=torch.bool),
        gamma=0.5,
        lam=0.5,
    )
    assert result.advantages.tolist() == [[1.4375, 1.75, -1.0]]
    assert result.returns.tolist() == [[2.4375, 3.75, 3.0]]


def test_lam_1_gives_the_reward_to_go_minus_the_value(episodes) -> None:
    rewards, values, mask, lengths = episodes
    result = generalized_advantages(rewards=rewards, values=values, response_mask=mask, gamma=1.0, lam=1.0)
    for row, length in enumerate(lengths):
        for t in range(length):
            to_go = sum(rewards[row, t:length].tolist())
            assert result.advantages[row, t].item() == pytest.approx(to_go - values[row, t].item())
            assert result.returns[row, t].item() == pytest.approx(to_go)


def test_lam_0_is_the_one_step_error(episodes) -> None:
    rewards, values, mask, _ = episodes
    result = generalized_advantages(rewards=rewards, values=values, response_mask=mask, gamma=1.0, lam=0.0)
    assert result.advantages[0, 2].item() == pytest.approx((rewards[0, 2] + values[0, 3] - values[0, 2]).item())


def test_nothing_is_differentiated() -> None:
    values = torch.zeros(1, 2, requires_grad=True)
    mask = torch.ones(1, 2, dtype=torch.bool)
    result = generalized_advantages(rewards=values + 1, values=values, response_mask=mask, gamma=1.0, lam=0.9)
    assert not result.advantages.requires_grad and not result.returns.requires_grad


REWARDS = torch.tensor([[1.0, 2.0, NAN], [0.0, 1.0, 4.0], [6.0, NAN, NAN], [2.0, 2.0, 2.0]])
MASK = torch.tensor([[True, True, False], [True, True, True], [True, False, False], [True, True, True]])


def test_leave_one_out_compares_with_the_mean_of_the_others() -> None:
    # returns 3, 5 | 6, 6
    two = leave_one_out_advantages(rewards=REWARDS, response_mask=MASK, samples_per_prompt=2)
    assert two.tolist() == [[-2.0, -2.0, 0.0], [2.0, 2.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    four = leave_one_out_advantages(rewards=REWARDS, response_mask=MASK, samples_per_prompt=4)
    assert four[:, 0].tolist() == pytest.approx([3 - 17 / 3, 5 - 15 / 3, 6 - 14 / 3, 6 - 14 / 3])


def test_leave_one_out_is_the_centred_return_on_a_larger_scale() -> None:
    returns = torch.tensor([1.0, 4.0, -2.0], dtype=torch.float64)
    found = leave_one_out_advantages(
        rewards=returns[:, None], response_mask=torch.ones(3, 1, dtype=torch.bool), samples_per_prompt=3
    )
    assert torch.allclose(found[:, 0], (returns - returns.mean()) * 3 / 2)


def test_group_normalisation_is_in_standard_deviations_of_its_group() -> None:
    found = group_normalized_advantages(rewards=REWARDS, response_mask=MASK, samples_per_prompt=2, epsilon=0.0)
    assert found[:2, 0].tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5])
    equal = group_normalized_advantages(rewards=REWARDS[2:], response_mask=MASK[2:], samples_per_prompt=2)
    assert equal.tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("estimate", [leave_one_out_advantages, group_normalized_advantages])
@pytest.mark.parametrize("size", [1, 3])
def test_groups_are_whole_and_of_at_least_two(estimate, size: int) -> None:
    with pytest.raises(ValueError, match="in groups of"):
        estimate(rewards=REWARDS, response_mask=MASK, samples_per_prompt=size)
