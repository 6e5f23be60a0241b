"""The fitted temperature: where it is known, its limits, and that it is the best."""

import math

import numpy as np
import pytest

from pipeline.evaluation.calibration import calibration
from pipeline.evaluation.temperature import LARGEST, bradley_terry_nll, fit_temperature


def test_the_loss_by_hand() -> None:
    assert bradley_terry_nll(np.zeros(3)) == pytest.approx(math.log(2))
    assert bradley_terry_nll(np.array([0.6])) == pytest.approx(0.437488, abs=1e-6)
    assert bradley_terry_nll(np.array([6.0]), temperature=10.0) == pytest.approx(0.437488, abs=1e-6)


@pytest.mark.parametrize(("size", "right", "wrong"), [(3.0, 3, 1), (0.2, 4, 1)])
def test_equal_margins_have_a_temperature_in_closed_form(size: float, right: int, wrong: int) -> None:
    """With margins of one size the confidence must be the share that is right: sigmoid(size / T) = right / all."""
    temperature, at_limit = fit_temperature(np.array([size] * right + [-size] * wrong))
    assert temperature == pytest.approx(size / math.log(right / wrong), rel=1e-4) and not at_limit


def test_margins_that_are_too_sure_by_a_factor_get_it_back() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=20_000)
    right = rng.random(20_000) < 1 / (1 + np.exp(-np.abs(true)))
    margins = 4 * np.where(right, np.abs(true), -np.abs(true))
    temperature, _ = fit_temperature(margins)
    assert temperature == pytest.approx(4, rel=0.05)
    assert calibration(margins / temperature, bins=10)[0] < 0.02 < calibration(margins, bins=10)[0]


@pytest.mark.parametrize("scale", [1.0, 1e-4])
@pytest.mark.parametrize(("margins", "limit"), [([0.5, 2.0], 1.25 / LARGEST), ([-1.0, 0.5], 0.75 * LARGEST)])
def test_limits_are_said_whatever_the_scale_of_the_scores(margins: list[float], limit: float, scale: float) -> None:
    temperature, at_limit = fit_temperature(scale * np.array(margins))
    assert temperature == pytest.approx(scale * limit, rel=1e-2) and at_limit


def test_scores_of_any_scale_are_calibrated_alike() -> None:
    margins = np.array([0.5, 1.0, -0.4, 2.0])
    temperature, at_limit = fit_temperature(margins)
    assert fit_temperature(margins * 1e-5)[0] == pytest.approx(temperature * 1e-5, rel=1e-4) and not at_limit
    assert fit_temperature(np.zeros(3)) == (1.0, True)
