"""KL estimates, shaped rewards and GAE: by enumeration, by hand, and against sums written out from the definition."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.objectives.advantages import generalized_advantages, kl_estimates, shaped_rewards

NAN = math.nan


def test_expected_estimates_equal_the_exact_kl() -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.softmax(torch.randn(1, 7, generator=generator, dtype=torch.float64), -1)
    q = torch.softmax(torch.randn(1, 7, generator=generator, dtype=torch.float64), -1)
    exact = sum(a * math.log(a / b) for a, b in zip(p[0].tolist(), q[0].tolist(), strict=True))
    k1, k3 = kl_estimates(p.log(), q.log())
    # each of the 7 tokens is a sample with weight p
    assert (p * k1).sum().item() == pytest.approx(exact)
    assert (p * k3).sum().item() == pytest.approx(exact)
    assert bool((k3 >= 0).all()) and bool((k1 < 0).any())


def test_estimates_by_hand() -> None:
    k1, k3 = kl_estimates(torch.tensor([[math.log(0.5)]]), torch.tensor([[math.log(0.25)]]))
    assert k1.item() == pytest.approx(math.log(2))
    assert k3.item() == pytest.approx(0.5 - 1 + math.log(2))


def test_k3_keeps_its_digits_near_zero() -> None:
    _, k3 = kl_estimates(torch.tensor([[1e-4]]), torch.tensor([[0.0]]))
    assert k3.item() == pytest.approx(5e-9, rel=0.05)
    assert [estimate.item() for estimate in kl_estimates(torch.tensor([[-3.0]]), torch.tensor([[-3.0]]))] == [0.0, 0.0]


def shaped(mask: list[list[bool]], **changes: Tensor) -> Tensor:
    arguments = {
        "scores": torch.tensor([10.0, 20.0]),
        "logprobs": torch.tensor([[-1.0, -2.0, -3.0], [-1.0, NAN, NAN]]),
        "ref_logprobs": torch.tensor([[-1.5, -1.0, -3.0], [-3.0, NAN, NAN]]),
    }
    return shaped_rewards(**{**arguments, **changes}, response_mask=torch.tensor(mask), kl_coef=0.1)


def test_the_score_is_on_the_terminal_token_and_the_penalty_on_each() -> None:
    # the second response is its EOS alone, with padding after it
    rewards = shaped([[True, True, True], [True, False, False]])
    assert torch.allclose(rewards, torch.tensor([[-0.05, 0.1, 10.0], [19.8, 0.0, 0.0]]))


def test_extra_padding_does_not_move_the_score() -> None:
    wide = shaped(
        [[True, True, False], [True, False, False]],
        logprobs=torch.tensor([[-1.0, -2.0, NAN], [-1.0, NAN, NAN]]),
        ref_logprobs=torch.tensor([[-1.0, -2.0, NAN], [-1.0, NAN, NAN]]),
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
