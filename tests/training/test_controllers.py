"""The KL controller by hand and as a loop, and running moments against all scores at once."""

import pytest
import torch

from pipeline.params.schema import Params
from pipeline.training.controllers import KlController, RunningMoments
from tests.tiny_models import changed


def adaptive(params: Params) -> KlController:
    plan = changed(params.optimize.ppo, kl_controller="adaptive", kl_coef=0.1, kl_target=6.0, kl_horizon=1000)
    return KlController.of(plan)


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        (6.0, 0.1),
        (6.6, 0.1 * (1 + 0.1 * 64 / 1000)),
        (60.0, 0.1 * (1 + 0.2 * 64 / 1000)),
        (0.0, 0.1 * (1 - 0.2 * 64 / 1000)),
        (-3.0, 0.1 * (1 - 0.2 * 64 / 1000)),
    ],
)
def test_one_step_is_proportional_and_clipped(params: Params, kl: float, expected: float) -> None:
    controller = adaptive(params)
    controller.update(kl, episodes=64)
    assert controller.coefficient == pytest.approx(expected, rel=1e-12)


def test_it_settles_where_the_kl_is_on_target(params: Params) -> None:
    controller = adaptive(params)
    for _ in range(2000):
        controller.update(1.0 / controller.coefficient, episodes=64)
    assert 1.0 / controller.coefficient == pytest.approx(6.0, rel=1e-3)


def test_a_fixed_coefficient_stays(params: Params) -> None:
    controller = KlController.of(changed(params.optimize.ppo, kl_controller="fixed", kl_coef=0.1))
    controller.update(60.0, episodes=64)
    assert controller.coefficient == 0.1


def test_moments_of_parts_are_those_of_the_whole() -> None:
    scores = torch.randn(100, generator=torch.Generator().manual_seed(0)) * 3 + 7
    moments = RunningMoments()
    for part in scores.split([1, 30, 64, 5]):
        moments.update(part)
    assert moments.count == 100
    assert moments.mean == pytest.approx(scores.mean().item(), rel=1e-6)
    assert moments.squares / 100 == pytest.approx(scores.var(unbiased=False).item(), rel=1e-6)
    whitened = moments.normalize(scores)
    assert whitened.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert whitened.std(unbiased=False).item() == pytest.approx(1.0, abs=1e-5)


def test_equal_scores_normalise_to_zero() -> None:
    moments = RunningMoments()
    moments.update(torch.full((4,), 2.5))
    assert moments.normalize(torch.full((4,), 2.5)).tolist() == [0.0] * 4
