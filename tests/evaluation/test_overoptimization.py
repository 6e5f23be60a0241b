"""Curves made from the formulas are found again, with their peaks by calculus; too few points give nothing."""

import math

import numpy as np
import pytest

from pipeline.evaluation.overoptimization import fit_best_of_n, fit_rl

KL = [0.19, 0.64, 1.21, 2.0, 4.0]


def best_of_n_curve(kl, alpha, beta):
    return [math.sqrt(one) * alpha - beta * one for one in kl]


def rl_curve(kl, alpha, beta):
    # d ln d with d = sqrt(KL) is sqrt(KL) ln(KL) / 2
    return [math.sqrt(one) * alpha - beta * math.sqrt(one) * math.log(one) / 2 for one in kl]


@pytest.mark.parametrize(("alpha", "beta", "peak"), [(1.2, 0.4, 2.25), (0.8, 0.1, 16.0)])
def test_a_best_of_n_curve_is_found_again(alpha, beta, peak):
    fit = fit_best_of_n(KL, best_of_n_curve(KL, alpha, beta))
    assert (fit.alpha, fit.beta, fit.peak_kl) == (pytest.approx(alpha), pytest.approx(beta), pytest.approx(peak))
    assert fit.rmse < 1e-12 and fit.points == 5
    assert fit.beyond_measured == (peak > 4)
    assert [fit.gain(one) for one in KL] == pytest.approx(best_of_n_curve(KL, alpha, beta))


# alpha = beta puts the peak at d = 1, alpha = 2 beta at d = e
@pytest.mark.parametrize(("alpha", "beta", "peak"), [(0.7, 0.7, 1.0), (0.6, 0.3, math.e**2)])
def test_an_rl_curve_is_found_again(alpha, beta, peak):
    fit = fit_rl(KL, rl_curve(KL, alpha, beta))
    assert (fit.alpha, fit.beta, fit.peak_kl) == (pytest.approx(alpha), pytest.approx(beta), pytest.approx(peak))
    assert fit.rmse < 1e-12 and fit.beyond_measured == (peak > 4)
    assert [fit.gain(one) for one in KL] == pytest.approx(rl_curve(KL, alpha, beta))


@pytest.mark.parametrize("fit", [fit_best_of_n, fit_rl])
def test_the_peak_is_where_the_fitted_curve_is_highest(fit):
    found = fit([0.5, 1.0, 3.0, 6.0], [0.3, 0.38, 0.3, 0.1])
    grid = np.linspace(0.001, 6, 60_000)
    assert grid[np.argmax([found.gain(one) for one in grid])] == pytest.approx(found.peak_kl, abs=1e-3)


@pytest.mark.parametrize("fit", [fit_best_of_n, fit_rl])
def test_it_is_the_best_of_all_coefficients(fit):
    gains = [0.2, 0.5, 0.35, 0.6, 0.4]
    found = fit(KL, gains)
    for alpha, beta in ((1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3)):
        other = type(found)(**{**vars(found), "alpha": found.alpha + alpha, "beta": found.beta + beta})
        moved = np.sqrt(np.mean([(other.gain(one) - gain) ** 2 for one, gain in zip(KL, gains, strict=True)]))
        assert moved > found.rmse


@pytest.mark.parametrize("fit", [fit_best_of_n, fit_rl])
@pytest.mark.parametrize("kl", [[], [0.0], [0.0, 1.0], [-0.1, 0.0, 1.0], [1.0, 1.0, 1.0]])
def test_two_different_positive_kls_are_needed(fit, kl):
    assert fit(kl, [0.1] * len(kl)) is None
    assert fit([*kl, 2.0, 3.0], [0.1] * (len(kl) + 2)) is not None


def test_points_without_positive_kl_change_nothing():
    assert fit_rl([0.0, -0.02, *KL], [0.0, 5.0, *rl_curve(KL, 0.7, 0.2)]) == fit_rl(KL, rl_curve(KL, 0.7, 0.2))


@pytest.mark.parametrize(
    ("fit", "gains"), [(fit_best_of_n, best_of_n_curve(KL, 0.1, -0.3)), (fit_rl, rl_curve(KL, 0.1, -0.3)),
                       (fit_best_of_n, best_of_n_curve(KL, -0.1, 0.3)), (fit_rl, rl_curve(KL, 1.0, 0.1))],
)  # fmt: skip
def test_a_curve_that_only_rises_or_only_falls_has_no_peak(fit, gains):
    # the last one would peak at exp(18) nats
    found = fit(KL, gains)
    assert found.peak_kl is None and found.beyond_measured is None


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="gains"):
        fit_rl([1.0, 2.0], [0.1])
