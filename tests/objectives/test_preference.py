"""Bradley-Terry and DPO: the article's examples with the right digits, identity, direction, symmetry."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.objectives.preference import DPO_LOSSES, DpoLoss, DpoOptions, Sides, bradley_terry_loss, dpo_loss


def bradley_terry(gap: float, **options: float) -> float:
    scores = torch.tensor([1.5 + gap], dtype=torch.float64), torch.tensor([1.5], dtype=torch.float64)
    return bradley_terry_loss(*scores, **options).item()


@pytest.mark.parametrize(
    ("gap", "loss"),
    [
        (4.0, 0.018150),
        (-4.0, 4.018150),
        (0.0, 0.693147),
        (0.6, 0.437488),
        (5.0, 0.006715),
        (-3.0, 3.048587),
        (0.02, 0.683197),
        (0.002, 0.692148),
    ],
)
def test_exact_values_of_the_article(gap: float, loss: float) -> None:
    assert bradley_terry(gap) == pytest.approx(loss, abs=5e-7)


def test_a_confident_mistake_has_a_finite_loss_and_gradient() -> None:
    chosen = torch.tensor([-500.0, 500.0], requires_grad=True)
    losses = bradley_terry_loss(chosen, -chosen.detach())
    losses.sum().backward()
    assert losses.tolist() == [1000.0, 0.0]
    assert chosen.grad.tolist() == [-1.0, 0.0]


def test_gradient_is_minus_the_probability_of_the_mistake() -> None:
    chosen = torch.tensor([2.0, 0.0], dtype=torch.float64, requires_grad=True)
    rejected = torch.tensor([0.0, 0.0], dtype=torch.float64, requires_grad=True)
    bradley_terry_loss(chosen, rejected).sum().backward()
    mistake = [1 / (1 + math.e**2), 0.5]
    assert chosen.grad.tolist() == pytest.approx([-p for p in mistake])
    assert rejected.grad.tolist() == pytest.approx(mistake)


@pytest.mark.parametrize("gap", [-2.0, 0.5, 3.0])
def test_smoothing_mixes_the_losses_of_both_labels(gap: float) -> None:
    assert bradley_terry(gap, label_smoothing=0.1) == pytest.approx(
        0.9 * bradley_terry(gap) + 0.1 * bradley_terry(-gap)
    )


def test_smoothing_is_least_where_the_probability_is_one_minus_it() -> None:
    best = math.log(0.9 / 0.1)
    around = [bradley_terry(best + step, label_smoothing=0.1) for step in (-0.01, 0.0, 0.01)]
    assert around[1] < min(around[0], around[2])


def test_scores_of_other_shapes_raise() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        bradley_terry_loss(torch.zeros(3), torch.zeros(3, 1))


def dpo(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, *, beta: float = 0.1, **options: Any
) -> DpoLoss:
    lengths = Sides(*(options.pop(f"{side}_lengths", torch.ones_like(chosen)) for side in ("chosen", "rejected")))
    return dpo_loss(Sides(chosen, rejected), Sides(ref_chosen, ref_rejected), lengths, DpoOptions(beta=beta, **options))


def test_the_example_of_the_article() -> None:
    # log-ratios +5 and -1 at beta 0.1: rewards 0.5 and -0.1, gap 0.6
    result = dpo(torch.tensor([-5.0]), torch.tensor([-9.0]), torch.tensor([-10.0]), torch.tensor([-8.0]))
    assert result.chosen_rewards.item() == pytest.approx(0.5)
    assert result.rejected_rewards.item() == pytest.approx(-0.1)
    assert result.losses.item() == pytest.approx(0.437488, abs=1e-6)


@pytest.mark.parametrize(("beta", "loss"), [(1.0, 0.683197), (0.1, 0.692148)])
def test_the_nudge_of_the_article(beta: float, loss: float) -> None:
    ref = torch.tensor([-10.0], dtype=torch.float64), torch.tensor([-8.0], dtype=torch.float64)
    assert dpo(ref[0] + 0.01, ref[1] - 0.01, *ref, beta=beta).losses.item() == pytest.approx(loss, abs=5e-7)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_a_policy_equal_to_its_reference_has_loss_ln_2(label_smoothing: float) -> None:
    chosen, rejected = torch.tensor([-3.0, -70.0]), torch.tensor([-11.0, -2.0])
    result = dpo(chosen, rejected, chosen, rejected, label_smoothing=label_smoothing)
    assert result.losses.tolist() == pytest.approx([math.log(2)] * 2)
    assert result.chosen_rewards.tolist() == result.rejected_rewards.tolist() == [0.0, 0.0]


def test_a_step_against_the_gradient_raises_the_chosen_and_lowers_the_rejected() -> None:
    chosen = torch.tensor([-4.0, -9.0], requires_grad=True)
    rejected = torch.tensor([-5.0, -6.0], requires_grad=True)
    result = dpo(chosen, rejected, torch.tensor([-4.0, -8.0]), torch.tensor([-5.0, -7.0]))
    result.losses.sum().backward()
    assert bool((chosen.grad < 0).all()) and bool((rejected.grad > 0).all())
    # the pair that is ranked wrongly by the implicit rewards weighs more (eq. 7's gradient)
    assert abs(chosen.grad[1]) > abs(chosen.grad[0])
    # at the reference the weight is beta / 2
    assert chosen.grad[0].item() == pytest.approx(-0.05)


def test_only_the_difference_of_log_ratios_counts() -> None:
    # the partition function of the prompt shifts both log-ratios alike and cancels
    first = dpo(torch.tensor([-5.0]), torch.tensor([-9.0]), torch.tensor([-10.0]), torch.tensor([-8.0]))
    shifted = dpo(torch.tensor([-1.0]), torch.tensor([-5.0]), torch.tensor([-10.0]), torch.tensor([-8.0]))
    assert shifted.losses.item() == pytest.approx(first.losses.item())


def test_rewards_are_detached_and_references_need_no_gradient() -> None:
    chosen = torch.tensor([-4.0], requires_grad=True)
    result = dpo(chosen, torch.tensor([-5.0]), torch.tensor([-4.5]), torch.tensor([-5.0]))
    assert result.losses.requires_grad
    assert not result.chosen_rewards.requires_grad and not result.rejected_rewards.requires_grad


def test_log_probs_of_other_shapes_raise() -> None:
    with pytest.raises(ValueError, match=r"reference_rejected \(1,\)"):
        dpo(torch.zeros(2), torch.zeros(2), torch.zeros(2), torch.zeros(1))


# log-ratios +4 and -2 over 8 and 4 tokens: at beta 0.1 the gap is 0.6, its mean per token 0.5 + 0.5
NUMBERS = {
    "chosen": torch.tensor([-6.0], dtype=torch.float64),
    "rejected": torch.tensor([-10.0], dtype=torch.float64),
    "ref_chosen": torch.tensor([-10.0], dtype=torch.float64),
    "ref_rejected": torch.tensor([-8.0], dtype=torch.float64),
    "chosen_lengths": torch.tensor([8.0], dtype=torch.float64),
    "rejected_lengths": torch.tensor([4.0], dtype=torch.float64),
}


def nll(probability: float) -> float:
    return -math.log(probability)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"loss": "sigmoid"}, nll(sigmoid(0.6))),
        ({"loss": "sigmoid", "label_smoothing": 0.1}, 0.9 * nll(sigmoid(0.6)) + 0.1 * nll(sigmoid(-0.6))),
        ({"loss": "robust", "label_smoothing": 0.1}, (0.9 * nll(sigmoid(0.6)) - 0.1 * nll(sigmoid(-0.6))) / 0.8),
        ({"loss": "hinge"}, 0.4),
        ({"loss": "hinge", "beta": 1.0}, 0.0),
        ({"loss": "ipo"}, (1.0 - 5.0) ** 2),
        ({"loss": "ipo", "beta": 0.5}, 0.0),
        ({"loss": "sigmoid_norm", "beta": 2.0}, nll(sigmoid(2.0))),
        # -6/8 and -10/4 per token, without the reference
        ({"loss": "simpo", "beta": 2.0}, nll(sigmoid(2 * (-0.75 + 2.5)))),
        ({"loss": "simpo", "beta": 2.0, "simpo_gamma": 0.5}, nll(sigmoid(2 * (-0.75 + 2.5) - 0.5))),
        ({"loss": "sigmoid", "nll_coef": 0.2}, nll(sigmoid(0.6)) + 0.2 * 0.75),
    ],
    ids=str,
)
def test_each_loss_by_hand(options: dict[str, Any], expected: float) -> None:
    assert dpo(**NUMBERS, **options).losses.item() == pytest.approx(expected, abs=1e-12)


def test_robust_is_unbiased_under_flipped_labels() -> None:
    flip = 0.3
    kept = dpo(**NUMBERS, loss="robust", label_smoothing=flip).losses.item()
    swapped = {
        "chosen": NUMBERS["rejected"],
        "rejected": NUMBERS["chosen"],
        "ref_chosen": NUMBERS["ref_rejected"],
        "ref_rejected": NUMBERS["ref_chosen"],
    }
    flipped = dpo(**swapped, loss="robust", label_smoothing=flip).losses.item()
    assert (1 - flip) * kept + flip * flipped == pytest.approx(dpo(**NUMBERS).losses.item())


def test_simpo_does_not_read_the_reference() -> None:
    other = NUMBERS | {"ref_chosen": torch.tensor([5.0], dtype=torch.float64)}
    options = {"loss": "simpo", "beta": 2.0, "simpo_gamma": 0.5}
    assert torch.equal(dpo(**other, **options).losses, dpo(**NUMBERS, **options).losses)


def test_every_loss_prefers_the_chosen_response() -> None:
    for loss in DPO_LOSSES:
        chosen, rejected = (torch.tensor([value], requires_grad=True) for value in (-9.0, -9.5))
        references = torch.tensor([-9.0]), torch.tensor([-9.5])
        lengths = {"chosen_lengths": torch.tensor([3.0]), "rejected_lengths": torch.tensor([4.0])}
        dpo(chosen, rejected, *references, loss=loss, **lengths).losses.sum().backward()
        assert chosen.grad.item() < 0 < rejected.grad.item(), loss


def test_an_unknown_loss_is_named() -> None:
    with pytest.raises(ValueError, match="unknown loss 'sgmoid'"):
        dpo(**NUMBERS, loss="sgmoid")


def test_a_margin_moves_the_gap_and_centering_adds_the_square_of_the_sum() -> None:
    chosen, rejected = torch.tensor([2.0], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    margins = torch.tensor([1.0], dtype=torch.float64)
    assert bradley_terry_loss(chosen, rejected, margins=margins).item() == pytest.approx(nll(sigmoid(0.5)))
    centred = bradley_terry_loss(chosen, rejected, centering_coef=0.1).item()
    assert centred == pytest.approx(nll(sigmoid(1.5)) + 0.1 * 2.5**2)
    with pytest.raises(ValueError, match="margins"):
        bradley_terry_loss(torch.zeros(2), torch.zeros(2), margins=torch.zeros(1))
