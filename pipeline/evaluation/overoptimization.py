"""How a score grows with the distance from the SFT policy, and where it peaks: the fits of Gao et al. 2022.

Everything is over d = sqrt(KL), KL in nats per sequence, and over gains: a score minus the SFT policy's on the same
prompts (arXiv:2210.10760, section 3).
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from pipeline.results.comparison import CurveFit

Form = Literal["best_of_n", "rl"]
MAX_LOG_PEAK = math.log(1e3)
"""Logarithm of the largest d = sqrt(KL) that a fitted peak may have: nothing is measured near 10^6 nats."""


class Fit(CurveFit):
    """A curve that can be drawn."""

    def gain(self, kl: float) -> float:
        """Fitted gain at a KL in nats, at least 0."""
        if kl <= 0:
            return 0.0
        d = math.sqrt(kl)
        return d * (self.alpha - self.beta * (d if self.form == "best_of_n" else math.log(d)))


def fit_best_of_n(kl: Sequence[float], gains: Sequence[float]) -> Fit | None:
    """R(d) = d (alpha - beta d), with its peak at d = alpha / (2 beta) (Gao et al. 2022, best-of-n).

    Args:
        kl, gains: (N,), nats and score units; points without a positive KL say nothing of either coefficient and are
            left out.

    Returns:
        None with fewer than two different positive KLs.
    """
    d, measured = _positive(kl, gains)
    found = _least_squares(np.stack([d, -(d**2)], axis=1), measured)
    if found is None:
        return None
    alpha, beta, rmse = found
    peak = (alpha / (2 * beta)) ** 2 if alpha > 0 and beta > 0 else None
    return _fit("best_of_n", alpha, beta, rmse, d, peak)


def fit_rl(kl: Sequence[float], gains: Sequence[float]) -> Fit | None:
    """R(d) = d (alpha - beta ln d), with its peak at d = exp(alpha / beta - 1) (Gao et al. 2022, RL).

    Arguments and result are as of `fit_best_of_n`. The paper has it for PPO; Rafailov et al. 2024 (arXiv:2406.02900)
    fit the same form to DPO.
    """
    d, measured = _positive(kl, gains)
    found = _least_squares(np.stack([d, -d * np.log(d)], axis=1), measured)
    if found is None:
        return None
    alpha, beta, rmse = found
    log_peak = alpha / beta - 1 if beta > 0 else math.inf
    peak = math.exp(2 * log_peak) if log_peak < MAX_LOG_PEAK else None
    return _fit("rl", alpha, beta, rmse, d, peak)


def _positive(kl: Sequence[float], gains: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """d and gain of the points with a positive KL; an estimate near 0 may be negative."""
    nats, measured = np.asarray(kl, dtype=np.float64), np.asarray(gains, dtype=np.float64)
    if nats.shape != measured.shape:
        raise ValueError(f"{nats.shape} KLs against {measured.shape} gains")
    inside = nats > 0
    return np.sqrt(nats[inside]), measured[inside]


def _least_squares(columns: np.ndarray, gains: np.ndarray) -> tuple[float, float, float] | None:
    """alpha, beta and root mean squared residual; None where the points do not determine both."""
    if len(gains) < 2:
        return None
    (alpha, beta), _, rank, _ = np.linalg.lstsq(columns, gains, rcond=None)
    if rank < 2:
        return None
    rmse = float(np.sqrt(np.mean((columns @ [alpha, beta] - gains) ** 2)))
    return float(alpha), float(beta), rmse


def _fit(form: Form, alpha: float, beta: float, rmse: float, d: np.ndarray, peak: float | None) -> Fit:
    beyond = None if peak is None else bool(peak > np.max(d) ** 2)
    return Fit(form=form, alpha=alpha, beta=beta, rmse=rmse, points=len(d), peak_kl=peak, beyond_measured=beyond)
