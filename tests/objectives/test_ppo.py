"""PPO's losses: identity at ratio 1, clipping on the right side only, and nothing from masked tokens."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.objectives.ppo import (
    PolicyLoss,
    clipped_policy_loss,
    clipped_value_loss,
    truncated_importance_weights,
)

NAN = math.nan
MASK = torch.tensor([[True, True, True], [True, False, False]])
OLD = torch.tensor([[-1.0, -2.0, -0.5], [-3.0, 0.0, 0.0]])
ADVANTAGES = torch.tensor([[1.0, -2.0, 0.5], [4.0, 7.0, 7.0]])


def policy_loss(logprobs: Tensor, **changes: Tensor) -> PolicyLoss:
    arguments = {"old_logprobs": OLD, "advantages": ADVANTAGES, "response_mask": MASK}
    return clipped_policy_loss(logprobs=logprobs, **{**arguments, **changes}, cliprange=0.2)


def single(ratio: float, advantage: float) -> tuple[PolicyLoss, float]:
    """The loss of one token, and its gradient with respect to the log-prob."""
    logprobs = torch.tensor([[-1.0 + math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    result = clipped_policy_loss(
        logprobs=logprobs,
        old_logprobs=torch.tensor([[-1.0]], dtype=torch.float64),
        advantages=torch.tensor([[advantage]], dtype=torch.float64),
        response_mask=torch.ones(1, 1, dtype=torch.bool),
        cliprange=0.2,
    )
    result.loss.backward()
    return result, logprobs.grad.item()


def test_ratio_1_gives_minus_the_mean_advantage() -> None:
    result = policy_loss(OLD)
    assert result.loss.item() == pytest.approx(-(1.0 - 2.0 + 0.5 + 4.0) / 4)
    assert result.ratio_max.item() == 1.0
    assert result.clip_fraction.item() == result.approximate_kl.item() == 0.0


def test_the_gradient_at_ratio_1_is_that_of_reinforce() -> None:
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    taken = torch.tensor([[[0], [3], [2]], [[1], [0], [0]]])
    logprobs = torch.log_softmax(logits, -1).gather(-1, taken).squeeze(-1)
    ours = policy_loss(logprobs, old_logprobs=logprobs.detach(), advantages=ADVANTAGES.double()).loss
    reinforce = -(ADVANTAGES.double() * logprobs)[MASK].mean()
    (ours_gradient,) = torch.autograd.grad(ours, logits, retain_graph=True)
    (reinforce_gradient,) = torch.autograd.grad(reinforce, logits)
    assert torch.allclose(ours_gradient, reinforce_gradient, atol=1e-12)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.5, 2.0, -2.4, True),  # already more probable than the range allows, and good: no incentive left
        (1.5, -2.0, 3.0, False),  # more probable, but bad: pulled back at full strength
        (0.5, 2.0, -1.0, False),  # less probable, but good: pulled back
        (0.5, -2.0, 1.6, True),  # less probable and bad: no incentive left
        (1.1, 2.0, -2.2, False),
        (0.9, -2.0, 1.8, False),
    ],
)
def test_clipping_takes_the_gradient_on_the_right_side_only(
    ratio: float, advantage: float, loss: float, clipped: bool
) -> None:
    result, gradient = single(ratio, advantage)
    assert result.loss.item() == pytest.approx(loss)
    assert result.clip_fraction.item() == float(clipped)
    assert gradient == pytest.approx(0.0 if clipped else -advantage * ratio)
    assert result.ratio_max.item() == pytest.approx(ratio)


def test_approximate_kl_by_hand() -> None:
    result, _ = single(2.0, 1.0)
    assert result.approximate_kl.item() == pytest.approx(2.0 - 1.0 - math.log(2))


def test_expected_approximate_kl_is_the_exact_kl_to_the_sampling_policy() -> None:
    generator = torch.Generator().manual_seed(0)
    old, new = torch.log_softmax(torch.randn(2, 6, generator=generator, dtype=torch.float64), -1)
    exact = (old.exp() * (old - new)).sum().item()
    # a fold of 6 one-token batches, weighted by how often the old policy samples each token
    expected = sum(
        probability
        * clipped_policy_loss(
            logprobs=new[None, token : token + 1],
            old_logprobs=old[None, token : token + 1],
            advantages=torch.zeros(1, 1, dtype=torch.float64),
            response_mask=torch.ones(1, 1, dtype=torch.bool),
            cliprange=0.2,
        ).approximate_kl.item()
        for token, probability in enumerate(old.exp().tolist())
    )
    assert expected == pytest.approx(exact)


def test_masked_tokens_have_no_part_in_loss_gradient_or_statistics() -> None:
    dirty = [tensor.masked_fill(~MASK, NAN) for tensor in (OLD + 0.1, OLD, ADVANTAGES)]
    logprobs = dirty[0].clone().requires_grad_()
    result = policy_loss(logprobs, old_logprobs=dirty[1], advantages=dirty[2])
    result.loss.backward()
    clean = policy_loss(OLD + 0.1, advantages=ADVANTAGES.masked_fill(~MASK, 0.0))
    for ours, expected in zip(result, clean, strict=True):
        assert ours.item() == pytest.approx(expected.item())
    assert logprobs.grad[~MASK].tolist() == [0.0, 0.0]
    assert bool((logprobs.grad[MASK] != 0).all())


def test_a_huge_ratio_under_the_mask_is_not_the_largest() -> None:
    result = policy_loss(OLD.masked_fill(~MASK, 50.0))
    assert result.ratio_max.item() == 1.0


def test_statistics_are_detached() -> None:
    result = policy_loss(OLD.clone().requires_grad_())
    assert [tensor.requires_grad for tensor in result] == [True, False, False, False]


# a bandit of four tokens: what is trained, what samples in its place, and what each token is worth
POLICY = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
SAMPLER = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)
WORTH = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)
DRAWN = torch.tensor([[0], [0], [0], [0], [1], [1], [2], [3]])
"""Each token as often as the sampler draws it in eight draws: a mean over these is its expectation."""


def bandit_gradient(truncation: float | None) -> Tensor:
    """Expected gradient (4,) of the loss in the logits of the policy."""
    logits = POLICY.log().requires_grad_()
    logprobs = torch.log_softmax(logits, 0)[DRAWN]
    mask = torch.ones_like(DRAWN, dtype=torch.bool)
    weights = None
    if truncation is not None:
        weights = truncated_importance_weights(
            old_logprobs=logprobs, sampler_logprobs=SAMPLER.log()[DRAWN], response_mask=mask, truncation=truncation
        )
        assert not weights.requires_grad
    clipped_policy_loss(
        logprobs=logprobs,
        old_logprobs=logprobs.detach(),
        advantages=WORTH[DRAWN],
        response_mask=mask,
        cliprange=0.2,
        importance_weights=weights,
    ).loss.backward()
    return logits.grad


def test_importance_weights_make_the_gradient_of_another_sampler_that_of_the_policy() -> None:
    # of E[worth] under a softmax: probability times worth above the mean
    exact = -POLICY * (WORTH - (POLICY * WORTH).sum())
    assert torch.allclose(bandit_gradient(truncation=4.0), exact, atol=1e-12)  # the largest weight is 3.2
    assert not torch.allclose(bandit_gradient(truncation=None), exact, atol=0.2)
    cut, uncut = ((bandit_gradient(value) - exact).norm().item() for value in (2.0, None))
    assert 0.01 < cut < 0.5 * uncut, "truncation has a bias, and less than no weights"


def test_importance_weights_by_hand() -> None:
    weights = truncated_importance_weights(
        old_logprobs=torch.log(torch.tensor([[0.2, 0.9, 0.3]])).requires_grad_(),
        sampler_logprobs=torch.log(torch.tensor([[0.4, 0.3, 0.0]])),
        response_mask=torch.tensor([[True, True, False]]),
        truncation=2.0,
    )
    assert torch.allclose(weights, torch.tensor([[0.5, 2.0, 0.0]]))
    assert not weights.requires_grad


def test_weights_of_1_change_nothing_and_statistics_have_no_weights() -> None:
    plain, same = (policy_loss(OLD + 0.1, **more) for more in ({}, {"importance_weights": torch.ones_like(OLD)}))
    assert all(torch.equal(*both) for both in zip(plain, same, strict=True))
    half = policy_loss(OLD + 0.1, importance_weights=torch.full_like(OLD, 0.5))
    assert half.loss.item() == pytest.approx(0.5 * plain.loss.item())
    assert half[1:] == plain[1:]


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="importance_weights"):
        policy_loss(OLD, importance_weights=torch.ones(3))


def value_loss(
    values: list[float], old: list[float], returns: list[float], mask: list[bool]
) -> tuple[float, list[float]]:
    tensor = torch.tensor([values], requires_grad=True)
    loss = clipped_value_loss(
        values=tensor,
        old_values=torch.tensor([old]),
        returns=torch.tensor([returns]),
        response_mask=torch.tensor([mask]),
        cliprange_value=0.2,
    )
    loss.backward()
    return loss.item(), tensor.grad[0].tolist()


def test_value_loss_inside_the_range_is_half_the_squared_error() -> None:
    loss, gradient = value_loss([0.1, -0.1], [0.0, 0.0], [1.0, 2.0], [True, True])
    assert loss == pytest.approx(0.5 * (0.9**2 + 2.1**2) / 2)
    assert gradient == pytest.approx([(0.1 - 1.0) / 2, (-0.1 - 2.0) / 2])


def test_value_loss_is_pessimistic_about_steps_beyond_the_range() -> None:
    # 0 -> 0.5 towards the return 1: counted as 0.2, without gradient; 0 -> -0.5 away from it: counted in full
    loss, gradient = value_loss([0.5, -0.5], [0.0, 0.0], [1.0, 1.0], [True, True])
    assert loss == pytest.approx(0.5 * (0.8**2 + 1.5**2) / 2)
    assert gradient == pytest.approx([0.0, -1.5 / 2])


def test_masked_values_have_no_part_in_the_loss() -> None:
    loss, gradient = value_loss([0.1, 9.0], [0.0, 0.0], [1.0, 7.0], [True, False])
    assert loss == pytest.approx(0.5 * 0.9**2)
    assert gradient == pytest.approx([-0.9, 0.0])


def test_nan_under_the_mask_reaches_neither_value_loss_nor_gradient() -> None:
    loss, gradient = value_loss([0.1, NAN], [0.0, NAN], [1.0, NAN], [True, False])
    assert loss == pytest.approx(0.5 * 0.9**2)
    assert gradient == pytest.approx([-0.9, 0.0])


def test_a_fully_masked_minibatch_has_loss_zero() -> None:
    empty = torch.zeros_like(MASK)
    assert policy_loss(OLD, response_mask=empty).loss.item() == 0.0
    assert value_loss([1.0], [0.0], [0.0], [False])[0] == 0.0


def test_tensors_of_other_shapes_raise() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        policy_loss(OLD, advantages=torch.zeros(2, 1))
    with pytest.raises(ValueError, match="shapes differ"):
        clipped_value_loss(values=OLD, old_values=OLD, returns=OLD, response_mask=MASK[:1], cliprange_value=0.2)
